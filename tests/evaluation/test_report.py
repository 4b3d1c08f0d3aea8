"""`report.html`: what it says of a run, and that it needs nothing else."""

import json
import re
import shutil

import numpy as np
import pages
import pandas as pd
import pytest
import run_folders
from matplotlib.figure import Figure
from pages import Page

from kerasmi.errors import RunError
from kerasmi.evaluation import (
    report,
    report_findings,
    report_grid,
    report_html,
    report_run,
    untaught,
)
from kerasmi.evaluation.report_folder import GridFolder, RunFolder

SECTIONS = (
    "summary",
    "failures-and-warnings",
    "recipe",
    "data",
    "pretraining",
    "sentences-and-their-regions",
    "results",
    "roc-curves",
    "re-training",
    "environment",
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return run_folders.write_run(tmp_path_factory.mktemp("runs") / "one")


@pytest.fixture
def run(original, tmp_path, undrawn):
    """A run that a test may change."""
    return shutil.copytree(original, tmp_path / "run")


@pytest.fixture
def own_grid(grid, tmp_path, undrawn):
    """A grid that a test may change."""
    return shutil.copytree(grid, tmp_path / "grid")


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grids") / "both"
    return run_folders.write_grid(folder, seeds=1)


@pytest.fixture(scope="module")
def text(original):
    return report.page(original)


@pytest.fixture(scope="module")
def grid_text(grid):
    return report.page(grid)


def replace(path, old, new):
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def of_people(run):
    """Makes the run one of records, not of the phantom."""
    replace(run / "recipe.yaml", "source: phantom", "source: records")


# The page itself


@pytest.mark.parametrize("name", ["text", "grid_text"])
def test_a_page_is_sound_and_needs_nothing_beside_it(name, request):
    page = Page(request.getfixturevalue(name))
    assert len(set(page.ids)) == len(page.ids)
    assert len(page.images) > 5
    for image in page.images:
        assert image["src"].startswith("data:image/png;base64,")
        assert image["alt"].strip()
    for url in page.urls:
        assert url.startswith(("data:", "#"))
        assert not url.startswith("#") or url[1:] in page.ids
    assert not page.tags & {"script", "iframe", "object", "embed"}
    assert "@import" not in request.getfixturevalue(name)
    assert "url(" not in request.getfixturevalue(name)


def test_a_finished_run_shows_every_section(text):
    page = Page(text)
    assert [one for one in page.ids if one in SECTIONS] == list(SECTIONS)
    assert "None." in page.text


@pytest.mark.parametrize(("bound", "told"), [("mine", 0), ("cpc", 1)])
def test_infonce_alone_is_shown_with_its_ceiling(run, bound, told):
    replace(run / "recipe.yaml", "bound: mine", f"bound: {bound}")
    text = Page(report.page(run)).text
    caption = "The bound that pretraining maximises, and its ceiling."
    assert text.count(caption) == told


@pytest.mark.parametrize(("bound", "told"), [("mine", "none"), ("cpc", "4.1")])
def test_a_grid_tells_the_ceiling_of_infonce_alone(own_grid, bound, told):
    recipe = own_grid / "local_mine" / "seed0" / "recipe.yaml"
    replace(recipe, "bound: mine", f"bound: {bound}")
    text = Page(report.page(own_grid)).text
    *_, value = re.search(r"ceiling \(nats\) (local.mine \S+ \S+ \S+)", text)[
        1
    ].split()
    assert value.startswith(told)


def test_what_was_read_is_text_and_no_markup(text):
    page = Page(text)
    assert "Pleural <b>Effusion</b> & more" in page.text
    assert 'a "small" <script>alert(1)</script> effusion.' in page.text
    assert "script" not in page.tags


def test_the_same_folder_gives_the_same_page(original, text):
    assert report.page(original) == text


@pytest.mark.skipif(pages.BROWSER is None, reason="needs Chromium")
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["text", "grid_text"])
def test_chromium_shows_it_whole_at_two_widths(name, width, request, tmp_path):
    text = request.getfixturevalue(name)
    found, console = pages.browse(text, tmp_path, width)
    assert found["inner"] == width
    assert found["scroll"] <= width
    assert found["wide"] == []
    assert found["images"] == len(Page(text).images)
    assert found["broken"] == 0
    assert console == []


@pytest.mark.skipif(pages.BROWSER is None, reason="needs Chromium")
def test_the_check_in_chromium_can_fail(tmp_path):
    page = (
        "<html><head></head><body><main><img src='gone.png' alt='a'>"
        "<p style='width: 900px'>a</p><script>console.error('no')</script>"
        "</main></body></html>"
    )
    found, console = pages.browse(page, tmp_path, 390)
    assert (found["broken"], found["wide"]) == (1, ["P"])
    assert found["scroll"] > 390
    assert len(console) == 1


# What it says


def test_the_tables_hold_values_intervals_counts_and_the_policy(original, text):
    page = Page(text)
    row = pd.read_csv(original / "results.csv").iloc[0]
    cell = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}] (24/24)"
    assert cell in page.text
    assert "Label policy: uncertain: ignore, blank: ignore." in page.text
    assert "test images are judged by the truth" in page.text


