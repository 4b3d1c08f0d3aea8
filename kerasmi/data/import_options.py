"""What decides the records of an import, beside their source."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasmi.data import sentences
from kerasmi.data.formats import INTENSITIES
from kerasmi.data.parts import Splitter
from kerasmi.data.shards import sha256
from kerasmi.data.split_rules import Shares, SplitRule


@dataclass(frozen=True)
class Options:
    """What decides the records, beside their source.

    Attributes:
        image_size: Shorter side of the images, in pixels.
        intensity: One of `formats.INTENSITIES`.
        split_rule: Decides the splits that the source leaves open; None is
            `Shares()`, one that has nothing to decide is refused.
        sentences: A text to its sentences; a function of a module, so that
            its name and the hash of the module's file tell which.
        records_per_shard: Records in a file; the last of a split has fewer.
        refuse_share: The import stops where more of its rows are refused.
    """

    image_size: int = 256
    intensity: str = "auto"
    split_rule: SplitRule | None = None
    sentences: Splitter = sentences.split
    records_per_shard: int = 512
    refuse_share: float = 0.05

    def __post_init__(self) -> None:
        if self.image_size < 1 or self.records_per_shard < 1:
            raise ValueError(
                "image_size and records_per_shard must be at least 1, "
                f"received {self.image_size} and {self.records_per_shard}."
            )
        if self.intensity not in INTENSITIES:
            raise ValueError(
                f"intensity must be one of {', '.join(INTENSITIES)}, received "
                f"{self.intensity!r}."
            )
        if not 0 <= self.refuse_share <= 1:
            raise ValueError(
                f"refuse_share must be in [0, 1], received {self.refuse_share}."
            )
        if not hasattr(self.sentences, "__qualname__"):
            raise ValueError(
                "sentences must be a function of a module, whose name is "
                f"recorded, received {self.sentences!r}."
            )

    @property
    def rule(self) -> SplitRule:
        """The rule given, or the default."""
        return Shares() if self.split_rule is None else self.split_rule

    @property
    def splitter(self) -> str:
        """The name of the function of `sentences`, `module:function`."""
        return f"{self.sentences.__module__}:{self.sentences.__qualname__}"

    @property
    def splitter_sha256(self) -> str | None:
        """Hash of the file of the splitter's module.

        Empty for kerasmi's own; None where there is no file, as of a function
        typed in a notebook, or it cannot be read.
        """
        if self.sentences is sentences.split:
            return ""
        module = sys.modules.get(self.sentences.__module__)
        file = getattr(module, "__file__", None)
        try:
            return sha256(Path(file)) if file else None
        except OSError:
            return None

    def made_by(self) -> dict[str, Any]:
        """Returns them as JSON values."""
        code = self.splitter_sha256
        return {
            "image_size": self.image_size,
            "intensity": self.intensity,
            "split_rule": self.rule.options(),
            "sentences": self.splitter,
            **({"sentences_sha256": code} if code else {}),
            "records_per_shard": self.records_per_shard,
        }
