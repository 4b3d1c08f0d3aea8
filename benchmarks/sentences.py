"""Reports a minute that the sentence splitter takes on one core.

    python -m benchmarks.sentences
    python -m benchmarks.sentences NLMCXR_reports.tgz

Without a file the reports are invented. With Open-i's reports it also counts
what must be 0: decimals broken, lone list numbers, reports emptied, reports
of which a letter is lost (but for list marks and section headings).
"""

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from kerasmi.data import sentences
from kerasmi.data.sources import open_i_reports
from kerasmi.data.sources.base import Audit

DECIMAL = re.compile(r"\d+\.\d+")
LONE = re.compile(r"[\s(]*\d+[.)\s]*")
HEADING = re.compile(r"(?:FINDINGS|IMPRESSION) ?:")
INVENTED = (
    "The heart is mildly enlarged.",
    "Tip of the line 3.5 cm above the carina.",
    "No pneumothorax.",
    "1. Small right effusion. 2. Clear left lung.",
    "Told Dr. XXXX at 4:30 p.m. by phone.",
)


def invented(count: int = 4000) -> Iterator[str]:
    """Reports of six lines."""
    draw = random.Random(0)
    for _ in range(count):
        yield " ".join(draw.choices(INVENTED, k=6))


def real(archive: Path) -> Iterator[str]:
    """Findings and impression of each report that has one."""
    for report in open_i_reports.from_xml(archive, Audit()):
        parts = (report.text("FINDINGS"), report.text("IMPRESSION"))
        if any(parts):
            yield "\n\n".join(filter(None, parts))


def faults(text: str, found: list[str]) -> Counter[str]:
    """What went wrong with one report."""
    kept = Counter(DECIMAL.findall("\n".join(found)))
    return Counter(
        {
            "decimals broken": (Counter(DECIMAL.findall(text)) - kept).total(),
            "lone list numbers": sum(map(bool, map(LONE.fullmatch, found))),
            "reports emptied": int(not found),
            "reports with a letter lost": int(
                letters("".join(found)) != letters(HEADING.sub("", text))
            ),
        }
    )


def letters(text: str) -> str:
    """The letters of a text."""
    return "".join(filter(str.isalpha, text))


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, nargs="?")
    archive = parser.parse_args().archive
    texts = list(real(archive) if archive else invented())
    start = time.process_time()
    split = [sentences.split(text) for text in texts]
    minutes = (time.process_time() - start) / 60
    print(f"{len(texts):,} reports, {sum(map(len, split)):,} sentences")
    print(f"{len(texts) / minutes:,.0f} reports a minute on one core")
    total: Counter[str] = Counter()
    for text, found in zip(texts, split, strict=True):
        total.update(faults(text, found))
    for name, number in total.items():
        print(f"{name}: {number}")


if __name__ == "__main__":
    main()
