"""The catalogue tests/bad_inputs: one line, the culprit, the remedy.

Every case is typed in a folder of its own. What several need is made once, a
model is loaded once, and most commands fail before TensorFlow is met.
"""

import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import bad_inputs
import click
import pytest
from click.testing import CliRunner
from trained_runs import load_once

from kerasmi.cli import main

CASES = bad_inputs.cases()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return bad_inputs.Made(tmp_path_factory.mktemp("made"))


@pytest.mark.skipif(
    find_spec("tensorflow_io") is None, reason="needs tensorflow-io"
)
@pytest.mark.parametrize(
    "case", CASES, ids=lambda case: f"{case['verb']}: {case['case']}"
)
def test_it_is_refused_in_one_line(case, made, tmp_path, monkeypatch):
    load_once(monkeypatch)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # few images, one process
    monkeypatch.chdir(tmp_path)
    bad_inputs.lay_out(case, made, tmp_path)
    before = bad_inputs.look(tmp_path)
    typed = bad_inputs.arguments(case)
    result = CliRunner().invoke(main, typed, prog_name="kerasmi")
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    *others, line = result.stderr.splitlines()
    assert not any("Error" in other for other in others), others
    assert "Traceback" not in result.stderr
    # `validate` lists what is wrong, one line each
    if typed[0] != "validate":
        assert line.startswith("Error: ")
    assert case["culprit"] in line
    assert case["remedy"] in line
    if "hides" in case:
        assert case["hides"] not in result.output
    if "leaves" in case:
        shutil.rmtree(tmp_path / case["leaves"])
    assert bad_inputs.look(tmp_path) == before


@pytest.mark.parametrize("within", ["", "deeper"])
def test_what_is_changed_behind_a_link_is_seen(tmp_path, within):
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "deeper").mkdir(parents=True)
    here.mkdir()
    (there / within / "old").write_text("precious")
    (here / "folder").symlink_to(there)
    (here / "file").symlink_to(there / within / "old")
    before = bad_inputs.look(here)
    (there / within / "old").write_text("spoilt!!!")
    after = bad_inputs.look(here)
    assert {name for name in after if after[name] != before[name]} == {
        "file",
        str(Path("folder", within, "old")),
    }
    (there / within / "new").write_text("")
    assert set(bad_inputs.look(here)) - set(after) == {
        str(Path("folder", within, "new"))
    }


def test_links_that_lead_nowhere_or_in_a_circle_end_the_look(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to("nothing")
    (tmp_path / "self").symlink_to("self")
    assert bad_inputs.look(tmp_path) == dict.fromkeys(
        ("a", "a/up", "gone", "self"), ()
    )


def _verbs(group, path=()):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _verbs(command, (*path, name))
        else:
            yield " ".join((*path, name))


def _verb(case, verbs):
    return max(
        (verb for verb in verbs if case["command"].startswith(verb)),
        key=len,
        default="none",
    )


def test_the_catalogue_covers_every_verb_and_names_no_case_twice():
    verbs = list(_verbs(main))
    counts = Counter(_verb(case, verbs) for case in CASES)
    # what takes nothing but --help can be typed wrong in one way only
    few = {verb for verb in verbs if counts[verb] < 3} - {"ls"}
    assert few == set()
    assert counts["ls"] >= 1
    assert len(CASES) >= 150
    names = Counter((case["verb"], case["case"]) for case in CASES)
    assert max(names.values()) == 1
