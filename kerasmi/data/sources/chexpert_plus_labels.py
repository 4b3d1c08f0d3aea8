"""Labels of CheXpert Plus: one JSON object on each line."""

import json
from pathlib import Path
from typing import Any

from kerasmi.data.schema import CHEXPERT14
from kerasmi.data.sources import (
    chexpert_labels,
    chexpert_paths,
    csv_files,
    named_files,
)
from kerasmi.data.sources.base import Audit
from kerasmi.errors import DataError

LABELLERS = ("report", "findings", "impression", "none")
PATH = "path_to_image"
_FOLDER = "chexbert_labels"


def locate(given: Path | None, root: Path, labeller: str) -> Path | None:
    """Finds the label file.

    Args:
        given: The file, or its folder; None looks in `root`.
        root: The folder of the release's CSV.
        labeller: One of `LABELLERS`.

    Returns:
        The file; None for the labeller `"none"`.

    Raises:
        DataError: Says what was looked for and where, or that the file is
            of another kind.
    """
    named_files.choose("labeller", labeller, LABELLERS)
    named_files.unused("labeller", labeller, labels=given)
    if labeller == "none":
        return None
    if given is not None and given.is_file():
        for other in LABELLERS:
            if other != labeller and given.name.startswith(f"{other}_"):
                raise DataError(
                    f"{given} has the labels of {other}, but --labeller is "
                    f"{labeller}; make them agree."
                )
        file = given
    else:
        folder = given or root
        file = named_files.require(
            [f"{labeller}_fixed.json", f"{labeller}_fixed.jsonl"],
            [folder, folder / _FOLDER],
            f"{labeller} labels",
            "Give the folder chexbert_labels of CheXpert Plus as --labels; "
            "--labeller none goes without.",
        )
    _check(file)
    return file


def read(file: Path, audit: Audit) -> dict[str, bytes]:
    """Reads the labels of all images.

    Args:
        file: One JSON object on each line, with `path_to_image`.
        audit: Told of refused lines.

    Returns:
        Image id to 14 signed bytes, the labels in the order of `CHEXPERT14`.
    """
    found: dict[str, bytes] = {}
    for number, line in enumerate(csv_files.text_lines(file), 1):
        if not line.strip():
            continue
        origin = f"{file.name}:{number}"
        entry = _object(line)
        image = chexpert_paths.parse(str(entry.get(PATH, "")))
        labels = chexpert_labels.from_json(entry)
        if image is None:
            audit.removed(
                "label line not understood",
                origin,
                f"expected a JSON object with {PATH!r}",
            )
        elif labels is None:
            audit.removed(
                "label not known", origin, "a label is none of 1, 0, -1, null"
            )
        elif image.image_id in found:
            audit.removed(
                "image labelled twice", origin, "the first line was kept"
            )
        else:
            values = [labels[name] & 0xFF for name in CHEXPERT14]
            found[image.image_id] = bytes(values)
    return found


def unpack(values: bytes) -> dict[str, int]:
    """Returns the labels that `read` packed."""
    signed = memoryview(values).cast("b")
    return dict(zip(CHEXPERT14, signed, strict=True))


def _check(file: Path) -> None:
    first = next((ln for ln in csv_files.text_lines(file) if ln.strip()), "")
    if PATH not in _object(first):
        raise DataError(
            f"{file}: its first line is no JSON object with {PATH!r}; expected "
            "the labels of CheXpert Plus, one object on each line."
        )


def _object(line: str) -> dict[str, Any]:
    """Returns the object of a line, an empty one where it has none."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
