"""Every number of golden/bounds.json, which nothing here may write."""

import json
import pathlib

import numpy as np
import pytest
from keras import ops

from kerasmi import bounds, pairs, regions

GOLDEN = pathlib.Path(__file__).parent / "golden" / "bounds.json"
CASES = json.loads(GOLDEN.read_text())["cases"]

BOUNDS = {
    "dv": bounds.donsker_varadhan,
    "nwj": bounds.nwj,
    "js": bounds.jensen_shannon,
    "smile_1": lambda *args: bounds.smile(*args, clip=1.0),
    "smile_5": lambda *args: bounds.smile(*args, clip=5.0),
    "infonce_image_to_text": bounds.infonce,
    "infonce_text_to_image": bounds.infonce_text_to_image,
    "infonce_symmetric": bounds.infonce_symmetric,
}
COUNTS = {
    "negatives": lambda _, negatives: ops.sum(ops.cast(negatives, "int32")),
    "infonce_image_to_text_ceiling": bounds.infonce_ceiling,
    "infonce_text_to_image_ceiling": lambda *masks: bounds.infonce_ceiling(
        *masks, direction="text_to_image"
    ),
}


def _scores_and_masks(case, rule):
    scores = np.asarray(case["scores"], "float32")
    labels = pairs.label_pairs(np.asarray(case["study"]))
    reduced = regions.reduce_regions(scores, rule=rule)
    return reduced, pairs.positives(labels), pairs.negatives(labels)


def _close(value, expected):
    return float(value) == pytest.approx(expected, rel=1e-5)


def test_the_file_holds_what_these_tests_read():
    assert len(CASES) == 12
    for case in CASES:
        for rule in ("max", "matched"):
            assert set(case[rule]) == {*BOUNDS, *COUNTS}


@pytest.mark.parametrize("rule", ["max", "matched"])
@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_bound_has_the_golden_value(case, name, rule):
    value = BOUNDS[name](*_scores_and_masks(case, rule))
    assert _close(value, case[rule][name])


@pytest.mark.parametrize("rule", ["max", "matched"])
@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_count_has_the_golden_value(case, name, rule):
    _, *masks = _scores_and_masks(case, rule)
    assert _close(COUNTS[name](*masks), case[rule][name])


@pytest.mark.parametrize("case", CASES, ids=range(len(CASES)))
def test_matched_rule_selects_the_golden_regions(case):
    scores = np.asarray(case["scores"], "float32")
    weights = ops.convert_to_numpy(regions.region_weights(scores, "matched"))
    selected = weights.argmax(axis=1)  # (image, text): alike for all texts
    expected = np.repeat(
        np.asarray(case["selected_regions"])[:, None], len(selected), axis=1
    )
    np.testing.assert_array_equal(selected, expected)
