"""The data behind a table of runs: where it is, and its Table 1."""

from pathlib import Path

import pandas as pd

from kerasmi import stages
from kerasmi.collection import environment, fingerprint
from kerasmi.data import labels as label_policy
from kerasmi.data.dataset import Dataset
from kerasmi.data.dataset_index import INDEX
from kerasmi.data.schema import EDEMA_SEVERITY, SPLITS
from kerasmi.errors import DataError
from kerasmi.recipe import Recipe
from kerasmi.runs import Run

PHANTOM = "phantom"


def source(run: Run, found: Dataset | None) -> str | None:
    """Where a run's images came from, such as `"mimic-cxr"`; None: unknown.

    Args:
        run: the run.
        found: its data, see `dataset`; None where it is no longer.
    """
    if found is not None:
        return found.source
    if run.recipe.data.source == PHANTOM:
        return PHANTOM
    return environment(run).get("data", {}).get("source")


def dataset(run: Run) -> Dataset | None:
    """The data of a run, where it still is; None where it is no longer.

    Looked for where the run recorded it, where its recipe says, and beside
    it; what is found has the run's fingerprint.
    """
    wanted = fingerprint(run)
    recorded = environment(run).get("data", {}).get("path")
    places = [recorded, run.recipe.data.path]
    beside = sorted(path.parent for path in run.data_folder.glob(f"*/{INDEX}"))
    for place in [Path(p) for p in places if p] + beside:
        try:
            found = Dataset.open(place)
        except DataError:
            continue
        if found.fingerprint == wanted:
            return found
    return None


def counts(dataset: Dataset, recipe: Recipe) -> pd.DataFrame:
    """Images with each label of the recipe's tasks, under its label policies.

    Test targets are the known answers where the data has them (phantom).

    Returns:
        Columns `label`, `split`, `n_images` (with a target), `n_positive` and
        `n_negative`, or for the severity `n_level_0` to `n_level_3`.
    """
    names = dict.fromkeys(
        label for task in stages.tasks(recipe) for label in task.labels
    )
    present = [name for name in SPLITS if name in dataset.counts]
    return pd.DataFrame(
        [
            {"label": label, "split": split}
            | _count(dataset, recipe, label, split)
            for label in names
            for split in present
        ]
    )


def _count(
    dataset: Dataset, recipe: Recipe, label: str, split: str
) -> dict[str, int]:
    found = label_policy.targets(
        dataset.rows(split),
        [label],
        truth=dataset.has_truth and split == "test",
        uncertain=recipe.data.uncertain,
        blank=recipe.data.blank,
    )
    used = found[found >= 0]
    if label == EDEMA_SEVERITY:
        each = {f"n_level_{n}": int((used == n).sum()) for n in range(4)}
    else:
        each = {
            "n_positive": int((used == 1).sum()),
            "n_negative": int((used == 0).sum()),
        }
    return {"n_images": len(used), **each}


def described(run: Run, source: str | None) -> list[str]:
    """Lines to print over every table: data, label policies, labelled images.

    Args:
        run: any of the table's.
        source: where its images came from, see `source`.
    """
    data, asked = run.recipe.data, run.recipe.retrain.labels
    lines = [
        f"Data: {source or 'of unknown source'}, fingerprint"
        f" {fingerprint(run)[:12]}, {data.image_size} pixels.",
        f"Labels: uncertain {_policy(data.uncertain)}, blank"
        f" {_policy(data.blank)}.",
    ]
    if source == PHANTOM:
        lines[1] += " Test targets: the known answers."
    if asked is not None:
        of = f"{asked:g} of the" if isinstance(asked, float) else f"{asked:,}"
        lines.append(f"Re-trained on {of} labelled images for each task.")
    return lines


def _policy(word: str) -> str:
    return {
        "ignore": "left out",
        "zeros": "negative",
        "ones": "positive",
        "zero": "negative",
        "zero_if_no_finding": "negative where the report has no finding",
    }[word]
