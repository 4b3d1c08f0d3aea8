"""Files broken at random, the same every time: one engine for all readers.

`mutant` breaks the bytes of a file, or what lies below its packing or its
checksums, where it is told how the file is packed (`fuzz_packings`).
"""

import json
import random
import re
import struct
from collections.abc import Callable, Iterator

# What broke readers before, or may: of numbers, paths, XML, JSON and YAML.
NUMBERS = (
    *("-1", "0", "1", "2", "3", "-2", "1.0", "0.5", "-0", "1e400", "1e-400"),
    *("nan", "NaN", "inf", "-inf", "+1", "0x10", "1_000", "01", "٣", "1,5"),
    *("2147483648", "-9223372036854775809", "9" * 20, "9" * 400, "9" * 5000),
)
WORDS = (
    *("", " ", "null", "true", "None", "[]", "{}", '""', "'", '"', '"a', "a"),
    *("../../etc/passwd", "/etc/passwd", "C:\\x", ".", "..", "a/b", "\\", "-"),
    *(
        "é",
        "e\u0301",
        "\u2028",
        "\ufffd",
        "\u200b",
        "\ufeff",
        "心",
        "😀",
        "\x85",
    ),
    *("\t", "\v", "\x1b[2J", "\r", "\n", "\r\n", "\0", "%s", "{0}", "=1+1"),
    *("<!DOCTYPE a>", "<!--", "]]>", "&lt;", "&a;", "&#0;", "<a>", "</a>"),
    *(
        "&a",
        "*a",
        "<<: *a",
        "- ",
        ": ",
        "#",
        "|",
        ">",
        "? ",
        "!!python/name:os",
    ),
    *("\\ud800", "\\u0000", "[" * 3000, "{'a':" * 3000, '{"a":' * 3000),
    "!!python/object/apply:os.system ['false']",
    "&a [" + "*a," * 50 + "]",
    "x" * 300,
    "long " * 4000,
)
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "cp1252", "cp037", "utf-8-sig")
_INTEGERS = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WORD = re.compile(r"[^\s,:;<>\"'/=\[\]{}]+")

Break = Callable[[bytes, random.Random], bytes]


def mutant(whole: bytes, number: int, packings: tuple[Break, ...] = ()):
    """Copy `number` of a file, broken in one to four ways.

    Args:
        whole: the bytes of a valid file.
        number: another one, another copy; the same one, the same copy.
        packings: each breaks the file below its packing; one copy in two.
    """
    numbers = random.Random(number)
    if packings and numbers.random() < 0.6:
        return numbers.choice(packings)(whole, numbers)
    return broken(whole, numbers)


