"""Which sentences are drawn with their regions."""

import dataclasses

import pytest

from kerasmi import pictures
from kerasmi.data import records
from kerasmi.data.sources import phantom
from kerasmi.data.sources.phantom import Phantom


def written(folder, change):
    drawn = list(phantom.generate(Phantom(train=0, validation=12, test=0)))
    return records.write(
        [change(number, record) for number, record in enumerate(drawn)],
        folder,
        name="own",
        source="table",
        label_names=tuple(drawn[0].labels),
        made_by={},
        image_size=64,
    )


@pytest.mark.parametrize("placed", [True, False])
def test_images_without_text_are_passed_over(tmp_path, placed):
    def change(number, record):
        if number < 6:
            record = dataclasses.replace(
                record, sentences=(), sentence_findings=(), sentence_regions=()
            )
        if not placed:
            record = dataclasses.replace(record, sentence_regions=())
        return record

    dataset = written(tmp_path / "own", change)
    chosen = pictures._telling(dataset, 4)
    assert 1 <= len(chosen) <= 4
    assert all(record.sentences for record in chosen)
