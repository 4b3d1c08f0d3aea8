"""From a source to a data set: planned, converted, audited, resumable.

The plan goes through the source once and decides what every row becomes.
Shards are then made one by one beside the data set's folder; one that is
finished is not made again after an interruption. At the end they are put
together to exactly what `records.write` makes, with an account of every row.
"""

import contextlib
import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasmi.data import (
    assembly,
    audit,
    image_files,
    parts,
    publishing,
    refusals,
    work_folder,
)
from kerasmi.data.contents import Contents
from kerasmi.data.dataset import Dataset
from kerasmi.data.import_options import Options
from kerasmi.data.import_progress import Progress
from kerasmi.data.parts import Outcome, Part, Parts
from kerasmi.data.pixels import convert
from kerasmi.data.plan import Chunk, Plan
from kerasmi.data.probes import ImageRefused
from kerasmi.data.schema import SPLITS
from kerasmi.data.sources.base import Item, Source
from kerasmi.errors import DataError
from kerasmi.reporter import Reporter, counted

_PLAN = "plan.sqlite"
_NOTED = 50_000  # rows between two messages
_UNKNOWN = (
    "the splitter {}: its code cannot be read, so that nothing is kept of an "
    "import that was interrupted; put the function into the file of a module."
)
_Key = tuple[int, int]


def import_items(
    source: Source,
    folder: str | Path,
    *,
    name: str | None = None,
    workers: int | None = None,
    reporter: Reporter | None = None,
    resume: bool = True,
    **options: Any,
) -> Dataset:
    """Makes a data set of a source.

    Work in progress lies in `<folder>.importing` beside the folder. The same
    source and options give the same bytes, interrupted or not, with any
    number of workers.

    Args:
        source: Gives the items.
        folder: Where to: new, empty, or made before from the same. Where
            image files have another size or time than then, they are
            imported to compare: the same records change nothing.
        name: The data set's name in tables; None is the folder's.
        workers: Images decoded at once; None is one for each core.
        reporter: Told of the progress; never of an id or a text.
        resume: Keep the shards that an interrupted import has finished; none
            is kept where the file of the splitter's module cannot be read, so
            that it may have changed.
        options: See `Options`.

    Returns:
        The data set, opened. Beside the records its folder holds `audit.md`,
        `audit.csv`, `refused.csv`, `image_files.json`, and `leaks.csv` where
        there are any.

    Raises:
        DataError: The source cannot be used, a label has the name of a
            column of `images.csv`, too many rows were refused, a subject is
            in two splits, the folder holds anything else (also the records
            of images that were replaced since), or the disk is full.
    """
    settings = Options(**options)
    known = settings.splitter_sha256 is not None
    if not known:
        (reporter or Reporter()).warning(_UNKNOWN.format(settings.splitter))
    folder = Path(folder)
    publishing.published(folder)
    header = publishing.header(
        name=name or folder.resolve().name,
        source=source.name,
        label_names=source.label_names,
        made_by={"source": source.options(), **settings.made_by()},
        image_size=settings.image_size,
    )
    with (
        work_folder.opened(folder, header, resume and known) as work,
        contextlib.closing(
            _Import(source, folder, work, header, settings, reporter)
        ) as run,
    ):
        return run.run(workers)


