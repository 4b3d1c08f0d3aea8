"""All that a training changes, as named arrays."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kerasmi.errors import RunError
from kerasmi.folder import CHECKPOINT


def of_model(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """All that training changes: the model's, the optimizer's, the loss's."""
    objective = getattr(model, "objective", None)
    kept = vars(objective).values() if objective is not None else ()
    parts = {
        # more than its weights: the state of the seed generators too
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "loss": [v for v in kept if isinstance(v, keras.Variable)],
    }
    for part, variables in parts.items():
        yield from ((f"{part}/{i:05}", v) for i, v in enumerate(variables))


def of_metrics(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """What the metrics of an epoch begun have added up."""
    variables = model.metrics_variables
    yield from ((f"metrics/{i:05}", v) for i, v in enumerate(variables))


def arrays(
    variables: Iterator[tuple[str, Any]],
) -> Iterator[tuple[str, np.ndarray]]:
    """Copies of the values; bfloat16, which numpy lacks, as float32."""
    for name, variable in variables:
        value = np.array(variable)
        yield (
            name,
            value.astype("float32") if value.dtype.kind == "V" else value,
        )


def restore(
    model: keras.Model, saved: Mapping[str, np.ndarray], folder: Path
) -> None:
    """Puts back what `of_model` gave.

    Args:
        model: compiled as the one that was saved.
        saved: its arrays, by name; those of metrics are left alone.
        folder: of the stage, for messages.

    Raises:
        RunError: they are of another model.
    """
    assign(of_model(model), saved, folder)
    told = sum(not name.startswith("metrics/") for name in saved)
    if told != sum(1 for _ in of_model(model)):
        raise _another_model(folder)


def assign(
    variables: Iterator[tuple[str, Any]],
    saved: Mapping[str, np.ndarray],
    folder: Path,
) -> None:
    """Puts the arrays of these names into the variables.

    Raises:
        RunError: one is not there, or of another shape.
    """
    for name, variable in variables:
        value = saved.get(name)
        if value is None or value.shape != tuple(variable.shape):
            raise _another_model(folder)
        variable.assign(value)


def _another_model(folder: Path) -> RunError:
    return RunError(
        f"{folder / CHECKPOINT}: is of another model than this version of"
        " kerasmi makes; remove it, and the stage starts anew"
    )
