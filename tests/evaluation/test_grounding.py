"""Pointing, rank and CNR: known maps, sums in the open, whole numbers."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from kerasmi.evaluation import grounding
from kerasmi.evaluation.region_maps import seen_square

GRID = (4, 4)


def cases(maps, true, findings=None, images=None, subjects=None, cnr=None):
    count = len(maps)
    return grounding.Cases(
        np.asarray(maps, float),
        np.asarray(true, bool),
        ["Edema"] * count if findings is None else findings,
        np.arange(count) if images is None else np.asarray(images),
        np.arange(count) if subjects is None else np.asarray(subjects),
        None if cnr is None else np.asarray(cnr, float),
    )


def table(*args, **kwargs):
    found = grounding.evaluate(cases(*args, **kwargs), resamples=50)
    return found.set_index(["finding", "metric"])


@pytest.fixture
def true():
    """Places of 30 sentences, each a part of the image."""
    rng = np.random.default_rng(0)
    places = rng.random((30, *GRID)) < 0.3
    places[:, 0, 0], places[:, 3, 3] = True, False
    return places


# Pointing and rank


def test_maps_that_are_the_truth_point_at_it(true):
    found = table(true, true).loc["all"]
    assert (found.loc[[grounding.POINTING, grounding.RANK], "value"] == 1).all()
    pointing = found.loc[grounding.POINTING]
    # exact, of 30 subjects: never a rate without an interval
    assert pointing["low"] == pytest.approx(0.025 ** (1 / 30))
    assert pointing["high"] == 1
    assert "every case is 1" in pointing["note"]
    # the same rank throughout is no share
    assert np.isnan(found.loc[grounding.RANK, "low"])


def test_of_a_single_subject_no_interval_is_told(true):
    maps = np.random.default_rng(5).normal(size=true.shape)
    found = table(maps, true, subjects=np.full(30, 7))
    assert found["value"].notna().all()
    assert found[["low", "high"]].isna().all(axis=None)
    assert (found["note"] == "interval not estimable: one subject").all()


def test_maps_that_deny_the_truth_never_point_at_it(true):
    found = table(~true, true)
    assert found.loc[("all", grounding.POINTING), "value"] == 0
    last = 1 + (~true).sum(axis=(1, 2))
    rank = found.loc[("all", grounding.RANK), "value"]
    assert rank == pytest.approx(last.mean())


def test_the_commonest_region_is_told_for_each_finding():
    maps, true = np.zeros((6, *GRID)), np.zeros((6, *GRID))
    # the heart thrice from (2, 3), once from (0, 0); edema from two regions
    for sentence, place in enumerate(
        [(2, 3), (2, 3), (2, 3), (0, 0), (1, 1), (1, 2)]
    ):
        maps[sentence][place] = 1
    true[:, 0, 0] = 1
    found = table(maps, true, ["Heart"] * 4 + ["Edema"] * 2)
    shares = found.xs(grounding.COMMONEST, level="metric")
    assert shares["value"].to_dict() == {
        "all": 1 / 2,
        "Edema": 0,
        "Heart": 3 / 4,
    }
    assert (shares["chance"] == 1 / 16).all()


@pytest.mark.parametrize("sentences", [2, 5, 40])
def test_maps_of_noise_have_no_commonest_region(sentences):
    values = []
    for seed in range(40):
        generator = np.random.default_rng(seed)
        maps = generator.normal(size=(8 * sentences, *GRID))
        true = np.zeros(maps.shape)
        true[:, 0, 0] = 1
        names = [f"finding {number}" for number in range(8)] * sentences
        found = table(maps, true, names)
        values.append(found.loc[("all", grounding.COMMONEST), "value"])
    error = np.std(values) / len(values) ** 0.5
    assert abs(np.mean(values) - 1 / 16) < 3.5 * error


def test_the_only_sentence_of_a_finding_has_no_commonest_region():
    maps = np.random.default_rng(0).normal(size=(3, *GRID))
    true = np.zeros(maps.shape)
    true[:, 0, 0] = 1
    found = table(maps, true, ["Heart", "Heart", "Edema"])
    commonest = found.xs(grounding.COMMONEST, level="metric")
    assert set(commonest.index) == {"all", "Heart"}
    assert commonest.loc["all", "n_sentences"] == 2


@pytest.mark.parametrize("value", [0.0, 0.1, -1e4])
def test_constant_maps_read_exactly_chance(true, value):
    found = table(np.full(true.shape, value), true)
    np.testing.assert_array_equal(found["value"], found["chance"])


def test_chance_is_the_share_of_true_regions_and_the_rank_in_random_order():
    true = np.zeros((1, *GRID))
    true[0, 1, :3] = 1
    found = table(true, true)["chance"].loc["all"]
    assert found[grounding.POINTING] == pytest.approx(3 / 16)
    rng = np.random.default_rng(0)
    orders = rng.permuted(np.tile(true.ravel(), (20_000, 1)), axis=1)
    drawn = 1 + orders.argmax(axis=1)
    error = drawn.std() / len(drawn) ** 0.5
    assert abs(found[grounding.RANK] - drawn.mean()) < 4 * error


def test_a_map_counts_up_to_its_offset_and_scale(true):
    rng = np.random.default_rng(1)
    maps, offset = rng.normal(size=true.shape), rng.normal(size=(30, 1, 1))
    plain, moved = table(maps, true), table(100 * (maps + offset), true)
    np.testing.assert_array_equal(plain["value"], moved["value"])


def test_sentences_true_of_all_or_no_region_are_left_out(true):
    rng = np.random.default_rng(2)
    maps, places = rng.normal(size=true.shape), true.copy()
    places[3], places[7] = True, False
    kept = np.delete(np.arange(30), [3, 7])
    found, alone = table(maps, places), table(maps[kept], true[kept])
    np.testing.assert_allclose(found["value"], alone["value"])
    assert (found["n_sentences"] == 28).all()
    nothing = cases(maps[:2], np.ones((2, *GRID)))
    with pytest.raises(ValueError, match="None of 2 sentences"):
        grounding.evaluate(nothing)
    with pytest.raises(ValueError, match="None of 0 sentences"):
        grounding.evaluate(cases([], []))


def test_a_finding_has_the_table_of_its_sentences_alone(true):
    rng = np.random.default_rng(3)
    maps = rng.normal(size=true.shape)
    findings = np.array(["Edema", "Pneumonia", "Edema"] * 10)
    images, subjects = np.arange(30) // 3, np.arange(30) // 6
    found = table(maps, true, list(findings), images, subjects)
    assert list(dict.fromkeys(found.index.get_level_values(0))) == [
        *("all", "Edema", "Pneumonia")
    ]
    of = findings == "Pneumonia"
    alone = table(maps[of], true[of])
    columns = ["value", "chance"]
    np.testing.assert_allclose(
        found.loc["Pneumonia", columns], alone.loc["all", columns]
    )
    counts = found[["n_sentences", "n_images", "n_subjects"]]
    assert (counts.loc["all"] == [30, 10, 5]).all(axis=None)
    assert (counts.loc["Pneumonia"] == [10, 10, 5]).all(axis=None)


def test_cnr_is_the_mean_over_the_sentences_that_have_one(true):
    ratios = np.full(30, np.nan)
    ratios[[2, 5]] = 1.5, -0.5
    findings = ["Edema"] * 29 + ["Pneumonia"]
    found = table(true, true, findings, cnr=ratios)
    row = found.loc[("all", grounding.CNR)]
    assert (row["value"], row["chance"], row["n_sentences"]) == (0.5, 0, 2)
    assert ("Pneumonia", grounding.CNR) not in found.index
    without = table(true, true, cnr=np.full(30, np.nan))
    assert grounding.CNR not in without.index.get_level_values(1)


# Where a place lies


def test_cells_overlap_regions_as_fractions_of_the_image_do():
    rng = np.random.default_rng(0)
    for side, grid in ((4, (4, 4)), (4, (2, 8)), (6, (4, 3)), (5, (7, 7))):
        cells = rng.random((side, side)) < 0.3
        expected = np.zeros(grid, bool)
        for down, across in np.argwhere(cells):
            for row, column in np.ndindex(grid):
                meets = [
                    Fraction(region, regions) < Fraction(cell + 1, side)
                    and Fraction(cell, side) < Fraction(region + 1, regions)
                    for region, regions, cell in (
                        (row, grid[0], down),
                        (column, grid[1], across),
                    )
                ]
                expected[row, column] |= all(meets)
        found = grounding.regions_of_cells(cells.astype(np.uint8), grid)
        np.testing.assert_array_equal(found, expected)
        flat = grounding.regions_of_cells(cells.ravel(), grid)
        np.testing.assert_array_equal(flat, expected)


@pytest.mark.parametrize("grid", [(4, 4), (14, 14), (7, 3)])
def test_cells_drawn_as_boxes_lie_in_the_same_regions(grid):
    # 58 pixels in 14 regions: some region edges are whole pixels.
    rng = np.random.default_rng(1)
    for side in (58, 64):
        cells = rng.random((side, side)) < 0.01
        cells[side // 2 :, : side // 2] = False
        boxes = [(x, y, x + 1, y + 1) for y, x in np.argwhere(cells)]
        found = grounding.regions_of_boxes(boxes, (0, 0, side, side), grid)
        expected = grounding.regions_of_cells(cells, grid)
        np.testing.assert_array_equal(found, expected)


def test_a_box_that_ends_at_a_region_does_not_reach_into_it():
    for side in range(14, 400):
        if side % 2 == 0:
            half = [(0, 0, side / 2, side)]
            found = grounding.regions_of_boxes(
                half, (0, 0, side, side), (14, 14)
            )
            assert found[:, :7].all()
            assert not found[:, 7:].any()


@pytest.mark.parametrize("shape", [(64, 64), (96, 64), (80, 120)])
@pytest.mark.parametrize("factor", [2, 5])
def test_a_box_in_pixels_of_a_larger_image_lands_in_the_same_place(
    shape, factor
):
    rng = np.random.default_rng(2)
    scores = rng.normal(size=GRID)
    for _ in range(20):
        left, top = rng.integers(0, shape[1] - 9), rng.integers(0, shape[0] - 9)
        box = np.array([left, top, left + 9, top + 9])
        large = (factor * shape[0], factor * shape[1])
        places = [
            grounding.regions_of_boxes([one], seen_square(*size, 32), GRID)
            for one, size in ((box, shape), (factor * box, large))
        ]
        np.testing.assert_array_equal(*places)
        small, big = (
            grounding.contrast_to_noise(scores, [one], size, 32)
            for one, size in ((box, shape), (factor * box, large))
        )
        assert small == pytest.approx(big, abs=0.05, nan_ok=True)


def test_what_the_network_does_not_see_is_in_no_region():
    square = seen_square(64, 128, 64)  # the middle 64 columns
    beside = [(0, 0, 32, 64), (96, 0, 128, 64)]
    assert not grounding.regions_of_boxes(beside, square, GRID).any()
    assert np.isnan(
        grounding.contrast_to_noise(np.eye(4), beside, (64, 128), 64)
    )


# CNR

MAP = np.array([[3.0, 1, 0, 0], [5, 1, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0]])
BOX = (0, 0, 1, 2)  # holds 3 and 5


def test_cnr_is_the_sum_in_the_open():
    # 4 by 4 pixels in 4 by 4 regions: no pixel lies between two.
    # Inside: mean 4, variance 1. Outside 14 pixels: sum 4, squares 6.
    mean, variance = 4 / 14, 6 / 14 - (4 / 14) ** 2
    found = grounding.contrast_to_noise(MAP, [BOX], (4, 4), 4)
    assert found == pytest.approx((4 - mean) / (1 + variance) ** 0.5)


def test_cnr_changes_sign_with_the_map_and_not_with_its_scale():
    plain, denied, scaled = (
        grounding.contrast_to_noise(scores, [(10, 3, 25, 30)], (48, 64), 32)
        for scores in (MAP, -MAP, 7 * MAP - 3)
    )
    assert plain > 0.5
    assert plain == pytest.approx(-denied)
    assert plain == pytest.approx(scaled)


def test_boxes_that_overlap_count_a_pixel_once():
    twice = [BOX, (0, 0, 1, 1), BOX]
    assert grounding.contrast_to_noise(
        MAP, twice, (4, 4), 4
    ) == grounding.contrast_to_noise(MAP, [BOX], (4, 4), 4)


@pytest.mark.parametrize("value", [1 / 3, 0.1, -7.7])
def test_a_flat_map_has_no_cnr(value):
    flat = np.full((7, 7), value)
    box = [(130, 150, 220, 280)]
    assert np.isnan(grounding.contrast_to_noise(flat, box, (1000, 803), 224))


@pytest.mark.parametrize("box", [(0, 0, 4, 4), (1.6, 1.6, 2.4, 2.4)])
def test_a_box_of_every_or_no_pixel_has_no_cnr(box):
    assert np.isnan(grounding.contrast_to_noise(MAP, [box], (4, 4), 4))


@pytest.mark.parametrize("side", [16, 50, 64])
def test_the_map_at_the_pixels_is_the_bilinear_one_of_pillow(side):
    scores = np.random.default_rng(4).normal(size=GRID).astype(np.float32)
    found, first = grounding.pixel_map(scores, (side, side), 32)
    expected = Image.fromarray(scores).resize(
        (side, side), Image.Resampling.BILINEAR
    )
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)
    assert first == (0, 0)


def test_the_map_lies_over_the_seen_square():
    found, (row, column) = grounding.pixel_map(MAP, (64, 100), 64)
    assert found.shape == (64, 64)
    assert (row, column) == (0, 18)
