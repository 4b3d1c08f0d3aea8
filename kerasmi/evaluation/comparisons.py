"""The paired tests of the paper: what differs between methods, how surely."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from kerasmi.evaluation import paired, paired_tests
from kerasmi.evaluation.variants import IMAGE_ONLY, Method, name, objective

_BENCHMARK = Method(IMAGE_ONLY, "image_only")


def compare(
    predictions: pd.DataFrame,
    *,
    split: str = "test",
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """All paired tests that these predictions allow.

    Args:
        predictions: the tables predictions.csv of all runs, stacked, with the
            columns `variant` (see `variants`) and `seed` beside theirs.
        split: the split to evaluate.
        resamples: number of resamples of subjects.
        confidence: of the intervals.
        seed: of the resampling.

    Returns:
        See `judge`.

    Raises:
        PairingError: the runs differ in labels, images, subjects or targets.
        ValueError: a column is missing or holds what it must not.
    """
    tasks = paired.score(
        predictions, split=split, resamples=resamples, seed=seed
    )
    return judge(tasks, confidence)


def judge(
    tasks: Sequence[paired.Task], confidence: float = 0.95
) -> pd.DataFrame:
    """The paired tests of runs that `paired.score` has evaluated.

    Local against global (same bound and encoder), tuned and frozen against
    image-only, cpc against mine (same scope and encoder); on each label and
    on the mean over the labels that have both classes.

    Args:
        tasks: the runs, task by task.
        confidence: of the intervals.

    Returns:
        Frame with the columns `paired_tests.COLUMNS`, without rows where no
        two methods make a pair. `value_a`, `value_b` and `difference` (a - b)
        are means over the seeds that both have, `sd` is the difference's
        spread over them. `low` and `high`: percentile interval, the same
        subjects drawn for both sides and all seeds. `p_bootstrap`: two-sided,
        of these resamples. `p_delong`: two-sided, subjects as clusters.
        `p_holm` corrects `p_delong` over all rows of means as one family and
        over all rows of labels as another: a bootstrap's p is at least
        2 / (resamples + 1), which no correction for many tests survives.
        Where nothing can be told the numbers are NaN and `note` says why.
    """
    return paired_tests.corrected(
        [
            paired_tests.row(comparison, task, *column, a, b, confidence)
            for comparison, task, a, b in _pairs(tasks)
            for column in paired_tests.columns(task)
        ]
    )


def _pairs(
    tasks: Sequence[paired.Task],
) -> Iterator[tuple[str, paired.Task, Method, Method]]:
    families: dict[str, Callable[[Method], Method | None]] = {
        "local vs global": _global_twin,
        "tuned vs image-only": lambda one: _image_only("tuned", one),
        "frozen vs image-only": lambda one: _image_only("frozen", one),
        "cpc vs mine": _mine_twin,
    }
    for comparison, twin in families.items():
        for task in tasks:
            for method in task.methods:
                other = twin(method)
                if other is not None and other in task.methods:
                    yield comparison, task, method, other


def _global_twin(method: Method) -> Method | None:
    scope, bound = objective(method.variant)
    if scope != "local":
        return None
    return Method(name("global", bound), method.encoder)


def _mine_twin(method: Method) -> Method | None:
    scope, bound = objective(method.variant)
    if bound != "cpc":
        return None
    return Method(name(scope, "mine"), method.encoder)


def _image_only(encoder: str, method: Method) -> Method | None:
    return _BENCHMARK if method.encoder == encoder else None
