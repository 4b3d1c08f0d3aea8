import numpy as np
import pytest

from kerasmi.evaluation import trouble

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(8, 4, 5))
TEXTS = RNG.normal(size=(6, 5))


def test_the_spread_is_that_of_the_vectors_about_their_mean():
    # two opposite vectors have the mean 0: all of their length is spread
    assert trouble.spread(np.array([[3.0, 4.0], [-3.0, -4.0]])) == 1.0
    # 1 and 3: mean 2, distances 1, mean square 5
    np.testing.assert_allclose(
        trouble.spread(np.array([[1.0], [3.0]])), np.sqrt(1 / 5)
    )
    assert trouble.spread(np.zeros((3, 2))) == 0.0


def test_the_spread_does_not_depend_on_the_scale():
    np.testing.assert_allclose(
        trouble.spread(TEXTS), trouble.spread(1e-4 * TEXTS)
    )


def test_features_that_differ_are_no_trouble():
    assert trouble.of_features(IMAGES, TEXTS) == []


def test_dead_regions_are_named_from_1():
    images = IMAGES.copy()
    images[:, [1, 3]] = images[0, [1, 3]]
    assert trouble.dead_regions(images) == [2, 4]
    (text,) = trouble.of_features(images, TEXTS)
    assert text.startswith("dead regions, ")
    assert text.endswith(": 2 of 4, number 2, 4")


def test_collapsed_features_are_told_once_for_all_regions():
    same = np.broadcast_to(IMAGES[:1], IMAGES.shape)
    texts = np.broadcast_to(TEXTS[:1], TEXTS.shape)
    noise = 1e-5 * RNG.normal(size=TEXTS.shape)
    image, text = trouble.of_features(same, texts + noise)
    assert image.startswith("the image features have collapsed")
    assert text.startswith("the text features have collapsed")


@pytest.mark.parametrize(
    ("value", "ceiling", "told"),
    [(2.9, 3.0, 1), (2.0, 3.0, 0), (50.0, np.inf, 0), (-1.0, 3.0, 0)],
)
def test_a_bound_at_its_ceiling_is_saturated(value, ceiling, told):
    assert len(trouble.of_bound(value, ceiling)) == told


def test_a_bound_is_told_against_chance_and_ceiling():
    assert trouble.level("cpc", 0.25, 3.0) == (
        "the best validation bound is 0.250 nats; chance is 0; the ceiling is"
        " 3.000"
    )
    assert trouble.level("jensen_shannon", -1.0, np.inf).endswith(
        "chance is -1.39"
    )
    assert "is 0.000 nats" in trouble.level("cpc", -1e-5, 3.0)
    # chance depends on the number of negatives
    assert "chance" not in trouble.level("cpc_pooled", -1.0, np.inf)


@pytest.mark.parametrize(
    ("bound", "told", "axis"),
    [
        ("mine", "bound is 0.500 nats", "bound (nats)"),
        ("nwj", "bound is 0.500 nats", "bound (nats)"),
        (
            "smile",
            "value of smile is 0.500 nats, no lower bound",
            "smile (nats), no lower bound",
        ),
        *(
            (
                name,
                f"value of {name} is 0.500, not nats of information",
                f"{name}, not nats of information",
            )
            for name in ("jensen_shannon", "cpc_pooled")
        ),
    ],
)
def test_what_is_no_lower_bound_in_nats_is_told_as_what_it_is(
    bound, told, axis
):
    line = trouble.level(bound, 0.5, np.inf)
    assert line.partition(";")[0] == f"the best validation {told}"
    assert trouble.axis(bound) == axis


def test_chance_is_what_the_bounds_read_where_scores_say_nothing():
    from kerasmi import losses, pairs

    labels = pairs.label_pairs(np.arange(4), 1)
    scores = np.zeros((4, 4), "float32")
    for name, chance in trouble.CHANCE.items():
        value = float(losses.get(name).bound(labels, scores))
        if name != "nwj":  # whose best constant score is 1
            np.testing.assert_allclose(value, chance, atol=1e-6)
    best = losses.get("nwj").bound(labels, scores + 1)
    np.testing.assert_allclose(float(best), trouble.CHANCE["nwj"], atol=1e-6)
