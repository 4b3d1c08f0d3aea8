import runpy
from pathlib import Path

import keras
import pytest
from refused_examples import refusal

from kerasmi.data import records
from kerasmi.data.sources import phantom

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_quickstart_runs_and_saves_models_that_load(tmp_path, capsys):
    script = runpy.run_path(str(ROOT / "examples/quickstart.py"))
    script["main"](tmp_path, images=64, epochs=1)
    assert "val_mutual_information" in capsys.readouterr().out
    for name in ("pretrained", "classifier"):
        model = keras.saving.load_model(tmp_path / f"{name}.keras")
        assert model.optimizer.iterations.numpy() > 0


def test_another_number_of_images_is_refused_in_one_line(
    tmp_path, capsys, monkeypatch
):
    drawn = list(phantom.generate(phantom.Phantom(4, 0, 0)))
    records.write(
        drawn,
        tmp_path / "data",
        name="phantom",
        source="phantom",
        label_names=tuple(drawn[0].labels),
        made_by={"images": 4},
        image_size=64,
    )
    program = ROOT / "examples/quickstart.py"
    words = ["--folder", tmp_path, "--images", 8]
    assert refusal(program, words, monkeypatch, capsys) == (
        f"Error: {tmp_path / 'data'}: holds another data set (its made_by"
        " differs); name another folder, or remove it.\n"
    )


def test_the_readme_shows_the_quickstart_itself():
    body = (ROOT / "examples/quickstart.py").read_text()
    readme = (ROOT / "README.md").read_text()
    shown = readme.split("```python\n")[1].split("```")[0]
    lines = [line.strip() for line in body.splitlines()]
    for line in shown.splitlines():
        assert line.strip() in lines, line
