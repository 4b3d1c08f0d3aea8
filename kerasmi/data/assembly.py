"""The last step of an import: finished shards become one data set."""

import csv
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasmi.data import audit, image_files, parts, publishing
from kerasmi.data.dataset import IMAGES
from kerasmi.data.parts import Part, Parts
from kerasmi.data.plan import Plan
from kerasmi.data.schema import SPLITS
from kerasmi.data.sentences import MAX_SENTENCES
from kerasmi.data.shards import Shard
from kerasmi.data.sources.base import Audit, Source
from kerasmi.data.split_rules import HASH
from kerasmi.reporter import counted

_FOLDER, _SEEN = "assembled", "seen.sqlite"


def assemble(
    work: Path,
    *,
    header: Mapping[str, Any],
    made: Sequence[Part],
    files: Parts,
    plan: Plan,
    source: Source,
    states: str,
) -> Path:
    """Puts shards, table, audit and index in one folder.

    What was written so far stays, so that an interruption costs this step
    only.

    Args:
        work: Where the parts lie.
        header: What `dataset.json` begins with.
        made: Every part, by split and number; one has a record.
        files: Knows their files.
        plan: Knows what was refused before a part was made.
        source: May set its counts beside those of a publication.
        states: Hash of the sizes and times of the image files.

    Returns:
        The folder, whole.
    """
    folder = work / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    kept = [part for part in made if part.records]
    shards = list(_place_shards(folder, kept, files))
    seen = audit.Sightings(work / _SEEN)
    try:
        _write_table(folder / IMAGES, header["label_names"], kept, files, seen)
        counts = {
            split: _count(split, kept, seen)
            for split in SPLITS
            if any(part.split == split for part in kept)
        }
        leaks = seen.leaks()
        if leaks[audit.PICTURES]:
            plan.audit.warn(
                f"{counted(leaks[audit.PICTURES], 'picture')} in more than one "
                "set: one image under two ids, or one person under two "
                f"subjects. {audit.LEAKS} lists their images; give these one "
                "subject, or leave out the copies"
            )
            _write_leaks(folder / audit.LEAKS, kept, files, seen)
    finally:
        seen.close()
    _tell_left_out(plan.audit, kept)
    _tell_dark(plan.audit, kept)
    account = audit.Account(
        name=header["name"],
        source=header["source"],
        steps=plan.audit.counts,
        refusals=plan.audit.refusals + _refusals(made),
        images=_reasons(made),
        notes=[*plan.audit.notes, *_notes(counts)],
        counts=counts,
        leaks=leaks,
        options=_options(header["made_by"], plan.decided),
    )
    audit.write_refused(folder / audit.REFUSED, refused(plan, made))
    audit.write(folder, account, source)
    image_files.write(folder, states)
    publishing.write_index(folder, header, shards, counts)
    return folder


def refused(plan: Plan, made: Sequence[Part]) -> Iterator[audit.Refusal]:
    """Yields every row refused, those of the plan first."""
    yield from plan.refused()
    for part in made:
        yield from part.refused


def _place_shards(
    folder: Path, kept: Sequence[Part], files: Parts
) -> Iterator[Shard]:
    for split, group in itertools.groupby(kept, lambda part: part.split):
        of_split = list(group)
        for number, part in enumerate(of_split):
            name = f"{split}-{number:05d}-of-{len(of_split):05d}.tfrecord"
            _link(files.file(part, "tfrecord"), folder / name)
            yield Shard(name, split, part.records, part.bytes, part.sha256)


def _link(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:  # a file system without links
        shutil.copyfile(file, name)


def _write_table(
    file: Path,
    label_names: Sequence[str],
    kept: Sequence[Part],
    files: Parts,
    seen: audit.Sightings,
) -> None:
    """Writes `images.csv`, and notes what is seen in which split."""
    numbers: Counter[str] = Counter()
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(publishing.columns(label_names, has_truth=False))
        for part in kept:
            shard = numbers[part.split]
            numbers[part.split] += 1
            found = parts.rows(files.file(part, "csv"))
            for position, (row, pixels, text) in enumerate(found):
                table.writerow([*row, shard, position])
                _, study, subject, split, *_ = row
                seen.add(
                    split,
                    subject=subject,
                    study=study,
                    pixels=pixels,
                    text=text,
                )


def _write_leaks(
    file: Path, kept: Sequence[Part], files: Parts, seen: audit.Sightings
) -> None:
    """Writes the images whose pixels are in more than one set."""
    numbers: dict[str, int] = {}
    with file.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(
            ("picture", "image_id", "study_id", "subject_id", "split")
        )
        for part in kept:
            for row, pixels, _ in parts.rows(files.file(part, "csv")):
                if seen.leaks_out("pixels", pixels):
                    number = numbers.setdefault(pixels, len(numbers) + 1)
                    table.writerow((number, *row[:4]))


def _count(
    split: str, kept: Sequence[Part], seen: audit.Sightings
) -> dict[str, int]:
    of_split = [part for part in kept if part.split == split]
    return {
        "images": sum(part.records for part in of_split),
        "with_text": sum(part.with_text for part in of_split),
        "studies": seen.count("study", split),
        "subjects": seen.count("subject", split),
    }


def _refusals(made: Sequence[Part]) -> Counter[str]:
    return Counter(check for part in made for check, *_ in part.refused)


def _reasons(made: Sequence[Part]) -> Counter[str]:
    return Counter(
        audit.kind(reason) for part in made for *_, reason in part.refused
    )


def _tell_left_out(account: Audit, kept: Sequence[Part]) -> None:
    """Tells of sentences beyond those that are kept of a text."""
    longer = sum(part.longer for part in kept)
    left_out = sum(part.left_out for part in kept)
    if not longer:
        return
    account.count(f"kept: text of more than {MAX_SENTENCES} sentences", longer)
    account.count("left out: last sentences of these texts", left_out)
    account.warn(
        f"the text of {counted(longer, 'image')} has more than "
        f"{MAX_SENTENCES} sentences: the last, {left_out:,} in all, are left "
        "out, those of the impression first; a function of your own "
        "(--splitter) may keep them"
    )


def _tell_dark(account: Audit, kept: Sequence[Part]) -> None:
    """Tells of 16-bit images that are nearly black by the range they lie in."""
    dark = sum(part.dark for part in kept)
    if not dark:
        return
    account.count("kept: 16 bits, below a quarter of their range", dark)
    account.warn(
        f"{counted(dark, 'image')} of 16 bits "
        f"{'stays' if dark == 1 else 'stay'} below a quarter of their range, "
        "so nearly black: perhaps 10 or 12 bits that were written as 16; "
        "--intensity percentile, to a new folder, gives each image its own "
        "range"
    )


def _notes(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    for split in SPLITS:
        if split not in counts:
            yield f"no image is in the split {split!r}"


def _options(made_by: Mapping[str, Any], decided: int) -> dict[str, Any]:
    """Returns what decided the records; a rule only where it was asked."""
    flat, rule = _flat(made_by), "options.split_rule"
    if decided or flat.get(f"{rule}.rule") != HASH:
        return flat
    kept = {k: v for k, v in flat.items() if not k.startswith(rule)}
    return {**kept, rule: "none: every image's set is the source's own"}


def _flat(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns options without levels, their values as text."""
    flat = {}
    for key, value in options.items():
        if isinstance(value, dict):
            inner = _flat(value)
            flat.update({f"{key}.{name}": v for name, v in inner.items()})
        else:
            text = isinstance(value, str)
            flat[key] = value if text else json.dumps(value, ensure_ascii=False)
    return flat
