"""The image classifier of the re-training stage."""

import functools
import inspect
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kerasmi import distribute
from kerasmi.models import (
    class_targets,
    compiling,
    freezing,
    loss_scale,
    pair_inputs,
    saving,
)
from kerasmi.models.cloning import NotCloned
from kerasmi.models.direct_steps import DirectSteps
from kerasmi.models.heads import HEADS
from kerasmi.models.image_encoder import ImageEncoder
from kerasmi.models.saving import SavedInParts
from kerasmi.types import Tensor

TRAINABLE = ("frozen", "tuned")


@keras.saving.register_keras_serializable(package="kerasmi")
class ImageClassifier(NotCloned, DirectSteps, SavedInParts, keras.Model):
    """The image encoder at its global level, then one fully connected layer.

    All variants share this architecture (the paper, Implementation Details:
    "6-block resnet followed by a fully connected layer"), whether the encoder
    comes from local MI, global MI or is new (image-only).

    Args:
        image_encoder: encoder to start from; it is copied, never changed.
        labels: names of the labels, in the order of the outputs.
        head: `"multilabel"`, one probability per label (one label gives the
            authors' binary network); `"softmax"`, probabilities of severity
            0-3; `"cumulative"`, probabilities of severity >= 1, >= 2, >= 3.
        trainable: `"frozen"` keeps `lower`, the feature extractor shared by
            local and global MI, fixed, its batch normalisation included;
            `"tuned"` trains everything.
        name: name of the model.

    Call arguments:
        images: `(B, H, W, 1)` float in [0, 1].

    Output shape:
        `(B, L)`, `(B, 4)` or `(B, 3)` float32 probabilities.

    Targets of its own loss:
        `(B, L)`: 1 or 0, or for a severity `(B, 1)` or `(B,)`: 0 to 3. A
        negative number (-1 uncertain, -2 blank) is masked: it adds nothing to
        the loss and weighs nothing, in the mean of an epoch too. Anything
        else, NaN too, is a ValueError in an array, and makes the loss NaN in a
        `tf.data.Dataset`.

    Metrics of Keras:
        Of `compile(weighted_metrics=...)` an ignored label of a classifier of
        one label weighs nothing. `metrics=...` counts it as one more class,
        and so do both where there are several labels, as Keras weighs images:
        use `kerasmi.evaluation.auc` there, or a classifier for each label.
    """

    def __init__(
        self,
        image_encoder: ImageEncoder,
        labels: tuple[str, ...],
        head: str = "multilabel",
        trainable: str = "tuned",
        name: str = "image_classifier",
        **kwargs: Any,
    ) -> None:
        _check(image_encoder, labels, head, trainable)
        # === Layers ===
        encoder = image_encoder.with_level("global")
        encoder.lower.trainable = trainable == "tuned"
        encoder.upper.trainable = True
        output = keras.layers.Dense(
            HEADS[head].units(len(labels)),
            activation=HEADS[head].activation,
            dtype="float32",
            name="findings",
        )

        # === Functional Model ===
        images = keras.Input(encoder.input_shape[1:], name="images")
        features = ops.squeeze(encoder(images), axis=1)
        super().__init__(images, output(features), name=name, **kwargs)

        # === Config ===
        self.image_encoder = encoder
        self.labels = tuple(labels)
        self.head = head

    @property
    def encoder_mode(self) -> str:
        """`"frozen"` or `"tuned"`, as `lower` of the encoder is by now."""
        lower = self.image_encoder.lower
        return "frozen" if freezing.is_frozen(lower) else "tuned"

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Any = None
    ) -> Tensor:
        """As the functional model; no gradient is made of a frozen `lower`."""
        pair_inputs.check_images(inputs)
        inputs = distribute.not_idle(inputs)
        if self.encoder_mode == "tuned":
            return super().call(inputs, training=training, mask=mask)
        local_map = self.image_encoder.lower(inputs, training=False)
        local_map = pair_inputs.unknown_where_unknown(inputs, local_map)
        # said again, or `upper` would take over what `lower` was called with
        return self.classify(ops.stop_gradient(local_map), training)

    def classify(
        self, local_map: Tensor, training: bool | None = None
    ) -> Tensor:
        """Probabilities from the map that `lower` gives.

        Args:
            local_map: `(B, h, w, D_local)`.
            training: whether the upper network is being trained.
        """
        features = self.image_encoder.from_local(local_map, training)
        return self.get_layer("findings")(ops.squeeze(features, axis=1))

    def on_features(self) -> keras.Model:
        """This classifier above `lower`: the same layers, loss and optimizer.

        What trains it trains this classifier, as `lower` is frozen. It is
        Keras's own model: its mean loss weighs each batch by its images.

        Raises:
            ValueError: a tuned encoder, whose `lower` must be trained too.
        """
        if self.encoder_mode != "frozen":
            raise ValueError(
                "Only a classifier with a frozen encoder is trained on "
                f"features. Received: {self.encoder_mode!r}"
            )
        shape = self.image_encoder.lower.output_shape[1:]
        local_map = keras.Input(shape, name="local_map")
        model = keras.Model(local_map, self.classify(local_map))
        if self.compiled:
            model.compile(self.optimizer, loss=self.loss)
        return model

    def compile(self, optimizer: Any = "adam", **kwargs: Any) -> None:
        """As `keras.Model.compile`; the loss defaults to the head's own."""
        compiling.check_optimizer(optimizer)
        kwargs.setdefault("loss", HEADS[self.head].loss)
        # Keras asks the policy of the session, which a loaded model need not
        # have
        if loss_scale.is_float16(self) and kwargs.get("auto_scale_loss", True):
            optimizer = loss_scale.scaled(optimizer, "loss_scale_optimizer")
        super().compile(optimizer=optimizer, **kwargs)
        self.optimizer.build(self.trainable_variables)
        self._compiled_for = compiling.paths(self.trainable_variables)

    @functools.wraps(keras.Model.fit, assigned=(), updated=())
    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`; refuses what is no target, or no weight of it.

        Raises:
            ValueError: an array of targets with another value than the head's
                classes and negative numbers, which are ignored; class weights
                of several labels, which Keras would take for one class among
                several, or of a class that the head does not have.
        """
        given = self._checked(super().fit, args, kwargs)
        valid = given.get("validation_data")
        if isinstance(valid, tuple) and len(valid) > 1:
            self._check_targets("validation_data", valid[1])
        if isinstance(given.get("x"), tf.data.Dataset):
            weights = given.pop("class_weight", None)
            if weights is not None:
                given["x"] = class_targets.weighted(given["x"], weights)
        return super().fit(**given)

    @functools.wraps(keras.Model.evaluate, assigned=(), updated=())
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`; refuses what `fit` refuses."""
        # Keras takes more keywords than its signature tells
        given = inspect.signature(super().evaluate).bind(*args, **kwargs)
        self._check_targets("y", given.arguments.get("y"))
        return super().evaluate(*args, **kwargs)

    @functools.wraps(keras.Model.train_on_batch, assigned=(), updated=())
    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.train_on_batch`; refuses what `fit` refuses."""
        given = self._checked(super().train_on_batch, args, kwargs)
        return super().train_on_batch(**given)

    @functools.wraps(keras.Model.test_on_batch, assigned=(), updated=())
    def test_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.test_on_batch`; refuses what `fit` refuses."""
        given = self._checked(super().test_on_batch, args, kwargs)
        return super().test_on_batch(**given)

    def _checked(
        self, method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """The arguments by name, their targets and class weights checked."""
        given = inspect.signature(method).bind(*args, **kwargs).arguments
        self._check_targets("y", given.get("y"))
        if given.get("class_weight") is not None:
            number = len(self.labels)
            weights = given["class_weight"]
            class_targets.check_weights(weights, number, self.head)
        return given

    def _check_targets(self, name: str, targets: Any) -> None:
        # a loss of one's own may take others
        if self.loss is HEADS[self.head].loss:
            class_targets.check(name, targets, self.head)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """As Keras's; what is ignored weighs nothing in `weighted_metrics`."""
        if self.loss is HEADS[self.head].loss and len(self.labels) == 1:
            sample_weight = class_targets.known_weights(y, sample_weight)
        # made in the first step, where they must not wait for its data
        with tf.control_dependencies(None):
            return super().compute_metrics(x, y, y_pred, sample_weight)

    def train_step(self, data: Any) -> dict[str, Tensor]:
        """As Keras's, with logs that several workers can reduce.

        Raises:
            ValueError: nothing to train, or other weights than at `compile`.
        """
        compiling.check_variables(self.trainable_variables, self._compiled_for)
        with distribute.after(data):
            return self._weighed(super().train_step, data)

    def test_step(self, data: Any) -> dict[str, Tensor]:
        """As Keras's, with logs that several workers can reduce."""
        return self._weighed(super().test_step, data)

    def _weighed(self, step: Any, data: Any) -> dict[str, Tensor]:
        """The logs of a step, whose mean loss is of known labels.

        Keras weighs the loss of a batch by its images, the ignored among them.
        """
        tracker = self._loss_tracker
        total, count = map(tf.identity, (tracker.total, tracker.count))
        logs = step(data)
        _, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self.loss is HEADS[self.head].loss and targets is not None:
            # each replica has its share of the loss of all
            (known,) = distribute.reduce_sum(
                [class_targets.number_known(targets)]
            )
            known = known / distribute.num_replicas()
            # float64 in a session of float64
            known = ops.cast(known, total.dtype)
            loss = (tracker.total - total) / (tracker.count - count)
            tracker.total.assign(total + known * loss)
            tracker.count.assign(count + known)
            logs = {**logs, tracker.name: tracker.result()}
        return distribute.rank_one(logs)

    # a quantised last layer alone would not be read
    _not_quantized = (
        "Keras quantizes no convolution, of which this network is made. For a "
        "smaller file or faster predictions, `export` it and quantize there, "
        "as TensorFlow Lite does."
    )

    def get_config(self) -> dict[str, Any]:
        """The encoder serialised, and the settings."""
        is_tuned = self.trainable and self.get_layer("findings").trainable
        return {
            "name": self.name,
            **saving.serialized(self, ["image_encoder"]),
            "labels": list(self.labels),
            "head": self.head,
            "trainable": self.encoder_mode,
            # of the networks below, the encoder's config says it
            **({} if is_tuned else {"frozen": freezing.frozen(self)}),
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Any = None
    ) -> "ImageClassifier":
        """Rebuilds the encoder, then the classifier; what was frozen is."""
        config = saving.rebuilt(config, ["image_encoder"], custom_objects)
        encoder, frozen = config["image_encoder"], config.pop("frozen", None)
        model = cls(**config)
        for part in ("lower", "upper"):
            # the constructor tunes a network as a whole
            places = freezing.frozen(getattr(encoder, part))
            freezing.freeze(getattr(model.image_encoder, part), places)
        if frozen is not None:
            freezing.freeze(model, frozen)
        return model


def _check(
    image_encoder: Any, labels: tuple[str, ...], head: str, trainable: str
) -> None:
    if not isinstance(image_encoder, ImageEncoder):
        raise ValueError(
            "`image_encoder`: expected a kerasmi.ImageEncoder; its "
            "`from_backbone` makes one of a KerasHub backbone. Received: "
            f"{type(image_encoder).__name__}"
        )
    if head not in HEADS:
        raise ValueError(
            f"`head`: expected one of {tuple(HEADS)}. Received: {head!r}"
        )
    if trainable not in TRAINABLE:
        raise ValueError(
            f"`trainable`: expected one of {TRAINABLE}. Received: {trainable!r}"
        )
    if isinstance(labels, str):
        raise ValueError(
            "`labels`: expected names, as in labels=('Edema',). Received the "
            f"text {labels!r}"
        )
    if not labels:
        raise ValueError("`labels`: expected at least one name. Received none.")
    if head != "multilabel" and len(labels) != 1:
        raise ValueError(
            f"`head={head!r}` predicts one severity. Received labels: {labels}"
        )
