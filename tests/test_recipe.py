import pydantic
import pytest

from kerasmi import recipe as recipes
from kerasmi.errors import RecipeError
from kerasmi.recipe import Critic, Objective, Pretrain, Recipe
from kerasmi.recipe_section import section_of

LOCAL = "objective: {bound: mine, scope: local}\n"
PHANTOM = (
    LOCAL + "data: {source: phantom, image_size: 64}\n"
    "text_encoder: {preset: bert_phantom}\n"
)


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="own.yaml"):
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.fixture
def error(write):
    def error(text, *overrides):
        with pytest.raises(RecipeError) as caught:
            recipes.load(write(text), overrides)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return error


def test_the_defaults_are_the_papers():
    recipe = Recipe(objective=Objective(bound="cpc"))
    assert recipe.data.image_size == 256
    assert recipe.image_encoder.preset == "resnet_paper"
    assert recipe.text_encoder.pooling == "cls"
    assert recipe.critic.hidden_dims == (1024, 512)
    assert recipe.objective.region == "max"
    assert recipe.pretrain.epochs == 5
    assert recipe.pretrain.sentences == 1
    assert recipe.pretrain.learning_rate == 5e-4
    assert recipe.pretrain.text_learning_rate == 5e-4
    assert recipe.retrain.epochs == 50
    assert recipe.retrain.learning_rate == 5e-4
    assert recipe.retrain.tasks == ("pathology9", "edema_severity")


def test_an_objective_alone_is_pretrained_as_the_paper_does():
    assert Recipe(objective=Objective()).pretrain == Pretrain()


def test_no_objective_means_no_pretraining():
    recipe = Recipe(retrain={"encoders": ["image_only"]})
    assert recipe.pretrain is None


def test_a_recipe_cannot_be_changed():
    recipe = Recipe(objective=Objective())
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        recipe.seed = 1


def test_every_key_has_a_description():
    def check(section):
        for name, field in section.model_fields.items():
            assert field.description.endswith("."), name
            inner = section_of(section, name)
            if inner:
                check(inner)

    check(Recipe)


# Reading


@pytest.mark.parametrize("text", ["5e-4", "5.0e-4", "0.0005", ".0005", "5E-4"])
def test_numbers_may_be_written_in_any_usual_way(write, text):
    name = write(LOCAL + f"pretrain: {{learning_rate: {text}}}\n")
    assert recipes.load(name).pretrain.learning_rate == 0.0005


def test_a_name_and_a_path_both_work(write):
    write(recipes.source("local_mine"), "copy.yaml")
    by_name, by_path = recipes.load("local_mine"), recipes.load("copy.yaml")
    assert recipes.differences(by_name, by_path) == []
    assert (by_name.name, by_path.name) == ("local_mine", "copy")


def test_a_file_comes_before_a_shipped_recipe_of_the_same_name(write):
    write(LOCAL + "seed: 7\n", "local_mine")
    assert recipes.load("local_mine").seed == 7


def test_a_folder_does_not_hide_a_shipped_recipe(write, tmp_path):
    (tmp_path / "local_mine").mkdir()
    assert recipes.load("local_mine").name == "local_mine"


