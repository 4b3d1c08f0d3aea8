"""Which lines of kerasmi/ the tests run: `pytest --coverage PERCENT`.

Counted is every line with code that pytest or a worker of pytest-xdist runs.
What other processes run (a command that a test starts, the phantom's drawing)
and what AutoGraph has rewritten count as not run.
"""

import json
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "kerasmi"
WELL = 80  # a file of fewer percent is named


def pytest_addoption(parser):
    parser.addoption(
        "--coverage",
        type=float,
        metavar="PERCENT",
        help="count the lines of kerasmi/ that run; fail under so many percent",
    )


def pytest_configure(config):
    if config.getoption("coverage") is not None:
        import slipcover  # tests without the option need none

        config.pluginmanager.register(LineCoverage(config, slipcover))


class LineCoverage:
    """A plugin of pytest: counts, merges the workers' counts, prints, fails.

    Args:
        config: pytest's, before anything has imported kerasmi.
        slipcover: the module.
    """

    def __init__(self, config, slipcover):
        self._least = config.getoption("coverage")
        self._to_controller = getattr(config, "workeroutput", None)
        self._merged = slipcover.merge_coverage
        self._found = None
        # -1: a function's code stays the same object once its lines are seen
        self._seen = slipcover.Slipcover(
            d_miss_threshold=-1,
            source=[str(PACKAGE)],
            exclude_also=["@abc.abstractmethod"],
        )
        matcher = slipcover.FileMatcher(sources=[PACKAGE])
        slipcover.ImportManager(self._seen, matcher).__enter__()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node):
        # a worker that crashed has none
        output = getattr(node, "workeroutput", {})
        self._add(json.loads(output.get("coverage", "null")))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        self._add(self._seen.get_coverage())
        if self._to_controller is not None:
            self._to_controller["coverage"] = json.dumps(self._found)
        elif self._percent() < self._least and not session.exitstatus:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        for name, of_file in sorted(self._found["files"].items()):
            if of_file["summary"]["percent_covered"] < WELL:
                line = f"{name}: {_share(of_file['summary'])}"
                terminalreporter.write_line(line)
        total = f"coverage of kerasmi/: {_share(self._found['summary'])}"
        terminalreporter.write_line(total)
        if self._percent() < self._least:
            error = f"ERROR: coverage is under {self._least:g} %"
            terminalreporter.write_line(error)

    def _add(self, found):
        if self._found and found:
            self._found = self._merged(self._found, found)
        else:
            self._found = self._found or found

    def _percent(self):
        return self._found["summary"]["percent_covered"]


def _share(summary):
    """`93.4 % (9,812 of 10,503 lines)`."""
    covered = summary["covered_lines"]
    lines = covered + summary["missing_lines"]
    percent = summary["percent_covered"]
    return f"{percent:.1f} % ({covered:,} of {lines:,} lines)"
