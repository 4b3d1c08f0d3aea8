"""Checkpoints of others broken at random, with what may be accepted."""

import io
import json

import bert_files
import numpy as np
import pytest
from fuzz_packings import in_safetensors, in_zip
from fuzz_reader import Case, Reader

from kerasmi.checkpoints import bert_tensors, reference, sources, vocabulary
from kerasmi.checkpoints.bert_config import Config, check_vocabulary

SETTINGS = bert_files.config()


def torch_file(tensors, legacy):
    """What `torch.save` writes."""
    torch = pytest.importorskip("torch", reason="torch writes the file")
    made = io.BytesIO()
    state = {name: torch.tensor(value) for name, value in tensors.items()}
    torch.save(state, made, _use_new_zipfile_serialization=not legacy)
    return made.getvalue()


def in_torch_zip(content, numbers):
    """As `in_zip`, but broken numbers are no fault that anyone can see."""
    return in_zip(content, numbers)


# === BERT in a folder ===


def parts(folder):
    """All that `bert.read` asks of the files before it builds the network."""
    source = sources.find(folder)
    config = Config.read(source, None)
    pieces = vocabulary.pieces(source.folder)
    check_vocabulary(source, config, pieces)
    casing = vocabulary.casing(source.folder, pieces)
    vocabulary.strips_accents(source.folder, casing.lower_case)
    tensors, _ = bert_tensors.own(sources.tensors(source), source)
    bert_tensors.check(source, config, tensors)
    return config, pieces, casing, tensors


def check_parts(found, _content):
    config, pieces, casing, tensors = found
    for piece in bert_files.SPECIAL:
        assert pieces.count(piece) == 1
    assert len(set(pieces)) == len(pieces) <= config.sizes["vocabulary_size"]
    assert all(pieces), "an empty word piece"
    assert isinstance(casing.lower_case, bool)
    assert 0 <= config.sizes["dropout"] < 1
    settings = {
        "hidden_size": config.sizes["hidden_dim"],
        "num_hidden_layers": config.sizes["num_layers"],
        "intermediate_size": config.sizes["intermediate_dim"],
        "max_position_embeddings": config.sizes["max_sequence_length"],
        "type_vocab_size": config.sizes["num_segments"],
        "vocab_size": config.sizes["vocabulary_size"],
    }
    shapes = bert_files.shapes(settings)
    assert {name for name in shapes if "pooler" not in name} <= set(tensors)
    for name, value in tensors.items():
        assert value.shape == shapes[name]
        assert value.dtype.kind == "f"
        assert np.isfinite(value).all()


def of_bert(file, make, packings=(), read=parts, check=check_parts):
    def made(folder):
        make(folder)
        place = folder / file

        def read_in_place(content):
            place.write_bytes(content)
            return read(folder)

        # a folder without weights, vocabulary or configuration names itself
        names = (file.removesuffix(".index"), folder.name)
        return Case(place.read_bytes(), read_in_place, check, names)

    name = "BERT" if read is parts else "BERT whole"
    return Reader(f"{name} {file}", made, packings)


def hugging_face(folder):
    bert_files.hugging_face(folder, do_lower_case=False)


def py_torch(legacy):
    def make(folder):
        bert_files.describe(folder, SETTINGS, bert_files.CASED)
        content = torch_file(bert_files.tensors(), legacy)
        (folder / "pytorch_model.bin").write_bytes(content)

    return make


def fast(folder):
    """A folder whose vocabulary stands in tokenizer.json."""
    hugging_face(folder)
    (folder / "vocab.txt").unlink()
    (folder / "tokenizer_config.json").unlink()
    vocab = {piece: number for number, piece in enumerate(bert_files.CASED)}
    (folder / "tokenizer.json").write_bytes(
        json.dumps(
            {
                "normalizer": {"type": "BertNormalizer", "lowercase": False},
                "model": {"type": "WordPiece", "vocab": vocab},
            }
        ).encode()
    )


def check_network(encoder, _content):
    features = np.asarray(encoder(bert_files.batch()))
    assert features.shape[0] == 4
    assert np.isfinite(features).all()


# === the authors' image encoder ===

SHAPES = {
    "conv1.weight": (4, 1, 3, 3),
    "bn1.weight": (4,),
    "bn1.bias": (4,),
    "bn1.running_mean": (4,),
    "bn1.running_var": (4,),
}


def authors(legacy):
    def make(folder):
        rng = np.random.default_rng(0)
        weights = {
            f"image_model.{name}": rng.random(shape, np.float32)
            for name, shape in SHAPES.items()
        }
        weights["image_model.fc1.weight"] = np.ones((2, 2), np.float32)
        place = folder / "pytorch_model.bin"
        place.write_bytes(torch_file(weights, legacy))

        def read(content):
            place.write_bytes(content)
            tensors = reference._tensors(place)
            reference._check(place, tensors, SHAPES)
            return tensors

        def check(tensors, _content):
            for name, shape in SHAPES.items():
                assert tensors[name].shape == shape
                assert tensors[name].dtype.kind == "f"
                assert np.isfinite(tensors[name]).all()

        return Case(place.read_bytes(), read, check, (place.name,))

    name = f"authors' checkpoint{', legacy' if legacy else ''}"
    return Reader(name, make, () if legacy else (in_torch_zip,))


READERS = (
    of_bert("config.json", hugging_face),
    of_bert("vocab.txt", hugging_face),
    of_bert("tokenizer_config.json", hugging_face),
    of_bert("tokenizer.json", fast),
    of_bert("model.safetensors", hugging_face, (in_safetensors,)),
    of_bert("pytorch_model.bin", py_torch(False), (in_torch_zip,)),
    of_bert("pytorch_model.bin", py_torch(True)),
    authors(False),
    authors(True),
)
