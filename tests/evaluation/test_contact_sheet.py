"""The contact sheet: what stands on it, and what it refuses."""

import dataclasses
import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from kerasmi.data.sources import phantom
from kerasmi.evaluation.contact_sheet import contact_sheet, outline
from kerasmi.evaluation.palette import COLOURS, PLAIN, palette
from kerasmi.sheet import sheet

FEW = phantom.Phantom(train=12, validation=0, test=0)


def words(figure):
    return [text.get_text().strip() for a in figure.axes for text in a.texts]


def test_every_image_stands_with_its_findings_and_sentences():
    figure = contact_sheet(
        np.zeros((3, 8, 8, 1)),
        [["Edema"], [], ["Edema", "Pneumonia"]],
        titles=["a", "b", "c"],
        sentences=[["One sentence."], ["Two.", "Three."], []],
        columns=2,
    )
    assert len(figure.axes) == 3
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c"]
    assert words(figure).count("Edema") == 2
    assert words(figure).count("no positive label") == 1
    assert {"One sentence.", "Two.", "Three."} <= set(words(figure))


def test_images_of_any_size_keep_their_proportions():
    shapes = (8, 16), (16, 8)
    figure = contact_sheet([np.eye(*s) for s in shapes], [None, []])
    figure.draw_without_rendering()
    sizes = [axis.get_window_extent().size for axis in figure.axes]
    assert np.ptp(sizes) < 1e-6
    for axis, shape in zip(figure.axes, shapes, strict=True):
        (left, right), (bottom, top) = axis.get_xlim(), axis.get_ylim()
        assert right - left == pytest.approx(bottom - top)
        assert right - left == pytest.approx(max(shape))
    assert words(figure) == ["no label", "no positive label"]


def test_a_long_title_keeps_its_ends_and_its_column():
    title = f"{'-'.join(map(str, range(11111111, 11111116)))} LATERAL"
    figure = contact_sheet(np.zeros((1, 8, 8)), [[]], titles=[title])
    figure.draw_without_rendering()
    (axis,) = figure.axes
    shown = axis.get_title()
    assert shown.startswith("11111111-")
    assert shown.endswith("-11111115 LATERAL")
    width = axis.title.get_window_extent().width
    assert width <= axis.get_window_extent().width


def test_long_sentences_are_wrapped_and_lose_no_word():
    sentence = "word " * 40 + "end."
    figure = contact_sheet(np.zeros((1, 8, 8)), [[]], sentences=[[sentence]])
    lines = [text for text in words(figure) if text != "no positive label"]
    assert len(lines) > 2
    assert " ".join(lines) == sentence


def test_regions_are_outlined_in_the_colour_of_their_finding():
    cells = np.zeros(16, np.uint8)
    cells[5] = 1
    figure = contact_sheet(
        np.zeros((2, 8, 8)),
        [["Edema"], ["Pneumonia"]],
        regions=[
            {"Edema": cells, "Pneumonia": cells},
            {"Pneumonia": 0 * cells},
        ],
    )
    drawn = [
        [c for c in axis.collections if isinstance(c, LineCollection)]
        for axis in figure.axes
    ]
    assert [len(lines) for lines in drawn] == [1, 0]
    segments = np.array(drawn[0][0].get_segments())
    # Cell 5 of a 4x4 grid over 8x8 pixels: pixels 2 and 3 both ways.
    assert segments.min() == pytest.approx(1.5, abs=0.2)
    assert segments.max() == pytest.approx(3.5, abs=0.2)
    assert len(set(COLOURS)) == len(COLOURS) == 9


