"""Adam and AdamW that update each variable in one kernel, as TensorFlow can.

Keras makes the update of some twenty operations for each variable: several
passes over the memory of a large one, and most of the time of a small one.
"""

import keras
import tensorflow as tf
from keras import ops

from kerasmi.types import Tensor


@keras.saving.register_keras_serializable(package="kerasmi")
class FusedAdam(keras.optimizers.Adam):
    """`keras.optimizers.Adam` in one kernel for each variable.

    The same update up to rounding (Kingma and Ba, 2015, the efficient form of
    section 2), but where an embedding meets a token twice in a batch: the
    second moment is of the whole gradient, as in the paper, while Keras 3 adds
    up the squares of its parts. Slots, config and files are those of Keras.
    """

    def update_step(
        self, gradient: Tensor, variable: Tensor, learning_rate: Tensor
    ) -> None:
        """Updates one variable and its two moments."""
        if self.amsgrad or variable.dtype not in (tf.float32, tf.float64):
            super().update_step(gradient, variable, learning_rate)
            return
        dtype = variable.dtype
        step = ops.cast(self.iterations + 1, dtype)
        # not by `ops.cast`, which goes through float32
        beta_1, beta_2, epsilon = (
            tf.constant(value, dtype)
            for value in (self.beta_1, self.beta_2, self.epsilon)
        )
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=ops.power(beta_1, step),
            beta2_power=ops.power(beta_2, step),
            lr=ops.cast(learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            # adds up the parts of an embedding's gradient
            grad=tf.cast(tf.convert_to_tensor(gradient), dtype),
        )


@keras.saving.register_keras_serializable(package="kerasmi")
class FusedAdamW(FusedAdam, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW` in one kernel for each variable."""
