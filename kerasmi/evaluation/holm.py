"""Holm's correction of the p-values of several tests."""

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Adjusts the p-values of one family (Holm 1979).

    Whoever calls those below 0.05 findings is wrong about any of them with
    probability 0.05 at most, whatever the dependence of the tests.

    Args:
        p: `(n,)` in [0, 1]; NaN is no test and is not counted.

    Returns:
        `(n,)`, at least `p` and at most 1; NaN stays NaN.
    """
    p = np.asarray(p, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    times = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * times), 1)
    return adjusted
