"""Who may import whom: read from the source of every file, and tried."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kerasmi"
FRAMEWORKS = {"tensorflow", "tensorflow_text", "keras", "keras_hub"}
KERAS = {"keras", "keras_hub"}

# Each group of modules, what of kerasmi it may import beside itself, and what
# of the world it may not. The first group that has a module counts.
GROUPS = {
    "base": (
        {
            "types",
            "errors",
            "reporter",
            "output_files",
            "cluster",
            "launching",
            "in_turn",
            "written_tables",
            "told",
        },
        set(),
        FRAMEWORKS,
    ),
    "mathematics": (
        {"bounds", "pairs", "regions", "masked"},
        {"base"},
        {"tensorflow", "keras_hub"},
    ),
    "recipes": (
        {
            "presets",
            "recipe",
            "recipe_errors",
            "recipe_schema",
            "recipe_section",
            "recipe_yaml",
            "environment",
            "run_log",
            "runs",
            "worker_run",
            "folder",
            "checkpoint_files",
            "interruption",
            "grid_schema",
            "grid_recipe",
            "grid_text",
        },
        {"base"},
        FRAMEWORKS,
    ),
    "keras objects": (
        {"losses", "metrics", "critics"},
        {"base", "mathematics"},
        {"tensorflow", "keras_hub"},
    ),
    "training": (
        {
            "fused_adam",
            "optimizers",
            "callbacks",
            "distribute",
            "grid_of_pairs",
            "pair_scores",
            "repeated_texts",
        },
        {"base", "mathematics", "keras objects"},
        {"keras_hub"},
    ),
    "models": (
        {"models", "checkpoints"},
        {"base", "mathematics", "keras objects", "training"},
        set(),
    ),
    "data": ({"data"}, {"base"}, KERAS),
    "evaluation": ({"evaluation"}, {"base"}, FRAMEWORKS),
    "grid": (
        {
            "stages",
            "preconditions",
            "collection",
            "comparable",
            "table_data",
            "grid",
            "grid_folder",
            "grid_progress",
            "grid_results",
            "grid_tables",
        },
        {"base", "recipes", "data", "evaluation"},
        FRAMEWORKS,
    ),
    "pictures": ({"sheet"}, {"base", "data", "evaluation"}, FRAMEWORKS),
    "experiment": (
        {
            "build",
            "drawing_phantom",
            "pretrain",
            "retrain",
            "retrainings",
            "labelled",
            "held_out_images",
            "round_numbers",
            "side_by_side",
            "resuming",
            "stage_logs",
            "training_state",
            "selftest",
            "watching",
            "experiment",
            "forgetting",
            "lost_dicts",
            "measure",
            "pictures",
            "exporting",
            "model_card",
            "model_description",
            "reloading",
            "serving",
            "features",
            "held_out_split",
            "given",
            "grounded",
            "probing",
            "evaluating",
            "representations",
            "asked",
            "embedding",
            "localizing",
            "retrieving",
        },
        {
            "base",
            "mathematics",
            "keras objects",
            "training",
            "models",
            "recipes",
            "data",
            "evaluation",
            "pictures",
            "grid",
        },
        set(),
    ),
}
FILES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path.parent.name != "cli" and path != PACKAGE / "__init__.py"
)


def _group(module):
    for name, (modules, _, _) in GROUPS.items():
        if module in modules:
            return name
    raise AssertionError(f"kerasmi.{module}: say in GROUPS where it belongs")


def _imported(path):
    """Dotted names that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{a.name}" for a in node.names)


def _own(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_file_imports_only_what_its_group_may(path):
    group = _group(_own(path))
    _, friends, forbidden = GROUPS[group]
    for name in _imported(path):
        first, *rest = name.split(".")
        assert first not in forbidden, f"{group} must not import {name}"
        if first == "kerasmi" and rest and rest[0] != "__version__":
            theirs = _group(rest[0])
            assert theirs in {group, *friends}, f"{group} imports {name}"


def test_the_page_on_architecture_shows_these_groups():
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    rows = re.findall(r"(?m)^\| ([a-z ]+) \| (`.*`) \| (.*) \|$", page)
    shown = {tier: (files, friends) for tier, files, friends in rows}
    assert set(shown) == {*GROUPS, "cli"}
    above = set()
    for tier, (modules, friends, _) in GROUPS.items():
        files, said = shown[tier]
        assert {f.rstrip("/") for f in re.findall(r"`(.*?)`", files)} == modules
        named = said.partition(";")[0].split(", ")
        named = above if "all of the above" in named else named
        assert {name for name in named if name in GROUPS} == friends, tier
        above = above | {tier}


@pytest.mark.parametrize("path", sorted((PACKAGE / "cli").glob("*.py")))
def test_commands_import_what_is_slow_only_when_they_need_it(path):
    slow = {*FRAMEWORKS, "pandas", "numpy", "matplotlib", "pydantic", "yaml"}
    slow |= {"kerasmi.recipe", "kerasmi.runs", "kerasmi.data"}
    slow |= {"kerasmi.evaluation", "kerasmi.sheet", "kerasmi.experiment"}
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [
                node.module,
                *(f"{node.module}.{a.name}" for a in node.names),
            ]
        else:
            names = []
        assert not slow & {*names, *(n.split(".")[0] for n in names)}


def _loaded(modules, heavy):
    code = (
        f"import sys, {', '.join(modules)}\n"
        f"print(*sorted({set(heavy)!r} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    return answer.stdout.split()


def test_recipes_and_runs_load_no_framework():
    modules = ["recipe", "runs", "reporter", "errors", "types"]
    modules = [f"kerasmi.{name}" for name in modules]
    assert _loaded(modules, {*FRAMEWORKS, "pandas", "matplotlib"}) == []


def test_the_command_line_loads_nothing_slow():
    slow = {*FRAMEWORKS, "numpy", "pandas", "matplotlib", "pydantic"}
    assert _loaded(["kerasmi", "kerasmi.cli"], slow) == []


def test_evaluation_loads_no_framework():
    modules = [
        f"kerasmi.evaluation.{path.stem}"
        for path in (PACKAGE / "evaluation").glob("[!_]*.py")
    ]
    assert len(modules) > 5
    assert _loaded(["kerasmi.sheet", *modules], FRAMEWORKS) == []
