"""Estimates of known mutual information, each beside its truth and its bar.

    python -m benchmarks.mutual_information
    python -m benchmarks.mutual_information --items 2 5 6 7 --quick

2 the true critic, without training; 3 trained critics on Gaussians; 4 tasks of
benchmark-mi against its own estimators; 5 discrete image and text, truth log K;
6 independent image and text; 7 nothing above the truth, over all rows.
Critics are chosen on validation pairs or not at all; test pairs are read once.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import tensorflow as tf

from benchmarks import mi_discrete, mi_gaussian, mi_tasks
from benchmarks.mi_rows import Check, Row, checks_table, line, table

ITEMS = (2, 3, 4, 5, 6, 7)
PEER = Path(tempfile.gettempdir()) / "kerasmi-mi-peer"


def never_above(rows: list[Row]) -> list[Check]:
    """Item 7: which lower bounds are above the truth by more than chance."""
    infonce = [r for r in rows if "infonce" in r.found.name]
    others = [
        r for r in rows if "infonce" not in r.found.name and r.found.lower_bound
    ]
    readable = [r for r in others if r.can_be_read]
    rest = [r for r in others if not r.can_be_read]
    smile = [r for r in rows if r.found.name == "smile" and r.truth <= 2]
    return [
        _none(
            "InfoNCE at most truth + 3 s.e.",
            infonce,
            lambda r: r.found.value > r.truth + 3 * r.found.standard_error,
        ),
        _none(
            "InfoNCE at most log |C|",
            infonce,
            lambda r: r.found.value > r.found.ceiling,
        ),
        _none(
            "DV and NWJ at most truth + 3 s.e. + 0.02, if 10 negatives count",
            readable,
            lambda r: (
                r.found.value > r.truth + 3 * r.found.standard_error + 0.02
            ),
        ),
        _none(
            "DV and NWJ flagged, if fewer than 10 negatives count",
            rest,
            lambda r: r.found.reliable,
        ),
        _none(
            "SMILE at most truth + 0.05, truths up to 2",
            smile,
            lambda r: r.found.value > r.truth + 0.05,
        ),
    ]


def _none(claim: str, rows: list[Row], breaks: Callable[[Row], bool]) -> Check:
    broken = [row for row in rows if breaks(row)]
    named = "; ".join(
        f"{r.case}, {r.trained}, seed {r.seed}: {r.found.value:.3f}"
        for r in broken
    )
    found = f"{len(broken)} of {len(rows)} break it"
    return Check(7, claim, f"{found}: {named}" if broken else found, not broken)


def run(
    items: Iterable[int], peer: Path | None, quick: bool
) -> tuple[list[Row], list[Check]]:
    """The rows and checks of the items, progress on standard error."""
    rows: list[Row] = []
    checks: list[Check] = []

    def add(found: Iterable[Row]) -> None:
        for row in found:
            print(time.strftime("%H:%M:%S"), line(row), file=sys.stderr)
            rows.append(row)

    if 2 in items:
        found, checked = mi_gaussian.oracle(quick)
        add(found)
        checks += checked
    if 5 in items:
        add(mi_discrete.statuses(quick))
        checks += mi_discrete.statuses_checks(rows)
    if 6 in items:
        add(mi_discrete.null(quick))
        checks += mi_discrete.null_checks(rows)
    if 4 in items:
        add(mi_tasks.tasks(peer, quick))
        checks += mi_tasks.tasks_checks(peer)
    if 3 in items:
        add(mi_gaussian.trained(quick))
        checks += mi_gaussian.trained_checks(rows)
    if 7 in items:
        checks += never_above(rows)
    return sorted(rows, key=lambda row: row.item), sorted(
        checks, key=lambda one: one.item
    )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--items", nargs="+", type=int, choices=ITEMS, default=ITEMS
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute; misses bars"
    )
    parser.add_argument(
        "--peer-venv", type=Path, default=PEER, help="of benchmark-mi"
    )
    parser.add_argument(
        "--no-peer", action="store_true", help="leave benchmark-mi out"
    )
    arguments = parser.parse_args()
    if set(arguments.items) == {7}:
        parser.error("item 7 is about the rows of others: name some of 2 to 6")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    peer = None if arguments.no_peer else arguments.peer_venv.resolve()
    start, spent = time.monotonic(), time.process_time()
    rows, checks = run(arguments.items, peer, arguments.quick)
    print(table(rows))
    print()
    print(checks_table(checks))
    barred = [row.met for row in rows if row.met is not None]
    met = sum(barred) + sum(one.met for one in checks)
    total = len(barred) + len(checks)
    print(f"\n{met} of {total} bars met, {_minutes(start, spent)}")
    if 4 in arguments.items and peer is None:
        print("theirs of item 4: not run")


def _minutes(start: float, spent: float) -> str:
    wall = math.ceil((time.monotonic() - start) / 60)
    busy = math.ceil((time.process_time() - spent) / 60)
    return f"{wall} minutes, {busy} of them on the processor"


if __name__ == "__main__":
    main()
