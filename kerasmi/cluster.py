"""The machines that train together, as TF_CONFIG names them; no TensorFlow.

`tf.distribute.MultiWorkerMirroredStrategy` reads the same variable. Slurm and
Kubernetes need a line of shell to set it (docs/scale.md), and `kerasmi launch`
sets it for workers on this machine.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasmi.errors import RunError

VARIABLE = "TF_CONFIG"
_FORM = (
    '{"cluster": {"worker": ["HOST:PORT", ...]},'
    ' "task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Cluster:
    """The workers of a training, and which of them this process is.

    Attributes:
        workers: `HOST:PORT` of each; none where one process works alone.
        index: of this process among them.
    """

    workers: tuple[str, ...] = ()
    index: int = 0

    @property
    def is_many(self) -> bool:
        """Whether there is more than one worker."""
        return len(self.workers) > 1

    @property
    def number(self) -> int:
        """How many processes share the work: 1 where one works alone."""
        return max(1, len(self.workers))

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the run folder and talks: worker 0."""
        return self.index == 0

    def config(self) -> str:
        """The value of TF_CONFIG that says this."""
        task = {"type": "worker", "index": self.index}
        cluster = {"worker": list(self.workers)}
        return json.dumps({"cluster": cluster, "task": task})


def here(environment: Mapping[str, str] | None = None) -> Cluster:
    """The cluster that TF_CONFIG describes; one lone worker without it.

    Args:
        environment: the variables; None: those of this process.

    Raises:
        RunError: the variable is no JSON of the form that TensorFlow reads,
            or names other tasks than workers.
    """
    text = (os.environ if environment is None else environment).get(VARIABLE)
    if not text:
        return Cluster()
    try:
        return _read(json.loads(text))
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{VARIABLE}: {said}; expected {_FORM}") from None


def _read(config: Any) -> Cluster:
    cluster = config["cluster"]
    if other := sorted(set(cluster) - {"worker"}):
        raise ValueError(
            f"the cluster has {other[0]!r}, and kerasmi trains on workers"
            " alone (worker 0 is the chief)"
        )
    workers, task = cluster["worker"], config["task"]
    _check_workers(workers)
    if task["type"] != "worker":
        raise ValueError(f"the task is a {task['type']!r}, not a worker")
    index = int(task["index"])
    if not 0 <= index < len(workers):
        raise ValueError(f"task {index} is none of {len(workers)} workers")
    return Cluster(tuple(workers), index)


def _check_workers(workers: Sequence[str]) -> None:
    if not isinstance(workers, list) or not workers:
        raise ValueError("no list of workers")
    for worker in workers:
        host, _, port = str(worker).rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{worker!r} is no HOST:PORT")
    if len(set(workers)) < len(workers):
        raise ValueError("a worker is named twice")
