"""benchmark-mi's own estimates of a sample; runs in its own environment.

    python mi_peer_worker.py TASK X.npy Y.npy RESULT.json

Alone of this folder it imports neither kerasmi nor its neighbours.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np


def main(task: str, x_file: str, y_file: str, result: str) -> None:
    """Writes the package's truth and its DV and InfoNCE, default settings."""
    import bmi
    from bmi.estimators import neural

    x, y = np.load(x_file), np.load(y_file)
    found = {
        "truth": float(bmi.benchmark.BENCHMARK_TASKS[task].mutual_information)
    }
    for name, estimator in (
        ("donsker_varadhan", neural.DonskerVaradhanEstimator(verbose=False)),
        ("infonce", neural.InfoNCEEstimator(verbose=False)),
    ):
        start = time.monotonic()
        found[name] = float(estimator.estimate(x, y))
        found[f"{name}_seconds"] = time.monotonic() - start
    Path(result).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