class _Import:
    """One import: plan, parts, data set."""

    def __init__(
        self,
        source: Source,
        folder: Path,
        work: Path,
        header: dict[str, Any],
        options: Options,
        reporter: Reporter | None,
    ):
        self._source = source
        self._folder = folder
        self._work = work
        self._header = header
        self._options = options
        self._reporter = reporter or Reporter()
        self._contents = Contents(work / "unpacked")
        self._plan = Plan(work / _PLAN, source.label_names)
        self._parts = Parts(
            work,
            label_names=source.label_names,
            image_size=options.image_size,
            split_text=options.sentences,
            target=folder,
        )
        self._made: dict[_Key, Part] = {}
        self._files = ""
        # Hashes of the shards that must come out again; None: any may.
        self._before: frozenset[str] | None = None
        # Of the shard that is being made.
        self._refused_now: list[audit.Refusal] = []
        self._progress = Progress(self._reporter)

    def close(self) -> None:
        """Closes what is open."""
        self._contents.close()
        self._plan.close()

    def run(self, workers: int | None) -> Dataset:
        """Plans, converts what is not finished, and assembles."""
        self._read_source()
        self._check_share()
        header = self._look_around()
        if publishing.refuse_foreign(self._folder, header):
            with contextlib.suppress(DataError):
                whole = Dataset.open(self._folder, verify="hash")
                doubt = self._doubt()
                if not doubt:
                    self._reporter.message("made before; nothing to do")
                    self._tell_refused_before()
                    return whole
                self._before = frozenset(s.sha256 for s in whole.index)
                self._reporter.message(
                    f"made before, but {doubt}: all are decoded to compare"
                )
        self._convert(workers)
        self._check_any_left()
        self._reporter.message("assembling")
        with publishing.disk_errors(self._folder):
            assembled = assembly.assemble(
                self._work,
                header=header,
                made=self._in_order(),
                files=self._parts,
                plan=self._plan,
                source=self._source,
                states=self._files,
            )
        made = publishing.publish(assembled, self._folder)
        if not image_files.unchanged(made.path, self._files):
            self._note_files(made.path)
        self._tell_refused()
        self._tell_textless(made)
        for text in self._plan.audit.warnings:
            self._reporter.warning(f"{made.path}: {text}.")
        return made

    def _read_source(self) -> None:
        """Fills the plan."""
        rule = self._options.rule
        self._reporter.message(f"reading {self._source.name}")
        items = self._source.items(self._plan.audit)
        decides = self._source.split_decides_labels
        for number, item in enumerate(items, 1):
            if decides and rule.overrides:
                _refuse_other_split(item, rule(item.subject_id))
            self._plan.add(item, self._contents, rule)
            if number % _NOTED == 0:
                self._reporter.message(f"{number:,} images found")
        decided = self._plan.settle(rule)
        if not (decided or rule.overrides or self._options.split_rule is None):
            raise DataError(
                f"{self._source.name}: the source itself has every image's "
                "split; leave out the rule that would split its subjects "
                "(--shares, --seed)."
            )
        self._planned = self._plan.planned
        self._reporter.message(
            f"{counted(self._planned, 'image')} planned, "
            f"{counted(self._plan.audit.refused, 'row')} refused"
        )
        if not self._planned and not self._plan.audit.refused:
            raise DataError(
                f"{self._source.name}: the data set would be empty: its "
                "filters leave no image "
                f"({_steps(self._plan.audit.counts) or 'it has no row'}); "
                "keep more views, or give another source."
            )

    def _look_around(self) -> dict[str, Any]:
        """Finds the parts that are made; returns the whole header."""
        content, files = hashlib.sha256(), hashlib.sha256()
        for chunk in self._chunks():
            content.update(chunk.content.encode())
            files.update(chunk.files.encode())
            part = self._parts.finished(chunk)
            if part is not None:
                self._made[_key(chunk)] = part
        header: dict[str, Any] = json.loads(json.dumps(self._header))
        header["made_by"]["options"]["plan"] = content.hexdigest()
        self._files = files.hexdigest()
        return header

    def _doubt(self) -> str:
        """Why a data set made before may not be what would be made now."""
        if not image_files.unchanged(self._folder, self._files):
            return (
                "of these image files as they are now? They have other sizes "
                f"or times, or {image_files.FILE} is missing"
            )
        if self._options.splitter_sha256 is None:
            return "with this splitter as it is now? Its code cannot be read"
        return ""

    def _convert(self, workers: int | None) -> None:
        """Makes the parts that are not made."""
        self._check_share()
        for part in self._made.values():
            self._check_as_before(part)
        done = sum(p.records + len(p.refused) for p in self._made.values())
        self._progress.start(self._planned - done, done)
        results = convert(
            self._jobs(set(self._made)),
            self._contents,
            size=self._options.image_size,
            intensity=self._options.intensity,
            workers=workers,
        )
        by_chunk = itertools.groupby(results, lambda result: _key(result[0][0]))
        for key, group in by_chunk:
            (chunk, item), outcome = next(group)
            outcomes = ((item, outcome) for (_, item), outcome in group)
            first = [(item, outcome)]
            whole = self._watched(itertools.chain(first, outcomes))
            self._made[key] = self._parts.write(chunk, whole)
            self._refused_now.clear()
            self._check_as_before(self._made[key])
        self._check_share()
        self._progress.finish()

    def _jobs(
        self, made: set[_Key]
    ) -> Iterator[tuple[tuple[Chunk, Item], Item]]:
        for chunk in self._chunks():
            if _key(chunk) not in made:
                for item in chunk.items:
                    yield (chunk, item), item

    def _watched(self, outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
        for item, outcome in outcomes:
            if isinstance(outcome, ImageRefused):
                refusal = (item.image_id, item.origin, str(outcome))
                self._refused_now.append((parts.CHECK, *refusal))
                self._check_share()
            self._progress.advance()
            yield item, outcome

    def _chunks(self) -> Iterator[Chunk]:
        return self._plan.chunks(self._options.records_per_shard)

    def _in_order(self) -> list[Part]:
        return [self._made[key] for key in sorted(self._made)]

    def _refused(self) -> Iterator[audit.Refusal]:
        yield from assembly.refused(self._plan, self._in_order())
        yield from self._refused_now

    def _refused_number(self) -> int:
        number = self._plan.audit.refused + len(self._refused_now)
        return number + sum(len(part.refused) for part in self._made.values())

    def _tell_refused(self) -> None:
        number = self._refused_number()
        if number:
            reason, times = refusals.commonest(self._refused())
            share = "" if times == number else f"{times:,} of them "
            self._reporter.warning(
                f"{counted(number, 'row')} refused, {share}for: {reason}. "
                f"{self._folder / audit.REFUSED} lists "
                f"{'it' if number == 1 else 'them all'}."
            )

    def _tell_refused_before(self) -> None:
        """Warns of images that a finished data set lacks: now perhaps whole."""
        file = self._folder / audit.REFUSED
        number = audit.refused_by(file, parts.CHECK)
        if number:
            self._reporter.warning(
                f"{counted(number, 'image')} refused when it was made "
                f"{'is' if number == 1 else 'are'} not in it: {file} lists "
                f"{'it' if number == 1 else 'them'}. Once mended, import to a "
                "new folder."
            )

    def _tell_textless(self, made: Dataset) -> None:
        if not any(counts["with_text"] for counts in made.counts.values()):
            self._reporter.warning(
                f"{made.path}: no image has text, so nothing can be pretrained "
                "on it: pretraining needs reports. Recipes without an "
                "objective, such as image_only, work. If there are reports, "
                "tell where (for a table: --text, --findings, --impression) "
                "and import to a new folder."
            )

    def _check_as_before(self, part: Part) -> None:
        """Raises where a shard is not one of the data set made before."""
        if self._before is None or part.sha256 in self._before:
            return
        if part.records:
            causes = "image files were replaced, mended or damaged"
            if self._options.splitter_sha256 is None:
                causes += ", or the splitter was changed,"
            raise DataError(
                f"{self._folder}: {part.split} shard {part.number} comes out "
                "otherwise than when it was made (refused now: "
                f"{len(part.refused):,} of its images): {causes} since. "
                f"Restore them, or import to another folder: {self._work} is "
                "not needed then."
            )

    def _note_files(self, folder: Path) -> None:
        """Of a folder that is kept: not to be compared once more."""
        try:
            image_files.write(folder, self._files)
        except OSError as error:
            self._reporter.warning(
                f"{folder / image_files.FILE}: could not be written "
                f"({error.strerror}), so the next import compares again."
            )

    def _check_any_left(self) -> None:
        """Raises where every row was refused, however many may be."""
        if any(part.records for part in self._made.values()):
            return
        reason, file = self._commonest()
        raise DataError(
            "the data set would be empty: every row was refused, "
            f"{reason}. {file} lists them. Mend the source."
        )

    def _commonest(self) -> tuple[str, Path]:
        """The commonest reason in words, and the file with all, written."""
        file = self._work / audit.REFUSED
        with publishing.disk_errors(self._folder):
            audit.write_refused(file, self._refused())
        reason, times = refusals.commonest(self._refused())
        return f"{times:,} of them for: {reason}", file

    def _check_share(self) -> None:
        """Raises where more rows were refused than may be."""
        number = self._refused_number()
        total = self._planned + self._plan.audit.refused
        if number <= self._options.refuse_share * total:
            return
        reason, file = self._commonest()
        raise DataError(
            f"{number:,} of {counted(total, 'row')} refused "
            f"({number / total:.1%}), more than the "
            f"{self._options.refuse_share:.1%} allowed; "
            f"{reason}. {file} lists them all. Mend the source, or "
            "allow more (--max-refused)."
        )


def _refuse_other_split(item: Item, split: str) -> None:
    """Raises where labels of one split would be given to another."""
    if split and item.split and split != item.split:
        raise DataError(
            f"{item.origin}: {split} by the split file, {item.split} by "
            "--split, by which its labels are chosen as well. Take the "
            "--split that the file was made with, or leave out --split-file."
        )


def _key(chunk: Chunk) -> _Key:
    return SPLITS.index(chunk.split), chunk.number


def _steps(counts: Counter[str]) -> str:
    return ", ".join(f"{step}: {n:,}" for step, n in counts.items())
