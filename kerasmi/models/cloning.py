"""`keras.models.clone_model` of a functional model with methods of its own."""

from typing import Any


class NotCloned:
    """Refuses `clone_model`, which would make a plain functional model.

    Keras runs the layers of any functional model through its graph anew, and
    makes `keras.Model` of them: no encoder, and no methods.

    Written before `keras.Model` among the bases.
    """

    def _run_through_graph(self, *args: Any, **kwargs: Any) -> Any:
        # of all that call it, `clone_model` alone names both
        if {"operation_fn", "call_fn"} <= set(kwargs):
            name = type(self).__name__
            raise ValueError(
                f"`clone_model`: it would make no {name} but a plain model, "
                "without its methods. copy.deepcopy(model) copies it with its "
                f"weights; {name}.from_config(model.get_config()) makes one "
                "with new weights."
            )
        return super()._run_through_graph(*args, **kwargs)  # type: ignore[misc]
