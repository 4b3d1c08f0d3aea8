"""The paper's comparison on the phantom: recipes over seeds, on test images.

    python -m benchmarks.phantom --seeds 3
    python -m benchmarks.phantom --recipes local_mine image_only --jobs 2

Runs `kerasmi run RECIPE seed=S` for each recipe and seed that is not finished
yet, then prints the mean AUC of each over seeds, and for each seed the paired
difference to image-only with its subject-clustered bootstrap interval.
"""

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from kerasmi import recipe as recipes
from kerasmi.errors import KerasmiError
from kerasmi.evaluation import statistics, tables
from kerasmi.runs import Run

RECIPES = ("image_only", "global_mine", "global_cpc", "local_mine", "local_cpc")
BASELINE = "image_only"


def run(recipe: str, seed: int, folder: Path, overrides: list[str]) -> Path:
    """Runs one recipe with one seed, or keeps a finished run of the same."""
    output = folder / f"{recipe}-seed{seed}"
    asked = recipes.load(recipe, [f"seed={seed}", *overrides])
    Run(output, asked).check(resume=True)
    if not (output / "results.csv").is_file():
        command = [sys.executable, "-m", "kerasmi.cli", "run", recipe]
        command += [f"seed={seed}", *overrides, "--resume"]
        with open(folder / f"{output.name}.log", "w") as log:
            subprocess.run(
                [*command, "--output", str(output)],
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
    return output


def by_encoder(predictions: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The predictions of each encoder, under one name so as to be compared."""
    return dict(tuple(predictions.groupby("encoder", sort=False)))


def differences(outputs: dict[tuple[str, int], Path]) -> pd.DataFrame:
    """Each encoder minus image-only with the same seed, mean over labels."""
    rows = []
    for (recipe, seed), output in outputs.items():
        if recipe == BASELINE or (BASELINE, seed) not in outputs:
            continue
        baseline = pd.read_csv(outputs[BASELINE, seed] / "predictions.csv")
        predictions = pd.read_csv(output / "predictions.csv")
        for encoder, one in by_encoder(predictions).items():
            frame = statistics.difference(one, baseline)
            mean = frame[frame["label"] == "mean"]
            rows.append(mean.assign(recipe=recipe, encoder=encoder, seed=seed))
    return pd.concat(rows, ignore_index=True)


def _text(frame: pd.DataFrame) -> pd.DataFrame:
    """Fractions to three digits, a dash where there is none."""
    fractions = frame.select_dtypes("float")
    text = fractions.map(lambda x: "-" if pd.isna(x) else f"{x:.3f}")
    return frame.assign(**text)


def main() -> None:
    """Runs what is missing and prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/phantom"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--set", nargs="*", default=[], help="overrides")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    todo = [(r, s) for s in range(arguments.seeds) for r in arguments.recipes]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        made = pool.map(
            lambda job: run(*job, arguments.folder, arguments.set), todo
        )
        try:
            outputs = dict(zip(todo, made, strict=True))
        except KerasmiError as error:
            sys.exit(f"Error: {error}")
    results = pd.concat(
        [
            pd.read_csv(output / "results.csv").assign(recipe=recipe)
            for (recipe, _), output in outputs.items()
        ]
    )
    means = statistics.seeds(
        results[results["label"] == "mean"], ("recipe", "encoder", "task")
    )
    print("Mean AUC on the test images, over seeds\n")
    print(tables.markdown(_text(means)))
    if len({*arguments.recipes} - {BASELINE}) and BASELINE in arguments.recipes:
        print("\nMinus image-only, on the same images, by seed\n")
        columns = ["recipe", "encoder", "task", "seed"]
        columns += ["difference", "low", "high"]
        print(tables.markdown(_text(differences(outputs)[columns])))


if __name__ == "__main__":
    main()
