"""The table of held-out information: what of the recipe it goes by."""

import types

import numpy as np
import pytest

from kerasmi import measure
from kerasmi import recipe as recipes
from kerasmi.evaluation import mutual_information as mi


@pytest.fixture
def held_out():
    scores = np.random.default_rng(0).normal(0, 2, (40, 40))
    return mi.HeldOut(scores + 4 * np.eye(40), np.arange(40), np.arange(40))


def table(held_out, *overrides):
    recipe = recipes.load("local_mine", overrides)
    split = types.SimpleNamespace(
        features=types.SimpleNamespace(recipe=recipe),
        held_out=lambda: held_out,
    )
    frame = measure.table(split)
    return frame[frame["pairs"] == "matched"].set_index("name")["value"]


@pytest.mark.parametrize(
    ("overrides", "clip"),
    [
        (("objective.bound=smile", "objective.clip=1.5"), 1.5),
        (("objective.bound=smile",), 5.0),
        (("objective.bound=jensen_shannon",), mi.CLIP),
    ],
)
def test_smile_is_read_with_the_clip_it_was_trained_with(
    held_out, overrides, clip
):
    values = table(held_out, *overrides)
    assert values["smile"] == mi.smile(held_out, clip=clip).value
    assert values["smile"] != mi.smile(held_out, clip=clip + 1).value
