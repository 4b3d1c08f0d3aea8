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
    "DNNL_DEFAULT_FPMATH_MODE",
    "DNNL_MAX_CPU_ISA",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_NUM_THREADS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
)
_CPUINFO = Path("/proc/cpuinfo")
_DRIVER = Path("/proc/driver/nvidia/version")
# Libraries of a GPU, which TensorFlow's wheel does not hold itself.
_LIBRARIES = ("nvidia-cublas-cu12", "nvidia-cudnn-cu12")
# Flags of a processor whose instructions compilers and oneDNN choose among.
_VECTORS = ("sse4", "avx", "amx", "fma", "f16c", "asimd", "sve")
_DECISIVE = (
    "kerasmi",
    "commit",
    "python",
    "packages",
    "platform",
    "processor",
    "vector_units",
    "processors",
    "driver",
    "libraries",
    "variables",
    "threads",
    "devices",
    "workers",
    "accelerators",
    "deterministic",
    "data_fingerprint",
    "text_encoder_files",
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
        **_processor(_cpuinfo()),
        "driver": _driver(),
        "libraries": {
            name: version
            for name in _LIBRARIES
            if (version := _version(name)) is not None
        },
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
    if (
        name == "vector_units"
        and isinstance(one, str)
        and isinstance(other, str)
    ):
        # some twenty of them are alike
        mine, yours = set(one.split()), set(other.split())
        lacks = " ".join(sorted(mine - yours)), " ".join(sorted(yours - mine))
        parts = [(name, lacks[0] or None, lacks[1] or None)]
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        parts = [(part, one.get(part), other.get(part)) for part in names]
    return [(n, _shown(a), _shown(b)) for n, a, b in parts if a != b]


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _cpuinfo() -> str:
    with contextlib.suppress(OSError):
        return _CPUINFO.read_text("utf-8")
    return ""


def _processor(cpuinfo: str) -> dict[str, str | None]:
    """The processor and its vector units, which decide roundings.

    Clouds name machines of several generations alike: the numbers of family
    and model tell them apart.
    """
    first = cpuinfo.strip().partition("\n\n")[0]
    known = {
        name.strip(): value.strip()
        for name, _, value in (
            line.partition(":") for line in first.splitlines()
        )
    }
    name = known.get("model name") or platform.processor() or None
    if name and "cpu family" in known:
        words = (
            f"{word} {known[key]}"
            for word, key in (
                ("family", "cpu family"),
                ("model", "model"),
                ("stepping", "stepping"),
            )
            if key in known
        )
        name = f"{name} ({', '.join(words)})"
    flags = known.get("flags", known.get("Features", "")).split()
    units = sorted(flag for flag in flags if flag.startswith(_VECTORS))
    return {"processor": name, "vector_units": " ".join(units)}


def _driver() -> str | None:
    """The version of NVIDIA's driver; None where there is none."""
    with contextlib.suppress(OSError):
        return _DRIVER.read_text("utf-8").splitlines()[0].strip()
    return None


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
