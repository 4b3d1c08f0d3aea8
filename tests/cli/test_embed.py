"""`kerasmi embed`: features with their ids, the same in both formats."""

import numpy as np
import pandas as pd
import pytest
from trained_runs import (
    files,
    kerasmi,
    load_once,
    one_error,
    save_own_run,
    save_run,
    save_untrained,
)

from kerasmi.data.dataset import Dataset
from kerasmi.data.records import read
from kerasmi.features import Features
from kerasmi.runs import Run

IDS = ["image_id", "study_id", "subject_id"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_run(folder / "local")
    save_run(folder / "global", "global_mine")
    save_untrained(folder)
    save_own_run(folder / "own")
    return folder


@pytest.fixture(autouse=True)
def models(monkeypatch):
    load_once(monkeypatch)


def embed(*arguments):
    return kerasmi("embed", *arguments)


@pytest.fixture(scope="module")
def local(runs):
    """What the default writes of the local run."""
    result = embed(runs / "local")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{runs / 'local/embeddings/test'}\n"
    return runs / "local/embeddings/test"


def _npz(folder, name):
    return dict(np.load(folder / f"{name}.npz"))


def _texts(folder, name="sentences"):
    return pd.read_json(folder / f"{name}.jsonl", lines=True)["text"].tolist()


def _data(runs):
    return Dataset.open(next((runs / "data").iterdir()))


def test_the_files_are_those_of_the_help(local):
    assert files(local) == [
        *("images.csv", "images.npz", "regions.csv", "regions.npz"),
        *("sentences.csv", "sentences.jsonl", "sentences.npz"),
    ]


def test_every_image_has_its_ids_and_the_mean_of_its_regions(runs, local):
    rows = _data(runs).rows("test")
    images, regions = _npz(local, "images"), _npz(local, "regions")
    for name in IDS:
        assert images[name].tolist() == rows[name].tolist()
        assert regions[name].tolist() == rows[name].tolist()
    number, dim = images["features"].shape
    assert number == len(rows)
    assert regions["features"].shape == (number, 4, 4, dim)
    assert images["features"].dtype == np.float32
    np.testing.assert_allclose(
        images["features"], regions["features"].mean(axis=(1, 2)), atol=1e-6
    )


def test_regions_are_in_the_rows_and_columns_of_the_maps(runs, local):
    model, data = Features.open(Run.open(runs / "local")), _data(runs)
    regions = _npz(local, "regions")["features"]
    text = model.texts(["The heart is large."])
    flat = regions.reshape(len(regions), -1, regions.shape[-1])
    wanted = data.rows("test")["image_id"][:2]
    maps = model.maps(model.regions(data, "test", wanted), text[[0, 0]])
    np.testing.assert_allclose(
        model.maps(flat[:2], text[[0, 0]]), maps, atol=1e-5
    )


def test_sentences_are_those_of_the_records_in_their_order(runs, local):
    sentences = _npz(local, "sentences")
    frame = pd.DataFrame({n: sentences[n] for n in (*IDS, "sentence")})
    frame["text"] = texts = _texts(local)
    said = {
        image_id: group["text"].tolist()
        for image_id, group in frame.groupby("image_id")
    }
    for record in read(_data(runs), "test"):
        assert said.get(record.image_id, []) == list(record.sentences)
    counts = frame.groupby("image_id")["sentence"].apply(list)
    assert all(places == list(range(len(places))) for places in counts)
    model = Features.open(Run.open(runs / "local"))
    np.testing.assert_allclose(
        sentences["features"][:3], model.texts(texts[:3]), atol=1e-5
    )


@pytest.mark.parametrize("name", ["images", "regions", "sentences"])
def test_a_csv_gives_back_what_the_npz_holds(local, name):
    arrays = _npz(local, name)
    frame = pd.read_csv(local / f"{name}.csv", dtype=dict.fromkeys(IDS, str))
    columns = [column for column in frame if column[1:].isdigit()]
    dim = arrays["features"].shape[-1]
    assert columns == [f"f{number}" for number in range(dim)]
    values = frame[columns].to_numpy(np.float32)
    assert np.array_equal(values, arrays["features"].reshape(-1, dim))
    if name == "regions":
        assert frame["row"].tolist()[:6] == [0, 0, 0, 0, 1, 1]
        assert frame["column"].tolist()[:6] == [0, 1, 2, 3, 0, 1]
        assert frame["image_id"].tolist()[::16] == arrays["image_id"].tolist()
    else:
        assert frame["image_id"].tolist() == arrays["image_id"].tolist()


def test_a_global_run_has_the_global_feature_and_reports(runs, tmp_path):
    result = embed(runs / "global", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert files(tmp_path / "out") == [
        *("images.csv", "images.npz"),
        *("reports.csv", "reports.jsonl", "reports.npz"),
    ]
    data = _data(runs)
    model = Features.open(Run.open(runs / "global"))
    np.testing.assert_allclose(
        _npz(tmp_path / "out", "images")["features"],
        model.regions(data, "test", None)[:, 0],
        atol=1e-6,
    )
    reports = _npz(tmp_path / "out", "reports")
    rows = data.rows("test")
    assert len(reports["features"]) == (rows["sentences"] > 0).sum()
    assert len(_texts(tmp_path / "out", "reports")) == len(reports["features"])
    assert "sentence" not in reports


@pytest.mark.parametrize("form", ["npz", "csv"])
def test_one_format_is_that_one_only(runs, tmp_path, form):
    out = tmp_path / "out"
    result = embed(
        *(runs / "local", "--split", "validation"),
        *("--format", form, "--output", out),
    )
    assert result.exit_code == 0, result.output
    found = {path.suffix for path in out.iterdir()}
    assert found == ({".npz", ".jsonl"} if form == "npz" else {".csv"})


def test_texts_of_people_are_written_only_when_asked(runs, tmp_path):
    run = runs / "own/run"
    for out, more in (("hidden", []), ("shown", ["--show-text"])):
        result = embed(
            *(run, "--split", "train", "--output", tmp_path / out, *more)
        )
        assert result.exit_code == 0, result.output
    assert "text" not in _npz(tmp_path / "hidden", "sentences")
    assert not list((tmp_path / "hidden").glob("*.jsonl"))
    for path in (tmp_path / "hidden").glob("*.csv"):
        assert "effusion" not in path.read_text()
    assert "No effusion." in _texts(tmp_path / "shown")
    assert "No effusion." in (tmp_path / "shown/sentences.csv").read_text()


# Refusals: one line, status 2, nothing written


@pytest.mark.parametrize(
    ("run", "part"),
    [
        ("image_only", "its recipe is image-only"),
        ("unfinished", "its pretrain stage is not finished"),
        ("gone", "not a run"),
    ],
)
def test_a_run_without_encoders_is_refused(runs, run, part):
    before = files(runs)
    one_error(embed(runs / run), runs / run, part)
    assert files(runs) == before


def test_a_folder_that_exists_is_kept(runs, local, tmp_path):
    before = files(runs)
    one_error(embed(runs / "local"), local, "exists; give another --output")
    (tmp_path / "file").write_text("precious")
    for name, part in (("file", "a file"), ("file/x", "is not a folder")):
        out = tmp_path / name
        one_error(embed(runs / "local", "--output", out), out.parent, part)
    assert files(runs) == before
    assert files(tmp_path) == ["file"]


def test_other_data_than_the_runs_are_refused(runs, tmp_path):
    run = save_run(tmp_path / "runs/other", "local_mine", "data.seed=3")
    done = run / "pretrain/done.json"
    data = next((tmp_path / "runs/data").iterdir())
    fingerprint = Dataset.open(data).fingerprint
    done.write_text(done.read_text().replace(fingerprint, "f" * 64))
    before = files(tmp_path)
    one_error(embed(run), data, "not the data of the run")
    assert files(tmp_path) == before
