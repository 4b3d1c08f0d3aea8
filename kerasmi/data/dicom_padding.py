"""DICOM's padding: values around the picture that are no part of it."""


def padding_range(
    value: int | None, limit: int | None, bits: int, signed: bool
) -> tuple[int, int] | None:
    """The values that pad a picture, as decoded (PS3.3 C.7.5.1.1.2).

    Args:
        value: Pixel Padding Value, its 16 bits read as unsigned; None where
            the file has none.
        limit: Pixel Padding Range Limit, alike: with it all values from one
            to the other pad, whichever is the larger.
        bits: Bits Stored.
        signed: Whether the values are signed: stored ones of b bits come
            shifted up by 2^(b-1), as `dicom.decode` gives them.

    Returns:
        The first and the last value; None where no stored value pads.
    """
    if value is None:
        return None
    ends = [value, value if limit is None else limit]
    if signed:
        half = 2**15
        ends = [(end ^ half) - half + 2 ** (bits - 1) for end in ends]
    low, high = max(0, min(ends)), min(2**bits - 1, max(ends))
    return (low, high) if low <= high else None
