"""Finished runs without training: a new joint model, saved as a run saves it.

The data are a phantom, or records of a table of pictures and notes. What the
model scores is noise; that it runs from file to file is what is seen. A model
is made once for all runs that have the same, and is not compiled: tracing costs
more than all that is asked of it. tests/test_held_out_split.py compiles one.
"""

import contextlib
import functools
from unittest import mock

import keras
from click.testing import CliRunner
from own_tables import write_table

from kerasmi import build, round_numbers
from kerasmi import recipe as recipes
from kerasmi.cli import main
from kerasmi.features import Features
from kerasmi.models.image_networks import PRESETS
from kerasmi.models.text_encoder import TextEncoder
from kerasmi.reporter import Reporter
from kerasmi.runs import Run

IMAGES = "data.images={train: 64, validation: 32, test: 24}"
RETRAIN = ("evaluate.bootstrap=20", "retrain.labels=30")
PRETRAIN = ("critic.hidden_dims=[8, 4]",)


def kerasmi(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@contextlib.contextmanager
def shallow():
    """The phantom's networks in fewer layers, with maps and features as wide.

    Two residual blocks below the local level in place of five, and one layer of
    BERT in place of two.
    """
    fewer = {"filters": (24, 96, 128), "strides": (2, 2, 2)}
    image = {**PRESETS["resnet_phantom"], **fewer}
    text = functools.partial(TextEncoder.phantom, num_layers=1)
    with (
        mock.patch.dict(PRESETS, resnet_phantom=image),
        mock.patch.object(TextEncoder, "phantom", text),
    ):
        yield


def save_run(folder, recipe="local_mine", *overrides):
    """A run whose pretraining is finished; returns its folder."""
    small = list(RETRAIN if recipe == "image_only" else RETRAIN + PRETRAIN)
    if not any("data.source" in each for each in overrides):
        small.append(IMAGES)
    asked = recipes.load(recipe, [*small, *overrides])
    with Run.create(folder, asked) as run:
        if asked.objective is not None:
            # so few images are drawn before other processes have started
            with mock.patch("os.cpu_count", return_value=1):
                dataset = build.data(asked, run.data_folder, Reporter())
            path = run.stage("pretrain") / "model.keras"
            path.write_bytes(_model(asked, dataset, path))
            run.mark_done("pretrain", data_fingerprint=dataset.fingerprint)
    return folder


_models: dict[tuple, bytes] = {}


def _model(asked, dataset, path):
    """The file of a new model, the same for what makes it the same."""
    parts = (asked.image_encoder, asked.text_encoder, asked.critic)
    form = asked.objective.model_copy(update={"bound": "mine"})
    key = (dataset.fingerprint, *map(repr, (*parts, form)))
    if key not in _models:
        keras.utils.set_random_seed(0)
        with shallow():
            model = build.image_text_model(asked, dataset, total_steps=999)
        model.save(path)
        _models[key] = path.read_bytes()
    return _models[key]


def save_untrained(folder):
    """Two runs that have nothing to evaluate: `image_only`, `unfinished`."""
    save_run(folder / "image_only", "image_only")
    save_run(folder / "unfinished")
    (folder / "unfinished/pretrain/done.json").unlink()


def save_own_run(folder):
    """A run of notes and pictures of invented people; returns its folder."""
    done = kerasmi(
        *("data", "import", "table", write_table(folder / "table", 48)),
        *(folder / "records", "--label", "Edema=edema"),
    )
    assert done.exit_code == 0, done.output
    return save_run(
        folder / "run",
        "local_mine",
        "data.source=records",
        f"data.path={folder / 'records'}",
    )


_open = Features.open


@functools.cache
def _opened(path):
    return _open(Run.open(path))


def load_once(monkeypatch):
    """Loads the model of each run once, not for every command; see above."""
    monkeypatch.setattr(round_numbers, "traced", lambda function, *_: function)
    opened = classmethod(lambda _, run: _opened(run.path.resolve()))
    monkeypatch.setattr(Features, "open", opened)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def one_error(result, *parts):
    """The command was refused: status 2, one line that has all parts."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert all(str(part) in line for part in parts), line
