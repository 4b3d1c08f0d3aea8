"""Any table of image-text pairs: the general door."""

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from kerasmi import told
from kerasmi.data.schema import BLANK, EDEMA_SEVERITY
from kerasmi.data.sources import table_columns
from kerasmi.data.sources.base import Audit, Item, Source
from kerasmi.data.sources.table_columns import COLUMNS
from kerasmi.data.sources.table_rows import Row, Rows
from kerasmi.errors import DataError

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "validate": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz")
_FIELD = re.compile(r"\{([^{}]*)\}")


class Table(Source):
    """A CSV, TSV, JSON Lines or Parquet file with one row for each image.

    Columns are found by our names (`COLUMNS`, in any capitals) or by those
    given; what has neither is not there. Only `image` has to be.
    """

    name = "table"

    def __init__(
        self,
        file: str | Path,
        *,
        images: str | Path | None = None,
        columns: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | Sequence[str] = (),
        label_values: Mapping[str, int] | None = None,
        views: Sequence[str] = (),
        encoding: str = "utf-8",
        delimiter: str | None = None,
    ):
        """Opens the table and checks that its columns are there.

        Args:
            file: The table; see `table_rows.Rows`.
            images: The folder, or the zip or tar archive, that holds the
                images; None is the table's folder.
            columns: One of `COLUMNS` to the table's column. `image` may also
                be a pattern such as `"{image_id}.png"`. Where no image_id
                is told, the image's path is the id; where no subject, every
                study is a subject, or every image where there is no study
                either; where no study, the images of a subject that have
                the same text are one.
            labels: Label to the table's column, or the columns that are
                labels. Values: 1, 0, -1 (uncertain), empty (blank); 0 to 3
                for Edema Severity.
            label_values: Further texts to values, such as `{"Y": 1}`.
            views: Views to keep, as they stand in the table; empty keeps
                all.
            encoding: Of a text file, such as `"cp1252"`.
            delimiter: Of a CSV; None follows from the file's name.

        Raises:
            DataError: The file cannot be read, lacks a column, or has two
                that may be the same.
        """
        self._file = Path(file)
        self._images = self._file.parent if images is None else Path(images)
        if not self._images.exists():
            raise DataError(
                f"{self._images}: there is no such folder; --images names the"
                " one that has the images."
            )
        self._archive = not self._images.is_dir()
        if self._archive and not self._images.name.endswith(_ARCHIVES):
            raise DataError(
                f"{self._images}: expected a folder, or an archive: "
                f"{', '.join(_ARCHIVES)}."
            )
        self._rows = Rows(self._file, encoding, delimiter)
        self._encoding = encoding
        if not isinstance(labels, Mapping):
            labels = {name: name for name in labels}
        self._labels = dict(labels)
        self._told = dict(columns or {})
        self._columns = self._found()
        self._values = dict(label_values or {})
        self._views = tuple(views)
        self._refuse_contradictions()

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels, in the order given."""
        return tuple(self._labels)

    def options(self) -> dict[str, Any]:
        """Returns what decides the items."""
        return {
            "file": self._file.name,
            "columns": self._columns,
            "labels": self._labels,
            "label_values": self._values,
            "views": list(self._views),
            "encoding": self._encoding,
        }

    def items(self, audit: Audit) -> Iterator[Item]:
        """Yields the images in the order of the rows.

        Args:
            audit: Told of every row left out.
        """
        if not self._has("subject"):
            unit = "study" if self._has("study") else "image"
            audit.warn(_NO_SUBJECT.format(unit))
        if not self._has("text"):
            audit.note(_NO_TEXT)
        for row in self._rows.read(self._used()):
            audit.count("rows read")
            origin = f"{self._file.name}:{row.number}"
            if row.fault:
                audit.removed("row", origin, row.fault)
                continue
            self._refuse_late(row, origin)
            view = self._value(row, "view")
            if self._views and view not in self._views:
                audit.count(f"filter: view not {' or '.join(self._views)}")
                if view.casefold() in map(str.casefold, self._views):
                    audit.warn(
                        f"the view {view!r} is left out: --keep-view has it "
                        "in other capitals; name it too"
                    )
                continue
            try:
                yield self._item(row, view, origin)
            except _RowError as error:
                audit.removed(error.check, origin, str(error))

    def _refuse_late(self, row: Row, origin: str) -> None:
        """Raises for a key of JSON Lines that no column was taken from.

        Columns are those of the first rows: what came later would be lost.
        """
        late = {key for key in row.late if table_columns.ours(key, self._told)}
        if late:
            raise DataError(
                f"{origin}: has the key {min(late)!r}, which the first rows "
                'lack; give it in the first row too, "" where there is none.'
            )

    def _item(self, row: Row, view: str, origin: str) -> Item:
        image = self._path(row)
        text = self._value(row, "text")
        subject, study = self._value(row, "subject"), self._value(row, "study")
        image_id = self._value(row, "image_id")
        if "image_id" not in self._columns:
            image_id = image
        if "subject" not in self._columns:
            subject = study if "study" in self._columns else image_id
        sections = [self._value(row, name) for name in _SECTIONS]
        if "study" not in self._columns:
            study = _study(subject, image_id, "\n".join([*sections, text]))
        return Item(
            image_id=image_id,
            study_id=study,
            subject_id=subject,
            image=self._images if self._archive else self._images / image,
            member=image if self._archive else "",
            split=self._split(row),
            view=view,
            findings=sections[0],
            impression=sections[1],
            report=text,
            labels=self._read_labels(row),
            source=self._file.stem,
            origin=origin,
            sought=self._sought(image),
        )

    def _path(self, row: Row) -> str:
        pattern = self._columns["image"]
        if _FIELD.search(pattern):
            path = _FIELD.sub(lambda m: _filled(row, m[1]), pattern)
        else:
            path = self._value(row, "image")
        if not path:
            raise _RowError("image path", "it is empty")
        if ".." in PurePath(path.replace("\\", "/")).parts:
            raise _RowError("image path", "it leads out of its folder ('..')")
        if self._archive and PurePath(path).is_absolute():
            raise _RowError("image path", "absolute, yet images are archived")
        return path

    def _sought(self, path: str) -> str:
        if PurePath(path).is_absolute():
            return ""
        return f"below {self._images} (--images)"

    def _split(self, row: Row) -> str:
        text = self._value(row, "split")
        if text and text.lower() not in SPLIT_NAMES:
            raise _RowError(
                "split",
                f"{text[:40]!r} is none of {', '.join(SPLIT_NAMES)}",
            )
        return SPLIT_NAMES[text.lower()] if text else ""

    def _read_labels(self, row: Row) -> dict[str, int]:
        values = {}
        for name, column in self._labels.items():
            text = row.values.get(column, "").strip()
            value = self._values.get(text, _number(text))
            if value is None:
                allowed = "1, 0, -1 or empty"
                if name == EDEMA_SEVERITY:
                    allowed = "0 to 3 or empty"
                raise _RowError(
                    "labels",
                    f"{name} is {text[:20]!r}, expected {allowed}, or a text "
                    "with a value given (--label-value)",
                )
            values[name] = value
        return values

    def _value(self, row: Row, name: str) -> str:
        column = self._columns.get(name)
        return row.values.get(column, "").strip() if column else ""

    def _has(self, name: str) -> bool:
        if name == "text":
            return bool({"text", *_SECTIONS} & set(self._columns))
        return name in self._columns

    def _found(self) -> dict[str, str]:
        """Returns the columns given, and those that have our names."""
        unknown = set(self._told) - set(COLUMNS)
        if unknown:
            raise ValueError(
                f"columns has the unknown key {min(unknown)!r}; it may have "
                f"{', '.join(COLUMNS)}."
            )
        columns = table_columns.found(
            self._file, self._rows.columns, self._told, self._labels.values()
        )
        if "image" not in columns:
            raise DataError(
                f"{self._file}: has no column 'image'; say which it is "
                f"(--image), of {told.columns(self._rows.columns)}."
                f"{_other_delimiter(self._rows.columns)}"
            )
        return columns

    def _refuse_contradictions(self) -> None:
        used: dict[str, str] = {}
        wanted = [*self._columns.items(), *self._labels.items()]
        for name, column in wanted:
            fields = _FIELD.findall(column) if name == "image" else []
            for one in fields or [column]:
                self._require(one)
            if not fields and used.setdefault(column, name) != name:
                raise DataError(
                    f"{self._file}: column {column!r} is to be both "
                    f"{used[column]} and {name}."
                )
        if self._views and "view" not in self._columns:
            raise DataError(
                f"{self._file}: views are to be kept, but which column is "
                "the view is not said (--view)."
            )

    def _used(self) -> tuple[str, ...]:
        """Returns the columns that items are made of, each once."""
        named = [*self._columns.values(), *self._labels.values()]
        image = self._columns["image"]
        if _FIELD.search(image):
            named = [*_FIELD.findall(image), *named[1:]]
        return tuple(dict.fromkeys(named))

    def _require(self, column: str) -> None:
        if column in self._rows.columns:
            return
        near = difflib.get_close_matches(column, self._rows.columns, 1)
        known = near and told.are_names(self._rows.columns)
        hint = f" (did you mean {near[0]!r}?)" if known else ""
        raise DataError(
            f"{self._file}: has no column {column!r}{hint}; it has "
            f"{told.columns(self._rows.columns)}."
        )


class _RowError(Exception):
    """What is wrong with one row."""

    def __init__(self, check: str, reason: str):
        super().__init__(reason)
        self.check = check


def _filled(row: Row, column: str) -> str:
    """Returns a cell of a pattern, which must hold something."""
    cell = row.values.get(column, "").strip()
    if not cell:
        # Not quoted: an import's message leaves out what is.
        raise _RowError("image path", f"column {column} is empty")
    return cell


_SECTIONS = ("findings", "impression")
_NO_SUBJECT = (
    "no column tells the subject: every {} counts as one, so images of one "
    "person may be in two sets; name the column that does (--subject)"
)
_NO_TEXT = "no column has a text: only classifiers can be trained"


def _study(subject: str, image_id: str, text: str) -> str:
    """Returns the study of images that share a text, or of one image."""
    key = text if text.strip() else image_id
    digest = hashlib.blake2b(f"{subject}\n{key}".encode(), digest_size=10)
    return digest.hexdigest()


def _number(text: str) -> int | None:
    """Returns the value of a label, None where it is none."""
    if not text:
        return BLANK
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value in (-2, -1, 0, 1, 2, 3) else None


def _other_delimiter(columns: Sequence[str]) -> str:
    """A hint where the only column's name looks like several."""
    found = [mark for mark in ";|\t" if mark in "".join(columns)]
    if len(columns) != 1 or not found:
        return ""
    if found[0] == "\t":
        return " If a tab stands between columns: --delimiter tab."
    return f" If {found[0]} stands between columns: --delimiter '{found[0]}'."
