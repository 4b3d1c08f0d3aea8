"""The data of a run: what it was, how it was counted, what was left out."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from kerasmi.evaluation import report_html as html
from kerasmi.evaluation.report_folder import Folder, RunFolder

_SHOWN = ("sets", "labels")  # the run has these itself
_NOTES = "## Notes"


def policy(run: RunFolder) -> str:
    """The label policy in force, and what test images are judged by."""
    uncertain = run.recipe.get("data.uncertain", "ignore")
    blank = run.recipe.get("data.blank", "ignore")
    text = f"Label policy: uncertain: {uncertain}, blank: {blank}."
    if run.data.get("has_truth"):
        text += " It holds in training; test images are judged by the truth."
    return text


def section(run: RunFolder, show: bool) -> html.Section | None:
    """The section on the data.

    Args:
        run: the run.
        show: whether images and report text may be shown.
    """
    return html.section(
        "Data",
        _facts(run),
        _counts(run),
        _labels(run),
        _audit(run),
        _sheet(run, show),
    )


def _facts(run: RunFolder) -> str:
    known = run.data
    fields = ("name", "source", "path")
    pairs = [(name, known[name]) for name in fields if name in known]
    if run.fingerprint:
        pairs.append(("fingerprint", run.fingerprint))
    if not pairs:
        return html.paragraph("The run has not come to its data.", "note")
    size = run.recipe.get("data.image_size", "")
    pairs.append(("image size (pixels)", size))
    return html.facts(pairs, "Which data it is.")


def _counts(run: RunFolder) -> str:
    counts = run.data.get("counts")
    if not counts:
        return ""
    frame = pd.DataFrame(counts).T.rename_axis("split").reset_index()
    frame = frame.rename(columns={"with_text": "images with text"})
    return html.table(frame, "Images, studies and subjects of each split.")


def _labels(run: RunFolder) -> str:
    frame = run.table("labels.csv")
    if frame is None:
        return ""
    severities = [name for name in ("2", "3") if not frame[name].any()]
    frame = frame.drop(columns=severities)
    names = {"0": "negative or 0", "1": "positive or 1"}
    return html.table(
        frame.rename(columns=names),
        "Labels as they are stored, before the policy: images of each class; "
        "subjects: of the images whose label is not blank. " + policy(run),
        header=2,
    )


def _audit(run: RunFolder) -> str:
    path = run.data.get("path")
    if path is None or run.is_phantom:
        return ""
    folder = Folder(Path(path))
    index = folder.json("dataset.json")
    if index is None:
        return html.paragraph(
            f"The audit of the import is missing: {path} is no longer there.",
            "note",
        )
    if index.get("fingerprint") != run.fingerprint:
        return html.paragraph(
            f"The audit of the import is missing: {path} now holds other data "
            "than the run's.",
            "note",
        )
    audit = folder.table("audit.csv")
    if audit is None:
        return html.paragraph(f"{path} has no audit.", "note")
    notes = list(_notes(folder.path / "audit.md"))
    return "\n".join(
        [html.heading("Audit of the import", "Data"), *_tables(audit), *notes]
    )


def _tables(audit: pd.DataFrame) -> Iterator[str]:
    for title, rows in audit.groupby("table", sort=False):
        if title in _SHOWN:
            continue
        wide = rows.pivot_table(
            index="row", columns="column", values="value", aggfunc="first"
        )
        wide = wide.loc[rows["row"].unique(), rows["column"].unique()]
        frame = wide.rename_axis(columns=None, index=str(title)).reset_index()
        yield html.table(frame.map(_number), f"Audit: {title}.")


def _number(value: object) -> object:
    text = str(value)
    return int(text) if text.isdecimal() else text


def _notes(file: Path) -> Iterator[str]:
    text = file.read_text("utf-8") if file.is_file() else ""
    _, _, notes = text.partition(f"{_NOTES}\n")
    lines = notes.partition("\n## ")[0].splitlines()
    told = [line.removeprefix("- ") for line in lines if line.strip()]
    if told:
        items = "\n".join(f"<li>{html.escape(note)}</li>" for note in told)
        yield f"<ul>\n{items}\n</ul>"


def _sheet(run: RunFolder, show: bool) -> str:
    png = run.picture("figures/data.png")
    if png is None:
        return ""
    if not show:
        return hidden("The page of training images with their reports")
    return html.figure(
        png,
        "Some training images with their findings and the sentences of "
        "their reports.",
        "The first training images, as they are stored.",
        scroll=True,
    )


def hidden(what: str) -> str:
    """The sentence in place of what shows images or reports of people."""
    return html.paragraph(
        f"{what} is not shown: images and reports may be of people. "
        "kerasmi report with --show-text shows it; the run folder holds it as "
        "a picture.",
        "note",
    )
