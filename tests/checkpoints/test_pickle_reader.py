import io
import os
import pickle
import random
import zipfile

import numpy as np
import pytest

from kerasmi.checkpoints import pickle_reader
from kerasmi.errors import CheckpointError


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch writes the files")


def zipped(path, program, **members):
    """A file of the form that torch writes, around any pickle."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program)
        for name, content in members.items():
            archive.writestr(f"archive/data/{name[1:]}", content)
    return path


class Hostile:
    """A pickle of this runs a command where it is unpickled as usual."""

    def __init__(self, marker):
        self.command = f"touch {marker}"

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_hostile_pickle_is_refused_by_name_and_not_run(
    tmp_path, form, protocol
):
    marker = tmp_path / "ran"
    program = pickle.dumps(Hostile(marker), protocol)
    path = tmp_path / "pytorch_model.bin"
    if form == "zip":
        zipped(path, program)
    else:
        head = (pickle_reader._LEGACY_MAGIC, 1001, {"little_endian": True})
        parts = [pickle.dumps(each, 2) for each in head]
        path.write_bytes(b"".join([*parts, program]))
    with pytest.raises(CheckpointError, match=r"refused.*posix\.system"):
        pickle_reader.read(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    "name",
    [
        *("builtins eval", "builtins exec", "builtins getattr", "os system"),
        *("subprocess Popen", "torch load", "torch.storage _load_from_bytes"),
        *("numpy.core.multiarray _reconstruct", "collections Counter"),
    ],
)
def test_every_other_name_is_refused(tmp_path, name):
    program = f"c{name.replace(' ', chr(10))}\n.".encode()
    path = zipped(tmp_path / "a.bin", program)
    with pytest.raises(CheckpointError) as caught:
        pickle_reader.read(path)
    assert f"asks for `{name.replace(' ', '.')}`" in str(caught.value)


@pytest.mark.parametrize(
    ("program", "part"),
    [
        (b"(i__main__\nA\n.", "INST"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02}}\x81.", "NEWOBJ"),
        (b"Pname\n.", "PERSID"),
        (b"\x80\x02K\x01K\x02R.", "a call of what is no function"),
        (b"\x80\x02]}b.", "an object with a state"),
        (b"\x80\x02}.", "no dictionary of tensors"),
        (b"\x80\x02N.", "no dictionary of tensors"),
        (b"\x80\x02", "damaged"),
        (b"\x80\x02r\xff\xff\xff\xff.", "damaged"),
        (b"\x80\x02\x86.", "damaged"),
        (b"S'\\('\n.", "damaged"),  # pickletools would only warn
        (b"0", "damaged|refused"),
        (b"", "damaged"),
    ],
)
def test_what_no_state_dict_does_is_refused(tmp_path, program, part):
    path = zipped(tmp_path / "a.bin", program)
    with pytest.raises(CheckpointError, match=part) as caught:
        pickle_reader.read(path)
    assert str(path) in str(caught.value)


def stored(size, stride, offset=0, count=4, content=b"\0" * 16):
    """The program of one tensor, written by hand."""

    pieces = [b"\x80\x02}X\x01\x00\x00\x00w"]
    pieces += [b"ctorch._utils\n_rebuild_tensor_v2\n("]
    pieces += [b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n"]
    pieces += [b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu"]
    pieces += [b"J" + count.to_bytes(4, "little", signed=True) + b"tQ"]
    pieces += [b"J" + offset.to_bytes(4, "little", signed=True)]
    for numbers in (size, stride):
        pieces += [b"("]
        pieces += [b"J" + n.to_bytes(4, "little", signed=True) for n in numbers]
        pieces += [b"t"]
    pieces += [b"\x89}tRs."]
    return b"".join(pieces), content


def test_a_program_written_by_hand_is_read(tmp_path):
    numbers = np.arange(4, dtype="<f4")
    program, content = stored((2, 2), (1, 2), content=numbers.tobytes())
    path = zipped(tmp_path / "a.bin", program, _0=content)
    np.testing.assert_array_equal(
        pickle_reader.read(path)["w"], [[0, 2], [1, 3]]
    )


@pytest.mark.parametrize(
    ("size", "stride", "offset", "count"),
    [
        ((5,), (1,), 0, 4),
        ((2,), (1,), 3, 4),
        ((2,), (4,), 0, 4),
        ((2**30, 2**30), (0, 0), 0, 4),
        ((-1,), (1,), 0, 4),
        ((2,), (-1,), 1, 4),
        ((2,), (1, 1), 0, 4),
        ((2,), (1,), 0, 2**30),
        ((2,), (1,), 0, -4),
        ((2,), (1,), 0, 3),
    ],
)
def test_a_tensor_reads_nothing_outside_of_its_storage(
    tmp_path, size, stride, offset, count
):
    program, content = stored(size, stride, offset, count)
    path = zipped(tmp_path / "a.bin", program, _0=content)
    with pytest.raises(CheckpointError):
        pickle_reader.read(path)


def test_a_compressed_member_is_refused(tmp_path):
    program, content = stored((4,), (1,))
    path = tmp_path / "a.bin"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/data/0", content)
    with pytest.raises(CheckpointError, match="compressed"):
        pickle_reader.read(path)


@pytest.mark.parametrize("zip_form", [True, False])
def test_all_types_and_views_are_read_as_torch_has_them(
    tmp_path, torch, zip_form
):
    torch.manual_seed(0)
    state = {
        "float": torch.randn(3, 4),
        "transposed": torch.randn(4, 6).T,
        "slice": torch.arange(10.0)[2:9:3],
        "half": torch.randn(3).half(),
        "double": torch.randn(2).double(),
        "long": torch.arange(5),
        "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(3.0),
        "empty": torch.empty(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    shared = state["shared"] = state["float"][1]
    state["bfloat16"] = torch.randn(3).bfloat16()
    path = tmp_path / "a.bin"
    torch.save(state, path, _use_new_zipfile_serialization=zip_form)
    found = pickle_reader.read(path)
    assert list(found) == list(state)
    for name, tensor in state.items():
        wanted = tensor.detach()
        wanted = wanted.float() if name == "bfloat16" else wanted
        np.testing.assert_array_equal(found[name], wanted.numpy())
        assert found[name].dtype == wanted.numpy().dtype
    assert found["shared"].shape == tuple(shared.shape)


@pytest.mark.parametrize("zip_form", [True, False])
def test_a_training_state_gives_its_weights(tmp_path, torch, zip_form):
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    state = {"epoch": 3, "rate": 0.1, "state_dict": model.state_dict()}
    torch.save(
        state, tmp_path / "a.pt", _use_new_zipfile_serialization=zip_form
    )
    found = pickle_reader.read(tmp_path / "a.pt")
    assert list(found) == list(model.state_dict())
    torch.save(
        model, tmp_path / "b.pt", _use_new_zipfile_serialization=zip_form
    )
    with pytest.raises(CheckpointError, match=r"Sequential.*state_dict\(\)"):
        pickle_reader.read(tmp_path / "b.pt")


@pytest.mark.parametrize("zip_form", [True, False])
def test_a_thousand_damaged_files_are_refused_or_read(
    tmp_path, torch, zip_form
):
    buffer = io.BytesIO()
    torch.save(
        torch.nn.Linear(2, 3).state_dict(),
        buffer,
        _use_new_zipfile_serialization=zip_form,
    )
    rng = random.Random(0)
    path = tmp_path / "a.bin"
    messages = []
    for _ in range(1000):
        path.write_bytes(damaged(buffer.getvalue(), rng))
        try:
            found = pickle_reader.read(path)
        except CheckpointError as error:
            messages.append(str(error))
        else:
            assert all(isinstance(v, np.ndarray) for v in found.values())
    assert len(messages) > 500
    assert all(str(path) in message for message in messages)


def damaged(content, rng):
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        kind, place = rng.random(), rng.randrange(len(changed))
        if kind < 0.6:
            changed[place] = rng.randrange(256)
        elif kind < 0.8:
            del changed[max(1, place) :]
        else:
            changed[place:place] = rng.randbytes(rng.randint(1, 9))
    return bytes(changed)


def test_files_of_other_kinds_are_refused(tmp_path):
    for name, content in (
        ("empty", b""),
        ("text", b"not a checkpoint"),
        ("zeros", bytes(1000)),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=name):
            pickle_reader.read(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        pickle_reader.read(tmp_path / "absent")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(CheckpointError, match=r"without one `data\.pkl`"):
        pickle_reader.read(tmp_path / "other.zip")
