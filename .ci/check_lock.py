"""Whether what pip installed is what requirements.lock names, by its hash.

    python .ci/check_lock.py requirements.lock REPORT

REPORT is what `pip install --report` writes. Hashes cannot be asked of pip
itself beside `-e .`, which has none. A build of another variant, such as torch
for the CPU alone (2.13.0+cpu), is no file of the lock: it is told of.
"""

import json
import re
import sys
from pathlib import Path

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def locked(text: str) -> dict[str, tuple[str, set[str]]]:
    """Name of each package to its version and the hashes of its files."""
    found: dict[str, tuple[str, set[str]]] = {}
    name = ""
    for line in text.splitlines():
        if pin := _PIN.match(line):
            name = _normal(pin[1])
            found[name] = (pin[2], set())
        if name:
            found[name][1].update(_HASH.findall(line))
    return found


def faults(lock: str, report: str) -> tuple[list[str], list[str]]:
    """What is not as locked, and what could not be compared.

    Args:
        lock: text of the lock.
        report: text of pip's report.
    """
    wrong, other = [], []
    pins = locked(lock)
    for one in json.loads(report)["install"]:
        name = _normal(one["metadata"]["name"])
        version = one["metadata"]["version"]
        if "archive_info" not in one["download_info"]:
            continue  # the checkout itself
        if name not in pins:
            wrong.append(f"{name} {version}: not in the lock")
            continue
        pinned, hashes = pins[name]
        found = one["download_info"]["archive_info"].get("hashes", {})
        if version.partition("+")[0] != pinned:
            wrong.append(f"{name} {version}: the lock has {pinned}")
        elif "+" in version:
            other.append(f"{name} {version}: another build of {pinned}")
        elif found.get("sha256") not in hashes:
            wrong.append(f"{name} {version}: of another hash")
    return wrong, other


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Prints what is not as locked; 1 where something is."""
    lock, report = (Path(name).read_text("utf-8") for name in sys.argv[1:])
    wrong, other = faults(lock, report)
    for line in other:
        print(f"{line}, not compared")
    for line in wrong:
        print(f"{line}; see docs/safety.md", file=sys.stderr)
    print(f"{len(json.loads(report)['install'])} packages, {len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
