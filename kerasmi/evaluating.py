"""`kerasmi evaluate`: parts of `representations`, written as they are found."""

import os
from pathlib import Path

from kerasmi import given, output_files, representations
from kerasmi.errors import DataError
from kerasmi.evaluation import figures
from kerasmi.features import Features
from kerasmi.output_files import OutputError
from kerasmi.reporter import Reporter
from kerasmi.representations import PARTS, Evaluation, Result
from kerasmi.runs import Run, write_text

FOLDER = "evaluation"


def evaluate(
    run: Run,
    parts: tuple[str, ...] = (),
    *,
    split: str = "test",
    output: Path | None = None,
    prompts: Path | None = None,
    boxes: Path | None = None,
    candidates: int | None = None,
    reporter: Reporter | None = None,
) -> Path:
    """Evaluates the representations of a run, and writes what comes out.

    Args:
        run: a run with a finished pretraining.
        parts: some of `PARTS`; empty: all that the run permits.
        split: the split to evaluate.
        output: folder of the tables and figures; None: `RUN/evaluation`, and
            the run's `report.html` is written anew; of validation images
            `RUN/evaluation/validation`, which the report leaves out.
        prompts: CSV of prompts for `zero_shot`.
        boxes: CSV of boxes for `grounding`.
        candidates: texts that an image is told apart from by `mi`, its own
            among them; see `measure.table`.
        reporter: told of everything.

    Returns:
        The folder.

    Raises:
        RunError: the run has no finished pretraining.
        DataError: data or a file that cannot be used, or a part asked for that
            the run does not permit.
        OutputError: the folder cannot be written, is a link out of the run, or
            is that of the test images and the split another.
    """
    reporter = reporter or Reporter()
    folder = output or default_folder(run, split)
    if output is None:
        output_files.check_within(folder, run.path)
    in_report = _is_in_report(folder, run)
    if in_report and split != "test":
        raise OutputError(
            f"{folder}: the folder of test images, whose tables report.html"
            f" shows; without --output those of {split} images go to"
            f" {default_folder(run, split)}"
        )
    output_files.check_folder(folder, new=False)
    features = Features.open(run)
    dataset = representations.open_data(run, reporter)
    work = Evaluation(run, dataset, split, reporter, prompts, boxes, candidates)
    work.features = features
    for part in parts:
        if reason := work.permits(part):
            raise DataError(f"{run.path}: {part}: {reason}")
    # a wrong file is told of before the first table is written
    if prompts is not None and "zero_shot" in (parts or PARTS):
        given.prompts(prompts, dataset)
    if boxes is not None and "grounding" in (parts or PARTS):
        given.boxes(boxes, dataset)
    # nothing is written before all is known
    results = _results(work, parts)
    for result in results:
        _write(folder, result, split)
        reporter.table(result.title, result.shown)
    if in_report:
        _refresh_report(run)
    return folder


def _is_in_report(folder: Path, run: Run) -> bool:
    """Whether it is the folder that `report.html` shows, by any path."""
    return os.path.realpath(folder) == os.path.realpath(run.path / FOLDER)


def _results(work: Evaluation, parts: tuple[str, ...]) -> list[Result]:
    """Of the parts asked for; else of all that can be, the others told of."""
    results: list[Result] = []
    tell, left_out = work.reporter, None
    for part in parts or PARTS:
        if reason := work.permits(part):
            tell.message(f"{part}: left out: {reason}")
            continue
        tell.start(part, len(work.dataset.rows(work.split)), "image")
        try:
            results += getattr(work, part)()
        except DataError as error:
            if parts:
                raise
            tell.warning(f"{part}: left out: {error}")
            left_out = error
            continue
        tell.finish()
    if not results and left_out is not None:
        raise left_out
    return results


def default_folder(run: Run, split: str) -> Path:
    """Where the tables of a split go if nothing else is said."""
    folder = run.path / FOLDER
    return folder if split == "test" else folder / split


def _write(folder: Path, result: Result, split: str) -> None:
    table = result.table
    if "split" not in table:
        table = table.assign(split=split)
        table.insert(0, "split", table.pop("split"))
    with output_files.written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{result.name}.csv", table.to_csv(index=False))
        if result.draw is not None:
            figures.save(result.draw(), folder / f"{result.name}.png")


def _refresh_report(run: Run) -> None:
    from kerasmi.evaluation import report

    report.write(run.path)
