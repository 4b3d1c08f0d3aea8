"""Region rules compared on the phantom: Eq. 5's maximum and its kin.

    python -m benchmarks.regions --seeds 3 --jobs 2
    python -m benchmarks.regions --rules max matched --bounds cpc --seeds 1

For each rule, bound and seed: pretrain and re-train as the recipe `local_mine`
or `local_cpc` does, but for the rule; then read out. What is finished is kept.
Prints one table over seeds, and draws it into FOLDER/regions.png.

    AUC             mean over the labels of the test images, against the truth
    pointing        share of test sentences whose best region is a true one
    MI              calibrated held-out read-out of the critic, nats; of the
                    rule `matched` that of its maximum, which is a critic
    as trained      the bound on validation batches by the rule as trained
    null            the same two, with texts of other studies: the truth is 0
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

RULES = {
    "max": ("region=max",),
    "logsumexp, T=0.3": ("region=logsumexp", "temperature=0.3"),
    "logsumexp, T=1": ("region=logsumexp", "temperature=1"),
    "logsumexp, T=3": ("region=logsumexp", "temperature=3"),
    "annealed, T=1 to 0.03": (
        "region=logsumexp",
        "temperature=1",
        "final_temperature=0.03",
    ),
    "matched": ("region=matched",),
    "mean": ("region=mean",),
}
BOUNDS = ("cpc", "mine")
_SHIFT = 3  # batches between an image and the text it is given, for the null
_ROW = "regions.csv"
_COLUMNS = {
    "pathology9_frozen": "Pathology9, frozen",
    "pathology9_tuned": "Pathology9, tuned",
    "edema_severity_frozen": "edema, frozen",
    "edema_severity_tuned": "edema, tuned",
    "pointing": "pointing",
    "mi": "MI",
    "mi_null": "null of MI",
    "as_trained": "as trained",
    "as_trained_null": "null as trained",
}


def name(rule: str, bound: str, seed: int) -> str:
    """The folder of one run."""
    words = rule.replace(",", "").replace("=", "").split()
    return "-".join([*words, bound, f"seed{seed}"])


def run(job: tuple[str, str, int], folder: Path, overrides: list[str]) -> Path:
    """Runs and reads out one rule in a process of its own, or keeps it."""
    rule, bound, seed = job
    output = folder / name(*job)
    if not (output / _ROW).is_file():
        command = [sys.executable, "-m", "kerasmi.cli", "run", f"local_{bound}"]
        command += [f"objective.{text}" for text in RULES[rule]]
        command += [f"seed={seed}", *overrides, "--resume"]
        with open(folder / f"{output.name}.log", "w") as log:
            for words in (
                [*command, "--output", str(output)],
                [sys.executable, "-m", "benchmarks.regions", "--read", output],
            ):
                subprocess.run(words, stdout=log, stderr=log, check=True)
    return output


def read(output: Path) -> None:
    """Reads out a finished run and writes its row."""
    from kerasmi.reporter import Reporter
    from kerasmi.representations import Evaluation, open_data
    from kerasmi.runs import Run

    done = Run.open(output)
    dataset = open_data(done, Reporter())
    (grounding,) = Evaluation(done, dataset, "test", Reporter()).grounding()
    pointing = grounding.table.query("finding == 'all' & metric == 'pointing'")
    nats = pd.read_csv(output / "pretrain" / "mutual_information.csv")
    first = nats.groupby("pairs", sort=False)["calibrated"].first()
    results = pd.read_csv(output / "results.csv").query("label == 'mean'")
    row = {
        f"{task}_{encoder}": value
        for task, encoder, value in results[
            ["task", "encoder", "value"]
        ].itertuples(index=False)
    }
    row |= {
        "pointing": pointing["value"].item(),
        "pointing_chance": pointing["chance"].item(),
        "mi": first["matched"],
        "mi_null": first["shuffled"],
    }
    row["as_trained"], row["as_trained_null"] = _as_trained(done, dataset)
    pd.DataFrame([row]).to_csv(output / _ROW, index=False)


def _as_trained(done: "object", dataset: "object") -> tuple[float, float]:
    """The bound by the rule itself, on matched and on independent pairs."""
    import keras
    import tensorflow as tf

    import kerasmi.models  # noqa: F401  registers the classes
    from kerasmi import build
    from kerasmi.models import all_pairs, pair_inputs
    from kerasmi.models.diagnostics import bound_metric

    model = keras.saving.load_model(done.path / "pretrain" / "model.keras")
    data, steps = build.pairs(done.recipe, dataset, "validation", model)

    def others(own: dict, other: dict) -> dict:
        texts = {key: other[key] for key in ("token_ids", "padding_mask")}
        return {**own, **texts}

    null = tf.data.Dataset.zip(data, data.skip(_SHIFT)).map(others)
    found = []
    for pairs, batches in ((data, steps), (null, steps - _SHIFT)):
        # not `evaluate`, which reads the rule `matched` as `max`
        metric = bound_metric(model.objective)
        for batch in pairs.take(batches):
            labels, scores, *_ = all_pairs.reduced(
                model.critic,
                model._rules,
                *model.encode(batch),
                batch["study_ids"],
                pair_inputs.is_text(batch),
                training=False,
            )
            metric.update_state(labels, scores)
        found.append(float(metric.result()))
    return found[0], found[1]


def table(outputs: Iterable[tuple[tuple[str, str, int], Path]]) -> pd.DataFrame:
    """Mean and spread over seeds of each rule and bound."""
    rows = []
    for (rule, bound, seed), output in outputs:
        row = pd.read_csv(output / _ROW).iloc[0].to_dict()
        rows.append({"rule": rule, "bound": bound, "seed": seed, **row})
    return pd.DataFrame(rows)


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as it is printed: mean ± standard deviation over seeds."""
    # a task that some runs left out (`--set retrain.tasks=...`) is not shown
    columns = {k: v for k, v in _COLUMNS.items() if k in frame.dropna(axis=1)}
    groups = frame.groupby(["rule", "bound"], sort=False)
    lines = []
    for (rule, bound), mine in groups:
        line = {"rule": rule, "bound": bound, "seeds": len(mine)}
        for column, title in columns.items():
            mean, sd = mine[column].mean(), mine[column].std()
            spread = "" if len(mine) < 2 else f" ± {sd:.3f}"
            line[title] = f"{mean:.3f}{spread}"
        lines.append(line)
    return pd.DataFrame(lines)


