"""Steps of a small model without what Keras does around each of them."""

import weakref
from collections.abc import Callable
from typing import Any, cast

import keras
import tensorflow as tf

Step = Callable[[Any], Any]


class DirectSteps:
    """`fit` and `evaluate` of a model that is built by its constructor.

    For each step Keras looks for its trace by the signature of all variables,
    and wraps and unwraps the logs: a millisecond. The trace is called itself
    where one device takes one step at a time by a graph.

    Keras keeps a trace whatever becomes of the layers: here it is made anew
    where one was frozen, tuned or quantised since.

    Written before `keras.Model` among the bases, and none itself: Keras makes
    the bases of a functional model functional, for all that share them.
    """

    def make_train_function(self, force: bool = False) -> Step:
        """As Keras's, with less around each step."""
        make = super().make_train_function  # type: ignore[misc]
        return made(self, "train", make, force)

    def make_test_function(self, force: bool = False) -> Step:
        """As Keras's, with less around each step."""
        make = super().make_test_function  # type: ignore[misc]
        return made(self, "test", make, force)

    def make_predict_function(self, force: bool = False) -> Step:
        """As Keras's, but for layers that were quantised since."""
        make = super().make_predict_function  # type: ignore[misc]
        return cast(Step, make(_is_stale(self, "predict") or force))

    def _maybe_symbolic_build(self, *args: Any, **kwargs: Any) -> None:
        # all is built; Keras's own version fails under a strategy
        return


def made(
    model: Any, kind: str, make: Callable[[bool], Any], force: bool
) -> Step:
    """What `make_train_function` or `make_test_function` returns, or sooner.

    Args:
        model: compiled.
        kind: `"train"` or `"test"`.
        make: Keras's own method.
        force: whether to make it anew.
    """
    name = f"{kind}_function"
    if _is_stale(model, kind) or force:
        make(True)
        if _is_plain(model):
            step = getattr(model, f"{kind}_step")
            setattr(model, name, _Traced(step, getattr(model, name)))
    return cast(Step, getattr(model, name))


def _is_stale(model: Any, kind: str) -> bool:
    """Whether a step is not made yet, or was made of layers as they were."""
    layers = model._flatten_layers()
    state = hash(
        tuple((each.trainable, each.quantization_mode) for each in layers)
    )
    before = getattr(model, f"_{kind}_layers", None)
    setattr(model, f"_{kind}_layers", state)
    return getattr(model, f"{kind}_function") is None or state != before


def _is_plain(model: keras.Model) -> bool:
    default = tf.distribute.get_strategy()
    is_alone = not tf.distribute.has_strategy() and (
        model.distribute_strategy is default
    )
    eagerly = model.run_eagerly or tf.config.functions_run_eagerly()
    by_graph = not (eagerly or model.jit_compile)
    return bool(is_alone and by_graph and model.steps_per_execution == 1)


class _Traced:
    """Keeps the trace for the iterator that it was last called with."""

    def __init__(self, step: Step, function: Step) -> None:
        self._step = tf.function(
            lambda iterator: step(iterator.get_next()),
            reduce_retracing=True,
            autograph=False,
        )
        self._function = function
        self._trace: Step | None = None
        # weakly, or the batches that it has ahead would be kept after `fit`
        self._iterator: Callable[[], Any] = lambda: None

    def __call__(self, iterator: Any) -> Any:
        if not isinstance(iterator, tf.data.Iterator):
            return self._function(iterator)
        if self._trace is None or self._iterator() is not iterator:
            self._trace = self._step.get_concrete_function(iterator)
            self._iterator = weakref.ref(iterator)
        return self._trace(iterator)
