"""Which column of a user's table is what."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from kerasmi.errors import DataError

COLUMNS = (
    "image",
    "image_id",
    "subject",
    "study",
    "view",
    "split",
    "text",
    "findings",
    "impression",
)
_OUR_NAMES = {name: (name,) for name in COLUMNS} | {
    "subject": ("subject", "subject_id"),
    "study": ("study", "study_id"),
}


def found(
    file: Path,
    there: Sequence[str],
    told: Mapping[str, str],
    others: Collection[str],
) -> dict[str, str]:
    """Returns the columns told, and those that have our names.

    Our names are found in any capitals. A column that has one in other
    capitals and is told to be something else is that alone.

    Args:
        file: The table, for messages.
        there: Its columns.
        told: One of `COLUMNS` to a column, as it stands; or a pattern.
        others: Columns told to be labels.

    Raises:
        DataError: Two columns have one of our names.
    """
    taken = {*told.values(), *others}
    columns = dict(told)
    for name, ours in _OUR_NAMES.items():
        if name in told:
            continue
        hits = [
            column
            for column in there
            if column in ours
            or (column.casefold() in ours and column not in taken)
        ]
        if len(hits) > 1:
            raise DataError(
                f"{file}: the columns {' and '.join(map(repr, hits))} may both"
                f" be the {name}; say which it is (--{name.replace('_', '-')})."
            )
        columns.update((name, column) for column in hits)
    return {name: columns[name] for name in COLUMNS if name in columns}


def ours(key: str, told: Collection[str]) -> bool:
    """Whether a key would be found by its name.

    Args:
        key: A column's name.
        told: Those of `COLUMNS` that need not be found.
    """
    return any(
        key.casefold() in names
        for name, names in _OUR_NAMES.items()
        if name not in told
    )
