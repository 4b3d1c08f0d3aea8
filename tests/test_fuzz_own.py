"""A thousand broken copies of every file that is kerasmi's own."""

import fuzz_own
import pytest
from fuzz_reader import fuzz


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz_own.READERS, ids=lambda r: r.name)
def test_a_broken_file_is_refused_by_name_or_right(reader, tmp_path):
    assert fuzz(reader, tmp_path, reader.files)["refused"]
