"""Predictions of methods and seeds, and run folders with nothing else in them.

No network is trained: scores are a common part, a seed's own, and an effect.
"""

import json

import numpy as np
import pandas as pd

from kerasmi import recipe as recipes
from kerasmi.evaluation import auc

LABELS = {
    "pathology9": ("Atelectasis", "Edema"),
    "edema_severity": tuple(
        f"Edema Severity {cut}" for cut in auc.SEVERITY_CUTS
    ),
    "findings": ("Nodule", "Edema"),
}
PAPER = ("pathology9", "edema_severity")


def predictions(effects, seed=0, n=120, noise=0, tasks=PAPER):
    """predictions.csv of one run.

    Args:
        effects: encoder to what a positive's score is raised by.
        seed: of what this run adds to the common part of the scores.
        n: images; two of each subject.
        noise: as `seed`, of the run's variant.
        tasks: those predicted.
    """
    rng = np.random.default_rng(7)
    frames = []
    for task in tasks:
        for label in LABELS[task]:
            targets = rng.integers(0, 2, n)
            common = rng.normal(size=n)
            for place, (encoder, effect) in enumerate(effects.items()):
                own = np.random.default_rng((seed, noise, place)).normal(size=n)
                frames.append(
                    pd.DataFrame(
                        {
                            "task": task,
                            "encoder": encoder,
                            "image_id": [f"i{k:03}" for k in range(n)],
                            "study_id": [f"s{k:03}" for k in range(n)],
                            "subject_id": [f"p{k // 2:03}" for k in range(n)],
                            "split": "test",
                            "label": label,
                            "target": targets,
                            "score": effect * targets + common + 0.3 * own,
                        }
                    )
                )
    return pd.concat(frames, ignore_index=True)


def study(seeds=(0, 1), tasks=PAPER, **effects):
    """The predictions of several variants, stacked.

    Args:
        seeds: of each variant.
        tasks: those predicted.
        **effects: variant, `_` for `-`, to effects by encoder.
    """
    return pd.concat(
        [
            predictions(by_encoder, seed, noise=place, tasks=tasks).assign(
                variant=variant.replace("_", "-"), seed=seed
            )
            for place, (variant, by_encoder) in enumerate(effects.items())
            for seed in seeds
        ],
        ignore_index=True,
    )


def play_run(folder, recipe, *overrides, effect=1.0, fingerprint="f" * 64):
    """A finished run of a recipe, or of one by its name; returns its folder."""
    if isinstance(recipe, str):
        recipe = recipes.load(recipe, overrides)
    followed = recipe
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipes.dump(followed))
    start = {"data_fingerprint": fingerprint}
    (folder / "environment.json").write_text(json.dumps([start]))
    frame = predictions(
        dict.fromkeys(followed.retrain.encoders, effect),
        followed.seed,
        tasks=followed.retrain.tasks,
    )
    frame.to_csv(folder / "predictions.csv", index=False)
    (folder / "results.csv").write_text("task\n")
    return folder
