"""A recipe that does not fit its data is refused before it trains."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from bert_files import hugging_face
from click.testing import CliRunner

from kerasmi import distribute, experiment, preconditions, stages
from kerasmi import recipe as recipes
from kerasmi.cli import main
from kerasmi.data import records
from kerasmi.data.schema import CHEXPERT14, EDEMA_SEVERITY, PATHOLOGY9
from kerasmi.data.sources import phantom
from kerasmi.errors import DataError, RecipeError, TrainingError
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

LABELS = ("Edema", "Pneumonia")
OWN = ("retrain.tasks=[findings]", "retrain.findings=[Edema]")
RECORDS = ("data.source=records", "data.path=own")


def made(folder, **sizes):
    sizes = {"train": 40, "validation": 16, "test": 4} | sizes
    drawn = (
        dataclasses.replace(
            record,
            labels={name: record.labels[name] for name in LABELS},
            truth=None,
            regions=None,
        )
        for record in phantom.generate(phantom.Phantom(**sizes))
    )
    return records.write(
        drawn,
        folder,
        name=folder.name,
        source="table",
        label_names=LABELS,
        made_by={},
        image_size=64,
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Data with two labels, 40 training images with text."""
    return made(tmp_path_factory.mktemp("data") / "own")


@pytest.mark.parametrize(
    "overrides",
    [
        (*OWN, "pretrain.epochs=51"),  # 2 batches an epoch, warm-up of 100
        (*OWN, "pretrain.epochs=1", "pretrain.schedule=constant"),
        (*OWN, "pretrain.epochs=1", "pretrain.warmup_steps=1"),
    ],
)
def test_what_fits_passes(own, overrides):
    preconditions.check(recipes.load("local_mine", overrides), own)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        ((), ("retrain.tasks", "'Atelectasis'", "retrain.findings='[Edema]'")),
        (
            ("retrain.tasks=[findings]", "retrain.findings=[Edema, Oedema]"),
            ("retrain.findings", "'Oedema'", "it has Edema, Pneumonia"),
        ),
        (
            (*OWN, "pretrain.epochs=50"),
            ("pretrain.warmup_steps: 100", "give 100 steps in all"),
        ),
        (
            (*OWN, "pretrain.epochs=1", "pretrain.batch_size=16"),
            ("pretrain.warmup_steps: 100", "16 at a time, give 2 steps in all"),
        ),
        (
            (*OWN, *RECORDS, "pretrain.batch_size=64"),
            ("pretrain.batch_size: 64", "40 train images", "`kerasmi data im"),
        ),
        (
            (*OWN, "pretrain.batch_size=64"),
            ("pretrain.batch_size: 64", "or draw more, with data.images."),
        ),
    ],
)
def test_what_does_not_fit_names_its_key(own, overrides, parts):
    with pytest.raises(RecipeError) as error:
        preconditions.check(recipes.load("local_mine", overrides), own)
    assert all(part in str(error.value) for part in parts), error.value


@pytest.mark.parametrize(
    ("names", "asked", "remedy"),
    [
        # such as CheXpert: no release of it has degrees
        (CHEXPERT14, (), "retrain.tasks='[pathology9]'"),
        ((EDEMA_SEVERITY, "Own"), (), "retrain.tasks='[edema_severity]'"),
        (
            PATHOLOGY9,
            ("retrain.tasks=[edema_severity]",),
            "retrain.tasks='[pathology9]'",
        ),
        (
            CHEXPERT14,
            (
                "retrain.tasks=[findings, edema_severity]",
                "retrain.findings=[Edema, Fracture]",
            ),
            "retrain.tasks='[findings]'",
        ),
    ],
)
def test_tasks_that_lack_a_label_leave_those_that_fit(
    own, names, asked, remedy
):
    has = dataclasses.replace(own, label_names=names)
    with pytest.raises(RecipeError) as error:
        preconditions.check(recipes.load("local_mine", asked), has)
    assert str(error.value).endswith(f". Take {remedy}.")


