"""The page of a grid: its runs beside each other."""

import itertools
from collections.abc import Callable, Collection, Iterator
from urllib.parse import quote

import pandas as pd

from kerasmi.evaluation import figures, report_data, report_run, trouble
from kerasmi.evaluation import report_html as html
from kerasmi.evaluation.auc import MEAN
from kerasmi.evaluation.drawing import plain
from kerasmi.evaluation.report_findings import (
    FAILURE,
    WARNING,
    Finding,
    chance,
    findings,
)
from kerasmi.evaluation.report_folder import GridFolder, RunFolder, listed
from kerasmi.evaluation.report_markdown import tables as written_tables
from kerasmi.reporter import counted

_DIFFERENT = "The runs are of different data. That of the first:"
_BOUND = "val_mutual_information"
_PREDICTIONS = "predictions.csv"
_CONCERNS = "failures and warnings"
_CURVES = 5  # more in a panel are not told apart
_EXAMPLES = 4
_PICTURES = {
    "auc": "Mean AUC of each method, a mark for each seed.",
    "label_efficiency": "Mean AUC against the number of labelled images.",
}


def page(grid: GridFolder, show_text: bool) -> str:
    """The page of a grid, of what is there of it.

    Args:
        grid: the grid.
        show_text: as for a run.
    """
    found = {name: findings(run) for name, run in grid.members.items()}
    name = grid.recipe.get("name", grid.path.name)
    pending = _pending(grid)
    return html.page(
        f"Grid {name}",
        _lead(grid, pending),
        [
            _members(grid, found),
            report_run.concerns(_concerns(found, pending)),
            html.section("Tables", *_tables(grid)),
            html.section("Paired tests", _comparisons(grid)),
            html.section("Label efficiency", *_label_efficiency(grid)),
            html.section("Figures", *_pictures(grid)),
            html.section("Pretraining", *_pretraining(grid)),
            html.section("ROC curves", *_roc(grid)),
            html.section(
                "Sentences and their regions", *_maps(grid, show_text)
            ),
            html.section("Recipe", _recipe(grid)),
            *_first(grid, show_text),
        ],
    )


def _lead(grid: GridFolder, pending: list[str]) -> str:
    total = len(grid.members) + len(pending)
    there = "is there" if total == 1 else "are there"
    return html.paragraph(
        f"{len(grid.members)} of {counted(total, 'run')} {there}; each that "
        "was evaluated has a page of its own in its folder.",
        "lead",
    )


def _pending(grid: GridFolder) -> list[str]:
    """The runs that the grid asks for and that have not begun."""
    recipe = grid.recipe
    labels = listed(recipe.get("grid.labels", "").removeprefix("null"))
    parts = [f"labels{count}-" for count in labels] or [""]
    names = [
        f"{variant}/{part}seed{seed}"
        for variant in grid.variants
        for part in parts
        for seed in listed(recipe.get("grid.seeds", ""))
    ]
    return [name for name in names if name not in grid.members]


def _members(
    grid: GridFolder, found: dict[str, list[Finding]]
) -> html.Section | None:
    if not grid.members:
        return None
    rows = [
        {"run": name} | _row(run, found[name])
        for name, run in grid.members.items()
    ]
    frame = pd.DataFrame(rows).fillna("-")
    frame = frame[[*frame.columns.drop(_CONCERNS), _CONCERNS]]
    links = "\n".join(
        f'<li><a href="./{quote(name)}/report.html">'
        f"{html.escape(name)}</a></li>"
        for name, run in grid.members.items()
        if (run.path / "report.html").is_file()
    )
    listing = f"<ul>\n{links}\n</ul>" if links else ""
    return html.section(
        "Runs",
        html.table(
            frame,
            "The runs; mean AUC on the test images for each task and encoder.",
        ),
        html.details("The page of each run", listing) if links else "",
    )


def _row(run: RunFolder, found: list[Finding]) -> dict[str, object]:
    done = [run.finished(stage) is not None for stage in run.expected()]
    row: dict[str, object] = {"stages done": f"{sum(done)} of {len(done)}"}
    if run.results is not None:
        means = run.results[run.results["label"] == MEAN]
        for one in means.to_dict("records"):
            name = f"{plain(one['task'])}, {plain(one['encoder'])}"
            row[name] = html.cell(one["value"])
    row[_CONCERNS] = f"{len(found)}"
    return row


def _concerns(
    found: dict[str, list[Finding]], pending: list[str]
) -> list[Finding]:
    """Those of all runs; what several runs share is said once.

    In the order of a run's own page: what came of pretraining first, of
    whichever run.
    """
    shared: dict[Finding, list[str]] = {}
    places: dict[Finding, int] = {}
    for name, concerns in found.items():
        for place, one in enumerate(concerns):
            shared.setdefault(one, []).append(name)
            places[one] = min(place, places.get(one, place))
    told = [
        Finding(one.level, f"{', '.join(names)}: {_told(one, names)}")
        for one, names in sorted(shared.items(), key=lambda it: places[it[0]])
    ]
    if pending:
        text = f"Not begun: {', '.join(pending)}."
        told.append(Finding(WARNING, text))
    return sorted(told, key=lambda one: one.level != FAILURE)


