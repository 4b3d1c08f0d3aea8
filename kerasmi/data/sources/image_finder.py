"""Image files looked up by name, a study's folder at a time."""

import os
from collections.abc import Sequence
from pathlib import Path

from kerasmi.data.sources.base import Audit


class ImageFinder:
    """Finds images whose suffix is not known beforehand."""

    def __init__(self, suffixes: Sequence[str], audit: Audit):
        """Takes what to look for.

        Args:
            suffixes: Such as `.dcm`; where an image is there in several
                forms, the first counts.
            audit: Told how many files of each suffix were found.
        """
        self._suffixes = suffixes
        self._audit = audit
        self._listed: dict[Path, frozenset[str]] = {}

    def find(self, folders: Sequence[Path], stem: str) -> Path | None:
        """Returns an image's file, or None where there is none.

        Args:
            folders: Where it may lie; the last ones listed are remembered.
            stem: Its name without suffix.
        """
        if any(folder not in self._listed for folder in folders):
            self._listed = {folder: _names(folder) for folder in folders}
        for folder in folders:
            for suffix in self._suffixes:
                if stem + suffix in self._listed[folder]:
                    self._audit.count(f"image files {suffix}")
                    return folder / (stem + suffix)
        return None


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))
    except OSError:
        return frozenset()
