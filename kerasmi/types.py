"""The one alias that strict typing with Keras needs."""

from typing import Any, TypeAlias

# keras.KerasTensor, tf.Tensor, np.ndarray or anything keras.ops accepts.
Tensor: TypeAlias = Any
