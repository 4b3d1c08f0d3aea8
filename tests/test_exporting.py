"""Export of a run whose models were trained for a few steps."""

import os
import re
import shutil
import subprocess

import forked
import keras
import keras_hub
import numpy as np
import pandas as pd
import pytest
import small_models
from click.testing import CliRunner

from kerasmi import build, exporting, losses, reloading
from kerasmi import recipe as recipes
from kerasmi.cli import main
from kerasmi.errors import RunError
from kerasmi.models.exact_bert import ExactBertBackbone
from kerasmi.models.image_classifier import ImageClassifier
from kerasmi.models.image_text_model import ImageTextModel
from kerasmi.models.text_encoder import TextEncoder
from kerasmi.runs import Run

SEVERITY = "retrain/edema_severity/frozen"
DATA = {
    "name": "chest",
    "source": "table",
    "intensity": "percentile",
    "counts": {
        "train": {"images": 9, "with_text": 8, "studies": 7, "subjects": 6},
        "test": {"images": 5, "with_text": 4, "studies": 3, "subjects": 2},
    },
}


def results():
    columns = exporting.model_card._RESULTS
    edema = ("pathology9", "Edema", "tuned", "auc")
    mean = ("pathology9", "mean", "tuned", "auc")
    grade = ("edema_severity", "0|123", "frozen", "auc")
    rows = [
        (*edema, 0.75, 0.5, 1.0, 14.0, 34.0, ""),
        (*mean, 0.7, 0.6, 0.8, np.nan, np.nan, "mean of 8 of 9 labels"),
        (*grade, 0.625, 0.5, 0.7, 3.0, 4.0, ""),
    ]
    return pd.DataFrame(rows, columns=list(columns))


def joint_model(backbone=ExactBertBackbone, pooling="mean"):
    """As in `small_models`, with a BERT of another class."""
    plain = small_models.model()
    text = plain.text_encoder
    bert = backbone.from_config(text.backbone.get_config())
    bert.set_weights(text.backbone.get_weights())
    text = TextEncoder(bert, text.tokenizer, pooling)
    model = ImageTextModel(plain.image_encoder, text, plain.critic)
    model.compile("sgd", loss=losses.get("mine"), run_eagerly=True)
    return model


def trained(model):
    """The model after two steps, in which its weights have moved."""
    before = [variable.numpy() for variable in model.variables]
    for seed in range(2):
        model.train_on_batch(small_models.batch(seed=seed))
    moved = [
        (variable.numpy() != old).any()
        for variable, old in zip(model.variables, before, strict=True)
    ]
    assert np.mean(moved) > 0.5
    return model


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two stages done, and nothing of its data."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    recipe = recipes.load("local_mine")
    with Run.create(folder, recipe) as made:
        made.record_environment(data_fingerprint="f00d", data=DATA)
        model = trained(joint_model())
        model.save(made.stage("pretrain") / "model.keras")
        classifier = ImageClassifier(
            model.image_encoder, ("Edema Severity",), "softmax", "frozen"
        )
        classifier.compile(run_eagerly=True)
        images = small_models.batch()["images"]
        grades = np.arange(len(images))[:, None] % 4
        classifier.fit(images, grades, batch_size=4, epochs=2, verbose=0)
        classifier.save(made.stage(SEVERITY) / "model.keras")
        made.write_csv("results.csv", results())
        made.mark_done("pretrain")
        made.mark_done(SEVERITY)
    return Run.open(folder)


@pytest.fixture(scope="module")
def told():
    """What the export of `exported` tells."""
    return []


