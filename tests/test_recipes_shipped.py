import ast
import importlib.util
from pathlib import Path

import pytest

from kerasmi import grid_recipe, presets
from kerasmi import recipe as recipes
from kerasmi.data.schema import CHEXPERT14

RECIPES = Path(__file__).parents[1] / "recipes"
VARIANTS = {"local_mine", "local_cpc", "global_mine", "global_cpc"}
BOTH = VARIANTS | {"image_only"}
GRIDS = {"tables", "label_efficiency"}
FILES = sorted(RECIPES.rglob("*.yaml"))


def test_the_recipes_are_the_papers_variants_of_each_source():
    files = {str(path.relative_to(RECIPES).with_suffix("")) for path in FILES}
    grids = GRIDS | {f"mimic_cxr/{name}" for name in GRIDS} | {"open_i/tables"}
    assert files - grids == {
        f"{source}{name}"
        for source in ("", "mimic_cxr/", "open_i/")
        for name in BOTH
    }
    assert set(recipes.shipped()) == files - grids
    assert set(recipes.names()) == files


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_file_validates(path):
    reader = grid_recipe if path.stem in GRIDS else recipes
    assert reader.problems(path) == []


@pytest.mark.parametrize("scale", ["", "mimic_cxr/"])
def test_the_tables_have_the_papers_18_rows_for_each_seed(scale):
    plan = grid_recipe.load(f"{scale}tables")
    assert plan.grid.seeds == (0, 1, 2)
    rows = [
        (member.variant, encoder, task)
        for member in plan.members
        if member.seed == 0
        for encoder in member.recipe.retrain.encoders
        for task in member.recipe.retrain.tasks
    ]
    assert len(set(rows)) == len(rows) == 18
    for member in plan.members:
        alone = recipes.load(scale + member.variant, [f"seed={member.seed}"])
        assert member.recipe == alone


@pytest.mark.parametrize("scale", ["", "mimic_cxr/"])
def test_label_efficiency_reaches_from_few_labels_to_all(scale):
    plan = grid_recipe.load(f"{scale}label_efficiency")
    variants = {member.variant for member in plan.members}
    assert variants == {"image_only", "global_mine", "local_mine"}
    labels = {member.recipe.retrain.labels for member in plan.members}
    assert None in labels
    assert len(labels) >= 5
    if not scale:
        assert 50 in labels


@pytest.mark.parametrize("name", sorted(BOTH))
def test_the_phantoms_recipes_run_as_they_stand(name):
    recipe = recipes.load(name)
    recipes.check_ready(recipe)
    assert recipe.data.source == "phantom"
    assert recipe.data.image_size == 64


@pytest.mark.parametrize("name", sorted(BOTH))
def test_the_twins_differ_in_scale_and_not_in_kind(name):
    phantom, paper = recipes.load(name), recipes.load(f"mimic_cxr/{name}")
    assert paper.retrain.encoders == phantom.retrain.encoders
    assert paper.retrain.tasks == phantom.retrain.tasks
    if phantom.objective is None:
        assert paper.objective is None
    else:
        assert paper.objective.bound == phantom.objective.bound
        assert paper.objective.scope == phantom.objective.scope


@pytest.mark.parametrize("name", sorted(VARIANTS))
def test_the_twins_hold_the_papers_settings(name):
    recipe = recipes.load(f"mimic_cxr/{name}")
    bound, scope = recipe.objective.bound, recipe.objective.scope
    assert f"{scope}_{bound}" == name
    assert recipe.data.image_size == 256
    assert recipe.image_encoder.preset == "resnet_paper"
    assert recipe.text_encoder.preset == "clinical_bert"
    assert recipe.text_encoder.pooling == "cls"
    assert recipe.critic.hidden_dims == (1024, 512)
    assert recipe.pretrain.learning_rate == 5e-4
    assert recipe.pretrain.text_learning_rate == 5e-4
    assert (recipe.pretrain.epochs, recipe.retrain.epochs) == (5, 50)
    assert recipe.retrain.labels is None


@pytest.mark.parametrize("name", sorted(BOTH))
def test_open_is_recipes_are_the_papers_but_for_what_its_data_asks(name):
    own = dict(recipes.load(f"open_i/{name}").settings())
    paper = dict(recipes.load(f"mimic_cxr/{name}").settings())
    changed = {key for key in own | paper if own.get(key) != paper.get(key)}
    labels = {"name", "data.blank", "retrain.tasks", "retrain.findings"}
    labels |= {"retrain.severity_head"}  # of a task that is not there
    fewer_images = {f"pretrain.{key}" for key in ("epochs", "warmup_steps")}
    fewer_images |= {"pretrain.schedule"}
    assert changed == labels | (fewer_images if name in VARIANTS else set())
    assert set(own["retrain.findings"]) <= set(CHEXPERT14)


def test_open_is_tables_have_every_variant_frozen_and_tuned():
    plan = grid_recipe.load("open_i/tables")
    assert plan.grid.seeds == (0, 1, 2)
    assert {member.variant for member in plan.members} == BOTH
    for member in plan.members:
        name = f"open_i/{member.variant}"
        alone = recipes.load(name, [f"seed={member.seed}"])
        assert member.recipe == alone


def test_the_papers_benchmark_is_trained_for_100_epochs():
    recipe = recipes.load("mimic_cxr/image_only")
    assert recipe.retrain.epochs == 100
    assert recipe.retrain.learning_rate == 5e-4


def test_the_names_of_runs_do_not_meet():
    names = [recipes.load(name).name for name in recipes.shipped()]
    grids = set(recipes.names()) - set(recipes.shipped())
    names += [grid_recipe.load(name).name for name in grids]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("resnet.resnet_presets", presets.IMAGE_PRESETS[3:]),
        ("bert.bert_presets", presets.TEXT_PRESETS[2:]),
    ],
)
def test_the_presets_are_keras_hubs(module, names):
    # Read from its source: importing it takes TensorFlow.
    spec = importlib.util.find_spec("keras_hub")
    path = Path(spec.submodule_search_locations[0], "src/models")
    source = path.joinpath(*module.split(".")).with_suffix(".py").read_text()
    known = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
    }
    assert set(names) <= known
