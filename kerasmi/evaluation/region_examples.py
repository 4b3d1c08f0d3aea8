"""Sentences of a few images with their maps, kept to be drawn again."""

import dataclasses
import os
import zipfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from kerasmi.evaluation.region_maps import region_maps

# eight images and their maps; a run has far less
_LARGEST = 2**27


@dataclasses.dataclass(frozen=True)
class RegionExamples:
    """n sentences, the images they are of, and where the critic sees them.

    Attributes:
        images: n stored images, `(height, width)` uint8; their sizes differ.
        sentences: n texts.
        maps: `(n, rows, columns)` float32 scores of the regions, in nats.
        truth: per image the true cells, flat, of the whole image; None where
            unknown.
        size: side of the square that the network gets, in pixels.
    """

    images: list[np.ndarray]
    sentences: list[str]
    maps: np.ndarray
    truth: list[np.ndarray | None]
    size: int

    def draw(self, show_text: bool = True) -> Figure:
        """All of them on one picture; numbers in place of hidden sentences."""
        numbers = range(1, len(self.sentences) + 1)
        hidden = [f"sentence {number}" for number in numbers]
        return region_maps(
            self.images,
            self.sentences if show_text else hidden,
            self.maps,
            self.truth,
            self.size,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes an `.npz`, without pickled objects."""
        arrays = {f"image{k}": image for k, image in enumerate(self.images)}
        for k, cells in enumerate(self.truth):
            if cells is not None:
                arrays[f"truth{k}"] = cells
        np.savez_compressed(
            path,
            sentences=np.array(self.sentences, str),
            maps=self.maps,
            size=np.array(self.size),
            **arrays,
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "RegionExamples":
        """Reads what `save` wrote.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is another file.
        """
        try:
            _check_size(Path(path))
            with np.load(Path(path), allow_pickle=False) as arrays:
                return cls._of({name: arrays[name] for name in arrays.files})
        except (
            KeyError,
            TypeError,
            AttributeError,
            MemoryError,
            zipfile.BadZipFile,
        ) as error:
            raise ValueError(f"not the maps of a run: {error}") from None

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray]) -> "RegionExamples":
        sentences = arrays["sentences"].tolist()
        numbers = range(len(sentences))
        return cls(
            [arrays[f"image{k}"] for k in numbers],
            sentences,
            arrays["maps"],
            [arrays.get(f"truth{k}") for k in numbers],
            int(arrays["size"]),
        )


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > _LARGEST:
        raise ValueError(f"it would unpack to {unpacked:,} bytes")