@pytest.fixture(scope="module")
def exported(run, told, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "models"
    return exporting.export(run, folder, tell=told.append)


@pytest.fixture
def trusting(monkeypatch):
    """The check in a fresh process left out, where it is not the subject."""
    monkeypatch.setattr(exporting, "_reload", lambda folder: "not reloaded")


@pytest.mark.slow
def test_every_form_gives_equal_outputs_in_a_fresh_process(exported, told):
    assert told[:2] == [
        "image_encoder: model.keras, saved_model, preset",
        "text_encoder: model.keras, saved_model, preset",
    ]
    assert told[2].startswith("reloaded: 6 files, largest difference")
    assert float(told[2].split()[-1]) <= 1e-5


@pytest.fixture(scope="module")
def outside(run, exported, tmp_path_factory):
    """Status and output of programs of others, by their names."""
    programs = {
        "tensorflow": (SERVE, exported),
        "kerashub": (PLAIN, exported / "text_encoder"),
    }
    for folder in exported.iterdir():
        programs[folder.name] = (code_of(folder), folder)
    for backbone, pooling, blocked in CARDS:
        work = tmp_path_factory.mktemp(blocked)
        copy = shutil.copytree(run.path, work / "copy")
        joint_model(backbone, pooling).save(copy / "pretrain" / "model.keras")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(exporting, "_reload", lambda folder: "")
            made = exporting.export(Run.open(copy), work / "out", ("preset",))
        folder = made / "text_encoder"
        code = f"import sys\nsys.modules[{blocked!r}] = None\n"
        code += code_of(folder) + AFTER_THE_CARD
        programs[f"without {blocked}"] = (code, folder)
    done = forked.run(*programs.values())
    return dict(zip(programs, done, strict=True))


SERVE = (
    "import sys, numpy as np, tensorflow as tf\n"
    "for part in ('image_encoder', 'text_encoder'):\n"
    "    serve = tf.saved_model.load(part + '/saved_model')"
    ".signatures['serving_default']\n"
    "    example = dict(np.load(part + '/example.npz'))\n"
    "    expected = example.pop('outputs')\n"
    "    example.pop('pooling', None)\n"
    "    inputs = {k: tf.constant(v) for k, v in example.items()}\n"
    "    found = serve(**inputs)['features'].numpy()\n"
    "    assert np.abs(found - expected).max() <= 1e-5\n"
    "assert not {'keras_hub', 'kerasmi'} & set(sys.modules)\n"
)
PLAIN = 'import keras_hub\nkeras_hub.models.Backbone.from_preset("preset")\n'


@pytest.mark.slow
def test_the_saved_model_needs_tensorflow_alone(outside):
    assert outside["tensorflow"][0] == 0, outside["tensorflow"][1]


def code_of(folder):
    """The code that a model card shows."""
    return re.search(
        r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL
    )[1]


# Runs where the card stands, after its code; `blocked` cannot be imported.
AFTER_THE_CARD = """
import numpy as np
example = dict(np.load("example.npz"))
inputs = {n: example[n] for n in ("token_ids", "padding_mask")}
inputs["segment_ids"] = np.zeros_like(inputs["token_ids"])
outputs = bert(inputs)
sequence = np.asarray(outputs["sequence_output"])
weights = inputs["padding_mask"][..., None]
features = {
    "cls": sequence[:, 0],
    "pooler": np.asarray(outputs["pooled_output"]),
    "mean": (weights * sequence).sum(1) / weights.sum(1),
}[str(example["pooling"])]
assert np.abs(features - example["outputs"]).max() <= 1e-5
assert tokenizer.get_vocabulary()
"""


CARDS = [
    (ExactBertBackbone, "mean", "onnx"),
    (keras_hub.models.BertBackbone, "pooler", "kerasmi"),
]


@pytest.mark.slow
@pytest.mark.parametrize("blocked", [blocked for *_, blocked in CARDS])
def test_the_code_of_the_card_runs_as_it_stands(outside, blocked):
    status, said = outside[f"without {blocked}"]
    assert status == 0, said


@pytest.mark.slow
def test_the_code_of_the_cards_loads_every_form(exported, outside):
    for folder in exported.iterdir():
        forms = set(os.listdir(folder)) - {"README.md", "example.npz"}
        assert all(f'"{form}"' in code_of(folder) for form in forms)
        status, said = outside[folder.name]
        assert status == 0, said


@pytest.mark.slow
def test_plain_kerashub_does_not_take_the_exact_gelu_for_its_own(outside):
    status, said = outside["kerashub"]
    assert status == 1
    assert "no class registered" in said
    assert "ExactBertBackbone" in said


@pytest.mark.slow
def test_the_folder_holds_each_form_and_a_card(exported):
    forms = {"model.keras", "saved_model", "preset"}
    assert set(os.listdir(exported)) == {"image_encoder", "text_encoder"}
    for folder in exported.iterdir():
        assert set(os.listdir(folder)) == {"README.md", "example.npz", *forms}
    assert set(os.listdir(exported / "image_encoder" / "preset")) == {
        "config.json",
        "metadata.json",
        "model.weights.h5",
    }
    leftovers = [p for p in exported.parent.iterdir() if p != exported]
    assert leftovers == []


@pytest.mark.slow
def test_the_models_are_those_of_the_run(run, exported):
    trained = keras.saving.load_model(
        run.path / "pretrain" / "model.keras", compile=False
    )
    path = exported / "text_encoder" / "model.keras"
    text = keras.saving.load_model(path)
    inputs = {
        "token_ids": np.array([[2, 5, 3]]),
        "padding_mask": np.ones((1, 3)),
    }
    expected = trained.text_encoder(inputs)
    np.testing.assert_array_equal(text(inputs), expected)
    assert (text.gelu, text.pooling) == ("exact", "mean")
    assert text.tokenizer.get_vocabulary() == small_models.VOCABULARY


@pytest.mark.slow
def test_a_model_that_gives_other_outputs_is_noticed(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "copy")
    path = copy / "image_encoder" / "example.npz"
    example = dict(np.load(path))
    example["outputs"] = example["outputs"] + 1e-3
    np.savez(path, **example)
    with pytest.raises(SystemExit, match=r"image_encoder/.*outputs differ"):
        reloading.main(str(copy))


def test_an_export_that_does_not_load_again_is_not_handed_over(
    run, tmp_path, monkeypatch
):
    def differs(command, **_):
        said = "text_encoder/preset: outputs differ by 1.0e-03\n"
        return subprocess.CompletedProcess(command, 1, "", said)

    monkeypatch.setattr(exporting.subprocess, "run", differs)
    with pytest.raises(RunError, match=r"as it was: text_encoder/preset"):
        exporting.export(run, tmp_path / "out", ("keras",))
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_the_card_tells_data_recipe_results_and_limits(exported):
    card = (exported / "text_encoder" / "README.md").read_text()
    for part in (
        "# Text encoder of `small`",
        "in the stage `pretrain`",
        "exact GELU",
        "text: lower-cased, 13 word pieces",
        "pooling `mean`",
        "- source: table\n- name: chest\n",
        "- train: 9 images (8 with text), 7 studies, 6 subjects\n"
        "- test: 5 images (4 with text), 3 studies, 2 subjects\n",
        "fingerprint: `f00d`",
        "- grey levels: `--intensity percentile` of `kerasmi data import`\n",
        "  bound: mine",
        "| pathology9 | Edema | tuned | auc | 0.750 | 0.500 | 1.000 | 14 | 34"
        " | - |",
        "| - | - | mean of 8 of 9 labels |",
        "edema_severity | 0\\|123 |",
        "Not a medical device",
        "has never\n  seen a radiograph",
    ):
        assert part in card, part
    assert "# Seed of weights" not in card
    image = (exported / "image_encoder" / "README.md").read_text()
    assert "`features` (B, 16, 6): regions of a 4x4 grid, row by row" in image


def test_a_card_says_that_the_pairs_of_its_information_chose_the_epoch(
    tmp_path,
):
    with Run.create(tmp_path / "new", recipes.load("local_mine")) as new:
        rows = pd.DataFrame({"pairs": ["matched"], "value": [0.5]})
        new.write_csv("pretrain/mutual_information.csv", rows)
        text = exporting.model_card.card(new, "Model", "pretrain", "", "")
        other = exporting.model_card.card(new, "Model", SEVERITY, "", "")
    assert "on validation pairs, in nats" in text
    assert "they chose the epoch too" in text
    assert "| matched | 0.500 |" in text
    assert "It is not evaluated yet." in other


def test_a_card_of_a_network_whose_siblings_are_not_done_has_no_results(
    tmp_path,
):
    with Run.create(tmp_path / "new", recipes.load("local_mine")) as new:
        new.write_csv("results.csv", results())
        stage = "retrain/pathology9/frozen/Edema"
        text = exporting.model_card.card(new, "Model", stage, "", "")
    assert "It is not evaluated yet." in text


def test_a_card_tells_the_confidence_to_its_last_digit(tmp_path):
    recipe = recipes.load("local_mine", ["evaluate.confidence=0.999"])
    with Run.create(tmp_path / "new", recipe) as new:
        new.write_csv("results.csv", results())
        text = exporting.model_card.card(new, "Model", "pretrain", "", "")
    assert "`high` are the 99.9% interval, by" in text


def test_a_card_says_that_nothing_is_recorded_of_the_data(tmp_path):
    with Run.create(tmp_path / "new", recipes.load("local_mine")) as new:
        text = exporting.model_card.card(new, "Model", "pretrain", "", "")
    assert "- source: phantom\n" in text
    assert "- images, studies and subjects: not recorded\n" in text
    assert "grey levels" not in text


@pytest.mark.slow
@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_what_computes_in_half_precision_is_exported_in_float32(tmp_path, half):
    asked = recipes.load("local_mine", [f"precision=mixed_{half}"])
    with Run.create(tmp_path / "half", asked) as made:
        with build.precision(asked):
            model = trained(joint_model())
        model.save(made.stage("pretrain") / "model.keras")
        made.mark_done("pretrain")
    told = []
    out = exporting.export(made, tmp_path / "out", tell=told.append)
    assert told[-1].startswith("reloaded: 6 files")
    for part in ("image_encoder", "text_encoder"):
        with np.load(out / part / "example.npz") as example:
            outputs = example["outputs"]
        assert outputs.dtype == np.float32
        rounded = keras.ops.cast(keras.ops.cast(outputs, half), "float32")
        np.testing.assert_array_equal(outputs, rounded)
    loading = f'Backbone.from_preset("preset", dtype="mixed_{half}")'
    assert loading in code_of(out / "text_encoder")


def test_a_classifier_has_no_preset_and_gets_no_folder_for_one(
    run, tmp_path, trusting
):
    made = exporting.export(run, tmp_path / "out", ("preset",), SEVERITY)
    assert os.listdir(made) == ["image_encoder"]
    assert (made / "image_encoder" / "preset" / "config.json").is_file()


def test_a_retrained_stage_gives_its_classifier(run, tmp_path, trusting):
    made = exporting.export(run, tmp_path / "out", ("keras",), SEVERITY)
    assert set(os.listdir(made)) == {"image_encoder", "classifier"}
    classifier = keras.saving.load_model(made / "classifier" / "model.keras")
    images = np.zeros((2, 16, 16, 1), "float32")
    assert classifier(images).shape == (2, 4)
    assert not classifier.compiled
    card = (made / "classifier" / "README.md").read_text()
    assert "probabilities of Edema Severity 0, 1, 2, 3" in card
    assert "| edema_severity | 0\\|123 |" in card
    assert "pathology9 |" not in card
    assert reloading.difference(made / "classifier", "model.keras") == 0.0


def test_the_stage_must_be_finished(run, tmp_path):
    with pytest.raises(RunError, match=f"finished are pretrain, {SEVERITY}"):
        exporting.export(run, tmp_path / "out", stage="retrain/none/at_all")
    with Run.create(tmp_path / "new", recipes.load("local_mine")) as new:
        with pytest.raises(RunError, match="none is finished"):
            exporting.chosen_stage(new)
        new.mark_done(SEVERITY)
        assert exporting.chosen_stage(new) == SEVERITY
        with pytest.raises(RunError, match=r"model\.keras: missing"):
            exporting.export(new, tmp_path / "out")
        new.mark_done("retrain/pathology9/tuned")
        with pytest.raises(RunError, match="which stage"):
            exporting.chosen_stage(new)


def test_nothing_is_overwritten_and_nothing_half_made_stays(
    run, tmp_path, monkeypatch
):
    (tmp_path / "there").mkdir()
    with pytest.raises(RunError, match="exists; give another --output"):
        exporting.export(run, tmp_path / "there", ("keras",))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "_write", full)
    with pytest.raises(RunError, match="cannot be written: No space left"):
        exporting.export(run, tmp_path / "out", ("keras",))
    assert os.listdir(tmp_path) == ["there"]


