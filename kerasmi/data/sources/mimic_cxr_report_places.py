"""Which files and folders have the reports of MIMIC-CXR."""

import os
from collections.abc import Sequence
from pathlib import Path

from kerasmi.data.sources import named_files
from kerasmi.data.sources.mimic_cxr_reports import (
    ZIP,
    SectionedReports,
    Store,
    TreeReports,
    ZipReports,
)
from kerasmi.data.sources.mimic_cxr_tree import places
from kerasmi.errors import DataError

SECTIONED = ("mimic_cxr_sectioned.csv", "mimic-cxr-sectioned.csv")
REMEDY = (
    "The reports are part of MIMIC-CXR, not of MIMIC-CXR-JPG: give "
    "mimic-cxr-reports.zip, the folder it was unpacked to or "
    "mimic_cxr_sectioned.csv as --reports; --text none goes without reports."
)
_PROBED = 20  # subject folders of each group


def stores(given: Path | None, images: Path, how: str) -> list[Store]:
    """Opens the places that have reports, the first to be asked first.

    A sectioned CSV given as a file comes first, the whole reports found
    beside it or with the images second: 54 studies are in the reports but not
    in that CSV. In a folder, whole reports come before the CSV.

    Args:
        given: The zip, a folder, or the sectioned CSV; None looks in `images`.
        images: The root of the images.
        how: One of `TEXTS`.

    Raises:
        DataError: Says what was looked for, and where.
    """
    if how == "none":
        return []
    if given is not None and given.is_file() and given.suffix == ".zip":
        return [ZipReports(given, how)]
    if given is not None and given.is_file():
        found: list[Store] = [SectionedReports(given)]
        found += _whole(places(given.parent), how) or _whole(
            places(images), how
        )
    else:
        folders = places(images if given is None else given)
        found = _whole(folders, how)
        sectioned = named_files.find(SECTIONED, folders)
        found += [SectionedReports(sectioned)] if sectioned else []
    if how == "authors":
        found = [s for s in found if not isinstance(s, SectionedReports)]
    if not found:
        raise DataError(_not_found(given, images, how))
    return found


def _whole(folders: Sequence[Path], how: str) -> list[Store]:
    for folder in folders:
        if (folder / ZIP).is_file():
            return [ZipReports(folder / ZIP, how)]
    for folder in folders:
        for candidate in (folder, folder / "files"):
            if _has_reports(candidate):
                return [TreeReports(candidate, how)]
    return []


def _has_reports(folder: Path) -> bool:
    """Returns whether reports lie among the first folders of each group."""
    for group in folder.glob("p[0-9][0-9]"):
        if not group.is_dir():
            continue
        for subject in sorted(os.listdir(group))[:_PROBED]:
            for pattern in ("s*.txt", "s*/s*.txt"):
                if next((group / subject).glob(pattern), None):
                    return True
    return False


def _not_found(given: Path | None, images: Path, how: str) -> str:
    where = ", ".join(str(p) for p in places(given or images))
    if how == "authors":
        return (
            f"no whole reports in {where}: --text authors needs them, a "
            f"sectioned CSV is not enough. {REMEDY}"
        )
    return (
        f"no reports: looked for {ZIP}, p10/p10000032/s50414267.txt and "
        f"{SECTIONED[0]}[.gz] in {where}. {REMEDY}"
    )
