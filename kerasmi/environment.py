"""Where and with what a run was started; imports none of what it names."""

import datetime
import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
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
        "processors": os.cpu_count(),
    }


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
