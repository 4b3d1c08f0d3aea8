"""`kerasmi retrieve`: the best images for a sentence, and their scores."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as reading
from trained_runs import (
    kerasmi,
    load_once,
    save_own_run,
    save_run,
    save_untrained,
)

from kerasmi import retrieving
from kerasmi.data.dataset import Dataset
from kerasmi.evaluation.palette import palette
from kerasmi.features import Features
from kerasmi.held_out_split import HeldOutSplit
from kerasmi.runs import Run

SENTENCE = "The heart is large."
NOTE = "The heart is large. No effusion."


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_run(folder / "local")
    save_run(folder / "cpc", "local_cpc")
    save_run(folder / "global", "global_mine")
    save_untrained(folder)
    save_own_run(folder / "own")
    return folder


@pytest.fixture(autouse=True)
def models(monkeypatch):
    load_once(monkeypatch)


def retrieve(*arguments):
    return kerasmi("retrieve", *arguments)


def _data(runs):
    return Dataset.open(next((runs / "data").iterdir()))


def test_the_best_images_are_printed_drawn_and_written(runs, tmp_path):
    out, table = tmp_path / "out.png", tmp_path / "out.csv"
    result = retrieve(
        *(runs / "local", SENTENCE, "--count", 5),
        *("--output", out, "--csv", table),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-2:] == [str(out), str(table)]
    assert "images  24 images" in result.stderr
    assert reading.imread(out).ndim == 3
    rows = pd.read_csv(table)
    assert list(rows) == [
        *("rank", "image_id", "study_id", "subject_id", "score", "report"),
    ]
    assert rows["rank"].tolist() == [1, 2, 3, 4, 5]
    for image_id in rows["image_id"]:
        assert image_id in result.stdout


def test_scores_are_of_the_critic_and_their_exponentials_average_to_one(runs):
    run = Run.open(runs / "local")
    found = retrieving.retrieve(run, SENTENCE, count=24)
    scores = found.table["score"]
    assert (scores.diff().dropna() <= 0).all()
    assert np.exp(scores).mean() == pytest.approx(1)
    model, data = Features.open(run), _data(runs)
    plain = model.scores(
        model.regions(data, "test", None), model.texts([SENTENCE])
    )[:, 0]
    by_id = dict(zip(data.rows("test")["image_id"], plain, strict=True))
    raw = found.table["image_id"].map(by_id)
    np.testing.assert_allclose(scores - scores[0], raw - raw[0], atol=1e-4)


def test_a_gauge_of_the_image_does_not_change_the_order_for_cpc(
    runs, monkeypatch
):
    run = Run.open(runs / "cpc")
    before = retrieving.retrieve(run, SENTENCE, count=24).table
    scores = Features.scores

    def shifted(self, regions, texts):
        gauge = 100 * regions.mean(axis=(1, 2))
        return scores(self, regions, texts) + gauge[:, None]

    monkeypatch.setattr(Features, "scores", shifted)
    after = retrieving.retrieve(run, SENTENCE, count=24).table
    assert after["image_id"].tolist() == before["image_id"].tolist()
    np.testing.assert_allclose(after["score"], before["score"], atol=1e-4)


def test_cpc_compares_with_sentences_as_often_as_they_were_written(runs):
    data = _data(runs)
    split = HeldOutSplit(Features.open(Run.open(runs / "cpc")), data, "test")
    drawn = retrieving._some_sentences(split)
    written = split.written["text"]
    assert len(drawn) == min(retrieving.COMPARED, len(written))
    assert set(drawn) <= set(split.distinct_texts)


def test_a_report_is_ranked_by_a_global_run_and_that_is_told(runs, tmp_path):
    result = retrieve(
        runs / "global", SENTENCE, "--output", tmp_path / "out.png"
    )
    assert result.exit_code == 0, result.output
    assert "the run's scope is global" in result.stderr


def test_more_than_there_are_is_all_there_are(runs):
    found = retrieving.retrieve(
        Run.open(runs / "local"), SENTENCE, split="validation", count=64
    )
    assert len(found.table) == found.candidates == 32


def test_reports_of_people_are_shown_only_when_asked(runs, tmp_path):
    own = runs / "own/run"
    table = tmp_path / "out.csv"
    arguments = (own, SENTENCE, "--split", "train", "--csv", table, "--force")
    result = retrieve(*arguments)
    assert result.exit_code == 0, result.output
    assert "report" not in pd.read_csv(table)
    assert "effusion" not in table.read_text()
    assert "effusion" not in result.output
    found = retrieving.retrieve(Run.open(own), SENTENCE, split="train")
    assert "effusion" not in _words(found.draw())
    result = retrieve(*arguments, "--show-text")
    assert NOTE in set(pd.read_csv(table)["report"])
    # the table on the terminal stays short
    assert "effusion" not in result.output
    found = retrieving.retrieve(
        Run.open(own), SENTENCE, split="train", show_text=True
    )
    assert "effusion" in _words(found.draw())


def _words(figure):
    return " ".join(
        text.get_text() for axes in figure.axes for text in axes.texts
    )


def test_findings_have_the_colours_of_their_data_set(runs):
    found = retrieving.retrieve(Run.open(runs / "local"), SENTENCE, count=4)
    colours = palette(list(found.records[0].labels))
    seen = {}
    for axes in found.draw().axes:
        for mark, name in itertools.pairwise(axes.texts):
            if mark.get_text() == "■":
                seen[name.get_text().strip()] = mark.get_color()
    named = {name: colours[name] for name in seen if name in colours}
    assert len(named) > 1
    assert {name: seen[name] for name in named} == named


@pytest.mark.parametrize("count", [1, 2])
def test_the_heading_does_not_meet_the_titles(runs, count):
    long = " ".join(["The heart is large and the lungs are clear."] * 4)
    page = retrieving.retrieve(
        Run.open(runs / "local"), long, count=count
    ).draw()
    page.canvas.draw()
    lowest = min(text.get_window_extent().y0 for text in page.texts)
    titles = [axes.title.get_window_extent().y1 for axes in page.axes]
    assert lowest > max(titles)
    (heading, note) = page.texts
    assert heading.get_window_extent().y0 >= note.get_window_extent().y1 - 1
    right = max(text.get_window_extent().x1 for text in page.texts)
    assert right <= page.bbox.x1


def test_unknown_words_are_warned_of_by_name(runs, tmp_path):
    result = retrieve(
        runs / "local", "zebraic heart", "--output", tmp_path / "out.png"
    )
    first = result.stderr.splitlines()[0]
    assert first.startswith("Warning: ")
    assert first.endswith("unknown to the text encoder: zebraic")
