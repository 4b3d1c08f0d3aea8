"""Run folders and grid folders as `kerasmi run` leaves them, drawn by chance.

No network is trained: the numbers are random, the files are those of a run.
"""

import json
import shutil

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kerasmi import recipe as recipes
from kerasmi.evaluation import auc, figures
from kerasmi.evaluation.region_examples import RegionExamples

SMALL = (
    "data.images={train: 96, validation: 48, test: 48}",
    "evaluate.bootstrap=20",
    "retrain.tasks=[pathology9]",
    "retrain.labels=40",
)
LABELS = ("Edema", "Pleural <b>Effusion</b> & more")
SENTENCES = ('a "small" <script>alert(1)</script> effusion.', "No change.")


def write_run(folder, seed=0, recipe="local_mine", overrides=(), truth=True):
    """A finished run; `truth` says whether its data knows the answers."""
    asked = recipes.load(recipe, [*SMALL, f"seed={seed}", *overrides])
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(recipes.dump(asked))
    rng = np.random.default_rng(seed)
    _environment(folder, truth)
    _labels(folder)
    if asked.objective is not None:
        _pretrain(folder / "pretrain", rng)
    frames = []
    for encoder in asked.retrain.encoders:
        stage = folder / "retrain" / "pathology9" / encoder
        _history(stage, rng)
        frames.append(_predictions(encoder, rng))
    predictions = pd.concat(frames, ignore_index=True)
    predictions.to_csv(folder / "predictions.csv", index=False)
    results = auc.evaluate(predictions, resamples=20, seed=seed)
    results.to_csv(folder / "results.csv", index=False)
    picture = Figure((2, 2), layout="constrained")
    picture.subplots()
    figures.save(picture, folder / "figures" / "data.png")
    (folder / "log.txt").write_text(
        "2026-01-02T03:04:05+00:00 INFO pretrain: starts: local mine\n"
    )
    return folder


def _environment(folder, truth):
    counts = {"images": 48, "with_text": 47, "studies": 40, "subjects": 24}
    start = {
        "started": "2026-01-02T03:04:05+00:00",
        "command": "kerasmi run local_mine",
        "packages": {"keras": "3.15.0"},
        "data_fingerprint": "f00d",
        "devices": 1,
        "data": {
            "path": str(folder / "records"),
            "name": "drawn",
            "source": "phantom",
            "has_truth": truth,
            "counts": dict.fromkeys(("train", "validation", "test"), counts),
        },
    }
    (folder / "environment.json").write_text(json.dumps([start]))


def _labels(folder):
    rows = [
        {
            **{"label": label, "split": split, "images": 48, "subjects": 24},
            **{"0": 20, "1": 20, "2": 0, "3": 0, "uncertain": 3, "blank": 5},
        }
        for label in LABELS
        for split in ("train", "test")
    ]
    pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)


def _pretrain(folder, rng):
    folder.mkdir(parents=True)
    bound = np.linspace(0.1, 0.9, 3) + rng.normal(0, 0.02, 3)
    pd.DataFrame(
        {
            "epoch": range(3),
            "mutual_information": bound,
            "val_mutual_information": bound - 0.05,
            "val_ceiling": 4.1,
        }
    ).to_csv(folder / "history.csv", index=False)
    information(folder)
    sizes = ((64, 64), (80, 64))
    RegionExamples(
        [rng.integers(0, 255, size).astype(np.uint8) for size in sizes],
        list(SENTENCES),
        rng.normal(size=(2, 4, 4)).astype(np.float32),
        [np.eye(4, dtype=np.uint8).ravel(), None],
        64,
    ).save(folder / "sentences_and_regions.npz")
    _done(folder)


def information(folder, **changed):
    """Writes the read-outs; `changed` are values of the matched one."""
    row = {
        **{"name": "donsker_varadhan", "value": 0.8, "standard_error": 0.02},
        **{"ceiling": np.inf, "n_positives": 96, "n_negatives": 4000},
        **{"effective_negatives": 800.5, "expected_effective": 900.0},
        **{"reliable": True, "lower_bound": True, "note": "", "scale": 1.0},
        **{"calibrated": 0.82, "calibrated_error": 0.02},
        **{"calibrated_n_negatives": 1000, "calibrated_note": ""},
        **{
            "calibrated_effective_negatives": 190.0,
            "calibrated_reliable": True,
        },
    }
    none = {"value": -0.1, "calibrated": 0.001, "calibrated_error": 0.02}
    rows = [
        {"pairs": "matched", **row, **changed},
        {"pairs": "shuffled", **row, **none},
    ]
    frame = pd.DataFrame(rows)
    frame.to_csv(folder / "mutual_information.csv", index=False)


def _history(folder, rng):
    folder.mkdir(parents=True)
    pd.DataFrame(
        {"epoch": range(3), "val_auc": rng.uniform(0.5, 0.9, 3)}
    ).to_csv(folder / "history.csv", index=False)
    _done(folder)


def _done(folder):
    done = {"finished": "2026-01-02T04:05:06+00:00"}
    (folder / "done.json").write_text(json.dumps(done))


def _predictions(encoder, rng):
    frames = []
    for label in LABELS:
        targets = np.arange(48) % 2
        frames.append(
            pd.DataFrame(
                {
                    "task": "pathology9",
                    "encoder": encoder,
                    "image_id": [f"i{k}" for k in range(48)],
                    "study_id": [f"s{k}" for k in range(48)],
                    "subject_id": [f"{k // 2:03}" for k in range(48)],
                    "split": "test",
                    "label": label,
                    "target": targets,
                    "score": targets + rng.normal(0, 0.8, 48),
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def write_grid(folder, seeds=2):
    """A grid of two variants, with its tables, tests and figures."""
    folder.mkdir(parents=True)
    numbers = ", ".join(map(str, range(seeds)))
    (folder / "grid.yaml").write_text(
        "name: both\ngrid:\n  recipes: [image_only, local_mine]\n"
        f"  seeds: [{numbers}]\n  labels: null\n"
    )
    frames = []
    for variant in ("image_only", "local_mine"):
        for seed in range(seeds):
            member = write_run(folder / variant / f"seed{seed}", seed, variant)
            frame = pd.read_csv(member / "results.csv")
            frames.append(frame.assign(variant=variant))
    pd.concat(frames).to_csv(folder / "results.csv", index=False)
    pd.DataFrame(
        {
            "comparison": "tuned vs image-only",
            "task": "pathology9",
            "label": [*LABELS, "mean"],
            "difference": [0.1, 0.05, 0.075],
            "low": [0.02, -0.01, 0.01],
            "high": [0.2, 0.1, 0.15],
            "p_bootstrap": [0.01, 0.2, 0.00001],
            "p_holm": [0.03, 0.2, 0.0001],
        }
    ).to_csv(folder / "comparisons.csv", index=False)
    (folder / "figures").mkdir()
    data = folder / "local_mine" / "seed0" / "figures" / "data.png"
    for name in ("auc", "label_efficiency"):
        shutil.copy(data, folder / "figures" / f"{name}.png")
    pd.DataFrame({"labels": [50, 100], "auc": [0.6, 0.7]}).to_csv(
        folder / "label_efficiency.csv", index=False
    )
    return folder
