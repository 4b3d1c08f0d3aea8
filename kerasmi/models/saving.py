"""Keras's methods of files, as models that are made of models answer them."""

import os
from collections.abc import Iterable
from typing import Any

import keras


def check_name(path: str | os.PathLike[str]) -> None:
    """Refuses HDF5, which holds no model of models.

    Raises:
        ValueError: a name that Keras takes for HDF5.
    """
    name = str(path)
    if name.endswith((".h5", ".hdf5")):
        raise ValueError(
            f"`filepath`: HDF5 holds no model that is made of models. "
            f"Received: {name}. Give a name that ends in .keras; for weights "
            "alone, `save_weights` with one that ends in .weights.h5."
        )


def serialized(model: keras.Model, parts: Iterable[str]) -> dict[str, Any]:
    """Attributes of a model for its config, as KerasHub's models do."""
    serialize = keras.saving.serialize_keras_object
    return {name: serialize(getattr(model, name)) for name in parts}


def rebuilt(
    config: dict[str, Any], parts: Iterable[str], custom_objects: Any = None
) -> dict[str, Any]:
    """A config with its parts as objects again."""
    deserialize = keras.saving.deserialize_keras_object
    made = {
        name: deserialize(config[name], custom_objects=custom_objects)
        for name in parts
    }
    return {**config, **made}


class SavedInParts:
    """`save`, `export` and `quantize` of a model that is made of models.

    Written before `keras.Model` among the bases, and none itself: Keras makes
    the bases of a functional model functional, for all that share them.
    """

    # what an export takes, where Keras cannot know it from a first call
    _export_signature: Any = None
    # why `quantize` cannot do what it says, and what does; None where it can
    _not_quantized: str | None = None

    def save(self, filepath: Any, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.save`; refuses HDF5, which could not be read."""
        check_name(filepath)
        super().save(filepath, *args, **kwargs)  # type: ignore[misc]

    def export(
        self,
        filepath: Any,
        format: str = "tf_saved_model",
        verbose: Any = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.export`; the signature is that of the class."""
        if input_signature is None:
            input_signature = self._export_signature
        super().export(  # type: ignore[misc]
            filepath, format, verbose, input_signature, **kwargs
        )

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.quantize`, where Keras can; refused elsewhere."""
        if self._not_quantized is not None:
            raise ValueError(f"`quantize`: {self._not_quantized}")
        super().quantize(*args, **kwargs)  # type: ignore[misc]

    def _compile_arguments(self, saved: dict[str, Any]) -> dict[str, Any]:
        """Arguments of `compile` from what `get_compile_config` kept."""
        return saved

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was."""
        # Keras leaves a model with a `compile` of its own uncompiled
        compile = self.compile  # type: ignore[attr-defined]
        arguments = keras.saving.deserialize_keras_object(config)
        compile(**self._compile_arguments(arguments))
        optimizer = self.optimizer  # type: ignore[attr-defined]
        if optimizer is not None and not optimizer.built:
            # what was saved of it is read into variables that there are
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]
