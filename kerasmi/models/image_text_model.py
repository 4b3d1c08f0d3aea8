"""The joint model: two encoders and a critic, trained on a bound on MI."""

import functools
import inspect
import math
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerasmi import distribute, losses, pair_scores, regions, repeated_texts
from kerasmi.models import (
    accumulation,
    direct_steps,
    loss_scale,
    pair_inputs,
    parts,
    saving,
)
from kerasmi.models.diagnostics import Diagnostics
from kerasmi.pairs import IGNORED, label_pairs
from kerasmi.types import Tensor

NEGATIVES = ("global", "replica")


@keras.saving.register_keras_serializable(package="kerasmi")
class ImageTextModel(keras.Model):
    """Scores every image against every text of a batch, region by region.

    Trained by `fit` on dicts, without targets: the study ids decide which
    pairs are positive, negative or ignored. Global MI is the case of an image
    encoder with one region and one text, the report; nothing else differs.

    Args:
        image_encoder: `kerasmi.models.ImageEncoder`, or a model of one's own
            with an `output_shape`; `(B, N, D_image)`.
        text_encoder: `kerasmi.models.TextEncoder`, or a model of one's own, of
            a dict of `token_ids` and `padding_mask`, with an `output_shape` or
            the attribute `dim`; `(B, K, D_text)`.
        critic: a `kerasmi.critics.Critic`: `ConcatCritic`, `SeparableCritic`.
        region: how the scores of an image's regions become one score:
            `"max"` (Eq. 5), `"logsumexp"`, `"mean"` or `"matched"`; see
            `kerasmi.regions.reduce_regions`.
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
            ignores their pairs.

    Output shape:
        `(B, B * K)`: the score of image `i` and text `k` of image `j` stands
        at `[i, j * K + k]`. `predict` compares each image with the texts of
        its own batch alone; `encode` and `score` compare all.

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
        if region not in regions.REGION_RULES:
            raise ValueError(
                f"`region`: expected one of {regions.REGION_RULES}. "
                f"Received: {region!r}"
            )
        if negatives not in NEGATIVES:
            raise ValueError(
                f"`negatives`: expected one of {NEGATIVES}. "
                f"Received: {negatives!r}"
            )
        if not 0 < temperature < math.inf:
            raise ValueError(
                "`temperature`: expected a number above 0; near 0 the rule is "
                f"'max'. Received: {temperature}"
            )
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
        if not critic.built:
            image_shape = (None, *image_encoder.output_shape[1:])
            critic.build(image_shape, (None, parts.text_dim(text_encoder)))
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
        return (
            ops.cast(image_features, "float32"),
            ops.cast(text_features, "float32"),
        )

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
        rule = "max" if self.region == "matched" else self.region
        dim = text_features.shape[-1]
        texts = ops.reshape(text_features, (-1, dim))
        images, texts = self.critic.project(image_features, texts, training)
        return pair_scores.reduced_scores(
            self.critic,
            images,
            texts,
            self.critic.head_weights(),
            rule,
            self._temperature,
        )

    def region_scores(
        self,
        image_features: Tensor,
        text_features: Tensor,
        training: bool = False,
    ) -> Tensor:
        """`(B, N, B' * K)` scores before the region rule; see `score`."""
        dim = text_features.shape[-1]
        texts = ops.reshape(text_features, (-1, dim))
        return self.critic(image_features, texts, training=training)

    def _reduced(
        self, inputs: dict[str, Tensor], training: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What a bound is of, over the batches of all replicas.

        Returns:
            pairs `(B, B * K)` int32 in {1, 0, -1}, scores `(B, B * K)` float32
            and the weights `(B, N, K)` of the regions of each image for its
            own texts; `B` counts the images of all replicas.
        """
        images, texts = self.encode(inputs, training)
        return self._reduced_features(
            images,
            texts,
            inputs["study_ids"],
            pair_inputs.is_text(inputs),
            training,
        )

    def _reduced_features(
        self,
        image_features: Tensor,
        text_features: Tensor,
        study_ids: Tensor,
        is_text: Tensor,
        training: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `_reduced`, from the features of this replica's images and texts.

        Each replica scores its own texts against the images of all replicas
        (the critic's work is shared), then the columns are gathered, so that
        every replica holds the same matrix and any bound can be read from it.
        With `negatives="replica"` it scores its own images alone, and the
        pairs of two replicas are ignored, with a score of 0.
        """
        K, dim = ops.shape(text_features)[1], text_features.shape[-1]
        is_shared = self.negatives == "global"
        if is_shared:
            image_features = distribute.gather(image_features)
        # the name that a profile shows its work under
        with tf.name_scope("critic"):
            images, texts = self.critic.project(
                image_features, ops.reshape(text_features, (-1, dim)), training
            )
            weights = self.critic.head_weights()
            by_image = ops.reshape(texts, (-1, K, texts.shape[-1]))
            own_images = distribute.own(images) if is_shared else images
            own = self._own_weights(own_images, by_image, weights)
            chosen = distribute.gather(own) if is_shared else own
            if self.region == "matched":
                scores = pair_scores.matched_scores(
                    self.critic, images, by_image, weights, chosen
                )
            else:
                rule = (self.region, self._temperature)
                # reports are hardly ever alike, sentences are
                is_one = text_features.shape[1] == 1
                repeats = not is_one and repeated_texts.pays()
                kind = repeated_texts if repeats else pair_scores
                scores = kind.reduced_scores(
                    self.critic, images, texts, weights, *rule
                )
        if not is_shared:
            pairs = self._label_pairs(study_ids, is_text)
            pairs = distribute.block_diagonal(pairs, fill=IGNORED)
            scores = distribute.block_diagonal(scores)
            return pairs, scores, distribute.gather(own)
        study_ids, is_text = map(distribute.gather, (study_ids, is_text))
        pairs = self._label_pairs(study_ids, is_text)
        return pairs, distribute.gather(scores, axis=1), chosen

    def _label_pairs(self, study_ids: Tensor, is_text: Tensor) -> Tensor:
        """Labels `(B, B * K)`; pairs of a text that there is not are ignored.

        `study_ids` is `(B,)`, `is_text` `(B, K)` int32, 0 for padding alone.
        """
        pairs = label_pairs(study_ids, ops.shape(is_text)[1])
        counted = ops.reshape(is_text, (1, -1)) > 0
        if self.region == "matched":
            # a region of such an image is chosen by none of its texts
            chosen = ops.tile(is_text, (1, ops.shape(is_text)[0])) > 0
            counted = ops.logical_and(counted, chosen)
        return ops.where(counted, pairs, IGNORED)

    def _own_weights(
        self, images: Tensor, texts: Tensor, weights: list[Tensor]
    ) -> Tensor:
        """Weights of the regions for each image's own texts, `(B, N, K)`.

        From the `(b, N, H)` and `(b, K, H)` projections of this replica,
        without a gradient.
        """
        scores = self.critic.row_scores(
            ops.stop_gradient(images)[:, :, None],
            ops.stop_gradient(texts)[:, None],
            [ops.stop_gradient(weight) for weight in weights],
        )
        # the region that is `matched` is that of the best own score
        rule = "max" if self.region == "matched" else self.region
        own = regions.region_weights(scores, rule, self._temperature)
        return ops.stop_gradient(own)

    @property
    def _temperature(self) -> Tensor:
        return ops.convert_to_tensor(self.region_temperature)

    # === Training ===

    @functools.wraps(keras.Model.fit, assigned=(), updated=())
    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`; refuses weights, as no pair has one."""
        given = inspect.signature(super().fit).bind(*args, **kwargs)
        pair_inputs.refuse_weights(given.arguments)
        return super().fit(*args, **kwargs)

    @functools.wraps(keras.Model.evaluate, assigned=(), updated=())
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`; refuses weights, as no pair has one."""
        given = inspect.signature(super().evaluate).bind(*args, **kwargs)
        pair_inputs.refuse_weights(given.arguments)
        return super().evaluate(*args, **kwargs)

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
                strategy, or a number of parts below one.
        """
        parts.check_optimizer(optimizer)
        if not isinstance(accumulate, int) or accumulate < 1:
            raise ValueError(
                "Expected `accumulate` to be an integer of at least 1. "
                f"Received: accumulate={accumulate}"
            )
        if distribute.num_replicas() > 1:
            asked = {
                "jit_compile=True": jit_compile is True,
                "steps_per_execution > 1": steps_per_execution > 1,
                "accumulate > 1": accumulate > 1,
                "mixed_float16": loss_scale.is_float16(self),
            }
            _refuse_under_strategy(optimizer, asked)
        elif loss_scale.is_float16(self):
            optimizer = loss_scale.scaled(optimizer, "loss_scale")
        self.accumulate = accumulate
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile,
            steps_per_execution=steps_per_execution,
        )
        self.objective = losses.get(loss)
        self.diagnostics = Diagnostics(self.objective)
        self.gradient_norm = keras.metrics.Mean(name="gradient_norm")
        # In the strategy's scope and before any tracing, or the slots would
        # be made inside the traced step, which fails under a strategy.
        self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss, the norm of its gradient, and the `Diagnostics`."""
        if not self.compiled:
            return []
        return [*self.diagnostics.metrics, self.gradient_norm]

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """One step on the bound over the batches of all replicas."""
        inputs = pair_inputs.unpacked(data)
        variables = self.trainable_variables
        if not variables:
            raise ValueError(
                "Every layer is frozen: there is nothing to train. Set "
                "`trainable = True` of the part that should learn, and "
                "compile again."
            )
        if self.accumulate > 1:
            loss, reduced, gradients = self._differentiated_in_parts(inputs)
        else:
            with tf.GradientTape() as tape:
                reduced = self._reduced(inputs, training=True)
                loss, share = self._loss(*reduced[:2])
            gradients = tape.gradient(share, variables)
        pairs, scores, weights = reduced
        norm = self._gradient_norm(gradients)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.objective.update(pairs, scores)
        if not self._is_scaled:
            # ReLUs make 0 of NaN on a CPU, and a bound of scores without any
            loss = ops.where(ops.isnan(norm), norm, loss)
        self.diagnostics.update(loss, pairs, scores, weights)
        self._update_gradient_norm(norm, ops.shape(pairs)[0])
        return _logs(self.metrics)

    def make_train_function(self, force: bool = False) -> Any:
        """As Keras's, with less around each step."""
        make = super().make_train_function
        return direct_steps.made(self, "train", make, force)

    def make_test_function(self, force: bool = False) -> Any:
        """As Keras's, with less around each step."""
        make = super().make_test_function
        return direct_steps.made(self, "test", make, force)

    def _loss(self, pairs: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the whole batch, and what is differentiated of it."""
        with tf.control_dependencies(distribute.check_negatives(pairs)):
            loss = self.objective(pairs, tf.identity(scores))
        # Every replica computes the whole loss, and the optimizer sums the
        # gradients of all.
        share = loss / distribute.num_replicas()
        return loss, self.optimizer.scale_loss(share)

    def _differentiated_in_parts(
        self, inputs: dict[str, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, ...], list[Tensor]]:
        """The loss, what `_reduced` gives, and gradients; see `compile`."""
        ids, is_text = inputs["study_ids"], pair_inputs.is_text(inputs)
        inputs = {name: x for name, x in inputs.items() if name != "study_ids"}
        encoders = self.image_encoder, self.text_encoder
        features = accumulation.features_in_parts(
            lambda part: self.encode(part, training=True),
            inputs,
            self.accumulate,
            [
                tuple(self.image_encoder.output_shape[1:]),
                (
                    inputs["token_ids"].shape[1],
                    parts.text_dim(self.text_encoder),
                ),
            ],
            [v for part in encoders for v in part.non_trainable_variables],
        )
        own = self.critic.trainable_variables
        with tf.GradientTape() as tape:
            tape.watch(features)
            images, texts = features
            reduced = self._reduced_features(
                images, texts, ids, is_text, training=True
            )
            loss, share = self._loss(*reduced[:2])
        *upstream, of_critic = tape.gradient(share, [*features, own])
        encoded = [v for part in encoders for v in part.trainable_variables]
        of_encoders = accumulation.gradients_in_parts(
            lambda part: self.encode(part, training=True),
            inputs,
            self.accumulate,
            upstream,
            encoded,
        )
        gradients = [*of_critic, *of_encoders]
        by_variable = {
            id(variable): gradient
            for variable, gradient in zip(
                [*own, *encoded], gradients, strict=True
            )
        }
        ordered = [by_variable[id(v)] for v in self.trainable_variables]
        return loss, reduced, ordered

    def _gradient_norm(self, gradients: list[Tensor]) -> Tensor:
        """The norm of the whole gradient, without the scale of the loss."""
        # adds up the rows of an embedding that a batch meets more than once
        dense = [
            tf.cast(tf.convert_to_tensor(gradient), tf.float32)
            for gradient in gradients
            if gradient is not None  # the optimizer warns of these
        ]
        norm = tf.linalg.global_norm(distribute.reduce_sum(dense))
        return norm / self.optimizer.scale_loss(tf.ones(()))

    @property
    def _is_scaled(self) -> bool:
        return isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)

    def _update_gradient_norm(self, norm: Tensor, images: Tensor) -> None:
        if self._is_scaled:
            # a gradient that overflows is scaled anew, and its step skipped
            taken = ops.isfinite(norm)
            norm = ops.where(taken, norm, 0.0)
            images = ops.where(taken, images, 0)
        self.gradient_norm.update_state(norm, images)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """The bound on a held-out batch."""
        inputs = pair_inputs.unpacked(data)
        pairs, scores, weights = self._reduced(inputs, training=False)
        loss = self.objective(pairs, scores)
        self.diagnostics.update(loss, pairs, scores, weights, held_out=True)
        return _logs(self.diagnostics.metrics)

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        # Everything is built in the constructor and in compile; Keras's own
        # version fails under a strategy on dict batches.
        return

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.export`; the signature is that of the class."""
        # Keras looks for the shapes of a first call, which `built` stands for
        shape = getattr(self.image_encoder, "input_shape", None)
        if input_signature is None and shape is not None:
            images = shape[1:]
            texts = pair_inputs.text_specs(axes=3)
            spec = keras.InputSpec("float32", (None, *images), name="images")
            input_signature = [{"images": spec, **texts}]
        super().export(filepath, format, verbose, input_signature, **kwargs)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Refused: the critic is a function of its weights as they are."""
        raise ValueError(
            "`quantize`: a critic's scores are made of its weights, not by its "
            "layers, and Keras quantizes no convolution. Quantize the text "
            "encoder alone: model.text_encoder.quantize('int8')."
        )

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.save`; refuses HDF5, which could not be read."""
        saving.check_name(filepath)
        super().save(filepath, *args, **kwargs)

    # === Config ===

    def get_config(self) -> dict[str, Any]:
        """Parts serialised, as KerasHub's composite models do."""
        serialize = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "image_encoder": serialize(self.image_encoder),
            "text_encoder": serialize(self.text_encoder),
            "critic": serialize(self.critic),
            "region": self.region,
            "temperature": self.temperature,
            "negatives": self.negatives,
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "ImageTextModel":
        """Rebuilds the parts, then the model."""
        config = dict(config)
        for part in ("image_encoder", "text_encoder", "critic"):
            config[part] = keras.saving.deserialize_keras_object(
                config[part], custom_objects=custom_objects
            )
        return cls(**config)

    def get_compile_config(self) -> dict[str, Any]:
        """Optimizer and loss, for `.keras` files; none before `compile`."""
        if not self.compiled:
            return {}
        serialize = keras.saving.serialize_keras_object
        return {
            "optimizer": serialize(self.optimizer),
            "loss": serialize(self.objective),
            "accumulate": self.accumulate,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` says."""
        self.compile(**keras.saving.deserialize_keras_object(config))


def _logs(metrics: list[keras.metrics.Metric]) -> dict[str, Tensor]:
    return distribute.rank_one({m.name: m.result() for m in metrics})


def _refuse_under_strategy(optimizer: Any, asked: dict[str, bool]) -> None:
    broken = (
        "gradient_accumulation_steps",
        "ema_overwrite_frequency",
        # Keras would clip each replica's share of the gradient, before the sum
        "clipnorm",
        "global_clipnorm",
    )
    named = [name for name, is_asked in asked.items() if is_asked]
    named += [name for name in broken if getattr(optimizer, name, None)]
    if named:
        raise ValueError(
            f"{', '.join(named)}: not possible on several devices, where "
            "Keras fails or computes something else. Leave it out, or train "
            "on one device."
        )