def test_a_broken_model_is_refused(run, tmp_path):
    copy = shutil.copytree(run.path, tmp_path / "copy")
    (copy / "pretrain" / "model.keras").write_bytes(b"nothing")
    with pytest.raises(RunError, match=r"model\.keras: cannot be read"):
        exporting.export(Run.open(copy), tmp_path / "out")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(
        copy / "pretrain" / "model.keras"
    )
    with pytest.raises(RunError, match="not a model of kerasmi"):
        exporting.export(Run.open(copy), tmp_path / "out")


def test_onnx_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "_ONNX_PACKAGES", ("absent_onnx",))
    with pytest.raises(RunError, match=r"No module.*pip install absent_onnx"):
        exporting.export(run, tmp_path / "out", ("onnx",))
    with pytest.raises(ValueError, match="`formats`"):
        exporting.export(run, tmp_path / "out", ("torch",))


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_onnx_of_half_precision_is_refused_by_name(tmp_path, precision):
    asked = recipes.load("local_mine", [f"precision={precision}"])
    with Run.create(tmp_path / "half", asked) as made:
        made.mark_done("pretrain")
    with pytest.raises(RunError) as caught:
        exporting.export(made, tmp_path / "out", ("keras", "onnx"))
    assert f"half: precision: {precision}: " in str(caught.value)
    assert "export keras, saved_model or preset instead" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
# tf2onnx is older than NumPy's present names
@pytest.mark.filterwarnings("ignore")
def test_onnx_gives_equal_outputs(run, tmp_path):
    for package in exporting._ONNX_PACKAGES:
        pytest.importorskip(package, reason="not among the dependencies")
    told = []
    for stage, name in (("pretrain", "text_encoder"), (SEVERITY, "classifier")):
        folder = tmp_path / name
        made = exporting.export(run, folder, ("onnx",), stage, told.append)
        assert told[-1].startswith("reloaded: 2 files")
        assert (made / name / "model.onnx").is_file()


def test_the_command_writes_into_the_run(run, trusting):
    arguments = ["export", str(run.path), "--format", "keras"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.stderr
    made = run.path / "export" / "pretrain"
    assert result.stdout == f"{made}\n"
    assert "text_encoder: model.keras" in result.stderr
    assert (made / "text_encoder" / "model.keras").is_file()
    again = CliRunner().invoke(main, arguments)
    assert again.exit_code == 2
    assert "exists" in again.stderr
    nothing = CliRunner().invoke(main, ["export", str(run.path.parent)])
    assert nothing.exit_code == 2
    assert "not a run" in nothing.stderr
