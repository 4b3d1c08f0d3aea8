"""Read-outs against Gaussians whose information is known, and the null."""

import dataclasses
import math

import numpy as np
import pytest

from kerasmi.evaluation import mutual_information as mi

# The read-outs that are lower bounds, for a critic that is log p/q.
BOUNDS = {
    "donsker_varadhan": mi.donsker_varadhan,
    "nwj": lambda pairs, **kwargs: mi.nwj(pairs, shift=1.0, **kwargs),
    "infonce": mi.infonce,
}


def oracle(information, n=1000, seed=0, dim=20):
    """Scores log p/q of all pairs of n draws of a correlated Gaussian."""
    rng = np.random.default_rng(seed)
    square = 1 - math.exp(-2 * information / dim)
    x = rng.normal(size=(n, dim))
    y = math.sqrt(square) * x + math.sqrt(1 - square) * rng.normal(
        size=(n, dim)
    )
    lengths = (x**2).sum(1)[:, None] + (y**2).sum(1)
    exponent = square * lengths - 2 * math.sqrt(square) * x @ y.T
    return -dim / 2 * math.log(1 - square) - exponent / (2 * (1 - square))


def held_out(information, n=1000, seed=0, factor=1.0):
    return mi.HeldOut(
        factor * oracle(information, n, seed), np.arange(n), np.arange(n)
    )


@pytest.mark.parametrize("information", [1.0, 2.0])
@pytest.mark.parametrize("name", ["donsker_varadhan", "nwj"])
def test_the_oracle_critic_reads_the_true_information(name, information):
    read = BOUNDS[name](held_out(information))
    assert abs(read.value - information) <= 3 * read.standard_error
    assert 0.02 < read.standard_error < 0.08
    assert read.reliable
    assert read.lower_bound
    assert (read.n_positives, read.n_negatives) == (1000, 999_000)


@pytest.mark.parametrize(
    ("information", "expected"), [(1.0, 0.958), (2.0, 1.807)]
)
@pytest.mark.parametrize("direction", mi.DIRECTIONS)
def test_infonce_reads_its_known_value_at_64_candidates(
    direction, information, expected
):
    read = mi.infonce(held_out(information), direction=direction)
    assert abs(read.value - expected) <= 3 * read.standard_error
    assert read.ceiling == pytest.approx(math.log(64))


def test_more_candidates_raise_infonce_towards_the_truth():
    pairs = held_out(2.0)
    values = [mi.infonce(pairs, candidates=c).value for c in (8, 64, 512)]
    assert values[0] < values[1] < values[2] < 2.2


@pytest.mark.parametrize("name", list(BOUNDS))
def test_the_standard_error_is_the_spread_over_data_sets(name):
    reads = [BOUNDS[name](held_out(1.0, 300, seed)) for seed in range(40)]
    spread = np.std([r.value for r in reads], ddof=1)
    told = np.mean([r.standard_error for r in reads])
    # The spread of 40 values is itself known to 11 %.
    assert spread == pytest.approx(told, rel=0.35)


@pytest.mark.parametrize(
    "read",
    [
        mi.donsker_varadhan,
        lambda pairs: mi.nwj(pairs, shift=1.0),
        lambda pairs: mi.smile(pairs, clip=1.0),
        lambda pairs: mi.infonce(pairs, candidates=len(pairs.scores), rounds=1),
    ],
    ids=["donsker_varadhan", "nwj", "smile", "infonce"],
)
def test_the_standard_error_agrees_with_leaving_out_each_subject(read):
    # Two studies a subject, and scores with a strong share of the text alone,
    # which reaches the value through the negatives only.
    drift = np.random.default_rng(1).choice([-2.0, 2.0], size=200)
    ids = np.arange(200)
    subjects = ids // 2
    scores = oracle(0.3, 200) + drift
    values = []
    for subject in range(100):
        left = subjects != subject
        part = mi.HeldOut(
            scores[np.ix_(left, left)], ids[left], ids[left], subjects[left]
        )
        values.append(read(part).value)
    jackknife = math.sqrt(99 / 100 * np.sum((values - np.mean(values)) ** 2))
    told = read(mi.HeldOut(scores, ids, ids, subjects)).standard_error
    assert told == pytest.approx(jackknife, rel=0.1)


def test_the_effective_fraction_of_negatives_is_exp_of_minus_2_i():
    read = mi.donsker_varadhan(held_out(1.0, n=1500))
    fraction = read.effective_negatives / read.n_negatives
    assert fraction == pytest.approx(math.exp(-2), rel=0.15)
    expected = read.expected_effective / read.n_negatives
    assert expected == pytest.approx(math.exp(-2), rel=0.25)