def test_every_value_of_the_recipe_is_there(original, text):
    page = Page(text)
    assert "pretrain.augmentation.rotation 8.0" in page.text
    assert "critic.hidden_dims 64, 32" in page.text


def test_the_data_is_named_and_counted(text):
    page = Page(text)
    assert "fingerprint f00d" in page.text
    assert "train 48 47 40 24" in page.text
    # severities that no label has are left out
    assert "negative or 0 positive or 1 uncertain blank" in page.text


def test_one_that_is_judged_by_labels_does_not_speak_of_truth(
    tmp_path, undrawn
):
    run = run_folders.write_run(tmp_path / "run", truth=False)
    assert "judged by the truth" not in Page(report.page(run)).text


def test_an_image_only_run_has_no_pretraining(tmp_path, undrawn):
    run = run_folders.write_run(tmp_path / "run", recipe="image_only")
    page = Page(report.page(run))
    assert "pretraining" not in page.ids
    assert "image-only, no pretraining" in page.text
    assert "None." in page.text
    assert not any("beside the other" in one["alt"] for one in page.images)


def added(run, name, frame):
    """Text of the page's section on evaluations, with one more of them."""
    (run / "evaluation").mkdir(exist_ok=True)
    frame.to_csv(run / "evaluation" / f"{name}.csv", index=False)
    return Page(report.page(run)).text.rpartition("Further evaluations")[2]


def test_what_evaluate_wrote_is_added(run):
    frame = pd.DataFrame(
        {"best_of": ["image to text"], "R@1": [0.25], "sentence": ["Secret."]}
    )
    shown = added(run, "my_own", frame)
    assert "my own" in shown
    assert "best of R@1 sentence" in shown
    assert "0.250 Secret." in shown
    of_people(run)
    hidden = Page(report.page(run)).text
    assert "0.250" in hidden
    assert "Secret." not in hidden


INTERVALS = {
    "metric": ["R@1", "median rank"],
    "value": [0.25, 7.5],
    "low": [0.1, np.nan],
    "high": [0.4, np.nan],
    "chance": [0.05, 10],
    "note": ["", "interval not estimable: one subject"],
    "n_subjects": [9, 1],
}


@pytest.mark.parametrize(
    ("name", "key"), [("retrieval", "direction"), ("grounding", "finding")]
)
def test_shares_and_ranks_are_read_with_their_intervals(run, name, key):
    shown = added(run, name, pd.DataFrame({key: ["a", "b"], **INTERVALS}))
    assert f"{key} metric value chance subjects note" in shown
    assert "a R@1 0.250 [0.100, 0.400] 0.050 9" in shown
    assert "b median rank 7.5 10.0 1 1" in shown
    assert "interval not estimable: one subject" in shown
    assert "n_subjects" not in shown


def test_a_confidence_is_told_to_its_last_digit(run):
    replace(run / "recipe.yaml", "confidence: 0.95", "confidence: 0.999")
    frame = pd.DataFrame({"direction": ["a", "b"], **INTERVALS})
    shown = added(run, "retrieval", frame)
    assert "its 99.9% interval over subjects" in shown
    page = Page(report.page(run)).text
    assert "with its 99.9% interval over subjects" in page
    assert "in brackets its 99.9% interval over subjects (20" in page


def test_evaluations_of_before_their_notes_are_shown_too(run):
    frame = pd.DataFrame({"direction": ["a", "b"], **INTERVALS})
    assert "7.5 10.0 1" in added(run, "retrieval", frame.drop(columns="note"))


@pytest.mark.parametrize("name", ["zero_shot", "probes"])
def test_aucs_without_training_look_as_those_of_training(run, name):
    results = pd.read_csv(run / "results.csv").assign(encoder="of_it")
    row = results.iloc[0]
    shown = added(run, name, results.drop_duplicates("label"))
    cell = f"{row.value:.3f} [{row.low:.3f}, {row.high:.3f}] (24/24)"
    assert f"{row.label} {cell}" in shown
    assert ("AUC" if name == "zero_shot" else "of it") in shown
    assert "n_positive" not in shown


def test_kinds_of_sentences_are_told_in_nats(run):
    row = {
        "kind": "Edema",
        "read_out": "x",
        "nats": 0.5,
        "standard_error": 0.25,
        "share": 0.5,
        "carried": 0.25,
        "n_sentences": 3,
        "n_subjects": 2,
    }
    shown = added(run, "sentence_kinds", pd.DataFrame([row]))
    assert "nats a sentence standard error (nats) share of pairs" in shown
    assert "Edema 0.500 0.250 0.500 0.250 3 2" in shown
    assert "with the partition (the mean over negatives) held fixed" in shown


