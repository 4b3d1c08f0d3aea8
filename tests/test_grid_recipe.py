import pytest

from kerasmi import grid_recipe, grid_text
from kerasmi import recipe as recipes
from kerasmi.errors import RecipeError
from kerasmi.grid_schema import pretraining

PHANTOM = "intra_op_threads: 1\ndata: {source: phantom, image_size: 64}\n"
LOCAL = PHANTOM + (
    "text_encoder: {preset: bert_phantom}\nobjective: {scope: local}\n"
)
ALONE = PHANTOM + "retrain: {encoders: [image_only]}\n"
GRID = "grid: {recipes: [alone, local], seeds: 2}\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes files; `alone.yaml` and `local.yaml` are there."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="own.yaml"):
        (tmp_path / name).write_text(text)
        return name

    write(LOCAL, "local.yaml")
    write(ALONE, "alone.yaml")
    return write


@pytest.fixture
def error(write):
    def error(text, *overrides, seeds=None):
        with pytest.raises(RecipeError) as caught:
            grid_recipe.load(write(text), overrides, seeds)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return error


def _names(plan):
    return [member.name for member in plan.members]


def test_a_grid_is_recipes_times_seeds_seed_by_seed(write):
    plan = grid_recipe.load(write(GRID))
    assert plan.name == "own"
    assert _names(plan) == [
        *("alone/seed0", "local/seed0", "alone/seed1", "local/seed1")
    ]
    assert [member.recipe.seed for member in plan.members] == [0, 0, 1, 1]


def test_a_member_is_its_recipe_with_a_seed(write):
    plan = grid_recipe.load(write(GRID))
    alone, local, *_ = plan.members
    assert alone.recipe == recipes.load("alone.yaml", ["seed=0"])
    assert local.recipe == recipes.load("local.yaml", ["seed=0"])


def test_labels_are_a_third_factor_and_lie_at_the_same_depth(write):
    text = "grid: {recipes: [local], labels: [50, 0.25, all], seeds: [3]}\n"
    plan = grid_recipe.load(write(text))
    assert _names(plan) == [
        *("local/labels50-seed3", "local/labels0.25-seed3"),
        "local/labelsall-seed3",
    ]
    labels = [member.recipe.retrain.labels for member in plan.members]
    assert labels == [50, 0.25, None]


def test_members_of_one_seed_share_their_pretraining(write):
    text = "grid: {recipes: [local], labels: [50, all], seeds: 2}\n"
    plan = grid_recipe.load(write(text))
    few, every, other, _ = (pretraining(m.recipe) for m in plan.members)
    assert few == every
    assert few != other
    for key in ("critic.normalize=true", "precision=mixed_bfloat16"):
        changed = recipes.load("local.yaml", ["seed=0", key])
        assert pretraining(changed) != few


def test_recipes_of_other_threads_make_no_grid(write, error):
    write(LOCAL.replace("threads: 1", "threads: null"), "other.yaml")
    text = "grid: {recipes: [local, other]}\n"
    assert error(text).startswith(
        "own.yaml: intra_op_threads: 1 in local but null in other; "
    )


def test_values_of_a_grid_go_where_they_have_an_effect(write):
    text = (
        "grid:\n  recipes: [alone, local]\n"
        "  set: {retrain: {epochs: 3}, pretrain.epochs: 2}\n"
    )
    plan = grid_recipe.load(write(text), ["objective.region=logsumexp"])
    alone, local = (member.recipe for member in plan.members)
    assert (alone.retrain.epochs, alone.objective) == (3, None)
    assert (local.retrain.epochs, local.pretrain.epochs) == (3, 2)
    assert local.objective.region == "logsumexp"


def test_encoders_are_taken_of_each_recipes_own(write):
    text = "grid: {recipes: [alone, local], encoders: [image_only, tuned]}\n"
    plan = grid_recipe.load(write(text))
    encoders = [member.recipe.retrain.encoders for member in plan.members]
    assert encoders == [("image_only",), ("tuned",)]


def test_overrides_may_change_the_grid_itself(write):
    plan = grid_recipe.load(write(GRID), ["grid.recipes=[local]"], 1)
    assert _names(plan) == ["local/seed0"]


def test_a_plain_recipe_becomes_a_grid_of_itself(write):
    plan = grid_recipe.load("local_cpc", ["pretrain.epochs=2"], 2)
    assert plan.name == "local_cpc_grid"
    assert _names(plan) == ["local_cpc/seed0", "local_cpc/seed1"]
    expected = recipes.load("local_cpc", ["pretrain.epochs=2", "seed=1"])
    assert plan.members[1].recipe == expected


def test_files_beside_the_grid_come_before_shipped_names(write):
    write(LOCAL + "seed: 7\n", "local_mine.yaml")
    write(LOCAL.replace("local}", "local, bound: cpc}"), "mine.yaml")
    text = "grid: {recipes: [local_mine, mine.yaml, local_cpc]}\n"
    own, mine, shipped = grid_recipe.load(write(text)).members
    assert own.recipe.critic.hidden_dims == (1024, 512)
    assert (mine.variant, mine.recipe.objective.bound) == ("mine", "cpc")
    assert shipped.recipe.critic.hidden_dims == (64, 32)