def test_a_finding_without_an_outline_takes_no_colour_of_one_that_has():
    names = [f"finding {i}" for i in range(9)]
    cells = np.ones(16, np.uint8)
    figure = contact_sheet(
        np.zeros((2, 8, 8)),
        [["Severity 3", *names], names],
        regions=[dict.fromkeys(names, cells)] * 2,
    )
    squares = [
        [t.get_color() for t in axis.texts if t.get_text() == "■"]
        for axis in figure.axes
    ]
    assert squares[0][1:] == squares[1] == list(COLOURS)
    assert squares[0][0] not in COLOURS


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (64, 8)])
@pytest.mark.parametrize("number", [1, 3])
def test_nothing_reaches_into_the_next_image(number, shape):
    label = "Catheter whose tip is in another vein than that which it should"
    figure = contact_sheet(
        [np.zeros(shape)] * number,
        [["Edema", label]] * number,
        titles=["p10000032/s50414267/an-id-of-forty-letters"] * number,
        sentences=[["There is no large effusion on either side. " * 3]]
        * number,
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    inch = figure.dpi
    page = figure.get_figwidth() * inch
    for axis in figure.axes:
        box = axis.get_window_extent()
        room = box.x0 - 0.16 * inch, min(page, box.x1 + 0.16 * inch)
        for text in (axis.title, *axis.texts):
            around = text.get_window_extent(canvas.get_renderer())
            assert room[0] <= around.x0, text
            assert around.x1 <= room[1], text
    assert "Catheter whose …which it should" in words(figure)


def squares(figure):
    """Finding to the colours of its squares, of a page of such names."""
    found = {}
    for axis in figure.axes:
        texts = axis.texts
        for mark, name in itertools.pairwise(texts):
            if mark.get_text() == "■":
                colours = found.setdefault(name.get_text().strip(), set())
                colours.add(mark.get_color())
    return found


def test_a_finding_has_one_colour_on_every_page_of_a_data_set():
    names = [f"finding {i}" for i in range(14)]
    pages = [names[::-1], names[5:7], names[6:], ["Severity 2", *names[:3]]]
    found = [
        squares(contact_sheet(np.zeros((1, 8, 8)), [page], names=names))
        for page in pages
    ]
    whole = found[0]
    assert len(set().union(*whole.values())) == 14
    for page in found[1:]:
        severity = page.pop("Severity 2", None)
        assert severity is None or not severity & set().union(*whole.values())
        assert page == {name: whole[name] for name in page}


@pytest.mark.parametrize("number", [9, 18, 19, 60, 300])
def test_no_two_names_share_a_colour(number):
    names = [f"finding {i}" for i in range(number)]
    colours = list(palette(names).values())
    assert len(set(colours)) == number
    assert PLAIN not in colours
    assert colours[:9] == list(COLOURS)[:number]
    if number == 60:
        rgb = np.array([to_rgb(colour) for colour in [*colours, PLAIN]])
        apart = np.linalg.norm(rgb[:, None] - rgb, axis=-1)
        assert apart[np.triu_indices(len(rgb), 1)].min() > 0.1


@pytest.mark.parametrize("regions", [True, False])
def test_records_of_one_source_share_their_colours(regions):
    drawn = list(phantom.generate(FEW))
    if not regions:
        drawn = [dataclasses.replace(one, regions=None) for one in drawn]
    whole = squares(sheet(drawn))
    assert all(len(colours) == 1 for colours in whole.values())
    assert len(whole) > 9
    for one in drawn:
        page = squares(sheet([one]))
        assert page == {name: whole[name] for name in page}


def test_an_outline_goes_round_touching_cells_as_one():
    mask = np.zeros((4, 4), bool)
    mask[1, 1:3] = True
    assert len(outline(mask)) == 6
    length = abs(np.diff(outline(mask), axis=1)).sum()
    assert length == 6
    assert outline(np.zeros((4, 4), bool)).shape == (0, 2, 2)


@pytest.mark.parametrize("name", ["titles", "sentences", "regions"])
def test_another_number_of_texts_than_images_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}: expected one for each of 2"):
        contact_sheet(np.zeros((2, 8, 8)), [[], []], **{name: [[]]})


@pytest.mark.parametrize("shape", [(0, 8, 8), (1, 8), (1, 8, 8, 3)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet(np.zeros(shape), [[]] * shape[0])


@pytest.mark.parametrize("seed", range(5))
def test_an_outline_is_closed_wherever_it_turns(seed):
    mask = np.random.default_rng(seed).random((4, 4)) < 0.5
    ends, counts = np.unique(
        outline(mask, 0.1).reshape(-1, 2).round(6), axis=0, return_counts=True
    )
    assert len(ends) > 0
    assert set(counts) == {2}