def draw(frame: pd.DataFrame, path: Path) -> None:
    """AUC, pointing and MI of each rule; a dot for each seed."""
    from matplotlib.figure import Figure

    from kerasmi.evaluation import figures

    panels = {
        "pathology9_tuned": "mean AUC, nine findings, tuned",
        "pathology9_frozen": "mean AUC, nine findings, frozen",
        "pointing": "pointing accuracy",
        "mi": "held-out MI a sentence, nats",
    }
    rules = list(dict.fromkeys(frame["rule"]))
    figure = Figure(figsize=(11, 1.2 + 0.4 * len(rules)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    marks = dict(zip(BOUNDS, (("o", -0.12), ("s", 0.12)), strict=True))
    for axis, (column, title) in zip(axes, panels.items(), strict=True):
        for bound, (mark, aside) in marks.items():
            mine = frame[frame["bound"] == bound]
            axis.plot(
                mine[column],
                [rules.index(rule) + aside for rule in mine["rule"]],
                mark,
                label=bound,
                alpha=0.8,
            )
        if column == "pointing":
            chance = frame["pointing_chance"].mean()
            axis.axvline(chance, color="0.6", linestyle=":", label="chance")
        axis.set_xlabel(title)
        axis.grid(axis="x", color="0.9")
    axes[0].set_yticks(range(len(rules)), rules)
    axes[0].invert_yaxis()
    axes[2].legend(fontsize="small")
    figures.save(figure, path)


def main() -> None:
    """Runs what is missing, prints the table and draws it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rules", nargs="+", choices=RULES, default=[*RULES])
    parser.add_argument("--bounds", nargs="+", choices=BOUNDS, default=BOUNDS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path("runs/regions"))
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--set", nargs="*", default=[], help="overrides")
    parser.add_argument("--only-finished", action="store_true")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read)
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (rule, bound, seed)
        for seed in range(arguments.seeds)
        for rule in arguments.rules
        for bound in arguments.bounds
    ]
    if arguments.only_finished:
        made = [arguments.folder / name(*job) for job in jobs]
    else:
        if arguments.jobs > 1:
            # one thread each, or the runs wait for each other's threads
            os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
            os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
        with ThreadPoolExecutor(arguments.jobs) as pool:
            made = list(
                pool.map(
                    lambda job: run(job, arguments.folder, arguments.set), jobs
                )
            )
    finished = [
        (job, output)
        for job, output in zip(jobs, made, strict=True)
        if (output / _ROW).is_file()
    ]
    if not finished:
        raise SystemExit(f"{arguments.folder}: holds no finished run")
    from kerasmi.evaluation import tables

    frame = table(finished)
    frame.to_csv(arguments.folder / _ROW, index=False)
    order = {rule: place for place, rule in enumerate(RULES)}
    frame = frame.sort_values("rule", key=lambda c: c.map(order), kind="stable")
    print(tables.markdown(shown(frame)))
    chance = frame["pointing_chance"].mean()
    print(f"\nPointing by chance: {chance:.3f}")
    draw(frame, arguments.folder / "regions.png")


if __name__ == "__main__":
    main()