def test_ten_nats_are_flagged_although_the_negatives_look_enough():
    # A million negatives of which e^-20 matter: none was drawn that does.
    read = mi.donsker_varadhan(held_out(10.0, n=1024))
    assert read.effective_negatives > 10
    assert read.n_negatives * math.exp(-read.value) > 10
    assert not read.reliable


@pytest.mark.parametrize(("n", "is_reliable"), [(100, False), (1000, True)])
def test_a_value_above_the_log_of_the_pairs_less_1_15_is_flagged(
    n, is_reliable
):
    # One in 50 matches: 3.91 nats, effective negatives in plenty.
    classes = np.repeat(np.arange(50), n // 50)
    scores = np.where(classes[:, None] == classes, 0.0, -1e3)
    read = mi.donsker_varadhan(mi.HeldOut(scores, np.arange(n), np.arange(n)))
    assert read.effective_negatives > 10
    assert (read.value < math.log(n) - 1.15) == is_reliable
    assert read.reliable == is_reliable


def test_a_value_beyond_its_negatives_is_flagged():
    read = mi.donsker_varadhan(held_out(10.0, n=200))
    assert not read.reliable
    assert "not to be trusted" in read.note


def test_infonce_near_its_ceiling_asks_for_more_candidates():
    read = mi.infonce(held_out(10.0, n=200), candidates=16)
    assert 2.5 < read.value <= read.ceiling == pytest.approx(math.log(16))
    assert not read.reliable
    assert "below the ceiling of its 16 candidates" in read.note
    assert "`kerasmi evaluate --mi --candidates` takes more" in read.note
    assert read.lower_bound


@pytest.mark.parametrize("direction", mi.DIRECTIONS)
def test_infonce_never_exceeds_its_ceiling(direction):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 40)) + 1e4 * np.eye(40)
    pairs = mi.HeldOut(scores, np.arange(40) // 2, np.arange(40) // 2)
    read = mi.infonce(pairs, direction=direction, candidates=20)
    assert read.value <= read.ceiling <= math.log(20)


def test_smile_without_clipping_is_dv_and_is_never_called_a_bound():
    pairs = held_out(2.0, n=300)
    read = mi.smile(pairs, clip=1e4)
    assert read.value == pytest.approx(mi.donsker_varadhan(pairs).value)
    assert not read.lower_bound
    assert mi.smile(pairs, clip=1.0).value > read.value


def test_smile_is_read_with_the_clip_asked_for_and_the_others_without():
    pairs = held_out(2.0, n=300)
    for clip in (1.0, 3.0):
        reads = mi.read_outs(pairs, bound="smile", clip=clip, calibrate=False)
        first, *others = reads
        assert first.value == mi.smile(pairs, clip=clip).value
        usual = mi.read_outs(pairs, bound="smile", calibrate=False)
        assert others == usual[1:]


def test_dv_is_the_formula_written_out():
    scores = np.array([[1.0, 0.0, 2.0], [0.5, 3.0, -1.0], [0.0, 1.0, 2.0]])
    read = mi.donsker_varadhan(mi.HeldOut(scores, np.arange(3), np.arange(3)))
    negatives = [0.0, 2.0, 0.5, -1.0, 0.0, 1.0]
    expected = 2.0 - math.log(np.mean(np.exp(negatives)))
    assert read.value == pytest.approx(expected)
    assert read.n_negatives == 6


def test_pairs_of_one_study_are_no_negatives():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4, 4))
    studies = np.array([0, 0, 1, 2])
    read = mi.donsker_varadhan(mi.HeldOut(scores, studies, studies))
    assert (read.n_positives, read.n_negatives) == (6, 10)
    # Raising what belongs to one study never costs anything.
    raised = scores.copy()
    raised[:2, :2] += 50
    more = mi.donsker_varadhan(mi.HeldOut(raised, studies, studies))
    assert more.value == pytest.approx(read.value + 25, rel=1e-5)


@pytest.mark.parametrize("sees", ["image", "text"])
@pytest.mark.parametrize("sign", [1, -1])
def test_reports_of_many_sentences_are_not_mistaken_for_information(sees, sign):
    # A critic that sees one side only: short reports from long ones. Nothing
    # can be above 0, but counting each sentence once on one side of the bound
    # only would read 0.5 nats (image) or 0.7 (text).
    rng = np.random.default_rng(0)
    sentences = np.where(rng.random(200) < 0.5, 1, 20)
    text_studies = np.repeat(np.arange(200), sentences)
    trait = np.where(sentences == 20, sign, -sign)
    scores = trait[:, None] if sees == "image" else trait[text_studies]
    scores = scores + np.zeros((200, len(text_studies)))
    pairs = mi.HeldOut(scores, np.arange(200), text_studies)
    for name, read in BOUNDS.items():
        assert read(pairs).value <= 0.02, name


