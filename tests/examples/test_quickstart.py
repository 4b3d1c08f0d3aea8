import runpy
from pathlib import Path

import keras
import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_quickstart_runs_and_saves_models_that_load(tmp_path, capsys):
    script = runpy.run_path(str(ROOT / "examples/quickstart.py"))
    script["main"](tmp_path, images=64, epochs=1)
    assert "val_mutual_information" in capsys.readouterr().out
    for name in ("pretrained", "classifier"):
        model = keras.saving.load_model(tmp_path / f"{name}.keras")
        assert model.optimizer.iterations.numpy() > 0


def test_the_readme_shows_the_quickstart_itself():
    body = (ROOT / "examples/quickstart.py").read_text()
    readme = (ROOT / "README.md").read_text()
    shown = readme.split("```python\n")[1].split("```")[0]
    lines = [line.strip() for line in body.splitlines()]
    for line in shown.splitlines():
        assert line.strip() in lines, line