def _told(one: Finding, runs: list[str]) -> str:
    """A finding; with its time where it is of one run."""
    return one.told if len(runs) == 1 else one.text


def _first_run(grid: GridFolder) -> RunFolder | None:
    return next(iter(grid.members.values()), None)


def _tables(grid: GridFolder) -> Iterator[str]:
    run = _first_run(grid)
    if run is None:
        return
    written = sorted((grid.path / "tables").glob("*.md"))
    for path in written:
        told = report_data.policy(run)
        yield written_tables(path.read_text("utf-8"), told, path.stem)
    results = grid.table("results.csv")
    if results is not None and not written:
        for task, of_task in results.groupby("task", sort=False):
            yield html.heading(plain(str(task)), "Tables")
            yield html.table(
                _over_seeds(of_task),
                f"AUC on the test images{_seeds(of_task)}; in parentheses "
                "positive/negative images. "
                f"{report_data.policy(run)}",
                header=2,
            )


def _seeds(results: pd.DataFrame) -> str:
    """What a cell is of, where it is of several seeds."""
    several = results["seed"].nunique() > 1
    return ", mean ± standard deviation over seeds" if several else ""


def _over_seeds(results: pd.DataFrame) -> pd.DataFrame:
    """A row for each variant, encoder (and labels), a column for each label."""
    keys = [key for key in ("variant", "labels", "encoder") if key in results]
    rows = results.assign(column=_headings(results))
    columns = rows["column"].unique()
    cells = rows.groupby([*keys, "column"], sort=False)["value"].agg(_spread)
    wide = cells.unstack("column", fill_value="-", sort=False)[columns]
    return wide.rename_axis(columns=None).reset_index()


def _headings(results: pd.DataFrame) -> list[str]:
    """Each label with its positives and negatives, where these agree."""
    counts = results.groupby("label")[["n_positive", "n_negative"]]
    same = counts.nunique().max(axis=1) == 1
    return [
        f"{label} ({positive:.0f}/{negative:.0f})" if same[label] else label
        for label, positive, negative in zip(
            results["label"],
            results["n_positive"],
            results["n_negative"],
            strict=True,
        )
    ]


def _spread(values: pd.Series) -> str:
    values = values.dropna()
    if values.empty:
        return "not defined"
    if len(values) == 1:
        return f"{values.iloc[0]:.3f}"
    return f"{values.mean():.3f} ± {values.std():.3f}"


def _comparisons(grid: GridFolder) -> str:
    frame = grid.table("comparisons.csv")
    if frame is None or frame.empty:
        return ""
    frame = _tests(frame)
    means = frame[frame["label"] == MEAN].drop(columns="label")
    caption = (
        "Difference of AUC, a - b, on the same images and seeds; in brackets "
        "its interval over subjects; p_holm is corrected for the number of "
        "tests, those of means and those of labels apart."
    )
    every = html.table(frame, f"{caption} Every label.")
    return "\n".join(
        [
            html.table(means, f"{caption} Means over labels."),
            html.details(f"All tests ({len(frame)})", every),
        ]
    )


def _tests(frame: pd.DataFrame) -> pd.DataFrame:
    """The paired tests with what matters most first; no empty column."""
    told = [
        "-"
        if pd.isna(row["difference"])
        else f"{row['difference']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        for row in frame.to_dict("records")
    ]
    chances = [name for name in frame if name.startswith("p_")]
    shown = frame.assign(
        difference=told, **{name: frame[name].map(_chance) for name in chances}
    )
    names = ["labels", "comparison", "a", "b", "task", "label", "difference"]
    first = [name for name in [*names, *reversed(chances)] if name in shown]
    rest = shown.columns.drop([*first, "low", "high"])
    return shown[[*first, *rest]].dropna(axis="columns", how="all")


def _chance(value: float) -> str:
    if pd.isna(value):
        return "-"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _label_efficiency(grid: GridFolder) -> Iterator[str]:
    png = grid.picture("figures/label_efficiency.png")
    if png is not None:
        told = _PICTURES["label_efficiency"]
        yield html.figure(png, told, told, scroll=True)
    frame = grid.table("label_efficiency.csv")
    if frame is not None:
        table = html.table(frame, "Mean AUC by number of labelled images.")
        yield html.details(f"All values ({len(frame)})", table)


def _pictures(grid: GridFolder) -> Iterator[str]:
    for path in grid.pictures("figures"):
        if path.stem != "label_efficiency":
            told = _PICTURES.get(path.stem, f"{plain(path.stem)}.")
            yield html.figure(path.read_bytes(), told, told, scroll=True)


