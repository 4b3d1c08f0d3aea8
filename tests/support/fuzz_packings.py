"""How files are packed: breaks them below compression and checksums."""

import gzip
import io
import json
import struct
import tarfile
import zipfile
import zlib

from fuzz_engine import broken

_NAMES = ("../a.xml", "/a.xml", "a/../../b", "C:\\a", "", "a", "a\nb.xml", "é")


def in_gzip(content, numbers):
    return gzip.compress(broken(gzip.decompress(content), numbers), 1)


def in_zip(content, numbers):
    """A member broken, renamed, less or twice; written as it was stored."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        how = archive.infolist()[0].compress_type
        members = [(n, archive.read(n)) for n in archive.namelist()]
    members = _members(members, numbers)
    made, seen = io.BytesIO(), set()
    if numbers.random() < 0.1:
        how = numbers.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(made, "w", how) as archive:
        for name, data in members:
            # a name given twice is a warning of zipfile's own
            if name not in seen:
                info = zipfile.ZipInfo(name)
                info.external_attr = numbers.choice((0o600, 0o600, 0o120777))
                info.external_attr <<= 16
                archive.writestr(info, data, how)
            seen.add(name)
    return made.getvalue()


def in_tar(mode):
    """A member broken, renamed, less, twice, or a link."""

    def change(content, numbers):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            members = [
                (m.name, archive.extractfile(m).read())
                for m in archive
                if m.isreg()
            ]
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode=f"w{mode}") as archive:
            for name, data in _members(members, numbers):
                info = tarfile.TarInfo(name)
                if numbers.random() < 0.05:
                    info.type = numbers.choice(
                        (tarfile.SYMTYPE, tarfile.LNKTYPE)
                    )
                    info.linkname = "../../etc/passwd"
                    data = b""
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return made.getvalue()

    return change


def _members(members, numbers):
    place = numbers.randrange(len(members))
    name, data = members[place]
    way = numbers.randrange(6)
    if way == 0:
        return [*members[:place], *members[place + 1 :]] or members
    if way == 1:
        return [*members, (numbers.choice(_NAMES) or f"{name}.xml", data)]
    if way == 2:
        return [
            *members[:place],
            (numbers.choice(_NAMES) or "x", data),
            *members[place + 1 :],
        ]
    changed = (name, broken(data, numbers))
    return [*members[:place], changed, *members[place + 1 :]]


def in_png(content, numbers):
    """Chunks broken, their checksums made right."""
    changed = broken(content, numbers)
    parts, at = [changed[:8]], 8
    while at + 12 <= len(changed):
        (length,) = struct.unpack_from(">I", changed, at)
        end = at + 8 + length
        if end + 4 > len(changed):
            break
        parts += [
            changed[at:end],
            struct.pack(">I", zlib.crc32(changed[at + 4 : end])),
        ]
        at = end + 4
    return b"".join(parts) + changed[at:]


def in_png_pixels(content, numbers):
    """A PNG of one IDAT with its pixels broken below the compression."""
    at = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, at)
    pixels = zlib.decompress(content[at + 8 : at + 8 + length])
    data = b"IDAT" + zlib.compress(broken(pixels, numbers))
    return b"".join(
        (
            content[:at],
            struct.pack(">I", len(data) - 4),
            data,
            struct.pack(">I", zlib.crc32(data)),
            content[at + 12 + length :],
        )
    )


def in_safetensors(content, numbers):
    """The header broken, its length made right; or the numbers."""
    (length,) = struct.unpack_from("<Q", content)
    header, data = content[8 : 8 + length], content[8 + length :]
    if numbers.random() < 0.8:
        header = broken(header, numbers)
    else:
        data = broken(data, numbers)
    return struct.pack("<Q", len(header)) + header + data


def json_text(value) -> bytes:
    return json.dumps(value, indent=2).encode()