def test_a_recipe_is_no_grid_and_a_grid_no_recipe(write):
    name = write(GRID)
    assert recipes.is_grid(name)
    assert not recipes.is_grid("local.yaml")
    with pytest.raises(RecipeError, match=r"own\.yaml: a grid of recipes"):
        recipes.load(name)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("grid: 3\n", "own.yaml: grid: expected a section of keys"),
        ("grid: {}\n", "own.yaml: grid.recipes: expected one or more"),
        ("grid: {recipes: [local]}\nseed: 1\n", "own.yaml: seed: unknown key."),
        (
            "grid: {recipes: [local], seed: 1}\n",
            "own.yaml: grid.seed: unknown key. Did you mean `seeds`?",
        ),
        (
            "grid: {recipes: [local], seeds: 0}\n",
            "own.yaml: grid.seeds: expected at least 1. Received: 0",
        ),
        (
            "grid: {recipes: [local], seeds: [1, 1]}\n",
            "own.yaml: grid.seeds: expected one or more, each once.",
        ),
        (
            "grid: {recipes: [local], seeds: [-1]}\n",
            "own.yaml: grid.seeds: expected at least 0. Received: -1",
        ),
        (
            "grid: {recipes: [local], labels: [1]}\n",
            "own.yaml: grid.labels: expected at least 2. Received: 1",
        ),
        (
            "grid: {recipes: [local], labels: [1.5]}\n",
            "own.yaml: grid.labels: expected a whole number of images, a",
        ),
        (
            "grid: {recipes: [local], labels: [50, 9000]}\n",
            "local.yaml: retrain.labels: expected at most",
        ),
        (
            "grid: {recipes: [local, local.yaml]}\n",
            "own.yaml: grid.recipes: two are called local",
        ),
        (
            "grid: {recipes: [lokal_mine]}\n",
            "own.yaml: grid.recipes: lokal_mine: no recipe of that name",
        ),
        (
            "grid: {recipes: [local], set: {seed: 1}}\n",
            "own.yaml: grid.set: `seed`: give `grid.seeds` instead",
        ),
        (
            "grid: {recipes: [local], labels: [9], set: {retrain.labels: 8}}\n",
            "own.yaml: grid.set: `retrain.labels`: give `grid.labels` instead",
        ),
        (
            "grid: {recipes: [local], set: {epochs: 1}}\n",
            "own.yaml: grid.set: epochs: unknown key. Did you mean",
        ),
        (
            "grid: {recipes: [alone], set: {pretrain.epochs: 1}}\n",
            "own.yaml: grid.set.pretrain.epochs: has no effect in any of its",
        ),
        (
            "grid: {recipes: [alone, local], encoders: [tuned]}\n",
            "alone.yaml: retrain.encoders: grid.encoders has none of image_onl",
        ),
        (
            "grid: {recipes: [local], set: {retrain.epochs: few}}\n",
            "local.yaml: retrain.epochs: expected a whole number.",
        ),
        ("grid: [", "own.yaml: line 1, column 8: not YAML"),
    ],
)
def test_a_wrong_grid_names_file_and_key(error, text, line):
    assert error(text).startswith(line)


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", ["tables", "label_efficiency"])
def test_what_is_dumped_is_read_back(write, name, full):
    plan = grid_recipe.load(name, ["evaluate.bootstrap=9"])
    again = grid_recipe.load(write(grid_text.dump(plan, full)))
    assert (again.name, again.members) == (plan.name, plan.members)


def test_a_full_dump_names_runs_and_what_differs_between_recipes():
    text = grid_text.dump(grid_recipe.load("tables"))
    assert "#   local_cpc/seed2\n" in text
    assert (
        "#   objective.scope:\n"
        "#     global: global_mine, global_cpc\n"
        "#     local: local_mine, local_cpc\n"
    ) in text
    assert "image_size" not in text


# Choosing


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ([], {"alone": "image_only", "local": "frozen tuned"}),
        (["local/tuned"], {"local": "tuned"}),
        (["tuned"], {"local": "tuned"}),
        (["local"], {"local": "frozen tuned"}),
        (["alone", "tuned"], {"alone": "image_only", "local": "tuned"}),
    ],
)
def test_words_choose_variants_and_encoders(write, only, expected):
    chosen = grid_text.select(grid_recipe.load(write(GRID)), only)
    assert chosen == {
        f"{variant}/seed{seed}": tuple(encoders.split())
        for seed in (0, 1)
        for variant, encoders in expected.items()
    }


def test_words_choose_seeds_and_labels_too(write):
    text = "grid: {recipes: [local], labels: [50, all], seeds: 2}\n"
    plan = grid_recipe.load(write(text))
    chosen = grid_text.select(plan, ["seed1/labels50/frozen"])
    assert chosen == {"local/labels50-seed1": ("frozen",)}


@pytest.mark.parametrize("only", ["lokal", "alone/tuned", "local/", "seed2"])
def test_words_that_choose_nothing_are_refused(write, only):
    plan = grid_recipe.load(write(GRID))
    with pytest.raises(RecipeError, match=f"own.yaml: --only {only}: chooses"):
        grid_text.select(plan, ["local", only])
