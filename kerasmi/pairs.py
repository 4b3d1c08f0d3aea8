"""Which image-text pairs are matched, negative or ignored: from study ids."""

import numbers

import keras
from keras import ops

from kerasmi.types import Tensor

MATCHED, NEGATIVE, IGNORED = 1, 0, -1


def label_pairs(study_ids: Tensor, texts_per_image: int | Tensor = 1) -> Tensor:
    """Labels every pair of an image and a text of one batch.

    The text `c = (j, k)` is text `k` of image `j = c // K`. It is matched with
    its own image, and ignored for other images of the same study: such a pair
    is a sample neither of the joint nor of the product of the marginals.

    Args:
        study_ids: `(B,)` integers, the study of each image.
        texts_per_image: `K`, the number of texts drawn for each image; a
            scalar tensor where it is not known beforehand.

    Returns:
        `(B, B * K)` int32: `1` matched, `0` negative (another study), `-1`
        ignored.

    Raises:
        ValueError: If the ids are not a vector of integers (float32 merges
            neighbouring ids), or `texts_per_image` is below one.
    """
    study_ids = ops.convert_to_tensor(study_ids)
    _check_arguments(study_ids, texts_per_image)
    same_study = ops.equal(study_ids[:, None], study_ids[None, :])
    own = ops.eye(ops.shape(study_ids)[0], dtype="bool")
    labels = ops.where(own, MATCHED, ops.where(same_study, IGNORED, NEGATIVE))
    labels = ops.cast(labels, "int32")
    return ops.repeat(labels, texts_per_image, axis=1)


def positives(pairs: Tensor) -> Tensor:
    """The mask of matched pairs, samples of the joint: bool, as `pairs`."""
    return ops.equal(pairs, MATCHED)


def negatives(pairs: Tensor) -> Tensor:
    """The mask of samples of the product of the marginals: bool, as `pairs`."""
    return ops.equal(pairs, NEGATIVE)


def require_negatives(pairs: Tensor) -> Tensor:
    """Refuses a batch in which no image has a negative.

    Args:
        pairs: `(B, C)` labels of `label_pairs`. Only values are checked: a
            symbolic tensor passes, and its bound is NaN without negatives.

    Returns:
        `pairs`.

    Raises:
        ValueError: If no pair is negative.
    """
    if _is_symbolic(pairs):
        return pairs
    if not bool(ops.any(negatives(pairs))):
        raise ValueError(
            "Expected images of at least two studies in a batch. Received: "
            f"pairs of shape {tuple(pairs.shape)} without a negative. Use a "
            "larger batch, or shuffle so that a batch mixes studies."
        )
    return pairs


def _check_arguments(study_ids: Tensor, texts_per_image: int | Tensor) -> None:
    dtype = keras.backend.standardize_dtype(study_ids.dtype)
    if len(study_ids.shape) != 1 or "int" not in dtype:
        raise ValueError(
            "Expected `study_ids` to be a vector of integers. Received: shape "
            f"{tuple(study_ids.shape)}, dtype {dtype}. Give one int64 id per "
            "image; float32 cannot tell neighbouring ids apart."
        )
    is_known = isinstance(texts_per_image, numbers.Integral)
    if is_known and texts_per_image < 1:
        raise ValueError(
            "Expected `texts_per_image` to be at least 1. "
            f"Received: texts_per_image={texts_per_image}"
        )


def _is_symbolic(x: Tensor) -> bool:
    # A graph's tensor is a tensor without a value; a numpy array has one.
    if isinstance(x, keras.KerasTensor):
        return True
    return bool(ops.is_tensor(x)) and not hasattr(x, "numpy")