def test_the_picture_of_an_evaluation_is_below_its_table(run):
    frame = pd.DataFrame({"direction": ["a", "b"], **INTERVALS})
    added(run, "retrieval", frame)
    png = (run / "figures/data.png").read_bytes()
    for name in ("aside", "retrieval"):
        (run / f"evaluation/{name}.png").write_bytes(png)
    alts = [image["alt"] for image in Page(report.page(run)).images]
    assert alts[-2:] == [
        f"Picture of the evaluation: {name}" for name in ("retrieval", "aside")
    ]


def test_notes_stand_below_their_table_each_once():
    frame = pd.DataFrame({"label": list("abcd"), "note": ["x", None, "y", "x"]})
    shown = Page(report_html.table(frame, "What.")).text
    assert "label note a 1 b c 2 d 1 x y" in " ".join(shown.split())
    bare = Page(report_html.table(frame.assign(note=""), "What.")).text
    assert "note" not in bare


def test_read_outs_of_test_pairs_are_shown_as_those_of_validation(run):
    (run / "evaluation").mkdir()
    rows = pd.read_csv(run / "pretrain/mutual_information.csv")
    rows.loc[0, ["value", "calibrated"]] = 0.1234, 0.5678
    rows.insert(0, "split", "test")
    rows.to_csv(run / "evaluation/mutual_information.csv", index=False)
    text = Page(report.page(run)).text.rpartition("Further evaluations")[2]
    assert "on test pairs" in text
    assert text.count("pairs read-out MI standard error as trained") == 1
    assert 0 < text.find("0.568") < text.find("0.123")
    assert "calibrated_n_negatives" not in text


def test_evaluations_of_other_images_are_no_tables_of_the_test(run):
    frame = pd.DataFrame({"direction": ["a", "b"], **INTERVALS})
    frame.insert(0, "split", "validation")
    (run / "evaluation").mkdir()
    png = (run / "figures/data.png").read_bytes()
    (run / "evaluation/retrieval.png").write_bytes(png)
    shown = added(run, "retrieval", frame)
    assert "of validation images, and this page is of test images" in shown
    assert "0.250" not in shown
    alts = [image["alt"] for image in Page(report.page(run)).images]
    assert "Picture of the evaluation: retrieval" not in alts
    shown = added(run, "retrieval", frame.assign(split="test"))
    assert "validation images" not in shown
    assert "a R@1 0.250" in shown


def test_pictures_of_numbers_are_shown_of_people_too(run):
    (run / "evaluation").mkdir()
    png = (run / "figures/data.png").read_bytes()
    for name in ("retrieval", "sheet"):
        (run / f"evaluation/{name}.png").write_bytes(png)
    alts = {"retrieval", "sheet"}
    shown = {
        image["alt"].removeprefix("Picture of the evaluation: ")
        for image in Page(report.page(run)).images
    }
    assert alts <= shown
    of_people(run)
    page = Page(report.page(run))
    hidden = {
        image["alt"].removeprefix("Picture of the evaluation: ")
        for image in page.images
    }
    assert hidden & alts == {"retrieval"}
    assert "What else was drawn of them is not shown" in page.text


# Images and reports of people


def test_images_and_reports_of_people_are_shown_only_when_asked(run, text):
    of_people(run)
    page = Page(report.page(run))
    assert "No change." not in page.text
    assert page.text.count("--show-text") == 2
    shown = Page(report.page(run, show_text=True))
    assert "No change." in shown.text
    assert "--show-text" not in shown.text
    # the page of images, the scale, and two sentences
    assert len(page.images) == len(shown.images) - 4
    assert len(shown.images) == len(Page(text).images)


# The audit of an import


@pytest.fixture
def imported(run):
    """A run of imported data with its audit; returns the data's folder."""
    of_people(run)
    folder = run / "records"
    folder.mkdir()
    start = json.loads((run / "environment.json").read_text())
    start[0]["data"]["path"] = str(folder)
    (run / "environment.json").write_text(json.dumps(start))
    (folder / "dataset.json").write_text(json.dumps({"fingerprint": "f00d"}))
    (folder / "audit.csv").write_text(
        "table,row,column,value\nrows,rows read,number,1234\n"
        "sets,train,images,7\nleaks,subjects,number,0\n"
        'views,"AP, PA",train,5\nviews,"AP, PA",test,x<y\n'
    )
    (folder / "audit.md").write_text(
        "# Audit\n\n## Notes\n\n- Two <i>files</i> were gone.\n\n## Options\n"
        "\n- seed: 0\n"
    )
    return folder


def test_the_audit_of_an_import_is_shown(run, imported):
    page = Page(report.page(run))
    assert "Audit: rows." in page.text
    assert "rows read 1,234" in page.text
    assert "AP, PA 5 x<y" in page.text
    assert "Two <i>files</i> were gone." in page.text
    assert "Audit: sets." not in page.text
    assert "seed: 0" not in page.text


def test_data_that_changed_or_is_gone_has_no_audit(run, imported):
    (imported / "dataset.json").write_text(json.dumps({"fingerprint": "b"}))
    assert "now holds other data" in Page(report.page(run)).text
    shutil.rmtree(imported)
    page = Page(report.page(run))
    assert "is no longer there" in page.text
    assert "Audit: rows." not in page.text


