"""`kerasmi evaluate`: which parts run, where they go, what is refused."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as reading
from trained_runs import (
    files,
    kerasmi,
    load_once,
    one_error,
    save_own_run,
    save_run,
    save_untrained,
)

from kerasmi import evaluating, representations
from kerasmi.data.dataset import Dataset
from kerasmi.evaluation import probes
from kerasmi.output_files import OutputError
from kerasmi.runs import Run

TABLES = {
    "mi": {"mutual_information.csv", "sentence_kinds.csv"},
    "retrieval": {"retrieval.csv"},
    "zero_shot": {"zero_shot.csv"},
    "grounding": {"grounding.csv"},
    "probe": {"probes.csv"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_run(folder / "local")
    # four grades to learn are quicker than nine findings and four grades
    grades = "retrain.tasks=[edema_severity]"
    save_run(folder / "global", "global_mine", grades)
    save_run(folder / "few", "local_mine", grades, "retrain.labels=60")
    save_untrained(folder)
    save_own_run(folder / "own")
    return folder


@pytest.fixture(autouse=True)
def models(monkeypatch):
    load_once(monkeypatch)
    # two suffice to pick one of them; tests/evaluation/test_probes.py has all
    monkeypatch.setattr(probes, "STRENGTHS", probes.STRENGTHS[:2])


def evaluate(*arguments):
    return kerasmi("evaluate", *arguments)


def _tables(folder):
    return {path.name for path in folder.glob("*.csv")}


def test_without_a_choice_all_parts_are_run(runs):
    result = evaluate(runs / "local")
    assert result.exit_code == 0, result.output
    folder = runs / "local/evaluation"
    assert _tables(folder) == set.union(*TABLES.values())
    for picture in folder.glob("*.png"):
        assert reading.imread(picture).ndim == 3
    assert result.stdout.splitlines()[-1] == str(folder)
    for title in ("Held-out mutual", "Retrieval", "Zero-shot", "Grounding"):
        assert title in result.stdout
        assert title not in result.stderr
    assert "+- with the partition held fixed)" in result.stdout
    for part in representations.PARTS:
        assert f"{part}  24 images\n" in result.stderr
        assert f"{part}  done in " in result.stderr
    assert "Further evaluations" in (runs / "local/report.html").read_text()


@pytest.mark.parametrize("part", representations.PARTS)
def test_a_flag_chooses_its_part(runs, tmp_path, part):
    flag = f"--{part.replace('_', '-')}"
    result = evaluate(runs / "local", flag, "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert _tables(tmp_path / "out") == TABLES[part]
    for name in TABLES[part]:
        frame = pd.read_csv(tmp_path / "out" / name)
        assert set(frame["split"]) == {"test"}


def test_two_flags_choose_both(runs, tmp_path):
    result = evaluate(
        *(runs / "local", "--grounding", "--retrieval"),
        *("--output", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.output
    chosen = TABLES["grounding"] | TABLES["retrieval"]
    assert _tables(tmp_path / "out") == chosen


def test_more_candidates_raise_the_ceiling_of_infonce(runs, tmp_path):
    ceilings = {}
    for number in (4, 8):
        out = tmp_path / str(number)
        result = evaluate(
            *(runs / "local", "--mi", "--candidates", number, "--output", out)
        )
        assert result.exit_code == 0, result.output
        frame = pd.read_csv(out / "mutual_information.csv")
        of_infonce = frame["name"].str.startswith("infonce")
        ceilings[number] = frame[of_infonce]["ceiling"].max()
        assert np.isinf(frame[~of_infonce]["ceiling"]).all()
    # two images of a patient are no candidates of each other
    assert ceilings == pytest.approx({4: np.log(4), 8: np.log(8)}, abs=0.06)
    assert all(ceilings[number] <= np.log(number) for number in ceilings)


def test_validation_stands_beside_the_test_and_not_in_its_place(runs):
    run = runs / "global"
    assert evaluate(run, "--retrieval").exit_code == 0
    before = (run / "evaluation/retrieval.csv").read_text()
    result = evaluate(run, "--retrieval", "--split", "validation")
    folder = run / "evaluation/validation"
    assert result.stdout.splitlines()[-1] == str(folder)
    assert set(pd.read_csv(folder / "retrieval.csv")["split"]) == {"validation"}
    assert (run / "evaluation/retrieval.csv").read_text() == before


def test_what_a_global_run_does_not_permit_is_left_out_and_told(runs, tmp_path):
    result = evaluate(runs / "global", "--output", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "grounding: left out: the run's scope is global" in result.stderr
    assert "grounding.csv" not in _tables(tmp_path / "out")
    assert "sentence_kinds.csv" not in _tables(tmp_path / "out")


def test_a_part_that_the_data_do_not_allow_is_left_out_with_a_warning(
    runs, tmp_path, monkeypatch
):
    monkeypatch.setattr(evaluating, "PARTS", ("retrieval", "probe"))
    few, out = runs / "few", tmp_path / "out"
    result = evaluate(few, "--output", out)
    assert result.exit_code == 0, result.output
    assert "Warning: probe: left out: " in result.stderr
    assert "retrain.labels asks for 60" in result.stderr
    assert _tables(out) == TABLES["retrieval"]
    before = files(tmp_path)
    result = evaluate(
        few, "--retrieval", "--probe", "--output", tmp_path / "other"
    )
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "retrain.labels asks for 60" in result.stderr.splitlines()[-1]
    assert files(tmp_path) == before


def test_prompts_and_boxes_of_the_user_are_used(runs, tmp_path):
    run = runs / "own/run"
    data = Dataset.open(runs / "own/records")
    rows = data.rows("test")
    image_id = rows[rows["sentences"] > 0]["image_id"].iloc[0]
    boxes = tmp_path / "boxes.csv"
    size = data.image_size
    boxes.write_text(
        "image_id,sentence,x,y,w,h\n"
        f"{image_id},The heart is large.,0,0,{size / 4},{size / 4}\n"
    )
    result = evaluate(
        *(run, "--grounding", "--boxes", boxes),
        *("--output", tmp_path / "out"),
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "out/grounding.csv")
    # of one sentence, no region is the commonest
    metrics = {"pointing", "rank of a true region", "CNR"}
    assert set(table["metric"]) == metrics
    assert set(table["n_sentences"]) == {1}
    pointing = table[table["metric"] == "pointing"]
    assert pointing["chance"].tolist() == pytest.approx([1 / 16] * 2)
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("label,positive,negative\nEdema,Zebraic edema.,None.\n")
    result = evaluate(
        *(runs / "local", "--zero-shot", "--prompts", prompts),
        *("--output", tmp_path / "shot"),
    )
    assert result.exit_code == 0, result.output
    table = pd.read_csv(tmp_path / "shot/zero_shot.csv")
    assert set(table["label"]) == {"Edema", "mean"}
    assert "unknown to the text encoder: Zebraic" in result.stderr


# Refusals: one line, status 2, nothing written


def _refused(runs, tmp_path, arguments, *parts):
    before = files(runs), files(tmp_path)
    one_error(evaluate(*arguments), *parts)
    assert (files(runs), files(tmp_path)) == before


@pytest.mark.parametrize(
    ("run", "part"),
    [
        ("image_only", "its recipe is image-only"),
        ("unfinished", "its pretrain stage is not finished"),
        ("gone", "not a run"),
    ],
)
def test_a_run_without_a_joint_model_is_refused(runs, tmp_path, run, part):
    _refused(runs, tmp_path, [runs / run], runs / run, part)


@pytest.mark.parametrize(
    ("run", "flag", "part"),
    [
        ("global", "--grounding", "grounding: the run's scope is global"),
        ("own/run", "--grounding", "give a file of --boxes"),
    ],
)
def test_a_part_that_the_run_does_not_permit_is_refused(
    runs, tmp_path, run, flag, part
):
    arguments = [runs / run, flag, "--output", tmp_path / "out"]
    _refused(runs, tmp_path, arguments, part)


@pytest.mark.parametrize(
    ("text", "option", "part"),
    [
        ("label,positive\nEdema,Edema.\n", "--prompts", "negative"),
        ("label,positive,negative\nGout,a,b\n", "--prompts", "'Gout'"),
        ("image_id,sentence,x,y,w,h\nnone,a,1,1,1,1\n", "--boxes", "'none'"),
    ],
)
def test_a_wrong_file_is_refused_before_the_first_table(
    runs, tmp_path, text, option, part
):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(text)
    arguments = [runs / "local", option, wrong, "--output", tmp_path / "out"]
    _refused(runs, tmp_path, arguments, wrong, part)


@pytest.mark.parametrize(
    ("option", "needed"), [("--prompts", "zero-shot"), ("--boxes", "grounding")]
)
def test_a_file_without_its_part_is_refused(runs, tmp_path, option, needed):
    arguments = [runs / "local", "--mi", option, tmp_path / "x.csv"]
    _refused(runs, tmp_path, arguments, f"effect with --{needed} only")


def test_a_folder_that_cannot_be_written_is_refused(runs, tmp_path):
    (tmp_path / "file").write_text("precious")
    for name, part in (("file", "a file"), ("file/x", "is not a folder")):
        arguments = [runs / "local", "--output", tmp_path / name]
        _refused(runs, tmp_path, arguments, part)


@pytest.mark.parametrize("way", ["evaluation", "../local/evaluation", "link"])
def test_validation_does_not_take_the_folder_of_the_test(runs, tmp_path, way):
    run = runs / "local"
    folder = run / way
    if way == "link":
        folder = tmp_path / "link"
        folder.symlink_to(run / "evaluation")
    arguments = [run, "--mi", "--split", "validation", "--output", folder]
    _refused(runs, tmp_path, arguments, folder, run / "evaluation/validation")


def test_a_disk_that_is_full_is_told_of_as_such(runs, tmp_path, monkeypatch):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluating, "write_text", full)
    with pytest.raises(OutputError, match="out: cannot be written: No space"):
        evaluating.evaluate(
            Run.open(runs / "local"), ("grounding",), output=tmp_path / "out"
        )


def test_data_that_are_gone_are_refused(runs, tmp_path):
    run = save_own_run(tmp_path / "moved")
    (tmp_path / "moved/records").rename(tmp_path / "moved/elsewhere")
    _refused(runs, tmp_path, [run, "--mi"], tmp_path / "moved/records")