def test_repeating_a_study_in_full_changes_nothing():
    scores = oracle(1.0, n=100)
    once = mi.HeldOut(scores, np.arange(100), np.arange(100))
    twice = np.repeat(np.arange(100), 2)
    doubled = mi.HeldOut(np.repeat(np.repeat(scores, 2, 0), 2, 1), twice, twice)
    first, second = mi.donsker_varadhan(once), mi.donsker_varadhan(doubled)
    assert first.value == pytest.approx(second.value, rel=1e-6)
    # The subjects are the same 100, so no certainty is gained either.
    assert first.standard_error == pytest.approx(
        second.standard_error, rel=1e-6
    )


@pytest.mark.parametrize("factor", [1.0, 5.0, 50.0])
@pytest.mark.parametrize("name", list(BOUNDS))
def test_shuffled_pairs_read_zero_once_calibrated(name, factor):
    pairs = held_out(2.0, n=600, factor=factor).shuffled(seed=3)
    with np.errstate(over="raise"):
        read = BOUNDS[name](pairs, calibrate=True)
    assert read.value < -1
    assert abs(read.calibrated.value) <= 0.02
    assert read.calibrated.scale < 0.05


@pytest.mark.parametrize("name", list(BOUNDS))
def test_calibration_leaves_a_good_critic_alone(name):
    read = BOUNDS[name](held_out(1.0), calibrate=True)
    assert read.calibrated.value == pytest.approx(read.value, abs=0.02)
    assert read.calibrated.scale > 0.9


@pytest.mark.parametrize("name", ["donsker_varadhan", "infonce"])
def test_calibration_finds_the_scale_of_an_overconfident_critic(name):
    right = BOUNDS[name](held_out(1.0))
    read = BOUNDS[name](held_out(1.0, factor=3.0), calibrate=True)
    assert read.calibrated.scale == pytest.approx(1 / 3, rel=0.15)
    assert read.value < read.calibrated.value
    assert read.calibrated.value == pytest.approx(right.value, abs=0.03)


def test_smile_is_calibrated_too():
    read = mi.smile(held_out(2.0, n=600).shuffled(), calibrate=True)
    assert abs(read.calibrated.value) <= 0.02


def test_the_permutation_parts_every_text_from_its_subject():
    rng = np.random.default_rng(0)
    for seed in range(50):
        subjects = rng.integers(0, 8, 40)
        order = mi.permute_across_subjects(subjects, seed)
        assert sorted(order) == list(range(40))
        assert (subjects[order] != subjects).all()
    # The tightest case: one subject holds exactly half.
    order = mi.permute_across_subjects(np.array([1, 1, 2, 3]), 0)
    assert set(order[:2]) == {2, 3}


def test_no_permutation_exists_for_a_subject_with_more_than_half():
    with pytest.raises(ValueError, match="more than half"):
        mi.permute_across_subjects(np.array([1, 1, 2]))


