"""The page of one run."""

import itertools
from collections.abc import Iterator

import pandas as pd

from kerasmi.evaluation import (
    figures,
    region_maps,
    report_data,
    report_evaluations,
    tables,
    trouble,
)
from kerasmi.evaluation import report_html as html
from kerasmi.evaluation.auc import MEAN
from kerasmi.evaluation.drawing import plain
from kerasmi.evaluation.predictions import usable
from kerasmi.evaluation.report_findings import (
    Finding,
    chance,
    findings,
    stops,
)
from kerasmi.evaluation.report_folder import RunFolder, plain_time
from kerasmi.reporter import counted, percent

CURVE = (4.6, 3.4)  # inches: letters stay readable on a phone
SMALL = (3.0, 2.5)  # of one among several
_BAND = 200  # resamples behind the band of a ROC curve
_MAPS = (
    "Each image under the map of its sentence: the score of a region above "
    "the mean of its image's regions. The axes count pixels of the stored "
    "image; a dotted square is what the network sees of it; a blue outline is "
    "where the finding truly is, if that is known."
)


def page(run: RunFolder, show_text: bool) -> str:
    """The page of a run, finished or not.

    Args:
        run: the run.
        show_text: whether images and reports that are not the phantom's are
            shown.
    """
    show = show_text or run.is_phantom
    name = run.recipe.get("name", run.path.name)
    return html.page(
        f"Run {name}",
        lead(run),
        [
            summary(run),
            concerns(findings(run)),
            recipe(run),
            report_data.section(run, show),
            pretraining(run),
            sentences(run, show),
            results(run),
            roc(run),
            retraining(run),
            report_evaluations.section(run, show),
            environment(run),
        ],
    )


def lead(run: RunFolder) -> str:
    """What was done, in a line."""
    values = run.recipe
    if run.pretrains:
        scope, bound = values["objective.scope"], values["objective.bound"]
        what = f"{scope} mutual information by {bound}"
    else:
        what = "image-only, no pretraining"
    text = f"{what}; seed {values.get('seed', '0')}; data: " + run.data.get(
        "name", values.get("data.source", "")
    )
    return html.paragraph(text, "lead")


def summary(run: RunFolder) -> html.Section | None:
    """Stages and the numbers that one looks for first."""
    stages = [
        (stage, plain_time(run.finished(stage) or "not finished"))
        for stage in run.expected()
    ]
    frame = pd.DataFrame(stages, columns=["stage", "finished"])
    return html.section(
        "Summary",
        _means(run),
        html.table(frame, "The stages of the run."),
        _history(run),
    )


def _history(run: RunFolder) -> str:
    """When the run was stopped and resumed, if it was."""
    rows = [
        {
            "stopped": plain_time(stop.stopped),
            "stage": stop.stage or "-",
            "saved": stop.saved or "-",
            "resumed": plain_time(stop.resumed),
        }
        for stop in stops(run)
    ]
    if not rows:
        return ""
    return html.table(
        pd.DataFrame(rows),
        "Stopped by a signal, such as Ctrl-C, and resumed: history, no error.",
    )


def _means(run: RunFolder) -> str:
    if run.results is None:
        return html.paragraph("There are no results yet.")
    rows = run.results[run.results["label"] == MEAN]
    cells = rows.assign(
        AUC=[tables.cell(row, counts=False) for row in rows.to_dict("records")]
    )
    shown = cells[["task", "encoder", "AUC", "note"]]
    share = run.recipe.get("evaluate.confidence", "0.95")
    return html.table(
        shown,
        f"Mean AUC on the test images, with its {percent(float(share))} "
        f"interval over subjects. {report_data.policy(run)}",
        header=2,
    )


def concerns(found: list[Finding]) -> html.Section | None:
    """Failures and warnings, or that there are none."""
    told = html.findings((one.level, one.told) for one in found)
    if not told:
        told = html.paragraph("None.", "good")
    return html.section("Failures and warnings", told)