def test_words_of_yaml_1_1_are_words(error):
    line = error(LOCAL + "critic: {normalize: yes}\n")
    assert line == (
        "own.yaml: critic.normalize: expected true or false. Received: 'yes'"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("objective: {bound: nce}", "objective.bound: expected one of 'mine',"),
        (
            "objective: {bounds: mine}",
            "objective.bounds: unknown key. Did you mean `bound`?",
        ),
        (
            "zzz: 1",
            "zzz: unknown key. Known here: name, seed, precision,",
        ),
        (
            "intra_op_threads: 0",
            "intra_op_threads: expected at least 1. Received: 0",
        ),
        (
            LOCAL + "pretrain: {epochs: true}",
            "pretrain.epochs: expected a whole number. Received: True",
        ),
        (
            LOCAL + "pretrain: {epochs: 1.5}",
            "pretrain.epochs: expected a whole number. Received: 1.5",
        ),
        (
            LOCAL + "pretrain: {epochs: 0}",
            "pretrain.epochs: expected at least 1. Received: 0",
        ),
        (
            LOCAL + "pretrain: {learning_rate: fast}",
            "pretrain.learning_rate: expected a number. Received: 'fast'",
        ),
        (
            LOCAL + "pretrain: {learning_rate: .nan}",
            "pretrain.learning_rate: expected a finite number. Received: nan",
        ),
        (
            LOCAL + "critic: {hidden_dims: [64, wide]}",
            "critic.hidden_dims: expected a whole number. Received: 'wide'",
        ),
        (
            LOCAL + "critic: {hidden_dims: []}",
            "critic.hidden_dims: expected at least one value. Received: ",
        ),
        (
            LOCAL + "critic: 3",
            "critic: expected a section of keys. Received: 3",
        ),
        (
            LOCAL + "retrain: {tasks: pathology9}",
            "retrain.tasks: expected a list, such as [a, b]. Received: ",
        ),
        (
            LOCAL + "retrain: {encoders: [tuned, tuned]}",
            "retrain.encoders: expected one or more, each once. Received: ",
        ),
        (
            LOCAL + "retrain: {labels: 1}",
            "retrain.labels: expected at least 2. Received: 1",
        ),
        (
            LOCAL + "retrain: {labels: 1.0}",
            "retrain.labels: expected a whole number of images, a fraction"
            " between 0 and 1, or all. Received: 1.0",
        ),
        (
            LOCAL + "retrain: {labels: most}",
            "retrain.labels: expected a whole number of images, a fraction",
        ),
        (
            LOCAL + "retrain: {labels: true}",
            "retrain.labels: expected a whole number of images, a fraction",
        ),
        (
            LOCAL + "image_encoder: {preset: resnet_papper}",
            "image_encoder.preset: no preset of that name: 'resnet_papper'."
            " Did you mean `resnet_paper`?",
        ),
        (
            LOCAL + "text_encoder: {preset: bert_bse_en}",
            "text_encoder.preset: no preset of that name: 'bert_bse_en'."
            " Did you mean `bert_base_en`?",
        ),
        (
            LOCAL + "name: a/b",
            "name: expected letters, digits, '.', '_' and '-', the first a"
            " letter or digit. Received: 'a/b'",
        ),
    ],
)
def test_a_wrong_value_names_file_and_key(error, text, line):
    assert error(text).startswith(f"own.yaml: {line}")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("objective: {scope: global, region: max}", "objective.region"),
        ("objective: {region: max, temperature: 2}", "objective.temperature"),
        (
            "objective: {region: max, final_temperature: 2}",
            "objective.final_temperature",
        ),
        ("objective: {bound: cpc, momentum: 0.9}", "objective.momentum"),
        ("objective: {direction: symmetric}", "objective.direction"),
        ("objective: {clip: 3}", "objective.clip"),
        (LOCAL + "critic: {dim: 64}", "critic.dim"),
        (
            LOCAL + "critic: {kind: separable, hidden_dims: [8]}",
            "critic.hidden_dims",
        ),
        (LOCAL + "data: {seed: 1}", "data.seed"),
        (LOCAL + "data: {images: {train: 9}}", "data.images"),
        (
            LOCAL + "text_encoder: {preset: bert_base_en, path: x}",
            "text_encoder.path",
        ),
        (
            "objective: {scope: global}\npretrain: {sentences: 2}",
            "pretrain.sentences",
        ),
        (
            LOCAL + "retrain: {tasks: [pathology9], severity_head: softmax}",
            "retrain.severity_head",
        ),
        (
            LOCAL + "retrain: {tasks: [edema_severity], heads: binary}",
            "retrain.heads",
        ),
        ("critic: {kind: concat}", "critic"),
        ("text_encoder: {pooling: cls}", "text_encoder"),
        ("pretrain: {epochs: 2}", "pretrain"),
    ],
)
def test_a_key_without_effect_is_refused(error, text, key):
    assert error(text).startswith(f"own.yaml: {key}: has no effect with")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("seed: 1", "retrain.encoders"),
        (LOCAL + "retrain: {encoders: [image_only]}", "retrain.encoders"),
        (LOCAL + "pretrain: null", "pretrain"),
        (PHANTOM + "retrain: {labels: 4001}", "retrain.labels"),
        (PHANTOM + "pretrain: {batch_size: 5000}", "pretrain.batch_size"),
        (PHANTOM + "pretrain: {accumulate: 3}", "pretrain.accumulate"),
        (PHANTOM + "precision: float16", "precision"),
        (LOCAL + "data: {source: phantom, image_size: 100}", "data.image_size"),
    ],
)
def test_an_impossible_combination_is_refused(error, text, key):
    assert error(text).startswith(f"own.yaml: {key}: expected ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [", "line 1, column 5: not YAML: "),
        ("seed: 1\nseed: 2\n", "line 2, column 1: not YAML: `seed` is given"),
        ("1: 2\n", "line 1, column 1: not YAML: expected a name as key"),
        ("seed: !!python/name:os.system x\n", "line 1, column 7: not YAML: "),
        ("seed: \x00\n", "not YAML: "),
        ("a: " + "[" * 3000, "line 1, column 36: not YAML: nested deeper"),
        ("- " * 3000, "line 1, column 67: not YAML: nested deeper"),
        ("", "not a recipe: "),
        ("- seed\n", "not a recipe: "),
    ],
)
def test_what_is_not_a_mapping_in_yaml_is_refused(error, text, problem):
    assert error(text).startswith(f"own.yaml: {problem}")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"own\.yaml: not YAML: not UTF-8"):
        recipes.load(path)


