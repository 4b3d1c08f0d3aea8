"""Means and bands of the curves against the numbers they are drawn from."""

import itertools

import numpy as np
import pandas as pd
import pytest

from kerasmi.evaluation import drawing, label_efficiency
from kerasmi.evaluation.auc import MEAN

METHODS = [("image-only-supervised", "image_only"), ("local-mi-cpc", "tuned")]


def results(seeds=(0, 1, 2), labels=(50, 200), tasks=("t", "u")):
    """results.csv of a grid; the AUC says which row it is of."""
    rows = []
    numbers = itertools.product(METHODS, tasks, labels, seeds)
    for k, ((variant, encoder), task, count, seed) in enumerate(numbers):
        for label in ("Edema", MEAN):
            rows.append(
                {
                    "variant": variant,
                    "encoder": encoder,
                    "task": task,
                    "label": label,
                    "labels": count,
                    "seed": seed,
                    "value": 0.5 + k / 100 if label == MEAN else 0.1,
                }
            )
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_the_table_keeps_the_means_in_order():
    found = label_efficiency.table(results())
    assert tuple(found.columns) == label_efficiency.COLUMNS
    assert len(found) == 2 * 2 * 2 * 3
    order = ["task", "variant", "encoder", "labels", "seed"]
    pd.testing.assert_frame_equal(
        found, found.sort_values(order, ignore_index=True)
    )
    assert found["auc"].min() == 0.5


def test_the_bands_are_mean_and_deviation_over_seeds():
    found = label_efficiency.bands(label_efficiency.table(results()))
    assert len(found) == 8
    one = found[(found["variant"] == "local-mi-cpc") & (found["task"] == "u")]
    # The numbers count up by seed: 0.71, 0.72, 0.73 are the last but three.
    last = one.set_index("labels").loc[200]
    values = 0.5 + np.array([21, 22, 23]) / 100
    assert last["mean"] == pytest.approx(values.mean())
    assert last["sd"] == pytest.approx(0.01)
    assert last["n"] == 3


def test_one_seed_has_no_deviation_and_no_value_no_row():
    frame = label_efficiency.table(results(seeds=(0,)))
    assert label_efficiency.bands(frame)["sd"].isna().all()
    frame.loc[frame["labels"] == 50, "auc"] = np.nan
    assert set(label_efficiency.bands(frame)["labels"]) == {200}


def test_the_curves_are_the_means():
    frame = label_efficiency.table(results())
    drawn = label_efficiency.figure(frame)
    found = label_efficiency.bands(frame)
    for axes, task in zip(drawn.axes, ["t", "u"], strict=True):
        assert axes.get_title(loc="left") == task
        of = found[found["task"] == task]
        for line, (variant, _) in zip(axes.lines, METHODS, strict=True):
            mine = of[of["variant"] == variant]
            assert line.get_xdata().tolist() == mine["labels"].tolist()
            np.testing.assert_allclose(line.get_ydata(), mine["mean"])
        names = [text.get_text() for text in axes.texts]
        assert any("local-mi-cpc" in name for name in names)


@pytest.mark.parametrize(
    ("seeds", "said"), [((0,), "one seed"), ((0, 1, 2), "3 seeds")]
)
def test_the_axis_says_what_the_bands_are(seeds, said):
    drawn = label_efficiency.figure(label_efficiency.table(results(seeds)))
    assert said in drawn.get_supxlabel()


def test_one_number_of_labels_and_a_task_without_values_can_be_drawn():
    frame = label_efficiency.table(results(labels=(50,)))
    frame.loc[frame["task"] == "u", "auc"] = np.nan
    picture = drawing.to_array(label_efficiency.figure(frame))
    assert picture.std() > 0


def test_names_at_equal_ends_do_not_meet():
    frame = label_efficiency.table(results()).assign(auc=0.7)
    drawn = label_efficiency.figure(frame)
    for axes in drawn.axes:
        low, high = axes.get_ylim()
        heights = sorted(text.xyann[1] for text in axes.texts)
        assert np.diff(heights).min() >= 0.05 * (high - low)
