"""What .ci/run makes of a part that fails, with tools that only play theirs."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

GATE = Path(__file__).parents[1] / ".ci/run"
# Stands for python3.11, and for all that a virtual environment has.
TOOL = """#!/bin/bash
echo "${0##*/} $*"
if [[ $* == "-m venv "* ]]; then
  mkdir -p "$3/bin"
  for name in pip python pytest kerasmi mkdocs; do cp "$0" "$3/bin/$name"; done
fi
as_ever() { mkdir -p runs/local_mine; echo page >runs/local_mine/report.html; }
case $0 in
  PLAN
  */kerasmi) as_ever ;;
esac
"""
NEWEST_IS_UNDER_WAY = '*/venv/bin/pytest) echo $$ >"$PLACE/pid"; sleep 600 ;;'
THEN = 'until [ -s "$PLACE/pid" ]; do sleep 0.02; done;'


@pytest.fixture
def silent():
    """A terminal at which nobody types."""
    ends = os.pipe()
    yield ends[0]
    for end in ends:
        os.close(end)


@pytest.fixture
def gate(tmp_path, silent):
    """Runs the gate by a plan; its status and output."""

    def run(plan):
        repository, temporary = tmp_path / "repository", tmp_path / "temporary"
        for folder in (repository / ".ci", temporary, tmp_path / "bin"):
            folder.mkdir(parents=True)
        shutil.copy(GATE, repository / ".ci")
        (repository / "requirements.lock").write_text("numpy==1\n")
        git = ["git", "-c", "user.name=a", "-c", "user.email=a"]
        subprocess.run([*git, "init", "-q"], cwd=repository, check=True)
        subprocess.run(
            [*git, "commit", "-q", "--allow-empty", "-m", "x"],
            cwd=repository,
            check=True,
        )
        tool = tmp_path / "bin/python3.11"
        tool.write_text(TOOL.replace("PLAN", plan))
        tool.chmod(0o755)
        done = subprocess.run(
            [repository / ".ci/run"],
            env={
                **os.environ,
                "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
                "TMPDIR": str(temporary),
                "PLACE": str(tmp_path),
            },
            stdin=silent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        assert not list(temporary.iterdir())
        return done.returncode, done.stdout

    return run


def goes_on(pid):
    """Whether a process is more than what nobody has asked about yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return state[0] != "Z"


def test_where_all_is_well_each_part_is_shown(gate):
    # what read from a terminal beside the main job would wait for ever
    status, said = gate("*/mkdocs) cat ;;")
    assert status == 0, said
    assert "mkdocs build --strict" in said
    assert "pytest -q -n 1" in said


@pytest.mark.parametrize(
    "plan",
    [
        '*/venv/bin/pytest) echo "a test failed"; exit 1 ;;',
        '*/venv/bin/pip) echo "a test failed"; [ $1 = install ]; exit ;;',
        '*/mkdocs) echo "a test failed"; exit 1 ;;',
    ],
    ids=["tests", "wheel", "site"],
)
def test_a_part_beside_that_fails_fails_the_gate_with_its_log(gate, plan):
    status, said = gate(plan)
    assert status == 1
    # after the main job and the tests, which are what one looks for first
    assert said.index("pytest -n 2") < said.index("a test failed")


@pytest.mark.parametrize(
    "plan",
    [f".venv/bin/kerasmi) {THEN} exit 3 ;;", f"*/mkdocs) {THEN} exit 3 ;;"],
    ids=["main job", "site"],
)
def test_what_is_under_way_ends_with_a_gate_that_fails(gate, tmp_path, plan):
    status, said = gate(f"{NEWEST_IS_UNDER_WAY}\n  {plan}")
    assert status != 0
    # with all logs, each once: what failed may have failed there too
    assert said.count("pytest -q -n 1") == 1
    assert said.count("mkdocs build --strict") <= 1
    pid = (tmp_path / "pid").read_text().strip()
    until = time.monotonic() + 20
    while goes_on(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not goes_on(pid)