def test_shuffling_moves_whole_studies_and_leaves_true_pairs_out():
    studies = np.arange(20)
    texts = np.repeat(studies, 3)
    pairs = mi.HeldOut(np.zeros((20, 60)), studies, texts, studies // 2)
    shuffled = pairs.shuffled(seed=1)
    groups = shuffled.text_studies.reshape(20, 3)
    assert (groups == groups[:, :1]).all()
    assert (groups[:, 0] // 2 != studies // 2).all()
    negatives = shuffled.negatives(slice(None))
    assert not negatives[texts[None] == studies[:, None]].any()
    # neither of the two subjects that a text has to do with, of two studies
    assert negatives.sum() == 60 * (20 - 4)


def test_the_halves_share_no_subject_and_lose_no_positive():
    studies = np.arange(30)
    pairs = mi.HeldOut(np.zeros((30, 30)), studies, studies, studies // 3)
    for one in (pairs, pairs.shuffled()):
        first, second = one.halves(seed=2)
        assert not set(first.subjects) & set(second.subjects)
        assert first.n_positives + second.n_positives == 30


def test_rows_may_come_in_blocks():
    scores = oracle(1.0, n=50).astype(np.float32)
    ids = np.arange(50)
    blocks = (scores[at : at + 8] for at in range(0, 50, 8))
    pairs = mi.HeldOut.from_blocks(blocks, ids, ids)
    np.testing.assert_array_equal(pairs.scores, scores)
    with pytest.raises(ValueError, match="50 rows"):
        mi.HeldOut.from_blocks([scores[:40]], ids, ids)
    with pytest.raises(ValueError, match="50 rows"):
        mi.HeldOut.from_blocks([scores, scores], ids, ids)


def test_row_blocks_do_not_change_the_value(monkeypatch):
    from kerasmi.evaluation import held_out as module

    whole = mi.donsker_varadhan(held_out(1.0, n=60))
    monkeypatch.setattr(module, "BLOCK_ENTRIES", 7 * 60)
    parts = mi.donsker_varadhan(held_out(1.0, n=60))
    assert parts.value == pytest.approx(whole.value, rel=1e-12)
    assert parts.standard_error == pytest.approx(whole.standard_error)


@pytest.mark.parametrize(
    ("scores", "texts", "message"),
    [
        (np.zeros((3, 2)), [0, 1], "without an image: 0"),
        (np.zeros((3, 4)), [0, 1, 2, 3], "without an image: 1"),
        (np.full((3, 3), np.nan), [0, 1, 2], "finite"),
        (np.zeros((2, 3)), [0, 1, 2], r"\(3, 3\)"),
    ],
)
def test_scores_that_cannot_be_read_are_refused(scores, texts, message):
    with pytest.raises(ValueError, match=message):
        mi.HeldOut(scores, np.arange(3), np.array(texts))


def test_one_subject_has_no_negatives():
    with pytest.raises(ValueError, match="negatives"):
        mi.HeldOut(np.zeros((2, 2)), np.zeros(2), np.zeros(2))


def test_more_candidates_than_images_are_refused():
    with pytest.raises(ValueError, match="candidates"):
        mi.infonce(held_out(1.0, n=30), candidates=64)


def test_a_small_set_is_read_with_all_its_images():
    read = mi.infonce(held_out(1.0, n=30), calibrate=True)
    assert read.ceiling == pytest.approx(math.log(15))


@pytest.mark.parametrize(
    ("bound", "direction", "refused"),
    [
        ("cpc", "image_to_text", "donsker_varadhan"),
        ("cpc", "image_to_text", "infonce_text_to_image"),
        ("cpc", "text_to_image", "infonce_image_to_text"),
        ("cpc", "symmetric", "nwj"),
        ("mine", "image_to_text", "nwj"),
        ("mine", "image_to_text", "smile"),
        ("cpc_pooled", "image_to_text", "smile"),
        ("nwj", "image_to_text", "smile"),
    ],
)
def test_a_read_out_of_another_gauge_is_refused(bound, direction, refused):
    pairs = held_out(1.0, n=100)
    with pytest.raises(ValueError, match=f"trained by {bound} cannot be read"):
        mi.read_out(refused, pairs, bound=bound, direction=direction)


def test_what_infonce_ignores_is_why_dv_may_not_read_its_critic():
    pairs = held_out(1.0, n=300)
    drift = np.random.default_rng(0).normal(size=(300, 1)) * 3
    drifted = mi.HeldOut(pairs.scores + drift, np.arange(300), np.arange(300))
    assert mi.infonce(drifted).value == pytest.approx(
        mi.infonce(pairs).value, abs=1e-5
    )
    assert mi.donsker_varadhan(drifted).value < 0


@pytest.mark.parametrize(
    "bound", ["mine", "cpc", "nwj", "jensen_shannon", "smile", "cpc_pooled"]
)
def test_every_bound_has_read_outs_that_agree_on_the_oracle(bound):
    shift = 1.0 if bound == "nwj" else 0.0
    ids = np.arange(400)
    pairs = mi.HeldOut(oracle(1.0, n=400) + shift, ids, ids)
    reads = mi.read_outs(pairs, bound=bound, calibrate=False)
    assert [r.name for r in reads] == list(mi.read_outs_for(bound))
    for read in reads:
        assert read.value == pytest.approx(1.0, abs=0.2)


def test_an_unknown_bound_is_refused():
    with pytest.raises(ValueError, match="bound must be one of"):
        mi.read_outs_for("dv")
    with pytest.raises(ValueError, match="direction one of"):
        mi.read_outs_for("cpc", "sideways")


def test_the_table_has_a_row_per_read_out():
    pairs = held_out(1.0, n=200)
    frame = mi.to_frame(mi.read_outs(pairs, bound="mine"))
    assert list(frame["name"]) == list(mi.read_outs_for("mine"))
    columns = ["value", "calibrated", "calibrated_error", "scale"]
    assert np.isfinite(frame[columns]).all(axis=None)


def test_the_table_tells_how_reliable_either_value_is():
    # a confident critic: few negatives carry the sum, until it is rescaled
    pairs = held_out(1.0, n=200)
    confident = dataclasses.replace(pairs, scores=40 * pairs.scores)
    one = mi.donsker_varadhan(confident, calibrate=True)
    (row,) = mi.to_frame([one]).to_dict("records")
    assert not row["reliable"]
    assert row["calibrated_reliable"]
    assert row["effective_negatives"] < row["calibrated_effective_negatives"]
    for name in ("n_negatives", "effective_negatives", "reliable", "note"):
        assert row[name] == getattr(one, name)
        assert row[f"calibrated_{name}"] == getattr(one.calibrated, name)