def recipe(run: RunFolder) -> html.Section | None:
    """Every value of the recipe; the first words are open."""
    values = run.recipe
    table = html.facts(values.items(), "Every value that has an effect.")
    short = _wanted(values)
    return html.section(
        "Recipe",
        html.facts(short.items(), "In short."),
        html.details(f"All {len(values)} values", table),
    )


def _wanted(values: dict[str, str]) -> dict[str, str]:
    sections = ("objective.", "image_encoder.", "text_encoder.preset")
    keys = ("pretrain.epochs", "retrain.labels", "retrain.epochs", "seed")
    return {
        key: value
        for key, value in values.items()
        if key.startswith(sections) or key in keys
    }


def pretraining(run: RunFolder) -> html.Section | None:
    """The bound, InfoNCE with its ceiling, and its value on held-out pairs."""
    history = run.table("pretrain/history.csv")
    parts = []
    if history is not None and "mutual_information" in history:
        parts.append(_bound(run, history))
    rows = run.table("pretrain/mutual_information.csv")
    if rows is not None:
        parts.append(_information(rows))
    if not parts and run.pretrains:
        parts.append(html.paragraph("Pretraining has written nothing yet."))
    return html.section("Pretraining", *parts)


def has_ceiling(run: RunFolder) -> bool:
    """Whether the run's bound cannot exceed log|C|: InfoNCE alone."""
    return bound_name(run) == "cpc"


def bound_name(run: RunFolder) -> str:
    """Which bound the run's pretraining maximises; empty where none."""
    return run.recipe.get("objective.bound", "")


def _bound(run: RunFolder, history: pd.DataFrame) -> str:
    name, best = "val_mutual_information", ""
    of, ceiling = bound_name(run), has_ceiling(run)
    if name in history:
        at = int(history[name].argmax())
        value = trouble.told(of, float(history[name].iloc[at]))
        best = (
            f" The best validation value is {value}, in epoch"
            f" {int(history['epoch'].iloc[at]) + 1}, whose weights are kept."
        )
    curves = figures.training_curves(
        history,
        title="",
        size=CURVE,
        ceiling=ceiling,
        chance=chance(run),
        axis=trouble.axis(of),
    )
    also = ", and its ceiling" if ceiling else ""
    what, unit = "bound", " in nats"
    if of in trouble.CAVEATS:
        what, unit = f"value of {of}", f", {trouble.CAVEATS[of]},"
    return html.figure(
        curves,
        f"Curves of the {what}{unit} over {counted(len(history), 'epoch')}, "
        f"in training and validation{also}.{best}",
        f"The {what} that pretraining maximises{also}.{best}",
    )


def _information(rows: pd.DataFrame) -> str:
    return html.table(
        report_evaluations.read_outs(rows),
        "Held-out mutual information in nats, on validation pairs. "
        f"{report_evaluations.READ_OUTS} The validation pairs chose the epoch "
        "too; `kerasmi evaluate` reads the test pairs.",
        header=2,
    )


def sentences(run: RunFolder, show: bool) -> html.Section | None:
    """The contact sheet of sentences with their maps."""
    return html.section("Sentences and their regions", *maps(run, show))


def maps(run: RunFolder, show: bool, most: int | None = None) -> Iterator[str]:
    """The maps of a run's sentences, or why they are not shown.

    Args:
        run: the run.
        show: whether images and report text may be shown.
        most: the first so many; None: all.
    """
    examples = run.examples
    if examples is None:
        return
    if not show:
        yield report_data.hidden("The contact sheet of sentences")
        return
    limit = region_maps.scale_of(examples.maps)
    told = zip(
        examples.images,
        examples.sentences,
        examples.maps,
        examples.truth,
        strict=True,
    )
    yield html.paragraph(_MAPS)
    yield html.figure(
        region_maps.scale_bar(limit),
        f"The scale of the maps: clear at 0, orange at {limit:.2f} nats.",
    )
    drawn = (
        html.figure(
            region_maps.region_map(image, scores, limit, truth, examples.size),
            f"Image under the map of the scores of “{sentence}”",
            sentence,
        )
        for image, sentence, scores, truth in itertools.islice(told, most)
    )
    yield html.gallery(drawn, small=True)