def test_a_missing_recipe_brings_the_nearest_name():
    with pytest.raises(RecipeError, match="Did you mean `local_mine`"):
        recipes.load("recipes/local_mien.yaml")


def test_the_first_problem_is_told_and_the_others_counted(error):
    text = "objective: {bound: nce}\nseed: -1\ncritic: 3\n"
    assert error(text).endswith("(and 2 more: `kerasmi validate` lists all)")
    assert len(recipes.problems("own.yaml")) == 3


@pytest.mark.parametrize(
    ("text", "labels"),
    [("200", 200), ("0.25", 0.25), ("1e-2", 0.01), ("all", None), ("~", None)],
)
def test_labels_are_a_number_a_fraction_or_all(write, text, labels):
    name = write(LOCAL + f"retrain: {{labels: {text}}}\n")
    recipe = recipes.load(name)
    assert recipe.retrain.labels == labels
    assert recipes.load(write(recipes.dump(recipe))) == recipe


def test_keys_without_effect_are_found_one_after_the_other():
    overrides = ["pretrain.epochs=2", "critic.dim=3", "seed=1"]
    assert recipes.without_effect("image_only", overrides) == ["critic.dim"]
    assert recipes.without_effect("image_only", overrides[::2]) == ["pretrain"]
    assert recipes.without_effect("image_only", ["seed=1"]) == []


# Overrides


def test_overrides_are_read_as_yaml():
    recipe = recipes.load(
        "local_mine",
        [
            "seed=3",
            "retrain.tasks=[pathology9]",
            "pretrain.learning_rate=1e-3",
            "retrain.labels=null",
            "pretrain.augmentation.rotation=5",
        ],
    )
    assert recipe.seed == 3
    assert recipe.retrain.tasks == ("pathology9",)
    assert recipe.pretrain.learning_rate == 0.001
    assert recipe.retrain.labels is None
    assert recipe.pretrain.augmentation.rotation == 5
    assert recipe.pretrain.augmentation.translation == 0.06


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            "objective.bounds=cpc",
            "objective.bounds: unknown key. Did you mean `objective.bound`?",
        ),
        (
            "epochs=1",
            "epochs: unknown key. Did you mean `pretrain.epochs` or"
            " `retrain.epochs`?",
        ),
        ("seed", "seed: expected key.path=value, such as seed=1"),
        ("seed=[", "seed: line 1, column 2: not YAML: "),
        ("seed=one", "seed: expected a whole number. Received: 'one'"),
    ],
)
def test_a_wrong_override_names_recipe_and_key(override, line):
    with pytest.raises(RecipeError) as caught:
        recipes.load("local_mine", [override])
    assert str(caught.value).startswith(f"local_mine: {line}")


# Writing


@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("name", recipes.shipped())
def test_what_is_dumped_is_read_back(write, name, full):
    recipe = recipes.load(name)
    again = recipes.load(write(recipes.dump(recipe, full)))
    assert again == recipe


def test_a_full_dump_leaves_out_what_has_no_effect():
    text = recipes.dump(recipes.load("global_cpc"))
    assert "direction: image_to_text" in text
    for key in ("region:", "sentences:", "momentum:", "similarity:"):
        assert key not in text


def test_values_survive_their_text(write):
    recipe = Recipe(
        name="n",
        objective=Objective(bound="smile", clip=1e-7),
        critic=Critic(hidden_dims=(3,)),
        data={"path": "a: b #c"},
        pretrain=Pretrain(augmentation=None, learning_rate=1e-5),
    )
    assert recipes.load(write(recipes.dump(recipe))) == recipe


def test_differences_name_the_keys_and_not_the_name():
    one, other = recipes.load("local_mine"), recipes.load("local_cpc")
    assert recipes.differences(one, other) == [
        ("objective.bound", "mine", "cpc"),
        ("objective.momentum", 0.99, None),
        ("objective.direction", None, "image_to_text"),
    ]


# Running


@pytest.mark.parametrize(
    ("name", "overrides", "key"),
    [
        ("mimic_cxr/local_mine", [], "data.path"),
        ("mimic_cxr/image_only", [], "data.path"),
        ("mimic_cxr/local_mine", ["data.path=x"], "text_encoder.path"),
    ],
)
def test_a_path_that_only_the_user_knows_is_asked_for(name, overrides, key):
    recipe = recipes.load(name, overrides)
    with pytest.raises(RecipeError, match=f"^{name}: {key}: give the folder"):
        recipes.check_ready(recipe, name)


def test_the_phantom_needs_no_path():
    recipes.check_ready(recipes.load("local_mine"))