@pytest.mark.parametrize(
    ("textless", "parts"),
    [
        (
            ("train", "validation", "test"),
            ("no image has text. Import", "such as image_only"),
        ),
        (("train",), ("no train image has text. Share out", "--shares")),
        (("validation",), ("no validation image has text.", "--split-file")),
    ],
)
def test_data_without_text_names_that_as_the_cause(own, textless, parts):
    counts = {
        split: {**of, "with_text": 0 if split in textless else 16}
        for split, of in own.counts.items()
    }
    lacks = dataclasses.replace(own, counts=counts)
    ready = (*OWN, "pretrain.batch_size=16", "pretrain.schedule=constant")
    ready += RECORDS
    with pytest.raises(RecipeError) as error:
        preconditions.check(recipes.load("local_mine", ready), lacks)
    said = str(error.value)
    assert said.startswith(
        f"local_mine: objective: pretraining needs reports, but of {own.path} "
    )
    assert all(part in said for part in parts), said
    assert "batch_size" not in said
    preconditions.check(recipes.load("image_only", OWN), lacks)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_set_that_is_not_there_is_told_at_once(tmp_path, split):
    lacks = made(tmp_path / "lacks", **{split: 0})
    with pytest.raises(DataError, match=f"no {split} images"):
        preconditions.check(recipes.load("local_mine", OWN), lacks)


def test_too_few_subjects_to_read_out_are_told(tmp_path):
    few = made(tmp_path / "few", validation=4)
    assert few.counts["validation"]["subjects"] < 6
    ready = (*OWN, "pretrain.batch_size=2", "pretrain.warmup_steps=1")
    with pytest.raises(RecipeError, match=r"objective: .* of 6 subjects"):
        preconditions.check(recipes.load("local_mine", ready), few)
    # nothing is read out without an objective
    preconditions.check(recipes.load("image_only", OWN), few)


def test_a_subject_of_most_studies_is_told(own, monkeypatch):
    images = own.rows("validation").copy()
    images.loc[images.index[1:], "subject_id"] = "one"
    monkeypatch.setattr(type(own), "rows", lambda self, split: images)
    with pytest.raises(RecipeError, match=r"half of the studies"):
        preconditions._check_subjects(recipes.load("local_mine", OWN), own)


def test_networks_that_would_share_a_folder_are_told():
    shared = (
        "retrain.tasks=[findings]",
        "retrain.findings=[Lung Mass, Lung_Mass, .., .x, x]",
        "retrain.heads=binary",
    )
    with pytest.raises(RecipeError, match="'Lung Mass' and 'Lung_Mass'"):
        preconditions._check_folders(recipes.load("local_mine", shared))
    preconditions._check_folders(recipes.load("local_mine", shared[:2]))
    apart = recipes.load(
        "local_mine", (*shared, "retrain.findings=[.., .x, x]")
    )
    preconditions._check_folders(apart)
    names = [task.stage("tuned") for task in stages.tasks(apart)]
    assert names == [
        f"retrain/findings/tuned/{name}" for name in ("%2E.", "%2Ex", "x")
    ]


def test_a_run_says_it_in_one_line_and_leaves_nothing(own, tmp_path):
    asked = [
        "run",
        "local_mine",
        f"data.path={own.path}",
        "data.source=records",
    ]
    result = CliRunner().invoke(main, [*asked, "--output", str(tmp_path / "r")])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: local_mine: retrain.tasks: ")
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("how", [(), ("--dry-run",)])
def test_records_are_not_taken_for_the_phantom(own, tmp_path, how):
    asked = ["run", "local_mine", f"data.path={own.path}", *how]
    result = CliRunner().invoke(main, [*asked, "--output", str(tmp_path / "r")])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {own.path}: holds records of 'table', not")
    assert "data.source=records" in line


LARGE = (
    "stored at 64 pixels and enlarged to data.image_size: 128",
    "--image-size 128",
    "data.image_size=64",
)


def large(folder, own, size):
    """A recipe of images of another size than those of `own`."""
    file = folder / "large.yaml"
    values = [
        f"data: {{source: records, path: {own.path}, image_size: {size}}}",
        "image_encoder: {preset: resnet_phantom}",
        "retrain: {encoders: [image_only], tasks: [findings],"
        " findings: [Edema]}",
    ]
    file.write_text("\n".join(values) + "\n")
    return file


class Listener(Reporter):
    def __init__(self):
        self.warnings, self.messages = [], []

    def warning(self, text):
        self.warnings.append(text)

    def message(self, text):
        self.messages.append(text)


@pytest.mark.parametrize(("size", "told"), [(128, 1), (64, 0), (32, 0)])
def test_a_run_and_its_log_warn_of_images_that_it_enlarges(
    own, tmp_path, monkeypatch, size, told
):
    def stop(*_):
        raise TrainingError("far enough")

    monkeypatch.setattr(experiment, "_pretrained", stop)
    recipe = recipes.load(large(tmp_path, own, size))
    listener = Listener()
    with Run.create(tmp_path / "r", recipe) as made:
        with pytest.raises(TrainingError, match="far enough"):
            experiment.run(recipe, made, listener)
        log = (made.path / "log.txt").read_text()
    assert len(listener.warnings) == log.count(" WARNING ") == told
    for text in listener.warnings:
        assert text.startswith(f"{own.path}: ")
        assert all(part in text for part in LARGE), text
        assert text in log


