"""Which sentences are drawn with their regions."""

import dataclasses

import numpy as np
import pytest

from kerasmi import build, pictures
from kerasmi import recipe as recipes
from kerasmi.data import records
from kerasmi.data.sources import phantom
from kerasmi.data.sources.phantom import Phantom
from kerasmi.reporter import Reporter


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


def test_a_picture_of_fewer_sentences_has_the_shapes_of_others(tmp_path):
    drawn = list(phantom.generate(Phantom(train=4, validation=4, test=0)))
    single = {
        "sentences": drawn[4].sentences[:1],
        "sentence_findings": drawn[4].sentence_findings[:1],
    }
    drawn[4] = dataclasses.replace(drawn[4], **single)
    drawn = [
        dataclasses.replace(record, sentence_regions=()) for record in drawn
    ]
    dataset = records.write(
        drawn,
        tmp_path / "own",
        name="own",
        source="table",
        label_names=tuple(drawn[0].labels),
        made_by={},
        image_size=64,
    )
    words = ("data.source=records", f"data.path={tmp_path / 'own'}")
    recipe = recipes.load("local_mine", words)
    model = build.image_text_model(recipe, dataset, 200, Reporter())
    examples = pictures.Examples(recipe, dataset, model)
    assert len(examples.texts) == 7
    assert {each.shape[0] for each in examples.inputs.values()} == {8}
    found = examples.mapped(model).maps
    assert found.shape == (7, *model.image_encoder.grid)
    for row in (0, 6):
        one = {
            name: each[row : row + 1] for name, each in examples.inputs.items()
        }
        alone = model.region_scores(*model.encode(one))
        np.testing.assert_allclose(
            found[row].ravel(), np.ravel(alone), rtol=1e-3, atol=1e-5
        )