# Failures and warnings


def findings(run):
    """Level and text of each."""
    found = report_findings.findings(RunFolder(run))
    return [f"{one.level}: {one.told}" for one in found]


def listed(folder):
    """The list of failures and warnings of a page, as HTML."""
    part = report.page(folder).partition('<ul class="findings">')[2]
    return part.partition("</ul>")[0].split("<li ")[1:]


def test_a_sound_run_has_none(original):
    assert findings(original) == []


def test_an_unfinished_run_says_what_is_missing(run):
    (run / "retrain/pathology9/tuned/done.json").unlink()
    (run / "results.csv").unlink()
    shutil.rmtree(run / "pretrain")
    first, second, third = findings(run)
    assert "pretrain is not finished" in first
    assert "retrain/pathology9/tuned is not finished" in second
    assert "no results.csv" in third
    assert all("failure" in one for one in (first, second, third))
    assert [one.startswith('class="failure"') for one in listed(run)] == [
        True
    ] * 3


def test_a_stage_lacks_the_networks_that_another_encoder_has(run):
    for encoder, labels in (("tuned", ("A", "B")), ("frozen", ("B",))):
        stage = run / "retrain/pathology9" / encoder
        for label in labels:
            shutil.copytree(run / "pretrain", stage / label)
        (stage / "history.csv").unlink()
        (stage / "done.json").unlink()
    (only,) = findings(run)
    assert "retrain/pathology9/frozen is not finished" in only


def test_a_run_that_has_only_begun_has_a_page(run):
    for entry in run.iterdir():
        if entry.name not in ("recipe.yaml", "environment.json"):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (run / "environment.json").write_text("[{}]")
    page = Page(report.page(run))
    assert "There are no results yet." in page.text
    assert "The run has not come to its data." in page.text
    assert "Pretraining has written nothing yet." in page.text


def test_warnings_of_the_log_are_told_and_its_last_error_is_a_failure(run):
    with open(run / "log.txt", "a") as file:
        file.write("2026-01-02T03:05:00+00:00 WARNING casing: cased or not?\n")
        file.write("2026-01-02T03:06:00+00:00 ERROR pretrain: OSError: full\n")
    failure, warning = findings(run)
    assert "failure" in failure
    assert "pretrain: OSError: full" in failure
    assert "casing: cased or not?" in warning
    with open(run / "log.txt", "a") as file:
        file.write("2026-01-02T03:07:00+00:00 INFO pretrain: done\n")
    assert all("failure" not in one for one in findings(run))
    assert len(findings(run)) == 2


STOPS = (
    "2026-01-02T03:05:00+00:00 ERROR pretrain: Interrupted: saved in"
    " /r/ran at/pretrain at epoch 6, step 5 of 6\n",
    "2026-01-02T03:06:00+00:00 INFO pretrain: goes on at epoch 6, step 6\n",
    "2026-01-02T03:07:00+00:00 ERROR retrain/a/tuned/x%3Ay: Interrupted:\n",
    "2026-01-02T03:08:00+00:00 INFO pretrain: done before, kept\n",
    "2026-01-02T03:09:00+00:00 ERROR KeyboardInterrupt:\n",
    "2026-01-02T03:10:00+00:00 INFO pretrain: done before, kept\n",
)


def test_an_interruption_that_was_gone_on_from_is_history(run):
    with open(run / "log.txt", "a") as file:
        file.writelines(STOPS)
    assert findings(run) == []
    assert [
        (stop.stopped[14:16], stop.stage, stop.saved, stop.resumed[14:16])
        for stop in report_findings.stops(RunFolder(run))
    ] == [
        ("05", "pretrain", "epoch 6, step 5 of 6", "06"),
        ("07", "retrain/a/tuned/x%3Ay", "", "08"),
        ("09", "", "", "10"),
    ]
    text = Page(report.page(run)).text
    assert "and resumed: history, no error." in text
    assert (
        "2026-01-02 03:05:00 pretrain epoch 6, step 5 of 6 2026-01-02 03:06:00"
        in text
    )
    assert "Interrupted" not in text


AT_ONCE = {
    "saved in /r; at/retrain/a/tuned at epoch 2, step 1 of 2; saved in"
    " /r; at/retrain/b/tuned at the end of epoch 3": (
        ("retrain/a/tuned", "epoch 2, step 1 of 2"),
        ("retrain/b/tuned", "the end of epoch 3"),
    ),
    "saved in runs/retrain/b/tuned at the end of epoch 3": (
        ("retrain/a/tuned", ""),
        ("retrain/b/tuned", "the end of epoch 3"),
    ),
    "": (("retrain/a/tuned", ""), ("retrain/b/tuned", "")),
}


