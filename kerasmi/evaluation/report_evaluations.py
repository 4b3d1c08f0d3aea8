"""The section of a run's page on what `kerasmi evaluate` has added.

The CSVs have names for programs; here their columns have those that a reader
wants, with units, and a value and its interval are one cell.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from kerasmi.evaluation import report_data, tables
from kerasmi.evaluation import report_html as html
from kerasmi.evaluation.drawing import plain
from kerasmi.evaluation.report_folder import RunFolder
from kerasmi.evaluation.representation_figures import with_interval
from kerasmi.reporter import percent

TITLE = "Further evaluations"
READ_OUTS = (
    "MI: of the critic rescaled on the other half of the subjects; shuffled: "
    "pairs of different subjects, which share nothing."
)
_OF_OTHERS = (
    "Left out: of {others} images, and this page is of test images. `kerasmi "
    "evaluate` writes it anew."
)
_PRIVATE = ("sentence", "text", "report")
_INTERVAL = "in brackets its {share} interval over subjects"
_AUC = f"AUC; {_INTERVAL}, in parentheses positive/negative images. {{policy}}"


@dataclasses.dataclass(frozen=True)
class _Shown:
    """How a reader sees the table of an evaluation.

    Attributes:
        caption: above it; may hold `{share}`, `{policy}`.
        view: the CSV as a table to read.
        header: so many columns name a row.
    """

    caption: str
    view: Callable[[pd.DataFrame], pd.DataFrame]
    header: int = 1


def section(run: RunFolder, show: bool) -> html.Section | None:
    """A heading, the table and the picture of each evaluation of test images.

    Args:
        run: the run.
        show: whether report text, and pictures that may hold it, are shown.
    """
    pictures = {path.stem: path for path in run.pictures("evaluation")}
    # pictures of the tables known here are of numbers: no image, no report
    drawn = {
        name: path
        for name, path in pictures.items()
        if show or name in _EVALUATIONS
    }
    parts: list[str] = []
    for path in sorted((run.path / "evaluation").glob("*.csv")):
        frame = run.table(f"evaluation/{path.name}")
        if frame is None or frame.empty:
            continue
        parts.append(html.heading(plain(path.stem), TITLE))
        if others := _other_splits(frame):
            drawn.pop(path.stem, None)
            parts.append(html.paragraph(_OF_OTHERS.format(others=others)))
            continue
        parts.append(_table(run, path.stem, frame, show))
        if path.stem in drawn:
            parts.append(_picture(drawn.pop(path.stem)))
    if not show and pictures.keys() - _EVALUATIONS.keys():
        parts.append(report_data.hidden("What else was drawn of them"))
    parts += map(_picture, drawn.values())
    return html.section(TITLE, *parts)


def _other_splits(frame: pd.DataFrame) -> str:
    """Whose images a table is of beside the test's; empty where of no others.

    A table of one's own need not say.
    """
    if "split" not in frame:
        return ""
    return " and ".join(sorted(set(frame["split"].astype(str)) - {"test"}))


def _table(run: RunFolder, name: str, frame: pd.DataFrame, show: bool) -> str:
    if not show:
        frame = frame.drop(columns=[one for one in _PRIVATE if one in frame])
    known = _EVALUATIONS.get(name)
    if known is None:
        return html.table(frame.rename(columns=plain), f"{plain(name)}.")
    caption = known.caption.format(
        share=percent(float(run.recipe.get("evaluate.confidence", "0.95"))),
        policy=report_data.policy(run),
    )
    return html.table(known.view(frame), caption, header=known.header)


def _picture(path: Path) -> str:
    return html.figure(
        path.read_bytes(),
        f"Picture of the evaluation: {plain(path.stem)}",
        f"{plain(path.stem)}.",
        scroll=True,
    )


# === What a reader sees of each table ===


def read_outs(rows: pd.DataFrame) -> pd.DataFrame:
    """What a reader wants of a table of read-outs, the calibrated first.

    Args:
        rows: a `mutual_information.csv`, all values in nats.
    """
    return pd.DataFrame(
        {
            "pairs": rows["pairs"],
            "read-out": rows["name"].map(plain),
            "MI": rows["calibrated"],
            "standard error": rows["calibrated_error"],
            "as trained": rows["value"],
            "ceiling": rows["ceiling"],
            "negatives": _of_it(rows, "n_negatives"),
            "effective negatives": _of_it(rows, "effective_negatives").round(),
            "reliable": _of_it(rows, "reliable").map(
                {True: "yes", False: "NO"}
            ),
            "note": _of_it(rows, "note"),
        }
    )


def _of_it(rows: pd.DataFrame, name: str) -> pd.Series:
    """What belongs to the calibrated value; missing in runs of before."""
    missing = pd.Series(np.nan, rows.index)
    return rows.get(f"calibrated_{name}", missing)


def _kinds(rows: pd.DataFrame) -> pd.DataFrame:
    names = {
        "kind": "sentences about",
        "nats": "nats a sentence",
        "standard_error": "standard error (nats)",
        "share": "share of pairs",
        "carried": "carried (nats)",
        "n_sentences": "sentences",
        "n_subjects": "subjects",
    }
    return rows[list(names)].rename(columns=names)


def _retrieval(rows: pd.DataFrame) -> pd.DataFrame:
    return with_interval(rows, ["direction", "metric"])


def _grounding(rows: pd.DataFrame) -> pd.DataFrame:
    return with_interval(rows, ["finding", "metric"])


def _probes(rows: pd.DataFrame) -> pd.DataFrame:
    return _aucs(rows.assign(encoder=rows["encoder"].map(plain)))


def _zero_shot(rows: pd.DataFrame) -> pd.DataFrame:
    # the only column of values is named by what it holds
    return _aucs(rows.assign(encoder="AUC")).drop(columns="task")


def _aucs(rows: pd.DataFrame) -> pd.DataFrame:
    return tables.summary(rows).replace({"task": {"_": " "}}, regex=True)


_EVALUATIONS = {
    "mutual_information": _Shown(
        f"Held-out mutual information in nats, on test pairs. {READ_OUTS}",
        read_outs,
        2,
    ),
    "sentence_kinds": _Shown(
        "Which kinds of sentences carry the information: carried is the nats "
        "a sentence times the share, and sums to that of all sentences. The "
        "standard error is over subjects with the partition (the mean over "
        "negatives) held fixed, that of the read-out is not.",
        _kinds,
    ),
    "retrieval": _Shown(
        "Retrieval of reports by images and of images by reports. R@k: share "
        "of the queries with a right candidate among the first k; the rank "
        f"counts from 1; {_INTERVAL}.",
        _retrieval,
        2,
    ),
    "zero_shot": _Shown(
        f"Zero-shot classification from prompt sentences: {_AUC}",
        _zero_shot,
    ),
    "grounding": _Shown(
        "Whether the map of a sentence points at its finding. Pointing and "
        "commonest region are shares of the sentences, the rank counts from 1 "
        f"(of the regions), CNR is a ratio; {_INTERVAL}.",
        _grounding,
        2,
    ),
    "probes": _Shown(f"Classifiers on the frozen features: {_AUC}", _probes, 2),
}
