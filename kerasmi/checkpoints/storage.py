"""The numbers behind a tensor of PyTorch or of safetensors."""

from typing import Any

import numpy as np

_DTYPES = {
    "FloatStorage": "f4",
    "DoubleStorage": "f8",
    "HalfStorage": "f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_SAFETENSORS = {
    "F32": "f4",
    "F64": "f8",
    "F16": "f2",
    "BF16": "bfloat16",
    "I64": "i8",
    "I32": "i4",
    "I16": "i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


class StorageType:
    """A type of numbers, under the name that PyTorch has for it."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


def storage_types() -> dict[str, StorageType]:
    """All of them, by the name that a pickle asks for."""
    return {
        f"torch {name}": StorageType(dtype) for name, dtype in _DTYPES.items()
    }


def safetensors_type(name: str) -> StorageType:
    """The type that a safetensors file calls `name`.

    Raises:
        ValueError: a type that no BERT is stored in.
    """
    if name not in _SAFETENSORS:
        raise ValueError(f"numbers of the type {name}")
    return StorageType(_SAFETENSORS[name])


class Storage:
    """A line of numbers; several tensors may be views of it.

    Args:
        kind: the type of the numbers.
        count: how many.
        big_endian: order of the bytes.
    """

    def __init__(self, kind: Any, count: Any, big_endian: bool = False) -> None:
        if not isinstance(kind, StorageType) or type(count) is not int:
            raise TypeError("a storage of an unknown type")
        if count < 0:
            raise ValueError("a storage of a negative size")
        self.count = count
        self._order = ">" if big_endian else "<"
        self._bfloat16 = kind.dtype == "bfloat16"
        self._dtype = "u2" if self._bfloat16 else kind.dtype
        self._values: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Its size in the file."""
        return self.count * np.dtype(self._dtype).itemsize

    def fill(self, content: bytes) -> None:
        """Takes the numbers from the bytes of the file."""
        if len(content) != self.nbytes:
            raise ValueError("a storage of another size than announced")
        values = np.frombuffer(content, self._order + self._dtype)
        if self._bfloat16:
            # the upper half of a float32
            values = (values.astype("u4") << 16).view("f4")
        self._values = values.astype(values.dtype.newbyteorder("="))

    @property
    def values(self) -> np.ndarray:
        """The numbers, one axis."""
        if self._values is None:
            raise ValueError("a storage that the file does not hold")
        return self._values
