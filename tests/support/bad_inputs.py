"""The catalogue of bad input in tests/bad_inputs, and what its cases need.

A case is data: a command, the files it meets, and the words of its answer.
The files of a case are, by name:

    text              the file holds it
    null              what is there is taken away
    {hex: DIGITS}     the file holds these bytes
    {folder: true}    an empty folder
    {link: NAME}      a link to something made below; it may go deeper
    {copy: NAME}      a copy of it, to be spoilt by the lines that follow
    {cut: N}          what is there loses its last N bytes
    {swap: [OLD, NEW]}  what is there with one text for another

The line must have the `culprit` and the `remedy`. Beside them a case may have
`hides`, what must not be shown, and `leaves`, the only thing that may be left.
"""

import functools
import shlex
import shutil
import struct
import zipfile
from pathlib import Path

import bert_files
import chexpert_files
import image_files
import mimic_files
import numpy as np
import open_i_tree
import own_tables
import played_runs
import run_folders
import trained_runs
import yaml
from PIL import Image

CATALOGUE = Path(__file__).parents[1] / "bad_inputs"


def cases():
    """All cases, each with the name of its file as `verb`."""
    found = []
    for file in sorted(CATALOGUE.glob("*.yaml")):
        for case in yaml.safe_load(file.read_text(encoding="utf-8")):
            found.append({"verb": file.stem, **case})
    return found


def arguments(case):
    return shlex.split(case["command"])


def lay_out(case, made, folder):
    """Puts the files of a case into a folder.

    Args:
        case: of `cases`.
        made: gives the path of one of `MAKERS`, by its name.
        folder: where the command is typed.
    """
    for name, content in case.get("files", {}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _lay(path, content, made)


def _lay(path, content, made):
    if content is None:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    elif isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    else:
        ((how, what),) = content.items()
        if how == "hex":
            path.write_bytes(bytes.fromhex(what))
        elif how == "folder":
            path.mkdir()
        elif how == "link":
            path.symlink_to(_inside(what, made))
        elif how == "copy":
            _copy(_inside(what, made), path)
        elif how == "cut":
            path.write_bytes(path.read_bytes()[:-what])
        elif how == "swap":
            text = path.read_text(encoding="utf-8")
            assert what[0] in text
            path.write_text(text.replace(*what, 1), encoding="utf-8")
        else:
            raise ValueError(how)


def _inside(name, made):
    first, _, rest = name.partition("/")
    return made(first) / rest


def _copy(source, path):
    if source.is_dir():
        shutil.copytree(source, path)
    else:
        shutil.copy(source, path)


def look(folder):
    """What lies in a folder, through links: names, sizes, times."""
    found = {}
    for path in _below(folder, {folder.resolve()}):
        # a link that leads nowhere is known by its name alone
        about = path.stat() if path.is_file() else None
        found[str(path.relative_to(folder))] = (
            (about.st_size, about.st_mtime_ns) if about else ()
        )
    return found


def _below(folder, above):
    """All below a folder; of links in a circle, once around."""
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and path.resolve() not in above:
            yield from _below(path, {*above, path.resolve()})


class Made:
    """Things that cases share, each made when it is first asked for."""

    def __init__(self, folder):
        self._folder = folder
        self._known = functools.cache(self._make)

    def __call__(self, name):
        return self._known(name)

    def _make(self, name):
        path = self._folder / name
        MAKERS[name](path)
        return path


def _records(folder):
    from kerasmi.data import records
    from kerasmi.data.schema import CHEXPERT14, EDEMA_SEVERITY
    from kerasmi.data.sources import phantom

    records.write(
        phantom.generate(phantom.Phantom(train=8, validation=2, test=2), 1),
        folder,
        name="set",
        source="phantom",
        label_names=(*CHEXPERT14, EDEMA_SEVERITY),
        made_by={},
        image_size=64,
    )


def _runs(folder):
    trained_runs.save_run(folder / "local")
    trained_runs.save_run(folder / "global", "global_mine")
    trained_runs.save_untrained(folder)


def _pictures(folder):
    folder.mkdir()
    pixels = image_files.thorax(8).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "own.png")
    Image.new("L", (80, 80), 7).save(folder / "blank.png")
    (folder / "cut.png").write_bytes((folder / "own.png").read_bytes()[:-99])
    (folder / "cut.dcm").write_bytes(
        image_files.dicom(image_files.thorax(12))[:-999]
    )
    own = (folder / "own.png").read_bytes()
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    large = image_files.chunk(b"IHDR", header)
    (folder / "bomb.png").write_bytes(own[:8] + large + own[8 + len(large) :])


def _hostile(folder):
    import keras

    folder.mkdir()
    code = keras.layers.Lambda(lambda x: x)
    keras.Sequential([keras.Input((2,)), code]).save(folder / "lambda.keras")
    zeros = bytes(2**28)
    with zipfile.ZipFile(folder / "bomb.keras", "w", 8) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", zeros)
    for name, member in (("out.keras", "../ran"), ("out.zip", "../x.png")):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr(member, "precious")
    pickled = np.array([{}], object)
    np.savez(folder / "pickled.npz", sentences=pickled)
    with zipfile.ZipFile(folder / "bomb.npz", "w", 8) as archive:
        archive.writestr("maps.npy", zeros)


def _unlabelled(folder):
    table = own_tables.write_table(
        folder.with_name("notes"), 24, ("image", "subject", "text")
    )
    done = trained_runs.kerasmi(
        *("data", "import", "table", table, folder, "--image-size", 64)
    )
    assert done.exit_code == 0, done.output


def _notes(folder):
    folder.mkdir()
    columns = ("image", "subject", "text", "edema")
    own_tables.write_table(folder, 12, columns)


MAKERS = {
    "records": _records,
    "runs": _runs,
    "pictures": _pictures,
    "hostile": _hostile,
    "unlabelled": _unlabelled,
    "table": _notes,
    "played": lambda path: played_runs.play_run(path, "local_mine"),
    "drawn": run_folders.write_run,
    "grid": lambda path: run_folders.write_grid(path, seeds=1),
    "bert": bert_files.hugging_face,
    "mimic": mimic_files.write_all,
    "chexpert": chexpert_files.write_chexpert,
    "plus": chexpert_files.write_plus,
    "open_i": open_i_tree.write_csvs,
}
