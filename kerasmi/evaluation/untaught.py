"""Labels that no training image taught, told again where runs are compared.

`labelled.noted` says so in results.csv. A table of many runs works out its AUCs
anew, from predictions, which do not tell. `labelled.one_class` warns of such
labels, and of those that no test image can judge, before training.
"""

import pandas as pd

# How such a note begins, among others that "; " parts from it.
START = "nothing was learned of"
# How a warning of a label goes on, after the class that it lacks.
UNLEARNED = "so nothing is learned of it"
UNJUDGED = "so it will have no AUC"
REMEDY = (
    "Take other label policies (data.uncertain, data.blank) or more labelled "
    "images, or share out the subjects anew, with --shares, --seed or "
    "--split-file of `kerasmi data import`."
)


def warned(text: str) -> bool:
    """Whether a line of a log is such a warning."""
    ends = (f", {end}. {REMEDY}" for end in (UNLEARNED, UNJUDGED))
    return text.endswith(tuple(ends))


def notes(results: pd.DataFrame) -> pd.DataFrame:
    """The rows of a results.csv with such a note, and no other note in them.

    Args:
        results: of one run.

    Returns:
        Frame with the columns task, label, encoder and note.
    """
    columns = ["task", "label", "encoder", "note"]
    told = results.reindex(columns=columns)
    told["note"] = [_such(str(note)) for note in told["note"]]
    return told[told["note"] != ""]


def added(aucs: pd.DataFrame, told: pd.DataFrame) -> pd.DataFrame:
    """AUCs of methods over seeds, with what was told of any of these.

    Args:
        aucs: of `method_aucs`.
        told: stacked `notes` of the runs, with the columns variant and seed.

    Returns:
        The same rows; `note` says of how many seeds, where not of all.
    """
    keys = ["task", "label", "variant", "encoder"]
    of_method = dict(tuple(told.groupby(keys)["note"]))
    found = []
    for row in aucs.to_dict("records"):
        of_it = of_method.get(
            tuple(row[key] for key in keys), pd.Series(dtype=str)
        )
        all_of_it = [row["note"]] if row["note"] else []
        for note, seeds in of_it.value_counts(sort=False).items():
            some = seeds < row["n_seeds"]
            of = f", in {seeds} of {row['n_seeds']} seeds" if some else ""
            all_of_it.append(f"{note}{of}")
        found.append("; ".join(all_of_it))
    return aucs.assign(note=found)


def _such(note: str) -> str:
    parts = [part for part in note.split("; ") if part.startswith(START)]
    return "; ".join(parts)