def _pretraining(grid: GridFolder) -> Iterator[str]:
    """The bound of all runs; runs that share a pretraining count once."""
    found: dict[str, dict[str, pd.DataFrame]] = {}
    ceilings: dict[str, str] = {}
    chances: dict[float, None] = {}
    bounds: dict[str, set[str]] = {}
    for name, run in grid.members.items():
        history = run.table("pretrain/history.csv")
        if history is not None and _BOUND in history:
            variant = found.setdefault(name.split("/")[0], {})
            variant[history.to_csv()] = history
            ceilings[name.split("/")[0]] = _ceiling(run, history)
            of_variant = bounds.setdefault(name.split("/")[0], set())
            of_variant.add(report_run.bound_name(run))
            level = chance(run)
            chances |= {} if level is None else {level: None}
    if not found:
        return
    histories = {name: list(runs.values()) for name, runs in found.items()}
    in_nats = all(map(trouble.in_nats, set().union(*bounds.values())))
    nats = " (nats)" if in_nats else ""
    yield html.figure(
        figures.bound_curves(
            histories,
            size=report_run.CURVE,
            chances=chances,
            axis=f"validation bound{nats}",
        ),
        f"The validation bound{' in nats' if in_nats else ''} by epoch of "
        f"{', '.join(map(plain, histories))}",
        "The bound on validation pairs, a curve for each pretraining"
        f"{_levels(chances)}.",
    )
    rows = [
        {
            "variant": name,
            "pretrainings": len(runs),
            f"best bound{nats}": max(run[_BOUND].max() for run in runs),
            "ceiling (nats)": ceilings[name],
            "note": _caveats(bounds[name]),
        }
        for name, runs in histories.items()
    ]
    where = "" if in_nats else ", in nats where no note says otherwise"
    yield html.table(
        pd.DataFrame(rows),
        f"The best validation bound of each variant{where}, and the ceiling "
        "log|C| of its batches, which InfoNCE (cpc) alone has.",
    )


def _caveats(bounds: Collection[str]) -> str:
    """What the values of some bounds are not; empty of lower bounds in nats."""
    return "; ".join(
        f"the value of {one}: {trouble.CAVEATS[one]}"
        for one in sorted(bounds)
        if one in trouble.CAVEATS
    )


def _levels(chances: Collection[float]) -> str:
    """What the grey lines of a picture of bounds are."""
    if not chances:
        return ""
    levels = " and ".join(f"{one:.3g}" for one in chances)
    return f"; grey: what a bound reads by chance, {levels}"


def _ceiling(run: RunFolder, history: pd.DataFrame) -> str:
    known = [n for n in ("val_ceiling", "ceiling") if n in history]
    if not known or not report_run.has_ceiling(run):
        return "none"
    return f"{history[known[0]].iloc[-1]:.3f}"


def _roc(grid: GridFolder) -> Iterator[str]:
    """A curve for each variant in the panel of each label, of one seed."""
    predicted = _one_of_each(grid, _has_predictions)
    frames: list[pd.DataFrame] = []
    for variant, (_, run) in itertools.islice(predicted.items(), _CURVES):
        frame = run.table(_PREDICTIONS)
        if frame is not None:
            encoder = frame["encoder"].iloc[-1]
            mine = frame[frame["encoder"] == encoder]
            shown = variant if encoder == variant else f"{variant} {encoder}"
            frames.append(mine.assign(encoder=shown))
    if frames:
        names = [name for name, _ in predicted.values()]
        drawn, left = names[:_CURVES], len(names[_CURVES:])
        first, *_ = grid.members.values()
        yield html.paragraph(
            f"Of the runs {', '.join(drawn)}"
            f"{f' ({left} more not drawn)' if left else ''}, with the last "
            "of their encoders; the page of each run has all. "
            f"{report_data.policy(first)}"
        )
        yield from report_run.rocs(pd.concat(frames, ignore_index=True))


def _has_predictions(run: RunFolder) -> bool:
    return (run.path / _PREDICTIONS).is_file()


def _one_of_each(
    grid: GridFolder, wanted: Callable[[RunFolder], bool]
) -> dict[str, tuple[str, RunFolder]]:
    """Of each variant the first run that is wanted, with its name."""
    found: dict[str, tuple[str, RunFolder]] = {}
    for name, run in grid.members.items():
        variant = name.split("/")[0]
        if variant not in found and wanted(run):
            found[variant] = name, run
    return found


def _maps(grid: GridFolder, show_text: bool) -> Iterator[str]:
    chosen = _one_of_each(grid, lambda run: run.examples is not None)
    for name, run in chosen.values():
        yield html.heading(name, "Sentences and their regions")
        show = show_text or run.is_phantom
        yield from report_run.maps(run, show, _EXAMPLES)


def _recipe(grid: GridFolder) -> str:
    return html.facts(grid.recipe.items(), "What the grid was asked for.")


def _first(grid: GridFolder, show_text: bool) -> Iterator[html.Section | None]:
    """What the first run tells for all."""
    run = _first_run(grid)
    if run is None:
        return
    prints = {one.fingerprint for one in grid.members.values()} - {""}
    data = report_data.section(run, show_text or run.is_phantom)
    if data is not None and len(prints) > 1:
        told = html.findings([(WARNING, _DIFFERENT)])
        data = html.Section(data.title, told + data.body)
    yield data
    name = next(iter(grid.members))
    yield report_run.environment(run, f"Every start of {name}, the first run.")
