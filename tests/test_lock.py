"""requirements.lock, and the check that the gate makes with it."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def check_lock():
    path = ROOT / ".ci" / "check_lock.py"
    spec = importlib.util.spec_from_file_location("check_lock", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_dependency_is_pinned_with_hashes(check_lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"]]
    asked += [one for name in ("dicom", "test", "docs") for one in extras[name]]
    names = {re.match(r"[\w.-]+", one)[0].lower() for one in asked}
    pins = check_lock.locked(LOCK)
    assert {name.replace("_", "-") for name in names} <= set(pins)
    assert all(hashes for _, hashes in pins.values())


def test_the_lock_names_no_registry():
    assert "http" + "://" not in LOCK
    assert "https" + "://" not in LOCK


def report(name, version, sha256):
    info = {"archive_info": {"hashes": {"sha256": sha256}}}
    metadata = {"name": name, "version": version}
    own = {
        "metadata": {"name": "kerasmi", "version": "0.1.0"},
        "download_info": {"dir_info": {"editable": True}},
    }
    one = {"metadata": metadata, "download_info": info}
    return json.dumps({"install": [own, one]})


SMALL = f"tiny-pkg==1.2 \\\n    --hash=sha256:{'a' * 64}\n"


@pytest.mark.parametrize(
    ("installed", "wrong", "other"),
    [
        (("tiny_pkg", "1.2", "a" * 64), [], []),
        (("tiny_pkg", "1.2", "b" * 64), ["tiny-pkg 1.2: of another hash"], []),
        (("tiny_pkg", "1.3", "a" * 64), ["tiny-pkg 1.3: the lock has 1.2"], []),
        (("gone", "1", "a" * 64), ["gone 1: not in the lock"], []),
        (
            ("tiny_pkg", "1.2+cpu", "b" * 64),
            [],
            ["tiny-pkg 1.2+cpu: another build of 1.2"],
        ),
    ],
)
def test_what_is_not_as_locked_is_told(check_lock, installed, wrong, other):
    assert check_lock.faults(SMALL, report(*installed)) == (wrong, other)
