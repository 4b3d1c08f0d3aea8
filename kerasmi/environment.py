"""Where and with what a run was started; imports none of what it names."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kerasmi

_PACKAGES = (
    "tensorflow",
    "keras",
    "keras-hub",
    "tensorflow-text",
    "tensorflow-io",
    "numpy",
    "pandas",
    "scikit-learn",
)

# Settings of TensorFlow and its libraries that change roundings.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "XLA_FLAGS",
)
_DECISIVE = (
    "kerasmi",
    "commit",
    "python",
    "packages",
    "platform",
    "processor",
    "processors",
    "variables",
    "threads",
    "devices",
    "accelerators",
    "deterministic",
    "data_fingerprint",
)


def now() -> str:
    """The time, in seconds, with its zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def describe() -> dict[str, Any]:
    """Versions, machine, command and commit, for `environment.json`."""
    return {
        "started": now(),
        "command": shlex.join(sys.argv),
        "kerasmi": kerasmi.__version__,
        "commit": _commit(Path(kerasmi.__file__).parents[1]),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "variables": {
            name: os.environ[name] for name in _VARIABLES if name in os.environ
        },
    }


def differences(
    one: Mapping[str, Any], other: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    """What of two starts may make their results differ.

    Args:
        one: an entry of `environment.json`.
        other: another one. A fact that either lacks is passed over.

    Returns:
        The name of each fact, such as `"processors"`, and its two values.
    """
    return [
        found
        for name in _DECISIVE
        if name in one and name in other
        for found in _different(name, one[name], other[name])
    ]


def _different(name: str, one: Any, other: Any) -> list[tuple[str, str, str]]:
    parts = [(name, one, other)]
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        parts = [(part, one.get(part), other.get(part)) for part in names]
    return [(n, _shown(a), _shown(b)) for n, a, b in parts if a != b]


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _processor() -> str | None:
    """The model of the processor; its vector units decide roundings."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(checkout: Path) -> str | None:
    """The commit of kerasmi's own checkout; `-dirty` where it was changed."""
    # An installed package may lie in the repository of somebody else.
    if not (checkout / ".git").exists():
        return None
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(
            [*command, "--abbrev=40"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