def mutants(whole: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """The first `count` copies, of another series for another seed."""
    for number in range(count):
        yield mutant(whole, number + 1_000_000 * seed)


def broken(content: bytes, numbers: random.Random) -> bytes:
    """The bytes, broken as bytes or, where they are text, as text."""
    for _ in range(numbers.choice((1, 1, 1, 2, 4))):
        ways = _BYTES
        if numbers.random() < 0.7 and _is_text(content):
            ways = _TEXT
        content = numbers.choice(ways)(content, numbers)
    return content


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content[:4096].decode()
    except UnicodeDecodeError as error:
        return error.start > 4000


# === bytes ===


def _cut(content, numbers):
    return content[: numbers.randrange(len(content) + 1)]


def _cut_off_the_last(content, numbers):
    return content[: -numbers.randrange(1, 20)]


def _flip(content, numbers):
    if not content:
        return content
    changed = bytearray(content)
    for _ in range(numbers.choice((1, 1, 3, 30))):
        changed[_place(content, numbers)] ^= 1 << numbers.randrange(8)
    return bytes(changed)


def _overwrite(content, numbers):
    """An integer of one to eight bytes: a length, a count, an offset."""
    at, code = _place(content, numbers), numbers.choice("BHIQ")
    value = numbers.choice(_INTEGERS) & (256 ** struct.calcsize(code) - 1)
    packed = struct.pack(numbers.choice("<>") + code, value)
    return content[:at] + packed + content[at + len(packed) :]


def _delete(content, numbers):
    at, length = _place(content, numbers), numbers.randrange(1, 100)
    return content[:at] + content[at + length :]


def _repeat(content, numbers):
    at, length = _place(content, numbers), numbers.randrange(1, 100)
    return content[:at] + content[at : at + length] * 2 + content[at + length :]


def _insert(content, numbers):
    at = _place(content, numbers)
    more = numbers.choice((b"\0", b"\xff", b"\n", b" ", None))
    length = numbers.choice((1, 2, 16, 300))
    more = numbers.randbytes(length) if more is None else more * length
    return content[:at] + more + content[at:]


def _splice(content, numbers):
    """The beginning up to one place, then the end from another."""
    one, other = _place(content, numbers), _place(content, numbers)
    return content[:one] + content[other:]


def _blank(content, numbers):
    at, length = _place(content, numbers), numbers.randrange(1, 200)
    filler = numbers.choice((b"\0", b"\xff", b" "))
    there = len(content[at : at + length])
    return content[:at] + filler * there + content[at + there :]


def _place(content, numbers):
    """Anywhere, or near the start or the end, where headers are."""
    size = max(1, len(content))
    near = numbers.choice((size, size, 64, 512))
    place = numbers.randrange(min(size, near))
    return size - 1 - place if numbers.random() < 0.2 else place


_BYTES = (
    *(_cut, _cut_off_the_last, _flip, _flip, _overwrite, _delete),
    *(_repeat, _insert, _splice, _blank),
)


# === text ===


def _on_text(change):
    """A change of text as a change of bytes."""

    def changed(content, numbers):
        text = content.decode(errors="surrogateescape")
        return change(text, numbers).encode(errors="surrogateescape")

    return changed


def _one(pattern, text, numbers, news):
    """One match of a pattern replaced by one of `news`."""
    found = list(pattern.finditer(text))
    if not found:
        return text + numbers.choice(news)
    match = numbers.choice(found)
    new = numbers.choice(news)
    return text[: match.start()] + new + text[match.end() :]


def _number(text, numbers):
    return _one(_NUMBER, text, numbers, NUMBERS)


def _word(text, numbers):
    return _one(_WORD, text, numbers, WORDS)


def _other_word(text, numbers):
    words = _WORD.findall(text) or ["a"]
    return _one(_WORD, text, numbers, words)


def _put_in(text, numbers):
    at = _place(text, numbers)
    return text[:at] + numbers.choice(WORDS) + text[at:]


def _lines(text, numbers):
    """A line less, twice, or in another place."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text
    line = lines.pop(numbers.randrange(len(lines)))
    for _ in range(numbers.choice((0, 1, 2))):
        lines.insert(numbers.randrange(len(lines) + 1), line)
    return "".join(lines)


def _columns(text, numbers):
    """A column less, twice, in another place, or under another name."""
    separator = max(",\t", key=text.partition("\n")[0].count)
    rows = [line.split(separator) for line in text.split("\n")]
    place = numbers.randrange(len(rows[0]))
    way, new = numbers.randrange(5), numbers.randrange(len(rows[0]))
    if way == 0:
        rows[0][place] = numbers.choice((rows[0][new], "x", "", " ", "subject"))
        rows = rows[:1] + rows[1:]
    for row in rows if way else ():
        if place < len(row):
            cell = row[place] if way == 1 else row.pop(place)
            row[new:new] = [] if way == 2 else [cell]
    return "\n".join(separator.join(row) for row in rows)


def _line_ends(text, numbers):
    return text.replace("\n", numbers.choice(("\r\n", "\r", "\n\n", " \n", "")))


def _encoding(text, numbers):
    name = numbers.choice(ENCODINGS)
    return text.encode(name, "replace").decode(errors="surrogateescape")


def _json(text, numbers):
    """Another value somewhere in a JSON file, or a key less."""
    try:
        found = json.loads(text)
    except ValueError:
        return _word(text, numbers)
    places = list(_places(found))
    if not places:
        return numbers.choice(("null", "[]", "{}", "1", '"a"'))
    holder, key = numbers.choice(places)
    if isinstance(holder, dict) and numbers.random() < 0.2:
        del holder[key]
    else:
        values = (None, True, False, -1, 0, 1, 1.5, 2**31, 10**25, float("nan"))
        texts = ("", "a", "1", "x" * 300, "../a", "\ud800", "\0", "a\nb")
        others = [other[name] for other, name in places]
        new = numbers.choice(
            (*values, *texts, [], [1], {}, {"a": 1}, [[]] * 3)
            if numbers.random() < 0.8
            else others
        )
        holder[key] = json.loads(json.dumps(new))
    return json.dumps(found, indent=numbers.choice((None, 2)))


def _places(found):
    """Every value of a JSON file: what holds it, and under which key."""
    items = ()
    if isinstance(found, dict):
        items = list(found.items())
    elif isinstance(found, list):
        items = list(enumerate(found))
    for key, value in items:
        yield found, key
        yield from _places(value)


_TEXT = (
    *map(_on_text, (_number, _number, _word, _word, _other_word, _put_in)),
    *map(_on_text, (_lines, _lines, _columns, _columns, _line_ends)),
    *map(_on_text, (_encoding, _json)),
    *(_cut, _flip, _delete, _repeat, _splice),
)
