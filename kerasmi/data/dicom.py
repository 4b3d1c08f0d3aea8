"""DICOM pixels in the graph, by tensorflow-io; nothing else imports it.

DCMTK, inside it, writes complaints to the standard error stream by itself;
they cannot be caught, and nothing here depends on them.
"""

import tensorflow as tf

from kerasmi.errors import DataError
from kerasmi.types import Tensor


def decode(content: Tensor) -> Tensor:
    """Decodes one gray DICOM file with a header made by `plain`.

    Args:
        content: Scalar string.

    Returns:
        `(H, W, 1)` uint16: the stored values; signed ones of b bits stored
        shifted up by 2^(b-1).

    Raises:
        DataError: tensorflow-io is not installed or does not load.
    """
    frames = _operation()(
        content,
        color_dim=False,
        on_error="strict",
        scale="preserve",
        dtype=tf.uint16,
    )
    return tf.ensure_shape(frames[0], (None, None, 1))


def require() -> None:
    """Raises the `DataError` of `decode` where DICOM cannot be decoded."""
    _operation()


def available() -> bool:
    """Whether DICOM can be decoded here."""
    try:
        _operation()
    except DataError:
        return False
    return True


def _operation() -> Tensor:
    try:
        import tensorflow_io as tfio

        return tfio.image.decode_dicom_image
    # An operation library that does not fit is NotImplementedError.
    except (ImportError, NotImplementedError, tf.errors.OpError) as error:
        raise DataError(
            "DICOM images need tensorflow-io, whose last release works with "
            f"TensorFlow 2.16 (here: {tf.__version__}). Install it with "
            "`pip install 'kerasmi[dicom]'`. PNG and JPEG images, training "
            "and everything else work without it."
        ) from error
