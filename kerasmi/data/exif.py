"""How a picture is to be turned before it is shown: EXIF's Orientation."""

import struct

_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_TAG, _SHORT = 0x0112, 3
UPRIGHT = 1


def orientation(block: bytes) -> int:
    """Reads the orientation out of an EXIF block (Exif 2.3, 4.6.4 A).

    Args:
        block: From the TIFF header on.

    Returns:
        1 to 8; 1, which is upright, where the block tells none, is damaged or
        tells another number, as every reader has it.
    """
    order = _ORDERS.get(block[:4])
    if order is None or len(block) < 8:
        return UPRIGHT
    (at,) = struct.unpack_from(order + "I", block, 4)
    if at + 2 > len(block):
        return UPRIGHT
    (entries,) = struct.unpack_from(order + "H", block, at)
    for start in range(at + 2, at + 2 + 12 * entries, 12):
        if start + 12 > len(block):
            break
        tag, kind, _, value = struct.unpack_from(order + "HHIH", block, start)
        if (tag, kind) == (_TAG, _SHORT):
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
