"""Tables, JSON lines and archives broken at random, the same every time."""

import random

STUFF = [bytes([c]) for c in b',"\n\r\0\xff\xfe./\\-1sp '] + [
    "é\u2028\ufffd٣".encode(),
    b"../../",
    b"nan",
    b"99999999999999999999",
]


def mutants(content, count, seed=0):
    """`count` broken copies of the bytes of a file."""
    numbers = random.Random(seed)
    for _ in range(count):
        broken = bytearray(content)
        for _ in range(numbers.choice([1, 1, 2, 8])):
            _break(broken, numbers)
        yield bytes(broken)


def _break(content, numbers):
    place = numbers.randrange(len(content) + 1)
    length = numbers.randrange(1, 100)
    kind = numbers.choice(["change", "cut", "delete", "repeat", "insert"])
    if kind == "change":
        content[place : place + 1] = bytes([numbers.randrange(256)])
    elif kind == "cut":
        del content[place:]
    elif kind == "delete":
        del content[place : place + length]
    elif kind == "repeat":
        content[place:place] = content[place : place + length]
    else:
        content[place:place] = numbers.choice(STUFF)


def read_or_say_why(make, audit, error):
    """The items of a source, checked; or none where it says what is wrong.

    Any other error, a label of no known value, a file that is not there or a
    subject in two sets fails the test.
    """
    items, said = [], ""
    try:
        items = list(make().items(audit))
    except error as fault:
        said = str(fault)
    assert "\n" not in said
    splits = {}
    for item in items:
        assert splits.setdefault(item.subject_id, item.split) == item.split
        assert item.image.is_file()
        for label, value in item.labels.items():
            top = 3 if label == "Edema Severity" else 1
            assert -2 <= value <= top, label
    return items
