"""The joint model: two encoders and a critic, trained on a bound on MI."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerasmi import distribute, losses, optimizers, pair_scores
from kerasmi.models import (
    accumulation,
    all_pairs,
    compiling,
    freezing,
    gradient_norm,
    lean_bert,
    loss_scale,
    pair_inputs,
    parts,
    saving,
)
from kerasmi.models.diagnostics import Diagnostics, logs
from kerasmi.models.direct_steps import DirectSteps
from kerasmi.models.saving import SavedInParts
from kerasmi.models.unweighted import Unweighted
from kerasmi.types import Tensor

NEGATIVES = parts.NEGATIVES


@keras.saving.register_keras_serializable(package="kerasmi")
class ImageTextModel(Unweighted, DirectSteps, SavedInParts, keras.Model):
    """Scores every image against every text of a batch, region by region.

    Trained by `fit` on dicts, without targets: the study ids decide which
    pairs are positive, negative or ignored. Global MI is the case of an image
    encoder with one region and one text, the report; nothing else differs.

    Args:
        image_encoder: `kerasmi.models.ImageEncoder`, or a model of one's own
            with an `output_shape`; `(B, N, D_image)`. `fit` refuses layers
            with losses of their own, such as a `kernel_regularizer`.
        text_encoder: `kerasmi.models.TextEncoder`, or a model of one's own, of
            a dict of `token_ids` and `padding_mask`, with an `output_shape` or
            the attribute `dim`; `(B, K, D_text)`.
        critic: a `kerasmi.critics.Critic`: `ConcatCritic`, `SeparableCritic`.
        region: how the scores of an image's regions become one score:
            `"max"` (Eq. 5), `"logsumexp"`, `"mean"` or `"matched"`; see
            `kerasmi.regions.reduce_regions`. `"matched"`, which is no bound,
            trains alone: what is reported beside the loss of a step is read
            as `"max"`, and so is all of `evaluate`.
        temperature: of `"logsumexp"`, in units of scores; towards 0 it is
            `"max"`. Kept in the weight `region_temperature`, which
            `kerasmi.callbacks.AnnealTemperature` lowers in training.
        negatives: `"global"`: of the images and texts of all replicas, so that
            several devices take the step of one; `"replica"`: of each
            replica's own, which is another objective: there are fewer of
            them, and InfoNCE's ceiling is lower.
        name: name of the model.

    Call arguments:
        inputs: dict of `images` `(B, H, W, 1)` float in [0, 1], `token_ids`
            `(B, K, L)` int, `padding_mask` `(B, K, L)` int or bool, 0 where
            padded, and, for training, `study_ids` `(B,)` int64. Where images
            have fewer than K texts, the others are of padding alone: a bound
            ignores their pairs, but they count in the batch statistics of a
            critic that normalises.

    Output shape:
        `(B, B * K)`: the score of image `i` and text `k` of image `j` stands
        at `[i, j * K + k]`; NaN where the image has a pixel that is NaN.
        `predict` compares each image with the texts of its own batch alone;
        on several devices, with those of its device's share, and refuses a
        batch that they cannot share evenly. Of a last batch that is smaller
        the rows are shorter, and what it returns is a `tf.RaggedTensor`.
        `encode` and `score` compare all.

    Raises:
        TypeError: a temperature that is no number.
        ValueError: a rule that there is not, a part that does not fit, or a
            critic whose scores read a weight that `head_weights` leaves out.

    Example:
        >>> model.compile(kerasmi.optimizers.paper(model), loss="mine")
        >>> model.fit(pairs, validation_data=held_out, epochs=5)

    References:
        - [Liao et al., 2021](https://doi.org/10.1007/978-3-030-87196-3_26)
    """

    def __init__(
        self,
        image_encoder: keras.Model,
        text_encoder: keras.Model,
        critic: keras.layers.Layer,
        region: str = "max",
        temperature: float = 1.0,
        negatives: str = "global",
        name: str = "image_text_model",
        **kwargs: Any,
    ) -> None:
        parts.check_rules(region, temperature, negatives)
        parts.check(image_encoder, text_encoder, critic)
        # the parts cast what they are given, each by its own policy
        super().__init__(name=name, dtype="float32", **kwargs)
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.critic = critic
        self.region = region
        self.temperature = temperature
        self.negatives = negatives
        self.region_temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(temperature),
            dtype="float32",
            trainable=False,
            autocast=False,
            # set between steps, alike on every replica
            aggregation="only_first_replica",
            name="region_temperature",
        )
        parts.build_critic(critic, image_encoder, text_encoder)
        self.built = True

    # === Scores ===

    def call(self, inputs: dict[str, Tensor], training: bool = False) -> Tensor:
        """Scores of this batch alone; see the class."""
        image_features, text_features = self.encode(inputs, training)
        return self.score(image_features, text_features, training)

    def encode(
        self, inputs: dict[str, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Region features `(B, N, D_image)`, text features `(B, K, D_text)`.

        Both are float32, under mixed precision too.

        Raises:
            ValueError: an input that is missing or does not fit the others.
        """
        pair_inputs.check(inputs)
        image_features = self.image_encoder(inputs["images"], training=training)
        text_features = self.text_encoder(
            {name: inputs[name] for name in ("token_ids", "padding_mask")},
            training=training,
        )
        features = ops.cast(image_features, "float32")
        if not training:
            images = inputs["images"]
            features = pair_inputs.unknown_where_unknown(images, features)
        return features, ops.cast(text_features, "float32")

    def score(
        self,
        image_features: Tensor,
        text_features: Tensor,
        training: bool = False,
    ) -> Tensor:
        """Scores of all images against all texts.

        The rule `"matched"` is read as `"max"` here: the region that an
        image's own text selects is no critic of (image, text).

        Args:
            image_features: `(B, N, D_image)`.
            text_features: `(B', K, D_text)`.
            training: whether the critic's normalisation uses the batch.

        Returns:
            `(B, B' * K)` float32.
        """
        rules = self._rules
        images, texts = self.critic.project(
            image_features, all_pairs.rows(text_features), training
        )
        weights = self.critic.head_weights()
        kind = rules.of_pairs, rules.temperature
        scores = pair_scores.reduced_scores(
            self.critic, images, texts, weights, *kind
        )
        if training:
            return scores
        return pair_inputs.unknown_where_unknown(image_features, scores)

    def region_scores(
        self,
        image_features: Tensor,
        text_features: Tensor,
        training: bool = False,
    ) -> Tensor:
        """`(B, N, B' * K)` scores before the region rule; see `score`."""
        texts = all_pairs.rows(text_features)
        scores = self.critic(image_features, texts, training=training)
        return pair_inputs.unknown_where_unknown(image_features, scores)

    def _reduced(
        self, inputs: dict[str, Tensor], training: bool
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What a bound is of, see `all_pairs.reduced`."""
        return all_pairs.reduced(
            self.critic,
            self._rules if training else self._rules.held_out,
            *self.encode(inputs, training),
            inputs["study_ids"],
            pair_inputs.is_text(inputs),
            training,
        )

    @property
    def _rules(self) -> all_pairs.Rules:
        temperature = ops.convert_to_tensor(self.region_temperature)
        return all_pairs.Rules(self.region, temperature, self.negatives)

    # === Training ===

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "mine",
        run_eagerly: bool = False,
        jit_compile: Any = "auto",
        steps_per_execution: int = 1,
        accumulate: int = 1,
    ) -> None:
        """Sets the optimizer and the bound to maximise.

        Args:
            optimizer: any Keras optimizer; `kerasmi.optimizers.paper(model)`
                is the paper's pair.
            loss: `"mine"`, `"cpc"`, another name of `kerasmi.losses.LOSSES`,
                or a `kerasmi.losses.BoundLoss`.
            run_eagerly: as in `keras.Model.compile`.
            jit_compile: as in `keras.Model.compile`; one device only. XLA
                leaves out the check that a batch has a negative pair: without
                one the loss is NaN.
            steps_per_execution: as in `keras.Model.compile`; one device only.
            accumulate: parts that a batch is encoded in, one after the other,
                for the gradient of the whole batch in the memory of a part;
                see `kerasmi.models.accumulation`. It must divide the size of
                every batch. Batch normalisation of the encoders uses the
                statistics of a part. One device only.

        Raises:
            ValueError: no optimizer, an option that is not possible under a
                strategy, a number of parts below one, or parts with a critic
                that shares a weight with an encoder.
        """
        compiling.check_accumulate(accumulate)
        encoders = [self.image_encoder, self.text_encoder]
        compiling.check_unshared(self.critic, encoders, accumulate)
        one_device = {
            "jit_compile=True": jit_compile is True,
            "steps_per_execution > 1": steps_per_execution > 1,
            "accumulate > 1": accumulate > 1,
        }
        optimizer = compiling.optimizer_for(self, optimizer, one_device)
        self.accumulate = int(accumulate)
        # as given: "auto" is another thing on another machine
        self._execution = {
            "run_eagerly": run_eagerly,
            "jit_compile": jit_compile,
            "steps_per_execution": steps_per_execution,
        }
        super().compile(optimizer=optimizer, **self._execution)
        self.objective = losses.get(loss)
        self.diagnostics = Diagnostics(self.objective)
        self.gradient_norm = keras.metrics.Mean(name="gradient_norm")
        # In the strategy's scope and before any tracing, or the slots would
        # be made inside the traced step, which fails under a strategy.
        self.optimizer.build(self.trainable_variables)
        self._compiled_for = compiling.paths(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss, the norm of its gradient, and the `Diagnostics`."""
        if not self.compiled:
            return []
        return [*self.diagnostics.metrics, self.gradient_norm]

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """One step on the bound over the batches of all replicas.

        Raises:
            ValueError: inputs that do not fit, nothing to train, other weights
                than at `compile`, or a layer with a loss of its own, such as a
                regularizer.
        """
        inputs = distribute.even(pair_inputs.unpacked(data))
        variables = self.trainable_variables
        compiling.check_variables(variables, self._compiled_for)
        loss, reduced, gradients = self._differentiated(inputs)
        # known by now: layers add losses when they are called
        compiling.check_added_losses(self)
        pairs, scores, weights, read = reduced
        norm = gradient_norm.of_step(gradients, self.optimizer)
        with distribute.after(inputs):
            self.optimizer.apply_gradients(
                zip(gradients, variables, strict=True)
            )
        self.objective.update(pairs, scores)
        if not loss_scale.is_scaled(self.optimizer):
            # ReLUs make 0 of NaN on a CPU, and a bound of scores without any
            loss = ops.where(ops.isnan(norm), norm, loss)
        self.diagnostics.update(loss, pairs, read, weights)
        images = ops.shape(pairs)[0]
        gradient_norm.update(self.gradient_norm, norm, images, self.optimizer)
        return logs(self.metrics)

    def _loss(self, pairs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the whole batch, and what is differentiated of it."""
        is_there = self.objective.is_defined(pairs)
        with tf.control_dependencies(distribute.check_negatives(is_there)):
            loss = self.objective(pairs, tf.identity(scores))
        # Every replica computes the whole loss, and the optimizer sums the
        # gradients of all.
        share = loss / distribute.num_replicas()
        return loss, self.optimizer.scale_loss(share)

    def _differentiated(
        self, inputs: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor | None]]:
        """The loss, what `_reduced` gives, and the gradient of each weight."""
        if self.accumulate > 1:
            return self._differentiated_in_parts(inputs)
        with tf.GradientTape() as tape:
            reduced = self._reduced(inputs, training=True)
            loss, share = self._loss(*reduced[:2])
        return loss, reduced, tape.gradient(share, self.trainable_variables)

    def _differentiated_in_parts(
        self, inputs: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor | None]]:
        """As `_differentiated`, part by part; see `compile`."""
        ids, is_text = inputs["study_ids"], pair_inputs.is_text(inputs)
        encoders = self.image_encoder, self.text_encoder
        shape = inputs["token_ids"].shape[1], parts.text_dim(self.text_encoder)

        def bound(images: Tensor, texts: Tensor) -> tuple[Tensor, Any]:
            critic, rules = self.critic, self._rules
            reduced = all_pairs.reduced(
                critic, rules, images, texts, ids, is_text, training=True
            )
            loss, share = self._loss(*reduced[:2])
            return share, (loss, reduced)

        (loss, reduced), gradients = accumulation.differentiated(
            lambda part: self.encode(part, training=True),
            bound,
            {name: x for name, x in inputs.items() if name != "study_ids"},
            self.accumulate,
            [tuple(self.image_encoder.output_shape[1:]), shape],
            [v for part in encoders for v in part.non_trainable_variables],
            self.trainable_variables,
            self.critic.trainable_variables,
        )
        return loss, reduced, gradients

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """The bound on a held-out batch."""
        inputs = distribute.even(pair_inputs.unpacked(data))
        with lean_bert.held_out():
            pairs, scores, weights, _ = self._reduced(inputs, training=False)
        loss = self.objective(pairs, scores)
        self.diagnostics.update(loss, pairs, scores, weights, held_out=True)
        return logs(self.diagnostics.metrics)

    def predict_step(self, data: Any) -> Tensor:
        """The scores of a batch, or of a device's share of it."""
        inputs, *_ = keras.utils.unpack_x_y_sample_weight(data)
        pair_inputs.check(inputs)
        return self(distribute.even(inputs), training=False)

    # === Files ===

    _not_quantized = (
        "a critic's scores are made of its weights, not by its layers, and "
        "Keras quantizes no convolution. Quantize the text encoder alone: "
        "model.text_encoder.quantize('int8')."
    )

    @property
    def _export_signature(self) -> Any:
        shape = getattr(self.image_encoder, "input_shape", None)
        # a model of one's own need not have it
        return None if shape is None else [pair_inputs.specs(shape[1:])]

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Parts serialised, as KerasHub's composite models do."""
        frozen = freezing.frozen(self.critic)
        return {
            "name": self.name,
            **saving.serialized(self, parts.PARTS),
            "region": self.region,
            "temperature": self.temperature,
            "negatives": self.negatives,
            **({"frozen": frozen} if frozen else {}),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "ImageTextModel":
        """Rebuilds the parts, then the model; what was frozen is."""
        config = saving.rebuilt(config, parts.PARTS, custom_objects)
        frozen = config.pop("frozen", None)
        model = cls(**config)
        if frozen is not None:
            # layers that a critic makes itself are not in its config
            freezing.freeze(model.critic, frozen)
        return model

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, for `.keras` files; none before it."""
        if not self.compiled:
            return {}
        serialize = keras.saving.serialize_keras_object
        key = optimizers.text_key(self.optimizer, self)
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self.objective),
            "accumulate": self.accumulate,
            **self._execution,
            **({"text_key": key} if key else {}),
        }

    def _compile_arguments(self, saved: dict[str, Any]) -> dict[str, Any]:
        key = saved.pop("text_key", None)
        if key is not None:
            optimizers.renew_text_key(saved["optimizer"], self, key)
        return saved
