from collections import Counter

import pytest
import tensorflow as tf

from kerasmi.data import texts


def reports():
    # not at import: the devices of TensorFlow are set after collection
    return tf.ragged.constant(
        [
            ["a1"],
            ["b1", "b2"],
            ["c1", "c2", "c3"],
            ["d1", "d2", "d3", "d4", "d5"],
        ],
        row_splits_dtype=tf.int64,
    )


def draw(count, number=0):
    drawn = texts.draw_sentences(reports(), count, tf.constant([3, number]))
    return [[s.decode() for s in row] for row in drawn.numpy()]


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_sentences_are_those_of_the_report(count):
    for row, report in zip(draw(count), "abcd", strict=True):
        assert len(row) == count
        assert {sentence[0] for sentence in row} == {report}


@pytest.mark.parametrize("count", range(1, 9))
def test_no_sentence_repeats_before_all_were_drawn(count):
    for row, report in zip(draw(count), reports().to_list(), strict=True):
        times = Counter(row)
        least = min(times[s.decode()] for s in report)
        assert max(times.values()) - least <= 1


def test_a_short_report_goes_through_its_permutation_again():
    first, second = draw(6)[2][:3], draw(6)[2][3:]
    assert first == second
    assert sorted(first) == ["c1", "c2", "c3"]


def test_every_sentence_is_drawn_as_often_as_another():
    many = tf.ragged.constant([["1", "2", "3", "4", "5"]] * 1000)
    drawn = texts.draw_sentences(
        many.with_row_splits_dtype(tf.int64), 1, tf.constant([3, 4])
    )
    counts = Counter(drawn.numpy()[:, 0])
    assert len(counts) == 5
    # Five standard errors of a share of 1/5.
    assert all(abs(times - 200) < 65 for times in counts.values())


def test_reports_are_permuted_on_their_own():
    # Were they permuted alike, all would have one order of the six.
    many = tf.ragged.constant([["1", "2", "3"]] * 600)
    drawn = texts.draw_sentences(
        many.with_row_splits_dtype(tf.int64), 3, tf.constant([3, 4])
    )
    orders = Counter(map(tuple, drawn.numpy()))
    assert len(orders) == 6
    assert all(abs(times - 100) < 5 * 100**0.5 for times in orders.values())


def test_a_report_is_its_sentences_in_order():
    joined = texts.join_sentences(reports())
    assert joined.shape == (4, 1)
    assert joined.numpy()[2, 0] == b"c1 c2 c3"


def pack(tokenizer, strings, max_tokens=64, buckets=texts.BUCKETS):
    ids, mask = texts.pack(tf.constant(strings), tokenizer, max_tokens, buckets)
    assert ids.dtype == tf.int32
    assert mask.dtype == tf.bool
    return ids.numpy(), mask.numpy()


def test_texts_are_wrapped_and_come_back(tokenizer):
    strings = [["heart large", "no edema"], ["lungs clear left", "right"]]
    ids, mask = pack(tokenizer, strings)
    assert ids.shape == mask.shape == (2, 2, 12)
    for b, row in enumerate(strings):
        for k, text in enumerate(row):
            length = mask[b, k].sum()
            assert mask[b, k, :length].all()
            assert length == len(text.split()) + 2
            assert ids[b, k, 0] == tokenizer.cls_id
            assert ids[b, k, length - 1] == tokenizer.sep_id
            assert (ids[b, k, length:] == tokenizer.pad_id).all()
            assert tokenizer.text(ids[b, k]) == text


@pytest.mark.parametrize(
    ("words", "length"),
    [(1, 4), (2, 4), (3, 8), (6, 8), (7, 11), (9, 11), (10, 11), (40, 11)],
)
def test_the_length_is_the_smallest_bucket_that_holds_all(
    tokenizer, words, length
):
    strings = [["heart"], [" ".join(["lungs"] * words)]]
    ids, _ = pack(tokenizer, strings, max_tokens=11, buckets=(4, 8, 16))
    assert ids.shape == (2, 1, length)


def test_a_cut_text_keeps_its_separator(tokenizer):
    ids, mask = pack(tokenizer, [["heart lungs clear large"]], max_tokens=5)
    assert mask.all()
    assert ids[0, 0, -1] == tokenizer.sep_id
    assert tokenizer.text(ids[0, 0]) == "heart lungs clear"


def test_a_text_without_words_is_a_pair_of_marks(tokenizer):
    ids, mask = pack(tokenizer, [["", " "]])
    assert mask.sum(axis=2).tolist() == [[2, 2]]
    assert ids[0, 0, :3].tolist() == [1, 2, 0]


def test_lengths_without_meaning_are_refused():
    with pytest.raises(ValueError, match="max_tokens must be at least 3"):
        texts.bucket_sizes(2, (16,))
    with pytest.raises(ValueError, match="buckets must be positive"):
        texts.bucket_sizes(20, (0, 16))
    assert texts.bucket_sizes(40, (48, 32, 16)) == [16, 32, 40]
