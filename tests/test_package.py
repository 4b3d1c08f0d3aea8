import re
import subprocess
import sys
from pathlib import Path

import yaml

import kerasmi

ROOT = Path(__file__).parents[1]


def commands():
    """The README's shell blocks that set up an environment."""
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    return [b.strip() for b in blocks if b.startswith("python3.11 -m venv")]


def test_the_gate_runs_the_two_commands_of_the_readme_verbatim():
    run, test = commands()
    assert "kerasmi run recipes/local_mine.yaml" in run
    assert "pytest" in test
    gate = (ROOT / ".ci/run").read_text()
    for command in (run, test):
        assert command in gate.splitlines()


def test_every_public_name_exists():
    for name in kerasmi.__all__:
        assert getattr(kerasmi, name) is not None


def test_what_the_pages_call_is_there_after_import_kerasmi():
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("kerasmi/models/*.py")]
    pages += [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    text = "".join(page.read_text() for page in pages)
    called = set(re.findall(r"`kerasmi\.([a-z_]+)\.([A-Z]\w+|\w+(?=\())", text))
    assert ("callbacks", "AnnealTemperature") in called
    code = ["import kerasmi"]
    code += [f"kerasmi.{module}.{name}" for module, name in sorted(called)]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_the_citation_is_of_this_version_and_of_the_paper():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["version"] == kerasmi.__version__
    (paper,) = cited["references"]
    assert f"https://doi.org/{paper['doi']}" in (ROOT / "README.md").read_text()


def test_importing_the_package_leaves_tensorflow_out():
    code = "import sys, kerasmi; print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_no_tracked_text_names_a_machine_or_a_registry():
    listed = subprocess.run(
        ["git", "ls-files"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    words = [
        "/work" + "/",
        "/root" + "/",
        "pypi" + ".org",
        "files.python" + "hosted",
    ]
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".json", ""):
            text = path.read_text(errors="ignore")
            assert not [w for w in words if w in text], name