def test_a_run_and_its_log_tell_its_devices_before_training(
    own, tmp_path, monkeypatch
):
    def stop(*_):
        raise TrainingError("far enough")

    monkeypatch.setattr(experiment, "_pretrained", stop)
    recipe = recipes.load(large(tmp_path, own, 64))
    listener = Listener()
    with Run.create(tmp_path / "r", recipe) as made:
        with pytest.raises(TrainingError, match="far enough"):
            experiment.run(recipe, made, listener)
        log = (made.path / "log.txt").read_text().splitlines()
    line = f"devices: {distribute.told(1)}"
    assert listener.messages[-1] == line
    assert sum(text.endswith(f" INFO {line}") for text in log) == 1


def test_a_text_encoder_that_was_changed_is_told_where_it_is_read(
    own, tmp_path, monkeypatch
):
    def stop(*_):
        raise TrainingError("far enough")

    monkeypatch.setattr(experiment, "_pretrained", stop)
    bert = hugging_face(tmp_path / "bert")
    recipe = recipes.load(
        "mimic_cxr/local_mine",
        (
            *(f"data.path={own.path}", f"text_encoder.path={bert}"),
            *("retrain.tasks=[findings]", "retrain.findings=[Edema]"),
            *("pretrain.batch_size=8", "retrain.batch_size=8"),
        ),
    )
    told = []
    for _ in range(4):
        listener = Listener()
        with (
            Run.create(tmp_path / "r", recipe, resume=True) as made,
            pytest.raises(TrainingError, match="far enough"),
        ):
            experiment.run(recipe, made, listener)
        told.append([w for w in listener.warnings if "start is not" in w])
        if len(told) == 2:
            (bert / "tokenizer_config.json").write_text("{}")
        if len(told) == 3:
            # from here on it is not read
            made.mark_done("pretrain")
            (bert / "vocab.txt").unlink()
    assert [len(each) for each in told] == [0, 0, 1, 0]
    assert "text_encoder_files: " in told[2][0]


@pytest.mark.parametrize(("size", "told"), [(128, 1), (64, 0), (32, 0)])
def test_a_dry_run_warns_of_images_that_it_enlarges(own, tmp_path, size, told):
    recipe = recipes.load(large(tmp_path, own, size))
    lines = experiment.describe(recipe, tmp_path)
    warnings = [text for name, text in lines if name == "warning"]
    assert len(warnings) == told
    for text in warnings:
        assert all(part in text for part in (str(own.path), *LARGE)), text


@pytest.mark.parametrize("grid", [False, True])
def test_validate_warns_of_images_that_are_enlarged(own, tmp_path, grid):
    file = large(tmp_path, own, 128)
    if grid:
        file = tmp_path / "grid.yaml"
        file.write_text("grid: {recipes: [large], seeds: 2}\n")
    result = CliRunner().invoke(main, ["validate", str(file)])
    assert (result.exit_code, result.stdout) == (0, f"{file}: ok\n")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{file}: warning: {own.path}: ")
    assert all(part in line for part in LARGE), line
    fits = large(tmp_path, own, 64)
    result = CliRunner().invoke(main, ["validate", str(fits)])
    assert result.output == f"{fits}: ok\n"


