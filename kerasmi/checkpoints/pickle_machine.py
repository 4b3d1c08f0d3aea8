"""The few instructions of a pickle that a state dict is made of.

A pickle is a program, and its usual reader runs it. This one knows what
tensors need; every name that a file asks for beside those is refused.
"""

import math
import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from kerasmi.checkpoints.storage import Storage, storage_types
from kerasmi.errors import CheckpointError

_PUSHED = {
    *("BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "UNICODE", "BINUNICODE8"),
    *("BINSTRING", "SHORT_BINSTRING"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass(frozen=True)
class Tensor:
    """A view of a storage; sizes and strides in elements."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> np.ndarray:
        """Its numbers, copied.

        Raises:
            ValueError: sizes that are none, or beyond the storage.
        """
        flat = self.storage.values
        numbers = (self.offset, *self.size, *self.stride)
        if any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("a tensor with a size that is not a number")
        if len(self.size) != len(self.stride) or len(self.size) > 8:
            raise ValueError("a tensor with another number of sizes")
        count = math.prod(self.size)
        steps = zip(self.size, self.stride, strict=True)
        last = self.offset + sum((n - 1) * step for n, step in steps)
        if count > len(flat) or (count and last >= len(flat)):
            raise ValueError("a tensor larger than its storage")
        if not count:
            return np.empty(self.size, flat.dtype)
        strides = [step * flat.itemsize for step in self.stride]
        return np.lib.stride_tricks.as_strided(
            flat[self.offset :], self.size, strides
        ).copy()


# === What a state dict may ask for ===


def _rebuild_tensor(
    storage: Storage, offset: int, size: Any, stride: Any, *_: Any
) -> Tensor:
    # what follows says whether gradients were wanted, and hooks
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    return Tensor(storage, offset, tuple(size), tuple(stride))


def _rebuild_parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


def _ordered(*pairs: Any) -> dict[Any, Any]:
    return dict(*pairs)


_KNOWN: dict[str, Any] = {
    "collections OrderedDict": _ordered,
    "torch._utils _rebuild_tensor": _rebuild_tensor,
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "torch Size": tuple,
    **storage_types(),
}
_CALLABLE = (_ordered, _rebuild_tensor, _rebuild_parameter, tuple)


class Machine:
    """Interprets the instructions of one pickle.

    Args:
        storage: called with the identity of a storage, as the file has it.
    """

    def __init__(self, storage: Callable[[tuple[Any, ...]], Storage]) -> None:
        self._storage = storage
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, program: IO[bytes]) -> Any:
        """What the program leaves; reads to its end and no further."""
        with warnings.catch_warnings():
            # pickletools warns of some damage to strings, and reads on
            warnings.simplefilter("error", DeprecationWarning)
            try:
                return self._run(program)
            except DeprecationWarning as damage:
                raise ValueError(str(damage)) from None

    def _run(self, program: IO[bytes]) -> Any:
        for opcode, argument, _ in pickletools.genops(program):
            if opcode.name == "STOP":
                return self._stack.pop()
            self._step(opcode.name, argument)
        raise ValueError("a pickle without an end")

    def _step(self, name: str, argument: Any) -> None:
        if name in _PUSHED:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            self._stack.append(tuple(self._take(_TUPLES[name])))
        elif step := getattr(self, f"_do_{name.lower()}", None):
            step(argument)
        else:
            raise CheckpointError(
                f"refused: a state dict has no instruction {name}"
            )

    def _take(self, count: int) -> list[Any]:
        if len(self._stack) < count:
            raise ValueError("an instruction without its operands")
        taken = self._stack[-count:]
        del self._stack[-count:]
        return taken

    def _take_to_mark(self) -> list[Any]:
        taken: list[Any] = []
        while (top := self._stack.pop()) is not _MARK:
            taken.append(top)
        return taken[::-1]

    def _do_proto(self, version: int) -> None:
        """Nothing to do: all that matters follows."""

    _do_frame = _do_proto

    def _do_mark(self, _: Any) -> None:
        self._stack.append(_MARK)

    def _do_tuple(self, _: Any) -> None:
        self._stack.append(tuple(self._take_to_mark()))

    def _do_binput(self, key: int) -> None:
        self._memo[key] = self._stack[-1]

    _do_put = _do_long_binput = _do_binput

    def _do_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_binget(self, key: int) -> None:
        self._stack.append(self._memo[key])

    _do_get = _do_long_binget = _do_binget

    def _do_global(self, name: str) -> None:
        if name not in _KNOWN:
            raise CheckpointError(
                f"refused: it asks for `{name.replace(' ', '.')}`, which is"
                " no part of a state dict and is not executed; save"
                " `model.state_dict()` alone"
            )
        self._stack.append(_KNOWN[name])

    def _do_stack_global(self, _: Any) -> None:
        module, name = self._take(2)
        self._do_global(f"{module} {name}")

    def _do_reduce(self, _: Any) -> None:
        function, arguments = self._take(2)
        if function not in _CALLABLE or not isinstance(arguments, tuple):
            raise CheckpointError("refused: a call of what is no function")
        self._stack.append(function(*arguments))

    def _do_build(self, _: Any) -> None:
        # attributes of the dictionary: versions of modules, of no use here
        made, _state = self._take(2)
        if not isinstance(made, dict):
            raise CheckpointError("refused: an object with a state")
        self._stack.append(made)

    def _do_setitem(self, _: Any) -> None:
        key, value = self._take(2)
        self._stack[-1][key] = value

    def _do_setitems(self, _: Any) -> None:
        pairs = self._take_to_mark()
        self._stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))

    def _do_append(self, _: Any) -> None:
        (value,) = self._take(1)
        self._stack[-1].append(value)

    def _do_appends(self, _: Any) -> None:
        values = self._take_to_mark()
        self._stack[-1].extend(values)

    def _do_binpersid(self, _: Any) -> None:
        (identity,) = self._take(1)
        if not isinstance(identity, tuple) or identity[0] != "storage":
            raise ValueError("an identity of something else than a storage")
        self._stack.append(self._storage(identity))