@pytest.mark.parametrize(("said", "expected"), AT_ONCE.items())
def test_an_interruption_of_two_stages_tells_where_each_was(
    run, said, expected
):
    with open(run / "log.txt", "a") as file:
        file.write(
            "2026-01-02T03:05:00+00:00 ERROR retrain/a/tuned, retrain/b/tuned:"
            f" Interrupted: {said}\n"
        )
        file.writelines(STOPS[1:2])
    found = report_findings.stops(RunFolder(run))
    assert tuple((stop.stage, stop.saved) for stop in found) == expected
    text = Page(report.page(run)).text
    for stage, saved in expected:
        assert f"2026-01-02 03:05:00 {stage} {saved or '-'} 2026" in text


def test_an_interruption_at_the_end_is_a_failure(run):
    with open(run / "log.txt", "a") as file:
        file.writelines(STOPS[:1])
    (failure,) = findings(run)
    assert failure.startswith("failure: 2026-01-02 03:05:00: pretrain: ")
    assert report_findings.stops(RunFolder(run)) == []
    assert "resumed" not in Page(report.page(run)).text


@pytest.mark.parametrize(
    "text",
    [
        "pretrain: OSError: Interrupted: no signal",
        "pretrain: OSError: [Errno 4] Interrupted system call",
        "pretrain: TrainingError: Interrupted",
    ],
)
def test_an_error_that_speaks_of_interruption_stays_one(run, text):
    with open(run / "log.txt", "a") as file:
        file.write(f"2026-01-02T03:05:00+00:00 ERROR {text}\n")
        file.writelines(STOPS[1:2])
    (warning,) = findings(run)
    assert text in warning
    assert report_findings.stops(RunFolder(run)) == []


def test_a_warning_of_every_start_is_told_once(run):
    with open(run / "log.txt", "a") as file:
        file.write("2026-01-02T03:05:00+00:00 WARNING small images\n")
        file.write("2026-01-02T03:06:00+00:00 WARNING small images\n")
        file.write("2026-01-02T03:06:00+00:00 WARNING casing\n")
    assert findings(run) == [
        "warning: 2026-01-02 03:05:00: small images",
        "warning: 2026-01-02 03:06:00: casing",
    ]


def caution(label, end):
    """What the log has of a label that lacks a class."""
    return (
        f"2026-01-02T03:05:00+00:00 WARNING /data: pathology9: {label}: no"
        f" positive one among 9 images, {end}. {untaught.REMEDY}\n"
    )


@pytest.mark.parametrize("end", [untaught.UNJUDGED, untaught.UNLEARNED])
def test_a_label_that_lacks_a_class_is_told_once(run, end):
    with open(run / "log.txt", "a") as file:
        file.write(caution("Edema", end))
    results = pd.read_csv(run / "results.csv")
    of_it = results["label"] == "Edema"
    results["note"] = results["note"].astype(object)
    results.loc[of_it, "note"] = "no positive one"
    results.to_csv(run / "results.csv", index=False)
    result, remedy = findings(run)
    assert result == "warning: pathology9, Edema: no positive one."
    assert remedy.startswith("warning: Labels that lack a class: take other ")
    (run / "results.csv").unlink()
    assert any(f"{end}. Take" in one for one in findings(run))


def test_a_warning_of_several_runs_of_a_grid_is_told_once(own_grid):
    for minute, variant in enumerate(("image_only", "local_mine")):
        with open(own_grid / variant / "seed0" / "log.txt", "a") as file:
            file.write(f"2026-01-02T03:0{minute}:00+00:00 WARNING small\n")
    (told,) = listed(own_grid)
    assert "image_only/seed0, local_mine/seed0: small" in told


def test_an_auc_that_is_not_defined_is_told(run):
    results = pd.read_csv(run / "results.csv")
    results["note"] = results["note"].astype(object)
    results.loc[0, ["value", "low", "high"]] = float("nan")
    results.loc[0, "note"] = "not defined: no positive"
    results.to_csv(run / "results.csv", index=False)
    (only,) = findings(run)
    assert "pathology9, Edema: frozen: not defined: no positive." in only
    assert "not defined (24/24)" in Page(report.page(run)).text


def test_read_outs_of_before_are_shown_without_what_they_lack(run):
    path = run / "pretrain" / "mutual_information.csv"
    rows = pd.read_csv(path)
    late = [name for name in rows if name.startswith("calibrated_")]
    late.remove("calibrated_error")
    assert late
    rows.drop(columns=late).to_csv(path, index=False)
    assert not findings(run)
    assert "0.820" in Page(report.page(run)).text


def test_a_read_out_that_cannot_be_trusted_is_told(run):
    # of the value that is shown, the calibrated one
    as_trained = {"reliable": False, "note": "as trained"}
    run_folders.information(run / "pretrain", **as_trained)
    assert not findings(run)
    changed = {
        "calibrated_reliable": False,
        "calibrated_note": "3 effective negatives",
    }
    run_folders.information(run / "pretrain", **changed)
    (only,) = findings(run)
    assert "matched pairs is unreliable: 3 effective negatives" in only
    shown = report_run._information(
        pd.read_csv(run / "pretrain" / "mutual_information.csv")
    )
    assert "NO" in shown
    assert "190" in shown
    assert "4,000" not in shown


