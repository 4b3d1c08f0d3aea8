"""Why rows were refused, in words that may stand in a message."""

import re
from collections import Counter
from collections.abc import Iterable

from kerasmi.data.audit import Refusal

_LONGEST = 200  # characters of a reason
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"[^\"]*\"")
_NUMBER = re.compile(r"(\d+)")


def commonest(refused: Iterable[Refusal]) -> tuple[str, int]:
    """Returns the reason that most rows have, and how many have it.

    Reasons that differ in a quoted cell or in a number are one. A cell stands
    as `'...'`, since it may be a report or a person's id, even that of a
    label's column; a number that is not the same for all stands as `N`.

    Args:
        refused: At least one row.
    """
    times: Counter[tuple[str, ...]] = Counter()
    shown: dict[tuple[str, ...], list[str]] = {}
    for check, _, _, reason in refused:
        text = _QUOTED.sub("'...'", f"{check}: {reason}")
        # Words and numbers by turns, words first.
        parts = _NUMBER.split(text)
        words = tuple(parts[::2])
        times[words] += 1
        first = shown.setdefault(words, parts)
        for at in range(1, len(parts), 2):
            if first[at] != parts[at]:
                first[at] = "N"
    words, number = times.most_common(1)[0]
    return "".join(shown[words])[:_LONGEST], number