def results(run: RunFolder) -> html.Section | None:
    """The tables of AUCs, a table and a picture for each task."""
    if run.results is None:
        return None
    return html.section("Results", *_results(run, run.results))


def _results(run: RunFolder, rows: pd.DataFrame) -> Iterator[str]:
    share = percent(float(run.recipe.get("evaluate.confidence", "0.95")))
    draws = run.recipe.get("evaluate.bootstrap", "")
    for task, of_task in rows.groupby("task", sort=False):
        several = of_task["encoder"].nunique() > 1
        beside = ", an encoder beside the other" if several else ""
        yield html.heading(plain(str(task)), "Results")
        yield html.table(
            tables.summary(of_task).drop(columns="task"),
            f"AUC on the test images; in brackets its {share} interval "
            f"over subjects ({draws} resamples), in parentheses positive/"
            f"negative images. {report_data.policy(run)}",
        )
        yield html.figure(
            figures.forest(of_task, width=CURVE[0]),
            f"AUC and interval of each label of {plain(str(task))}{beside}; "
            "the numbers are those of the table above.",
        )


def roc(run: RunFolder) -> html.Section | None:
    """ROC curves with bands, a picture for each label."""
    predictions = run.table("predictions.csv")
    if predictions is None or run.results is None:
        return None
    note = (
        f"On the test images; the bands hold 95% of {_BAND} resamples of "
        f"subjects, at each false-positive rate. {report_data.policy(run)}"
    )
    return html.section("ROC curves", html.paragraph(note), *rocs(predictions))


def rocs(predictions: pd.DataFrame) -> Iterator[str]:
    """A picture for each label of a predictions.csv, under their tasks."""
    test = predictions[predictions["split"] == "test"]
    for task, of_task in test.groupby("task", sort=False):
        yield html.heading(plain(str(task)), "ROC curves")
        yield html.gallery(
            html.figure(
                figures.roc_curves(one, resamples=_BAND),
                f"ROC curves of {label}{_curves(one)}",
            )
            for label, one in of_task.groupby("label", sort=False)
        )


def _curves(predictions: pd.DataFrame) -> str:
    """What a picture of a label's ROC curves shows, after its name."""
    if usable(predictions, "test")["target"].nunique() < 2:
        return ": not defined, as a class is missing"
    names = map(plain, predictions["encoder"].unique())
    return f" for {', '.join(names)}, with bands"


def retraining(run: RunFolder) -> html.Section | None:
    """The validation AUC of each network while it was trained."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for task, encoder, label, history in run.histories():
        if "val_auc" in history:
            name = plain(f"{task} {label}".strip())
            found.setdefault(name, {})[encoder] = history
    return html.section(
        "Re-training",
        html.gallery(
            html.figure(
                figures.validation_curves(histories, size=SMALL),
                f"Validation AUC by epoch while re-training {name}: "
                f"{', '.join(map(plain, histories))}",
                f"{name}: mean validation AUC; the mark is the epoch kept.",
            )
            for name, histories in found.items()
        )
        if found
        else "",
    )


def environment(
    run: RunFolder, caption: str = "Every start of the run."
) -> html.Section | None:
    """Where and with what each start was made."""
    if not run.starts:
        return None
    told = [
        {
            "started": start.get("started"),
            "command": start.get("command"),
            "kerasmi": start.get("kerasmi"),
            "commit": start.get("commit"),
            "python": start.get("python"),
            **start.get("packages", {}),
            "platform": start.get("platform"),
            "processors": start.get("processors"),
            "devices": start.get("devices"),
            "pretraining from": start.get("pretrain_from"),
        }
        for start in run.starts
    ]
    names = [f"start {k + 1}" for k in range(len(told))]
    frame = pd.DataFrame(told, index=names, dtype=object).T
    frame = frame.dropna(how="all").rename_axis("what").reset_index()
    return html.section("Environment", html.table(frame, caption))
