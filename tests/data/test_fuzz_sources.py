"""A thousand broken copies of every file that an import reads."""

import fuzz_images
import fuzz_tabular
import pytest
from fuzz_reader import fuzz

FILES = 1000


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_tabular.READERS, ids=lambda r: r.name)
def test_a_broken_table_or_report_is_refused_by_name_or_right(reader, tmp_path):
    assert fuzz(reader, tmp_path, FILES)["accepted"]


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_images.READERS, ids=lambda r: r.name)
def test_a_broken_image_is_refused_or_right(reader, tmp_path):
    fates = fuzz(reader, tmp_path, FILES)
    assert fates["accepted"]
    assert fates["refused"]