def test_validate_warns_of_records_that_cannot_be_read(own, tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    file = large(tmp_path, dataclasses.replace(own, path=tmp_path), 64)
    result = CliRunner().invoke(main, ["validate", str(file)])
    assert (result.exit_code, result.stdout) == (0, f"{file}: ok\n")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{file}: warning: {tmp_path / 'dataset.json'}: is")


def unlike(folder, **labels):
    """Records of a table, 64 training images; labels by split."""
    sizes = {"train": 64, "validation": 32, "test": 32}
    drawn = (
        dataclasses.replace(
            record,
            labels={
                name: of_split[record.split][number % 2]
                for name, of_split in labels.items()
            },
            truth=None,
            regions=None,
        )
        for number, record in enumerate(
            phantom.generate(phantom.Phantom(**sizes))
        )
    )
    return records.write(
        drawn,
        folder,
        name=folder.name,
        source="table",
        label_names=tuple(labels),
        made_by={},
        image_size=64,
    )


BOTH = {"train": (0, 1), "validation": (0, 1), "test": (0, 1)}


def test_labels_that_lack_a_class_are_told_before_training(tmp_path):
    data = unlike(
        tmp_path / "own",
        Edema=BOTH,
        Rare=BOTH | {"test": (0, -1)},
        Untaught=BOTH | {"train": (1, -2)},
        **{"Edema Severity": BOTH | {"train": (0, 3), "test": (2, 2)}},
    )
    recipe = recipes.load(
        "image_only",
        (
            *("data.source=records", f"data.path={data.path}"),
            "retrain.tasks=[findings, edema_severity]",
            *("retrain.findings=[Edema, Rare, Untaught]", "retrain.labels=all"),
        ),
    )
    lines = experiment.describe(recipe, tmp_path)
    told = [text for name, text in lines if name == "warning"]
    starts = [
        "findings: Rare: no positive one among 16 test images, so it will have"
        " no AUC.",
        "findings: Untaught: no negative one among 32 labelled training images,"
        " so nothing is learned of it.",
        *(
            f"edema_severity: Edema Severity {cut}: no {lack} one among 32 test"
            for cut, lack in (
                ("0|123", "negative"),
                ("01|23", "negative"),
                ("012|3", "positive"),
            )
        ),
    ]
    for text, start in zip(told, starts, strict=True):
        assert text.startswith(f"{data.path}: {start}")
        assert "--shares" in text


def test_results_note_the_labels_that_nothing_taught(tmp_path):
    lacks = BOTH | {"train": (1, -2)}
    data = unlike(tmp_path / "own", Edema=BOTH, Untaught=lacks, Unjudged=lacks)
    changes = (
        *("data.source=records", f"data.path={data.path}"),
        "retrain.tasks=[findings]",
        "retrain.findings=[Edema, Untaught, Unjudged]",
        *("retrain.labels=all", "evaluate.bootstrap=9"),
    )
    recipe = recipes.load("image_only", changes)
    rows = data.rows("test")[["image_id", "study_id", "subject_id", "split"]]
    predictions = pd.concat(
        rows.assign(task="findings", encoder="image_only", label=label).assign(
            target=np.arange(len(rows)) % 2 * (label != "Unjudged"),
            score=np.random.default_rng(0).random(len(rows)),
        )
        for label in ("Edema", "Untaught", "Unjudged")
    )
    run = Run.create(tmp_path / "run", recipe)
    experiment._evaluated(recipe, run, data, predictions, Reporter())
    written = pd.read_csv(run.path / "results.csv", index_col="label")
    lack = "nothing was learned of it: no negative one among 32 labelled"
    notes = written["note"].fillna("").to_dict()
    assert notes["Edema"] == ""
    assert notes["Untaught"] == f"{lack} training images"
    assert notes["Unjudged"].startswith("not defined: no positive")
    assert notes["Unjudged"].endswith(f"; {lack} training images")
    # which does not count what is not judged
    assert notes["mean"].startswith("mean of 2 of 3 labels")
    assert notes["mean"].endswith("; nothing was learned of Untaught")
    page = (run.path / "report.html").read_text()
    assert "Untaught: nothing was learned of it: no negative one" in page


@pytest.mark.parametrize(
    ("heads", "devices", "steps"),
    [
        ("multilabel", 1, {"": "6 steps on 64"}),
        # the last batch has 4 images, which leave the second device none
        ("multilabel", 2, {"": "4 steps on 64"}),
        ("binary", 1, {"/Edema": "6 steps on 64", "/Rare": "4 steps on 32"}),
        ("binary", 2, {"/Edema": "4 steps on 64", "/Rare": "2 steps on 32"}),
    ],
)
def test_a_dry_run_counts_the_steps_of_each_network(
    tmp_path, heads, devices, steps
):
    data = unlike(tmp_path / "own", Edema=BOTH, Rare=BOTH | {"train": (0, -2)})
    recipe = recipes.load(
        "image_only",
        (
            *("data.source=records", f"data.path={data.path}"),
            *("retrain.tasks=[findings]", "retrain.findings=[Edema, Rare]"),
            *("retrain.labels=all", f"retrain.heads={heads}"),
            *("retrain.batch_size=30", "retrain.epochs=2"),
        ),
    )
    lines = dict(experiment.describe(recipe, tmp_path, devices))
    for network, told in steps.items():
        line = lines[f"retrain/findings/image_only{network}"]
        assert line.endswith(f"batches of 30: {told}")
