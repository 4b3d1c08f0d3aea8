"""The joint model: two encoders and a critic, trained on a bound on MI."""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerasmi import distribute, losses, regions
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
        image_encoder: `kerasmi.models.ImageEncoder`; `(B, N, D_image)`.
        text_encoder: `kerasmi.models.TextEncoder`; `(B, K, D_text)`.
        critic: `kerasmi.critics.ConcatCritic` or `SeparableCritic`.
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
            padded, and, for training, `study_ids` `(B,)` int64.

    Output shape:
        `(B, B * K)`: the score of image `i` and text `k` of image `j` stands
        at `[i, j * K + k]`.

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
        super().__init__(name=name, **kwargs)
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
            critic.build(image_shape, (None, text_encoder.dim))
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
        """
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
        return regions.reduce_regions(
            self.region_scores(image_features, text_features, training),
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

    def score_pairs(
        self, inputs: dict[str, Tensor], training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Pairs and region scores of the whole batch, over all replicas.

        Each replica scores its own texts against the images of all replicas
        (the critic's work is shared), then the columns are gathered, so that
        every replica holds the same matrix and any bound can be read from it.
        With `negatives="replica"` it scores its own images alone, and the
        pairs of two replicas are ignored, with a score of 0.

        Returns:
            pairs `(B, B * K)` int32 in {1, 0, -1} and scores `(B, N, B * K)`
            float32, `B` counting the images of all replicas.
        """
        image_features, text_features = self.encode(inputs, training)
        if self.negatives == "replica":
            scores = self.region_scores(image_features, text_features, training)
            pairs = label_pairs(inputs["study_ids"], text_features.shape[1])
            pairs = distribute.block_diagonal(pairs, fill=IGNORED)
            return pairs, distribute.block_diagonal(scores)
        scores = self.region_scores(
            distribute.gather(image_features), text_features, training
        )
        study_ids = distribute.gather(inputs["study_ids"])
        texts_per_image = text_features.shape[1]
        pairs = label_pairs(study_ids, texts_per_image)
        return pairs, distribute.gather(scores, axis=2)

    def _reduced(
        self, inputs: dict[str, Tensor], training: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Pairs `(B, C)`, scores `(B, C)` and region weights `(B, N, C)`."""
        pairs, scores = self.score_pairs(inputs, training)
        texts_per_image = inputs["token_ids"].shape[1]
        rule = (self.region, self._temperature, texts_per_image)
        weights = regions.region_weights(ops.stop_gradient(scores), *rule)
        return pairs, regions.reduce_regions(scores, *rule), weights

    @property
    def _temperature(self) -> Tensor:
        return ops.convert_to_tensor(self.region_temperature)

    # === Training ===

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = "mine",
        run_eagerly: bool = False,
        jit_compile: Any = "auto",
        steps_per_execution: int = 1,
    ) -> None:
        """Sets the optimizer and the bound to maximise.

        Args:
            optimizer: any Keras optimizer; `kerasmi.optimizers.paper(model)`
                is the paper's pair.
            loss: `"mine"`, `"cpc"`, another name of `kerasmi.losses.LOSSES`,
                or a `kerasmi.losses.BoundLoss`.
            run_eagerly: as in `keras.Model.compile`.
            jit_compile: as in `keras.Model.compile`; one device only.
            steps_per_execution: as in `keras.Model.compile`; one device only.

        Raises:
            ValueError: an option that Keras breaks under a strategy.
        """
        if distribute.num_replicas() > 1:
            _refuse_under_strategy(optimizer, jit_compile, steps_per_execution)
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
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        replicas = distribute.num_replicas()
        with tf.GradientTape() as tape:
            pairs, scores, weights = self._reduced(inputs, training=True)
            with tf.control_dependencies(distribute.check_negatives(pairs)):
                loss = self.objective(pairs, tf.identity(scores))
            # Every replica computes the whole loss, and the optimizer sums
            # the gradients of all.
            share = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(share, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        self.objective.update(pairs, scores)
        self.diagnostics.update(loss, pairs, scores, weights)
        # adds up the rows of an embedding that a batch meets more than once
        dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
        norm = tf.linalg.global_norm(distribute.reduce_sum(dense))
        self.gradient_norm.update_state(norm, ops.shape(pairs)[0])
        return _logs(self.metrics)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """The bound on a held-out batch."""
        inputs, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        pairs, scores, weights = self._reduced(inputs, training=False)
        loss = self.objective(pairs, scores)
        self.diagnostics.update(loss, pairs, scores, weights)
        return _logs(self.diagnostics.metrics)

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        # Everything is built in the constructor and in compile; Keras's own
        # version fails under a strategy on dict batches.
        return

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
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` says."""
        self.compile(**keras.saving.deserialize_keras_object(config))


def _logs(metrics: list[keras.metrics.Metric]) -> dict[str, Tensor]:
    return distribute.rank_one({m.name: m.result() for m in metrics})


def _refuse_under_strategy(
    optimizer: Any, jit_compile: Any, steps_per_execution: int
) -> None:
    broken = {
        "jit_compile=True": jit_compile is True,
        "steps_per_execution > 1": steps_per_execution > 1,
        "gradient_accumulation_steps": getattr(
            optimizer, "gradient_accumulation_steps", None
        ),
        "ema_overwrite_frequency": getattr(
            optimizer, "ema_overwrite_frequency", None
        ),
        # Keras would clip each replica's share of the gradient, before the sum
        "clipnorm": getattr(optimizer, "clipnorm", None),
        "global_clipnorm": getattr(optimizer, "global_clipnorm", None),
    }
    named = [name for name, asked in broken.items() if asked]
    if named:
        raise ValueError(
            f"{', '.join(named)}: not possible on several devices, where "
            "Keras fails or computes something else. Leave it out, or train "
            "on one device."
        )
