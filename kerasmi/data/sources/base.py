"""What a source gives the importer: items, and an account of the rest."""

import abc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pandas as pd


@dataclass(frozen=True)
class Item:
    """Everything about one image before its pixels are read.

    Attributes:
        image_id: Names the image, once in a source.
        study_id: Names the study: the images of one report.
        subject_id: Names the subject; a subject stays in one split.
        image: The image file, or the archive that holds it.
        split: One of `schema.SPLITS`; empty leaves it to the split rule.
        view: View position, such as `"PA"`; empty where unknown.
        findings: The report's findings section.
        impression: The report's impression section.
        report: Text used instead where there is neither section.
        labels: Label to 1, 0, `UNCERTAIN` or `BLANK`; a severity to 0..3
            or `BLANK`.
        source: Where the image came from.
        member: Its name in the archive, where `image` is one; else empty.
        origin: Where its row stands, `file:row`, for messages.
        sought: Where its file is looked for, such as `below pictures`, for
            messages; never an id or a text. Empty says nothing.
    """

    image_id: str
    study_id: str
    subject_id: str
    image: Path
    split: str = ""
    view: str = ""
    findings: str = ""
    impression: str = ""
    report: str = ""
    labels: Mapping[str, int] = field(default_factory=dict)
    source: str = ""
    member: str = ""
    origin: str = ""
    sought: str = ""


class Audit:
    """An account of what became of every row: filtered, refused, or kept.

    A row left out by choice (a lateral view) is *filtered*: counted. A row
    left out because it is broken (no file, unreadable) is *refused*: counted
    and handed to `keep`, which writes it to `refused.csv`.
    """

    def __init__(
        self, keep: Callable[[str, str, str, str], None] | None = None
    ):
        """Starts an empty account.

        Args:
            keep: Called with step, key, origin and reason of each refused
                row; None keeps counts only.
        """
        self._keep = keep
        self.counts: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def count(self, step: str, n: int = 1) -> None:
        """Adds to a step of the table "what every filter removed".

        Args:
            step: What is counted: `"rows read"`, `"filter: not frontal"`.
            n: How many.
        """
        self.counts[step] += n

    def removed(self, step: str, item: "Item | str", reason: str) -> None:
        """Refuses a row: counts it and keeps it for `refused.csv`.

        Args:
            step: The check that it failed, a few fixed words.
            item: The item, or its key where no item could be made: an image
                id or `file:row`; never a text.
            reason: What was expected and what was found, without the
                report's words.
        """
        self.refusals[step] += 1
        if self._keep is not None:
            if isinstance(item, Item):
                self._keep(step, item.image_id, item.origin, reason)
            else:
                self._keep(step, item, item, reason)

    def note(self, text: str) -> None:
        """Adds a line to the audit, once."""
        if text not in self.notes:
            self.notes.append(text)

    def warn(self, text: str) -> None:
        """Adds a note that must not wait until somebody reads the audit."""
        self.note(text)
        if text not in self.warnings:
            self.warnings.append(text)

    @property
    def refused(self) -> int:
        """How many rows were refused."""
        return self.refusals.total()


class Source(Protocol):
    """Where items come from; its constructor takes its options.

    A source is derived from it, and gives at least its name, labels, options
    and items.
    """

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """The source's name, such as `"open-i"`."""

    @property
    @abc.abstractmethod
    def label_names(self) -> tuple[str, ...]:
        """The labels that its items may have, in the order stored."""

    @property
    def split_decides_labels(self) -> bool:
        """Whether an item's labels are right in its own split alone."""
        return False

    @abc.abstractmethod
    def options(self) -> dict[str, Any]:
        """Returns what decides its items, JSON values, for `made_by`.

        No absolute path: the same files elsewhere are the same source.
        """

    @abc.abstractmethod
    def items(self, audit: Audit) -> Iterator[Item]:
        """Yields the items in an order that depends on the files alone.

        One at a time: memory must not grow with the images. Raises
        `DataError` where the source as a whole is unusable (no such file, a
        column missing); a broken row is refused by `audit.removed`.

        Args:
            audit: Told of every row left out.
        """

    def published(self, images: pd.DataFrame) -> pd.DataFrame | None:
        """Returns counts of images beside a publication's; None: it has none.

        Args:
            images: As `Dataset.images`.
        """
        return None