def test_read_outs_unreliable_for_one_reason_are_one_warning(run):
    path = run / "pretrain" / "mutual_information.csv"
    rows = pd.read_csv(path)
    rows["calibrated_reliable"] = False
    rows["calibrated_note"] = "near its ceiling"
    other = rows.assign(name="infonce_symmetric", calibrated_note="few")
    pd.concat([rows, other, other.assign(name="nwj")]).to_csv(path, index=False)
    one, many = findings(run)
    name = rows["name"][0]
    assert one.endswith(
        f"{name} of the matched and shuffled pairs are unreliable: near its"
        " ceiling."
    )
    assert many.endswith(
        "infonce_symmetric, nwj of the matched and shuffled pairs are"
        " unreliable: few."
    )
    page = Page(report.page(run)).text
    assert page.count("near its ceiling") == 2  # the warning, and a note


@pytest.mark.parametrize(
    ("best", "error", "told"),
    [(0.009, 0.001, 1), (0.011, 0.001, 0), (0.1, 0.04, 1), (0.13, 0.04, 0)],
)
def test_a_bound_that_never_took_off_is_told(run, best, error, told):
    path = run / "pretrain" / "history.csv"
    history = pd.read_csv(path)
    history["val_mutual_information"] = [0.0, best, -0.1]
    history.to_csv(path, index=False)
    run_folders.information(run / "pretrain", standard_error=error)
    assert sum("never took off" in one for one in findings(run)) == told


@pytest.mark.parametrize(
    ("bound", "best", "told"),
    [
        ("jensen_shannon", -0.9, 0),
        ("jensen_shannon", -1.386, 1),
        ("cpc_pooled", -8.0, 0),
    ],
)
def test_a_bound_takes_off_from_its_own_chance(run, bound, best, told):
    replace(run / "recipe.yaml", "bound: mine", f"bound: {bound}")
    path = run / "pretrain" / "history.csv"
    history = pd.read_csv(path)
    history["val_mutual_information"] = [best - 1, best, best - 0.1]
    history.to_csv(path, index=False)
    found = [one for one in findings(run) if "never took off" in one]
    assert len(found) == told
    assert not any("nats" in one for one in found)


@pytest.mark.parametrize(
    ("bound", "caption", "best"),
    [
        ("mine", "The bound that", "value is 0.8## nats, in epoch"),
        (
            "smile",
            "The value of smile that",
            "value is 0.8## nats, no lower bound, in epoch",
        ),
        (
            "jensen_shannon",
            "The value of jensen_shannon that",
            "value is 0.8##, not nats of information, in epoch",
        ),
    ],
)
def test_the_curve_tells_what_its_values_are(run, bound, caption, best):
    replace(run / "recipe.yaml", "bound: mine", f"bound: {bound}")
    text = Page(report.page(run)).text
    assert f"{caption} pretraining maximises." in text
    assert re.search(best.replace("#", r"\d"), text)


def test_information_of_shuffled_pairs_is_told(run):
    path = run / "pretrain" / "mutual_information.csv"
    rows = pd.read_csv(path)
    rows.loc[1, "calibrated"] = 0.07
    rows.to_csv(path, index=False)
    (only,) = findings(run)
    assert "shuffled pairs is 0.070 nats" in only


def test_a_rule_that_gives_no_bound_is_told(run):
    replace(run / "recipe.yaml", "region: logsumexp", "region: matched")
    (only,) = findings(run)
    assert "`matched` gives no bound" in only


# Files


def test_it_is_written_whole_and_others_may_read_it(run):
    path = report.write(run)
    assert path == run / "report.html"
    assert Page(path.read_text("utf-8")).images
    assert path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in run.glob("*.html")] == ["report.html"]


def test_it_goes_where_it_is_told(run, tmp_path):
    path = report.write(run, tmp_path / "other.html")
    assert path.is_file()
    assert not (run / "report.html").exists()
    with pytest.raises(RunError, match=r"gone/x.html: cannot be written"):
        report.write(run, tmp_path / "gone" / "x.html")


