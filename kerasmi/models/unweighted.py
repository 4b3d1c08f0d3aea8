"""Training on a bound: without weights of images, with ids that are numbers."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import keras

from kerasmi.models import pair_inputs


class Unweighted:
    """`fit` and `evaluate` that refuse weights, which a step would drop.

    Study ids of an array are checked too, before Keras meets them.

    Written before `keras.Model` among the bases.
    """

    @functools.wraps(keras.Model.fit, assigned=(), updated=())
    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As `keras.Model.fit`; refuses weights, as no pair has one.

        Raises:
            ValueError: weights, or study ids that are no integers.
        """
        fit = super().fit  # type: ignore[misc]
        return _checked(fit, args, kwargs)

    @functools.wraps(keras.Model.evaluate, assigned=(), updated=())
    def evaluate(self, *args: Any, **kwargs: Any) -> Any:
        """As `keras.Model.evaluate`; refuses weights, as no pair has one.

        Raises:
            ValueError: weights, or study ids that are no integers.
        """
        evaluate = super().evaluate  # type: ignore[misc]
        return _checked(evaluate, args, kwargs)


def _checked(method: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given = inspect.signature(method).bind(*args, **kwargs)
    pair_inputs.refuse_weights(given.arguments)
    held_out = given.arguments.get("validation_data")
    held_out, *_ = keras.utils.unpack_x_y_sample_weight(held_out)
    for inputs in (given.arguments.get("x"), held_out):
        if isinstance(inputs, Mapping) and "study_ids" in inputs:
            # Keras says of an array of strings only that it is none of numbers
            pair_inputs.check_ids(inputs["study_ids"])
    return method(*args, **kwargs)
