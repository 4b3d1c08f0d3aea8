"""Runs that may stand in one table, and in what they still differ."""

import itertools
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kerasmi import recipe as recipes
from kerasmi import recipe_yaml
from kerasmi.collection import environment, fingerprint, variant
from kerasmi.environment import differences
from kerasmi.errors import RunError
from kerasmi.runs import Run

# What all runs of one table have in common, beside the data itself.
_SAME = (
    "data.image_size",
    "data.uncertain",
    "data.blank",
    "retrain.tasks",
    "retrain.findings",
    "retrain.labels",
    "evaluate.confidence",
)
# What the runs of one row need not have in common, beside the data's place:
# encoders have rows of their own, and threads decide roundings only.
_FREE = ("seed", "intra_op_threads", "retrain.encoders", "evaluate.bootstrap")
# The same files may lie elsewhere.
_PLACES = ("image_encoder.path", "text_encoder.path")
# What is the same in all rows where only what is pretrained differs; how long
# and how fast to pretrain is chosen for each objective.
_BESIDE = (
    "precision",
    "image_encoder.",
    "text_encoder.",
    "critic.",
    "retrain.",
)
# Of these an image-only run has its own, or none.
_OF_PRETRAINED = ("text_encoder.", "critic.", "retrain.epochs")

Difference = tuple[str, str, str]


def check(runs: Sequence[Run]) -> None:
    """Refuses runs that must not stand in one table.

    Raises:
        RunError: names two runs and in what they differ: data, label
            policies, tasks, findings, labelled images; any other setting of
            the training, in runs of one variant, which one row averages
            (where a checkpoint lies is left to `unlike`); or that they are
            the same variant with the same seed.
    """
    first = runs[0]
    for run in runs[1:]:
        for key, one, other in _differences(first, run):
            alike = [
                each for each in runs if not any(_differences(first, each))
            ]
            raise RunError(
                f"{run.path}: {key} is {other}, and {one} in {first.path};"
                " the runs of one table agree in it: make a table of each,"
                f" such as `kerasmi table {_folders(alike, runs)}`"
            )
    for same in _by_variant(runs):
        _check_row(same, runs)
    known: dict[tuple[str, int], Run] = {}
    for run in runs:
        this = (variant(run.recipe), run.recipe.seed)
        if this in known:
            raise RunError(
                f"{run.path}: {this[0]} with seed {this[1]}, which"
                f" {known[this].path} is too; leave one of them out"
            )
        known[this] = run


def _check_row(same: Sequence[Run], runs: Sequence[Run]) -> None:
    """Refuses runs of one variant that are not seeds of one training."""
    first = same[0]
    for run in same[1:]:
        found = _in_a_row(first, run)
        for key, one, other in found[:1]:
            more = f" (and {len(found) - 1} more)" if found[1:] else ""
            others = [each for each in same if _in_a_row(first, each)]
            raise RunError(
                f"{run.path}: {key} is {other}, and {one} in"
                f" {first.path}{more}; runs of {variant(run.recipe)} are one"
                " row, their mean, so they agree in all but the seed: leave"
                f" out {_folders(others, runs)}, or make a table of each"
            )


def _by_variant(runs: Iterable[Run]) -> list[list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(variant(run.recipe), []).append(run)
    return list(found.values())


def _folders(chosen: Sequence[Run], runs: Sequence[Run]) -> str:
    """How to name some of the runs in a shell: by one pattern if it does."""
    split = [run.path.parts for run in chosen]
    if len({len(parts) for parts in split}) == 1:
        names = [sorted(set(column)) for column in zip(*split, strict=True)]
        pattern = Path(*(n[0] if len(n) == 1 else _any(n) for n in names))
        met = [run for run in runs if run.path.match(str(pattern))]
        if len(met) == len(chosen):
            # a star between quotes would be no star
            return "*".join(
                shlex.quote(p) if p else "" for p in str(pattern).split("*")
            )
    return shlex.join(str(run.path) for run in chosen)


def _any(names: Sequence[str]) -> str:
    """A pattern for names: what they begin with, and a star."""
    same = itertools.takewhile(
        lambda letters: len(set(letters)) == 1, zip(*names, strict=False)
    )
    return "".join(letters[0] for letters in same) + "*"


def _differences(a: Run, b: Run) -> Iterable[Difference]:
    """In what two runs of one table must not differ but do."""
    one, other = fingerprint(a), fingerprint(b)
    if one != other:
        yield "the data's fingerprint", one[:12], other[:12]
    mine, theirs = a.recipe.settings(), b.recipe.settings()
    for key in _SAME:
        values = [settings.get(key) for settings in (mine, theirs)]
        if key in ("retrain.tasks", "retrain.findings"):
            values = [tuple(sorted(value or ())) for value in values]
        if values[0] != values[1]:
            yield key, _shown(key, values[0]), _shown(key, values[1])


def _in_a_row(a: Run, b: Run) -> list[Difference]:
    """In what two runs of one row must not differ but do."""
    return [
        (key, _shown(key, one), _shown(key, other))
        for key, one, other in recipes.differences(a.recipe, b.recipe)
        if key not in _SAME + _FREE
        and not key.startswith("data.")
        and not (key in _PLACES and None not in (one, other))
    ]


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "all" if key == "retrain.labels" else "not used"
    if key in ("retrain.tasks", "retrain.findings"):
        return ", ".join(value)
    return recipe_yaml.scalar(value)


def unlike(runs: Sequence[Run]) -> list[str]:
    """A line on each run that was made elsewhere than the first, or otherwise.

    Such runs may differ in more than what their recipes say; then, lines on
    runs whose recipes differ in more than what is pretrained.
    """
    first = environment(runs[0])
    lines = []
    for run in runs[1:]:
        found = differences(first, environment(run))
        if found:
            lines.append(_line("made", runs[0], run, found))
    return lines + _beside(runs)


def _beside(runs: Sequence[Run]) -> list[str]:
    """A line on each run that is not trained like the first it can be.

    Seeds of a variant that differ in the same are told once.
    """
    lines: dict[tuple[str, tuple[Difference, ...]], str] = {}
    pretrained = [run for run in runs if run.recipe.objective is not None]
    for among, own in ((runs, False), (pretrained, True)):
        for run in among[1:]:
            found = tuple(
                (key, _shown(key, one), _shown(key, other))
                for key, one, other in recipes.differences(
                    among[0].recipe, run.recipe
                )
                if key.startswith(_BESIDE)
                and key not in _SAME + _FREE
                and key.startswith(_OF_PRETRAINED) == own
            )
            if found:
                lines.setdefault(
                    (variant(run.recipe), found),
                    _line("trained", among[0], run, found),
                )
    return list(lines.values())


def _line(how: str, a: Run, b: Run, found: Iterable[Difference]) -> str:
    facts = "; ".join(f"{n}: {other}, not {one}" for n, one, other in found)
    return f"{b.path}: not {how} like {a.path}: {facts}"
