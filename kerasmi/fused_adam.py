"""Adam and AdamW that update each variable in one kernel, as TensorFlow can.

Keras makes the update of some twenty operations for each variable: several
passes over the memory of a large one, and most of the time of a small one.
What all variables share in a step is worked out once.
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import ops

from kerasmi.types import Tensor


class _Shared(NamedTuple):
    """What the variables of one dtype share in a step, scalars."""

    learning_rate: Tensor
    beta_1_power: Tensor
    beta_2_power: Tensor


@keras.saving.register_keras_serializable(package="kerasmi")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` in one kernel for each variable.

    The same update up to rounding (Kingma and Ba, 2015, the efficient form of
    section 2), but where an embedding meets a token twice in a batch: the
    second moment is of the whole gradient, as in the paper, while Keras 3 adds
    up the squares of its parts. Slots, config and files are those of Keras.
    """

    def _backend_update_step(
        self,
        grads: list[Tensor],
        trainable_variables: list[Any],
        learning_rate: Any,
    ) -> None:
        # what stands for the rate is handed on to `update_step` as it is
        if all(map(self._is_fusible, trainable_variables)):
            dtypes = {v.dtype for v in map(_native, trainable_variables)}
            learning_rate = {
                dtype.name: self._shared(learning_rate, dtype)
                for dtype in sorted(dtypes, key=str)
            }
        super()._backend_update_step(grads, trainable_variables, learning_rate)

    def update_step(
        self, gradient: Tensor, variable: Tensor, learning_rate: Any
    ) -> None:
        """Updates one variable and its two moments."""
        if not isinstance(learning_rate, dict):
            super().update_step(gradient, variable, learning_rate)
            return
        dtype = variable.dtype
        shared = learning_rate[dtype.name]
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=shared.beta_1_power,
            beta2_power=shared.beta_2_power,
            lr=shared.learning_rate,
            beta1=tf.constant(self.beta_1, dtype),
            beta2=tf.constant(self.beta_2, dtype),
            epsilon=tf.constant(self.epsilon, dtype),
            # adds up the parts of an embedding's gradient
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )

    def _is_fusible(self, variable: Any) -> bool:
        return not self.amsgrad and variable.dtype in ("float32", "float64")

    def _shared(self, learning_rate: Any, dtype: tf.DType) -> _Shared:
        step = ops.cast(self.iterations + 1, dtype)
        # not by `ops.cast`, which goes through float32
        betas = (tf.constant(b, dtype) for b in (self.beta_1, self.beta_2))
        return _Shared(
            ops.cast(learning_rate, dtype),
            *(ops.power(beta, step) for beta in betas),
        )


def _native(variable: Any) -> Any:
    return variable.value if isinstance(variable, keras.Variable) else variable


@keras.saving.register_keras_serializable(package="kerasmi")
class FusedAdamW(FusedAdam, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` in one kernel for each variable."""
