"""The count of tests/support/line_coverage.py, which the gate fails by."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST = """
from kerasmi import errors

def test_message():
    assert str(errors.KerasmiError("a")) == "a"
"""


def measured(folder, percent):
    """A run of one test in a worker, that asks for `percent`."""
    (folder / "test_it.py").write_text(TEST)
    options = ["-p", "line_coverage", f"--coverage={percent}", "-n", "1"]
    support = str(ROOT / "tests" / "support")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "--rootdir=.", *options],
        cwd=folder,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": support},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_run_of_too_few_lines_fails_and_says_so(tmp_path):
    done = measured(tmp_path, 99)
    assert done.returncode == 1, done.stderr
    assert "1 passed" in done.stdout
    assert "ERROR: coverage is under 99 %" in done.stdout


def test_lines_of_files_that_no_test_imports_count_as_not_run(tmp_path):
    done = measured(tmp_path, 0)
    assert done.returncode == 0, done.stderr
    total = re.search(r"kerasmi/: [\d.]+ % \(([\d,]+) of ([\d,]+)", done.stdout)
    run, lines = (int(number.replace(",", "")) for number in total.groups())
    assert 0 < run < lines
    assert re.search(r"kerasmi/losses\.py: 0\.0 % \(0 of \d+", done.stdout)
