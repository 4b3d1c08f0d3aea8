"""Images with different numbers of texts, and batches of different sizes."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_models import batch, model

from kerasmi import losses
from kerasmi.models.text_encoder import TextEncoder


def without(inputs, image, text):
    """The inputs with a text that is of padding alone."""
    mask = inputs["padding_mask"].copy()
    mask[image, text] = 0
    return {**inputs, "padding_mask": mask}


def reduced(made, inputs):
    return made._reduced(inputs, training=True)[:3]


def test_pairs_of_a_text_of_padding_alone_are_ignored():
    inputs = batch(4, texts=2)
    pairs, scores, _ = reduced(model(), inputs)
    left, same, _ = reduced(model(), without(inputs, 1, 1))
    column = np.arange(8) == 1 * 2 + 1
    assert (np.array(left)[:, column] == -1).all()
    np.testing.assert_array_equal(
        np.array(left)[:, ~column], np.array(pairs)[:, ~column]
    )
    np.testing.assert_allclose(
        np.array(same)[:, ~column], np.array(scores)[:, ~column], rtol=1e-5
    )


@pytest.mark.parametrize(
    ("loss", "region"),
    [("mine", "max"), ("cpc", "logsumexp"), ("nwj", "matched")],
)
def test_what_a_missing_text_would_be_has_no_influence(loss, region):
    inputs = without(batch(4, texts=2), 1, 1)
    other = inputs["token_ids"].copy()
    other[1, 1] = 12
    found = []
    for tokens in (inputs["token_ids"], other):
        made = model(region=region)
        made.compile("sgd", loss=loss, run_eagerly=True)
        logs = made.train_on_batch(
            {**inputs, "token_ids": tokens}, return_dict=True
        )
        found.append((logs, made.get_weights()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for one, same in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(one, same, atol=1e-6)


def test_an_image_without_texts_is_a_negative_of_the_others():
    made = model()
    made.compile("sgd", loss=losses.CPC("text_to_image"), run_eagerly=True)
    inputs = without(without(batch(4, texts=2), 0, 0), 0, 1)
    logs = made.train_on_batch(inputs, return_dict=True)
    np.testing.assert_allclose(logs["ceiling"], np.log(4), rtol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
def test_a_text_of_padding_alone_has_finite_features(pooling):
    inputs = without(batch(2, texts=2), 0, 0)
    encoder = TextEncoder(model().text_encoder.backbone, pooling=pooling)
    tokens = {name: inputs[name] for name in ("token_ids", "padding_mask")}
    for training in (False, True):
        assert np.isfinite(encoder(tokens, training=training)).all()


@pytest.mark.parametrize("negatives", ["global", "replica"])
def test_two_devices_ignore_the_texts_that_one_ignores(negatives, two_devices):
    inputs = without(batch(4, texts=2), 3, 0)
    values = tf.data.Dataset.from_tensor_slices(inputs).batch(4)
    made = model()
    made.compile("sgd")
    expected = made.evaluate(values, verbose=0, return_dict=True)
    with two_devices.scope():
        made = model()
        made.negatives = negatives
        made.compile("sgd")
    logs = made.evaluate(values, verbose=0, return_dict=True)
    shared = ["mean_score_positives", "region_entropy"]
    for name in expected if negatives == "global" else shared:
        np.testing.assert_allclose(logs[name], expected[name], rtol=1e-4)


@pytest.mark.parametrize(
    ("region", "accumulate"), [("max", 1), ("logsumexp", 2)]
)
def test_the_number_of_texts_may_change_from_batch_to_batch(region, accumulate):
    batches = [batch(4, texts=k, length=4 + k, seed=k) for k in (1, 3, 2)]
    kinds = {
        name: tf.TensorSpec(
            (
                None,
                *(
                    None if 0 < axis < 3 and value.ndim == 3 else size
                    for axis, size in enumerate(value.shape)
                    if axis
                ),
            ),
            value.dtype,
        )
        for name, value in batches[0].items()
    }
    data = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=kinds
    ).apply(tf.data.experimental.assert_cardinality(len(batches)))

    def trained(eagerly):
        made = model(region=region)
        optimizer = keras.optimizers.SGD(0.1)
        made.compile(optimizer, accumulate=accumulate, run_eagerly=eagerly)
        return made

    fitted, stepped, eager = trained(False), trained(False), trained(True)
    fitted.fit(data, verbose=0, shuffle=False)
    for each in batches:
        stepped.train_on_batch(each)
        eager.train_on_batch(each)
    for made in (fitted, stepped):
        for one, other in zip(
            made.get_weights(), eager.get_weights(), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_matched_regions_need_one_number_of_texts():
    made = model(region="matched")
    made.compile("sgd")
    made.train_on_batch(batch(4, texts=1))
    with pytest.raises(ValueError, match="'matched' needs a known number"):
        made.train_on_batch(batch(4, texts=2))


@pytest.mark.parametrize("loss", ["mine", losses.NWJ()])
def test_a_held_out_batch_of_one_study_is_left_out_of_the_loss(loss):
    made = model()
    made.compile("sgd", loss=loss)
    inputs = batch(5, texts=2)
    first = {name: value[:4] for name, value in inputs.items()}
    whole = made.evaluate(first, verbose=0, return_dict=True)
    logs = made.evaluate(inputs, batch_size=4, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["loss"], whole["loss"], rtol=1e-5)
    last = {name: value[4:] for name, value in inputs.items()}
    logs = made.evaluate(last, verbose=0, return_dict=True)
    assert np.isnan([logs["loss"], logs["mutual_information"]]).all()


def test_the_mean_of_an_own_bound_leaves_it_out_too():
    class Own(losses.NWJ):
        pass

    made = model()
    made.compile("sgd", loss=Own())
    inputs = batch(5, texts=2)
    logs = made.evaluate(inputs, batch_size=4, verbose=0, return_dict=True)
    np.testing.assert_allclose(
        logs["mutual_information"], -logs["loss"], rtol=1e-5
    )
