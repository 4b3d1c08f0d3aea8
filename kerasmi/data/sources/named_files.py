"""Files of a release found by name; options checked by name."""

from collections.abc import Sequence
from pathlib import Path

from kerasmi.errors import DataError


def find(patterns: Sequence[str], places: Sequence[Path]) -> Path | None:
    """Returns the first file of a name, the plain one before the `.gz`.

    Args:
        patterns: Names, with `*` where a date or a version stands; the first
            that is found counts.
        places: Folders to look in, in this order.

    Returns:
        The file, or None.

    Raises:
        DataError: Two files of one folder match a pattern.
    """
    for folder in places:
        for pattern in patterns:
            for name in (pattern, f"{pattern}.gz"):
                found = sorted(p for p in folder.glob(name) if p.is_file())
                if len(found) > 1:
                    raise DataError(
                        f"{folder} has {found[0].name} and {found[1].name}; "
                        "name the one to read, as a file."
                    )
                if found:
                    return found[0]
    return None


def require(
    patterns: Sequence[str], places: Sequence[Path], what: str, remedy: str
) -> Path:
    """Returns what `find` finds.

    Args:
        patterns: See `find`.
        places: See `find`.
        what: What the file is, for the message.
        remedy: What to do without it, for the message.

    Raises:
        DataError: Says what was looked for, and where.
    """
    file = find(patterns, places)
    if file is None:
        names = ", ".join(f"{pattern}[.gz]" for pattern in patterns)
        where = ", ".join(str(folder) for folder in places)
        raise DataError(f"no {what}: looked for {names} in {where}. {remedy}")
    return file


def existing(given: str | Path) -> Path:
    """Returns a path that exists, or raises a `DataError`."""
    path = Path(given)
    if not path.exists():
        raise DataError(f"{path} does not exist; give the path of what does.")
    return path


def existing_or_none(given: str | Path | None) -> Path | None:
    """Returns a path that exists, or None where none is given."""
    return None if given is None else existing(given)


def choose(option: str, value: str, choices: Sequence[str]) -> None:
    """Raises a `DataError` where an option has none of its values."""
    if value not in choices:
        raise DataError(
            f"{typed(option)} must be one of {', '.join(choices)}, received "
            f"{value!r}."
        )


def typed(option: str) -> str:
    """Returns an argument's name as it is typed in a command."""
    return f"--{option.replace('_', '-')}"


def unused(chooser: str, value: str, **given: object) -> None:
    """Raises a `DataError` where a file is given that nothing would read.

    Args:
        chooser: An option.
        value: Its value; where that is `"none"`, nothing is read.
        given: Options that name its files, None where not given.
    """
    for option, file in given.items():
        if value == "none" and file is not None:
            raise DataError(
                f"{typed(option)} is given but {typed(chooser)} is none; leave "
                "one out."
            )
