"""A thousand broken copies of every file that an import reads."""

import fuzz_images
import fuzz_tabular
import pytest
from fuzz_reader import FILES, fuzz


def test_every_reader_has_its_thousand():
    readers = {one.name: one for one in fuzz_tabular.READERS}
    assert FILES >= 1000
    for one in (*fuzz_tabular.READERS, *fuzz_images.READERS):
        assert readers.get(one.form_of, one).files == FILES


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_tabular.READERS, ids=lambda r: r.name)
def test_a_broken_table_or_report_is_refused_by_name_or_right(reader, tmp_path):
    assert fuzz(reader, tmp_path, reader.files)["accepted"]


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_images.READERS, ids=lambda r: r.name)
def test_a_broken_image_is_refused_or_right(reader, tmp_path):
    fates = fuzz(reader, tmp_path, reader.files)
    assert fates["accepted"]
    assert fates["refused"]
