"""The README.md of an exported model, made from its run folder alone."""

from pathlib import Path

import pandas as pd

from kerasmi import recipe as recipes
from kerasmi import stages, written_tables
from kerasmi.reporter import counted, percent
from kerasmi.runs import Run

_RESULTS = (
    *("task", "label", "encoder", "metric", "value", "low", "high"),
    *("n_positive", "n_negative", "note"),
)
_INFORMATION = "pretrain/mutual_information.csv"
_LIMITS = """\
- For research. Not a medical device: it was not tested for use on patients,
  and nothing here supports such a use.
- What it learned holds for images like those of the data above: their
  scanners, views, patients and way of reporting. Elsewhere it must be tested
  anew.
- An interval above that spans 0.5, or that is wide, says that the test set is
  too small to tell; compare models only where their intervals are apart."""
_PHANTOM = """
- It was trained on the phantom, generated images and reports. It has never
  seen a radiograph and is of use for tests and teaching only."""


def card(run: Run, title: str, stage: str, about: str, use: str) -> str:
    """The text of a model card.

    Args:
        run: the run that the model comes from.
        title: name of the model.
        stage: the stage of the run that trained it.
        about: what goes in and what comes out, in Markdown.
        use: how the files are loaded, in Markdown.
    """
    sections = {
        "What it is": about,
        "Use": use,
        "Data": _data(run),
        "Recipe": f"```yaml\n{_recipe(run)}\n```",
        "Results": _results(run, stage),
        "Limits": _limits(run),
    }
    name = run.path.resolve().name
    text = f"# {title} of `{name}`\n\n"
    text += f"Made by kerasmi in the stage `{stage}` of the run `{name}`.\n"
    for heading, content in sections.items():
        text += f"\n## {heading}\n\n{content.strip()}\n"
    return text


def _recipe(run: Run) -> str:
    lines = recipes.dump(run.recipe).splitlines()
    # what each value means stands in the run's own recipe.yaml
    return "\n".join(x for x in lines if not x.lstrip().startswith("#"))


def _data(run: Run) -> str:
    data = run.recipe.data
    start = _last_start(run)
    known = run.known_data()
    lines = [f"- source: {known.get('source', data.source)}"]
    if "name" in known:
        lines.append(f"- name: {known['name']}")
    if data.path is not None:
        lines.append(f"- folder: {data.path.name}")
    if data.source == "phantom":
        lines.append(f"- seed of the phantom: {data.seed}")
    lines += [
        *_splits(known.get("counts", {})),
        f"- fingerprint: `{start.get('data_fingerprint', 'not recorded')}`",
        f"- image size: {data.image_size} pixels",
        *_intensity(known.get("intensity")),
        f"- labels that the report leaves uncertain: {data.uncertain}",
        f"- findings that the report does not mention: {data.blank}",
        f"- trained with kerasmi {start.get('kerasmi', 'not recorded')},"
        f" {start.get('started', 'at a time not recorded')}",
    ]
    return "\n".join(lines)


def _intensity(name: str | None) -> list[str]:
    """How files became grey levels; nothing where they were drawn."""
    if name is None:
        return []
    return [f"- grey levels: `--intensity {name}` of `kerasmi data import`"]


def _splits(counts: dict[str, dict[str, int]]) -> list[str]:
    """A line for each split; one that says so where nothing is recorded."""
    if not counts:
        return ["- images, studies and subjects: not recorded"]
    return [
        f"- {split}: {counted(of['images'], 'image')}"
        f" ({of['with_text']:,} with text),"
        f" {counted(of['studies'], 'study', 'studies')},"
        f" {counted(of['subjects'], 'subject')}"
        for split, of in counts.items()
    ]


def _last_start(run: Run) -> dict[str, object]:
    starts = run.starts()
    return starts[-1] if starts else {}


def _results(run: Run, stage: str) -> str:
    parts = []
    results = _table(run.path / "results.csv")
    if results is not None:
        _, *which = stage.split("/")
        for column, value in zip(("task", "encoder"), which, strict=False):
            results = results[results[column] == value]
        if len(which) == 3:
            # a network of one label
            results = results[results["label"].map(stages.folder) == which[2]]
    # without a row: of a network whose siblings are not done
    if results is not None and not results.empty:
        interval = f"{percent(run.recipe.evaluate.confidence)} interval"
        parts.append(
            "Classifiers over the image encoder, on the test images; `low` and"
            f" `high` are the {interval}, by resampling patients.\n\n"
            + _markdown(results[[c for c in _RESULTS if c in results]])
        )
    information = _table(run.path / _INFORMATION)
    if information is not None and stage == "pretrain":
        parts.append(
            "Mutual information of image and text on validation pairs, in nats;"
            " a bound cannot exceed its ceiling. No weight was trained on these"
            " pairs, but they chose the epoch too; `kerasmi evaluate` reads the"
            " test pairs.\n\n" + _markdown(information)
        )
    return "\n\n".join(parts) or "It is not evaluated yet."


def _table(path: Path) -> pd.DataFrame | None:
    return written_tables.read(path) if path.is_file() else None


def _markdown(frame: pd.DataFrame) -> str:
    names = list(frame.columns)
    rows = [names, ["---"] * len(names)]
    for values in frame.to_numpy():
        rows.append([_cell(*each) for each in zip(names, values, strict=True)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(name: str, value: object) -> str:
    if isinstance(value, float):
        if value != value:
            return "-"
        # counts, though some are missing
        return f"{value:.0f}" if name.startswith("n_") else f"{value:.3f}"
    return str(value).replace("|", "\\|")


def _limits(run: Run) -> str:
    phantom = run.recipe.data.source == "phantom"
    return _LIMITS + (_PHANTOM if phantom else "")
