import re
from pathlib import Path

import numpy as np
from image_files import png

from kerasmi.data.dataset import Dataset

ROOT = Path(__file__).parents[2]


def test_the_program_of_the_data_page_imports_the_table_of_the_page(
    tmp_path, monkeypatch
):
    page = (ROOT / "docs/data.md").read_text()
    (table,) = re.findall(r"(?m)^    image,.*\n(?:^    .*\n)+", page)
    (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("own.csv").write_text(re.sub("(?m)^    ", "", table))
    Path("a").mkdir()
    for name in re.findall(r"a/\d\.png", table):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (64, 64))
        Path(name).write_bytes(png(pixels, 0, 8))
    exec(program, {})
    images = Dataset.open("records", verify="hash").images
    assert sorted(images["subject_id"]) == ["007", "008"]
    assert sorted(images["Edema"]) == [0, 1]
