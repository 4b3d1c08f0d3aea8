"""benchmark-mi's estimators on our samples, in an environment of their own.

The package needs an older JAX than kerasmi's environment should hold, so it
gets a virtual environment in a folder of its own. Samples go there as .npy,
values come back as JSON; a value stays there for the next run.
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np

# JAX 0.4.34 removed what the package's own dependencies import.
PINS = ("benchmark-mi==0.1.3", "jax==0.4.30", "jaxlib==0.4.30")

_WORKER = Path(__file__).with_name("mi_peer_worker.py")
_ONE_THREAD = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false "
    "intra_op_parallelism_threads=1",
    "OMP_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
}


def environment(folder: Path) -> Path:
    """The python of the peer's environment, made there if it is missing.

    Args:
        folder: empty, missing, or made here before.

    Returns:
        The path of its python.

    Raises:
        SystemExit: if the folder holds something else, which stays.
    """
    python, made = folder / "bin" / "python", folder / "pins.txt"
    if made.is_file() and made.read_text().split() == list(PINS):
        return python
    if folder.exists() and not made.is_file() and any(folder.iterdir()):
        raise SystemExit(
            f"{folder} holds something that this benchmark did not make. Empty "
            "it, or name another folder with --peer-venv."
        )
    print(f"Installing {', '.join(PINS)} ...", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    # Written first, so that an installation cut short is made anew.
    made.write_text("")
    # Isolated: neither this folder's packages nor PYTHONPATH concern it.
    command = [str(python), "-I", "-m", "pip", "install", "--quiet", *PINS]
    subprocess.run(command, check=True)
    made.write_text("\n".join(PINS))
    return python


def estimates(
    task: str, x: np.ndarray, y: np.ndarray, folder: Path
) -> dict[str, float]:
    """The package's truth and estimates of one sample.

    Args:
        task: an identifier of its benchmark.
        x: `(n, D_x)` float32 sample.
        y: `(n, D_y)` float32, its pairs.
        folder: of the virtual environment; values are kept there.

    Returns:
        `truth`, `donsker_varadhan` and `infonce` in nats, and the seconds.
    """
    python = environment(folder)
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()[:12]
    result = folder / f"{task}-{digest}.json"
    if not result.is_file():
        files = [folder / f"{task}-{digest}-{one}.npy" for one in "xy"]
        for file, values in zip(files, (x, y), strict=True):
            np.save(file, values)
        command = [str(python), "-I", str(_WORKER), task, *map(str, files)]
        subprocess.run(
            [*command, str(result)], check=True, env=os.environ | _ONE_THREAD
        )
    return json.loads(result.read_text())
