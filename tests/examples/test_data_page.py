import re
from pathlib import Path

import numpy as np
import pytest
from image_files import png

import kerasmi
from kerasmi.data import records
from kerasmi.data.dataset import Dataset
from kerasmi.data.sources import phantom

ROOT = Path(__file__).parents[2]


def program(text):
    """The page's one Python program that has this text."""
    page = (ROOT / "docs/data.md").read_text()
    programs = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (found,) = (one for one in programs if text in one)
    return found


def test_the_program_of_the_data_page_imports_the_table_of_the_page(
    tmp_path, monkeypatch
):
    page = (ROOT / "docs/data.md").read_text()
    (table,) = re.findall(r"(?m)^    image,.*\n(?:^    .*\n)+", page)
    monkeypatch.chdir(tmp_path)
    Path("own.csv").write_text(re.sub("(?m)^    ", "", table))
    Path("a").mkdir()
    for name in re.findall(r"a/\d\.png", table):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (64, 64))
        Path(name).write_bytes(png(pixels, 0, 8))
    exec(program("own.csv"), {})
    images = Dataset.open("records", verify="hash").images
    assert sorted(images["subject_id"]) == ["007", "008"]
    assert sorted(images["Edema"]) == [0, 1]


@pytest.mark.slow
def test_what_was_pretrained_elsewhere_is_retrained_on_other_records(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    drawn = list(phantom.generate(phantom.Phantom(16, 0, 0)))
    records.write(
        drawn,
        Path("chexpert"),
        name="chexpert",
        source="chexpert",
        label_names=tuple(drawn[0].labels),
        made_by={},
        image_size=64,
    )
    vocabulary = kerasmi.models.build_vocabulary(r.report for r in drawn)
    model = kerasmi.ImageTextModel(
        kerasmi.ImageEncoder.from_preset("resnet_phantom", level="local"),
        kerasmi.TextEncoder.phantom(vocabulary),
        kerasmi.ConcatCritic(hidden_dims=(4,)),
        region="max",
    )
    folder = Path("runs/mimic_cxr_local_mine/pretrain")
    folder.mkdir(parents=True)
    model.save(folder / "model.keras")
    text = program("model.keras").replace("image_size=256", "image_size=64")
    names = {}
    exec(text.replace("epochs=50", "epochs=1"), names)
    assert names["classifier"].predict(np.zeros((1, 64, 64, 1))).shape == (1, 1)
