"""What glibc's allocator holds for a process."""

import ctypes

_NAMES = (
    *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
    *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
)


class _Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _NAMES]


def is_known() -> bool:
    """Whether this libc tells: glibc from 2.33 on."""
    return hasattr(ctypes.CDLL(None), "mallinfo2")


def in_use() -> float:
    """MiB that were allocated and are not freed.

    Resident memory is more: it has free pieces between these, of less than a
    page. Python's objects of up to 512 bytes are kept elsewhere.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = _Mallinfo2
    found = mallinfo2()
    return float(found.uordblks + found.hblkhd) / 2**20
