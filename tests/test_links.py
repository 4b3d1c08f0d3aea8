"""Every link of a page in this repository leads somewhere."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    page
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/*.md")
    for page in sorted(ROOT.glob(pattern))
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
ELSEWHERE = ("https://", "http://")


def headings(page):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    names = re.findall(r"(?m)^#+ (.*)", text)
    plain = [re.sub(r"[^\w\- ]", "", name.lower()) for name in names]
    return {name.strip().replace(" ", "-") for name in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_to_a_file_and_to_a_heading_of_it(page):
    for link in LINK.findall(page.read_text()):
        if link.startswith(ELSEWHERE):
            continue
        file, _, anchor = link.partition("#")
        target = page.parent / file if file else page
        assert target.is_file(), link
        assert not anchor or anchor in headings(target), link


def test_the_site_lists_every_page_once():
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    listed = Counter(re.findall(r": (\S+\.md)$", menu, re.MULTILINE))
    docs = ROOT / "docs"
    pages = {p.relative_to(docs).as_posix() for p in docs.rglob("*.md")}
    assert listed == Counter(pages)