def test_a_recipe_longer_than_any_is_refused(run):
    with open(run / "recipe.yaml", "ab") as file:
        file.write(b"#" * 2**20)
    with pytest.raises(RunError, match=r"recipe.yaml: .* 1,048,576 bytes;"):
        report.page(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="neither a run nor a grid"):
        report.page(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("results.csv", b""),
        ("predictions.csv", b'a,b\n"1'),
        ("environment.json", b"[{"),
        ("recipe.yaml", b"a: ["),
        ("recipe.yaml", b"none"),
        ("pretrain/history.csv", b"\xff\xfe\x00"),
        ("pretrain/sentences_and_regions.npz", b"PK"),
        ("pretrain/done.json", b"{"),
    ],
)
def test_a_damaged_file_is_named(run, name, content):
    (run / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        report.page(run)


# Tables


def test_the_numbers_of_a_column_have_as_many_decimals():
    frame = pd.DataFrame(
        {
            "name": ["a", "b"],
            "small": [0.01, -0.00001],
            "large": [0.01, 12345.6],
            "whole": [1234, 5],
            "none": [float("inf"), float("nan")],
            "told": [True, False],
        }
    )
    page = Page(f"<p>{report_html.table(frame, 'All.')}</p>")
    assert page.text.endswith(
        "a 0.0100 0.010 1,234 ∞ yes b 0.0000 12,346 5 - no"
    )


def test_a_long_table_is_cut_and_says_so():
    frame = pd.DataFrame({"row": range(1, 1002)})
    page = Page(report_html.table(frame, "All."))
    assert "All. The first 300 of 1,001 rows." in page.text
    assert "300" in page.text
    assert " 301" not in page.text


def test_a_picture_without_a_text_is_refused():
    with pytest.raises(ValueError, match="says what it shows"):
        report_html.figure(Figure(), " ")


# Grids


def test_a_grid_lists_its_runs_and_what_they_say_together(grid, grid_text):
    page = Page(grid_text)
    assert "local_mine/seed0 3 of 3" in page.text
    assert "2 of 2 runs are there" in page.text
    results = pd.read_csv(grid / "results.csv")
    row = results.query("encoder == 'tuned' and label == 'Edema'").iloc[0]
    assert "Edema (24/24)" in page.text
    assert f"{row.value:.3f}" in page.text
    assert "0.075 [0.010, 0.150] < 0.001 < 0.001" in page.text
    # in the order of the grid, not of the alphabet
    runs = page.text.partition("Failures")[2]
    assert 0 < runs.find("image_only") < runs.find("local_mine")
    for name in ("label-efficiency", "paired-tests", "roc-curves", "data"):
        assert name in page.ids


def test_several_seeds_give_a_mean_and_a_spread(tmp_path, undrawn):
    folder = run_folders.write_grid(tmp_path / "grid", seeds=2)
    page = Page(report.page(folder))
    results = pd.read_csv(folder / "results.csv")
    values = results.query("encoder == 'tuned' and label == 'mean'")["value"]
    assert f"{values.mean():.3f} ± {values.std():.3f}" in page.text


def test_a_grid_tells_of_every_pretraining_before_the_rest():
    low, lower, rare = (
        report_grid.Finding(report_grid.WARNING, text)
        for text in ("never took off: 0.001.", "never took off: 0.", "no x.")
    )
    told = report_grid._concerns({"a": [low, rare], "b": [lower, rare]}, [])
    assert [one.text for one in told] == [
        "a: never took off: 0.001.",
        "b: never took off: 0.",
        "a, b: no x.",
    ]


def test_a_run_that_has_a_page_is_linked(own_grid):
    report.write(own_grid / "local_mine" / "seed0")
    urls = Page(report.page(own_grid)).urls
    assert "./local_mine/seed0/report.html" in urls
    assert "./image_only/seed0/report.html" not in urls


def test_a_link_to_a_run_is_a_place_whatever_its_name(own_grid):
    name = "javascript:alert(1)#"
    shutil.copytree(own_grid / "local_mine", own_grid / name)
    report.write(own_grid / name / "seed0")
    urls = Page(report.page(own_grid)).urls
    assert "./javascript%3Aalert%281%29%23/seed0/report.html" in urls
    assert not any(url.startswith("javascript") for url in urls)


def test_a_difference_that_is_not_defined_is_a_dash(own_grid):
    path = own_grid / "comparisons.csv"
    frame = pd.read_csv(path)
    frame.loc[0, ["difference", "low", "high"]] = np.nan
    frame.to_csv(path, index=False)
    assert "nan [" not in Page(report.page(own_grid)).text


def test_a_mean_without_some_of_its_labels_says_so_at_the_top(run):
    results = pd.read_csv(run / "results.csv")
    results["note"] = results["note"].astype(object)
    results.loc[results["label"] == "mean", "note"] = "mean of 1 of 2 labels"
    results.to_csv(run / "results.csv", index=False)
    summary = Page(report.page(run)).text.partition("The stages of")[0]
    assert "mean of 1 of 2 labels" in summary


def test_a_picture_of_no_curves_does_not_tell_of_curves(run):
    predictions = pd.read_csv(run / "predictions.csv")
    predictions.loc[predictions["label"] == "Edema", "target"] = 0
    predictions.to_csv(run / "predictions.csv", index=False)
    alts = [image["alt"] for image in Page(report.page(run)).images]
    assert "ROC curves of Edema: not defined, as a class is missing" in alts
    assert not any(alt.startswith("ROC curves of Edema for") for alt in alts)


@pytest.mark.parametrize(("seeds", "told"), [(1, False), (2, True)])
def test_a_spread_over_seeds_is_told_where_there_are_several(seeds, told):
    results = pd.DataFrame({"seed": range(seeds)})
    assert ("over seeds" in report_grid._seeds(results)) == told


def test_a_grid_tells_of_pretrainings_and_of_what_chance_reads(own_grid):
    copy = own_grid / "local_mine" / "seed1"
    shutil.copytree(own_grid / "local_mine" / "seed0", copy)
    replace(copy / "recipe.yaml", "bound: mine", "bound: jensen_shannon")
    text = Page(report.page(own_grid)).text
    assert "a curve for each pretraining; grey: what" in text
    assert "reads by chance, 0 and -1.39." in text
    assert "variant pretrainings best bound" in text
    assert "local_mine 1 " in text.partition("best bound")[2]
    assert "best bound (nats)" not in text
    assert "in nats where no note says otherwise" in text
    assert "the value of jensen_shannon: not nats of information" in text


def test_a_grid_tells_the_bounds_of_the_paper_in_nats(own_grid):
    text = Page(report.page(own_grid)).text
    assert "variant pretrainings best bound (nats) ceiling (nats)" in text
    assert "where no note says otherwise" not in text


def test_a_grid_says_whose_environment_it_tells(own_grid):
    text = Page(report.page(own_grid)).text
    assert "Every start of image_only/seed0, the first run." in text
    assert "each that was evaluated has a page of its own" in text
    assert "failures and warnings image_only/seed0" in text


def test_variants_without_a_curve_are_counted(own_grid, monkeypatch):
    monkeypatch.setattr(report_grid, "_CURVES", 1)
    text = Page(report.page(own_grid)).text
    (one, other) = (f"{name}/seed0" for name in ("image_only", "local_mine"))
    assert f"Of the runs {one} (1 more not drawn), with the last" in text
    assert f"Of the runs {one}, {other}" not in text


def test_predictions_are_read_of_what_is_drawn_alone(own_grid, monkeypatch):
    monkeypatch.setattr(report_grid, "_CURVES", 1)
    read, table = [], RunFolder.table

    def watched(run, name):
        read.append((run.path.parent.name, name))
        return table(run, name)

    monkeypatch.setattr(RunFolder, "table", watched)
    list(report_grid._roc(GridFolder(own_grid)))
    assert read == [("image_only", "predictions.csv")]


def test_a_variant_is_drawn_by_the_first_run_that_has_predictions(own_grid):
    seed0 = own_grid / "local_mine" / "seed0"
    shutil.copytree(seed0, seed0.with_name("seed1"))
    (seed0 / "predictions.csv").unlink()
    text = Page(report.page(own_grid)).text
    assert "Of the runs image_only/seed0, local_mine/seed1, with" in text


def test_a_grid_tells_what_failed_and_what_has_not_begun(own_grid):
    replace(own_grid / "grid.yaml", "seeds: [0]", "seeds: [0, 1]")
    log = own_grid / "local_mine" / "seed0" / "log.txt"
    log.write_text("2026-01-02T03:06:00+00:00 ERROR pretrain: TrainingError: x")
    failure, warning = listed(own_grid)
    assert "local_mine/seed0: 2026" in failure
    assert "TrainingError: x" in failure
    assert "Not begun: image_only/seed1, local_mine/seed1." in warning
    assert "2 of 4 runs are there" in Page(report.page(own_grid)).text


def test_members_with_numbers_of_labels_are_known(own_grid):
    replace(own_grid / "grid.yaml", "labels: null", "labels: [50, 0.25, all]")
    member = own_grid / "local_mine"
    (member / "seed0").rename(member / "labels50-seed0")
    (warning,) = listed(own_grid)
    assert "local_mine/labels50-seed0" not in warning
    assert "local_mine/labels0.25-seed0" in warning
    assert "image_only/labelsall-seed0" in warning


def test_members_are_in_the_order_of_their_labels_and_seeds(tmp_path):
    names = [
        *("labels50-seed2", "labels50-seed10", "labels1000-seed0"),
        *("labelsall-seed0", "labelsall-seed1"),
    ]
    for name in reversed(names):
        (tmp_path / "local_mine" / name).mkdir(parents=True)
        (tmp_path / "local_mine" / name / "recipe.yaml").write_text("seed: 0")
    (tmp_path / "grid.yaml").write_text("grid: {recipes: [local_mine]}\n")
    found = list(GridFolder(tmp_path).members)
    assert found == [f"local_mine/{name}" for name in names]


def test_written_tables_are_shown_instead(own_grid):
    (own_grid / "tables").mkdir()
    (own_grid / "tables" / "table_2.md").write_text(
        "# Table 2\n\n| method | Edema (1/2) |\n|---|---|\n"
        "| local | **0.9** a\\|b |\n\nBold: the best.\n"
    )
    text = report.page(own_grid)
    assert "<b>0.9</b> a|b" in text
    assert "Bold: the best." in Page(text).text


def test_a_grid_that_has_only_begun_has_a_page(tmp_path):
    (tmp_path / "grid.yaml").write_text(
        "name: new\ngrid:\n  recipes: [local_mine, a/b.yaml]\n  seeds: [0]\n"
    )
    page = Page(report.page(tmp_path))
    assert "Not begun: local_mine/seed0, b/seed0." in page.text
