"""A thousand broken copies of every file of a checkpoint."""

import fuzz_checkpoints
import pytest
from fuzz_reader import fuzz


@pytest.mark.slow
@pytest.mark.parametrize(
    "reader", fuzz_checkpoints.READERS, ids=lambda reader: reader.name
)
def test_a_broken_checkpoint_is_refused_by_name_or_right(reader, tmp_path):
    fates = fuzz(reader, tmp_path, reader.files)
    assert fates["accepted"]
    assert fates["refused"]
