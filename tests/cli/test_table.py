"""`kerasmi table` on run folders that were never trained."""

import io
import json
import shutil

import pandas as pd
import pytest
from click.testing import CliRunner
from played_runs import play_run

from kerasmi import collection, grid_recipe, table_data
from kerasmi import recipe as recipes
from kerasmi.cli import main
from kerasmi.evaluation import comparisons
from kerasmi.runs import Run

SMALL = "data.images={train: 16, validation: 6, test: 6}"
FEW = "retrain.labels=10"


@pytest.fixture
def kerasmi(tmp_path, monkeypatch):
    """Types `kerasmi table` in an empty folder, with few resamples."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(
        main, ["table", *map(str, arguments), "--resamples", "50"]
    )


@pytest.fixture
def grid(tmp_path):
    """A grid's folder: three variants with two seeds each."""
    for seed in (0, 1):
        for recipe, effect in (
            ("image_only", 0.5),
            ("global_mine", 1.0),
            ("local_mine", 2.0),
        ):
            folder = tmp_path / "grid" / recipe / f"seed{seed}"
            play_run(folder, recipe, f"seed={seed}", effect=effect)
    return tmp_path / "grid"


def _one_error(result, *parts):
    assert result.exit_code == 2, result.output
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ")
    assert all(part in line for part in parts), line


def _rows(result):
    return pd.read_csv(io.StringIO(result.stdout))


def test_a_grid_makes_tables_2_and_3_of_all_its_runs(kerasmi, grid):
    result = kerasmi(grid)
    assert result.exit_code == 0, result.stderr
    assert "## Table 2. AUC of edema severity" in result.stdout
    assert "## Table 3. AUC of nine findings" in result.stdout
    rows = [row for row in result.stdout.splitlines() if "-mi-" in row]
    assert len(rows) == 2 * 4
    assert all("± " in row for row in rows)


def test_over_every_table_stand_the_data_and_the_label_policies(kerasmi, grid):
    shown = kerasmi(grid).stdout
    assert shown.count("Data: phantom, fingerprint ffffffffffff") == 2
    assert shown.count("Labels: uncertain left out, blank left out.") == 2
    assert shown.count("Re-trained on 200 labelled images") == 2


def test_runs_named_one_by_one_make_the_same_tables(kerasmi, grid):
    folders = sorted(path.parent for path in grid.rglob("recipe.yaml"))
    assert kerasmi(*reversed(folders), "--table", 3).stdout == (
        kerasmi(grid, "--table", 3).stdout
    )


def test_labels_that_nothing_taught_are_noted_below_the_table(kerasmi, grid):
    rows = [
        ("Edema", "nothing was learned of it: no negative one among 9 images"),
        ("Atelectasis", "the interval has no width: too few cases"),
        ("mean", "mean of 1 of 2 labels; nothing was learned of Edema"),
    ]
    results = pd.DataFrame(rows, columns=["label", "note"])
    for place in ("local_mine/seed0", "local_mine/seed1", "image_only/seed1"):
        encoders = set(pd.read_csv(grid / place / "predictions.csv")["encoder"])
        pd.concat(
            results.assign(task="pathology9", encoder=one) for one in encoders
        ).to_csv(grid / place / "results.csv", index=False)
    shown = kerasmi(grid).stdout
    assert (
        "Edema (2 of 5 methods): nothing was learned of it: no negative one"
        " among 9 images.\n"
    ) in shown
    assert (
        "Edema (1 of 5 methods): nothing was learned of it: no negative one"
        " among 9 images, in 1 of 2 seeds.\n"
    ) in shown
    assert "mean (2 of 5 methods): nothing was learned of Edema.\n" in shown
    assert "no width" not in shown
    assert shown.count("nothing was learned") == 4
    found = _rows(kerasmi(grid, "--table", 3, "--format", "csv"))
    noted = found[found["note"].notna()]
    assert set(noted["label"]) == {"Edema", "mean"}
    assert set(noted["variant"]) == {
        "local-mi-mine",
        "image-only-supervised",
    }


def test_a_run_given_twice_counts_once(kerasmi, grid):
    twice = kerasmi(grid, grid / "local_mine", "--format", "csv")
    assert twice.stdout == kerasmi(grid, "--format", "csv").stdout


def test_one_table_can_be_asked_for(kerasmi, grid):
    shown = kerasmi(grid, "--table", 2).stdout
    assert "Table 2" in shown
    assert "Table 3" not in shown


def test_csv_holds_numbers_of_every_method_and_label(kerasmi, grid):
    found = _rows(kerasmi(grid, "--format", "csv"))
    assert set(found["n_seeds"]) == {2}
    assert len(found) == 5 * (3 + 4)
    best = found[found["label"] == "mean"].sort_values("mean").iloc[-1]
    assert best["variant"] == "local-mi-mine"
    assert best["low"] < best["mean"] < best["high"]


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("markdown", "## Table"),
        ("latex", "% \\usepackage{booktabs"),
        ("html", "<!DOCTYPE html>"),
        ("csv", "table,source,task,"),
    ],
)
def test_the_format_is_the_one_asked_for(kerasmi, grid, form, start):
    assert kerasmi(grid, "--format", form).stdout.startswith(start)


def test_a_file_is_written_and_overwritten_only_when_told(
    kerasmi, grid, tmp_path
):
    command = (grid, "--table", 3, "--output", "three.md")
    result = kerasmi(*command)
    assert result.stdout == "three.md\n"
    text = (tmp_path / "three.md").read_text()
    assert text == kerasmi(grid, "--table", 3).stdout
    (tmp_path / "three.md").write_text("precious")
    _one_error(kerasmi(*command), "three.md: exists; --force")
    assert (tmp_path / "three.md").read_text() == "precious"
    assert kerasmi(*command, "--force").exit_code == 0
    assert (tmp_path / "three.md").read_text() == text


def test_a_file_that_cannot_be_written_is_one_line(kerasmi, grid):
    _one_error(
        kerasmi(grid, "--output", "nowhere/three.md"),
        "nowhere/three.md: cannot be written",
    )


def test_the_paired_tests_are_shown_on_demand(kerasmi, grid):
    assert "local vs global" not in kerasmi(grid).stdout
    shown = kerasmi(grid, "--show-comparisons").stdout
    assert "## Paired tests" in shown
    assert "| local vs global " in shown


def test_holms_correction_does_not_depend_on_what_is_printed(kerasmi, grid):
    options = ("--show-comparisons", "--format", "csv")
    found = _rows(kerasmi(grid, "--table", 2, *options))
    tests = found[found["table"] == "Paired tests"]
    assert set(tests["task"]) == {"edema_severity"}
    runs, _ = collection.find([grid])
    every = comparisons.compare(collection.predictions(runs), resamples=50)
    expected = every[every["task"] == "edema_severity"]
    assert tests["p_holm"].tolist() == pytest.approx(
        expected["p_holm"].tolist()
    )


def test_the_confidence_is_that_of_the_recipes(kerasmi, tmp_path):
    for place, value in enumerate((0.5, 0.99)):
        setting = f"evaluate.confidence={value}"
        play_run(tmp_path / str(place), "local_mine", setting)
    narrow, wide = (
        _rows(kerasmi(place, "--format", "csv")) for place in (0, 1)
    )
    assert (narrow["low"] > wide["low"]).all()
    assert (narrow["high"] < wide["high"]).all()
    shown = kerasmi(0, "--show-comparisons").stdout
    assert "[50% interval" in shown
    assert "95%" not in shown


@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_two_numbers_of_labels_are_told_which_runs_make_a_table(
    kerasmi, tmp_path, seeds
):
    for number in (5, 50):
        for recipe in ("image_only", "local_mine"):
            for seed in seeds:
                name = f"labels{number}-seed{seed}"
                play_run(
                    tmp_path / "grid" / recipe / name,
                    *(recipe, f"retrain.labels={number}", f"seed={seed}"),
                )
    result = kerasmi("grid")
    star = "0" if len(seeds) == 1 else "*"
    told = f"kerasmi table grid/*/labels5-seed{star}"
    _one_error(result, "retrain.labels is 50, and 5 in grid/", f"`{told}`")
    folders = sorted(tmp_path.glob(told.removeprefix("kerasmi table ")))
    assert len(folders) == 2 * len(seeds)
    assert kerasmi(*folders).exit_code == 0


def test_runs_that_no_pattern_names_are_named_one_by_one(kerasmi, tmp_path):
    for place, name, number in (
        *((0, "a b", 5), (0, "ac", 50)),
        *((1, "d", 5), (2, "ad", 50)),
    ):
        settings = (f"retrain.labels={number}", f"seed={place}")
        play_run(tmp_path / name, "local_mine", *settings)
    told = "such as `kerasmi table 'a b' d`"
    _one_error(kerasmi("a b", "ac", "ad", "d"), told)


def test_more_resamples_are_more_resamples(kerasmi, grid):
    result = CliRunner().invoke(main, ["table", str(grid), "--resamples", "70"])
    assert "70 resamples of the 60 subjects" in result.stdout


# labels of one's own

OWN = ("retrain.tasks=[findings]", "retrain.findings=[Nodule, Edema]")


@pytest.fixture
def own(tmp_path):
    """Three variants re-trained on labels of one's own."""
    for recipe in ("image_only", "global_mine", "local_mine"):
        play_run(tmp_path / "own" / recipe, recipe, *OWN)
    return tmp_path / "own"


def test_findings_of_ones_own_have_a_table(kerasmi, own):
    result = kerasmi(own)
    assert result.exit_code == 0, result.stderr
    (heading,) = [x for x in result.stdout.splitlines() if x[:2] == "##"]
    assert heading == "## Findings. AUC of the findings"
    assert result.stdout == kerasmi(own, "--table", "findings").stdout
    assert kerasmi(own / "local_mine").exit_code == 0


@pytest.mark.parametrize(
    ("form", "part"),
    [
        ("latex", r"\caption{AUC of the findings}"),
        ("html", "<caption>Findings. AUC of the findings</caption>"),
        ("csv", "\nFindings,kerasmi,findings,Nodule,"),
    ],
)
def test_the_table_of_the_findings_is_in_every_format(kerasmi, own, form, part):
    assert part in kerasmi(own, "--format", form).stdout


def test_the_paired_tests_of_the_findings_are_those_of_table_3(kerasmi, own):
    shown = kerasmi(own, "--show-comparisons", "--format", "csv")
    tests = _rows(shown).query("table == 'Paired tests'")
    assert set(tests["task"]) == {"findings"}
    assert set(tests["label"]) == {"Nodule", "Edema", "mean"}
    assert set(tests["comparison"]) == {
        "local vs global",
        "tuned vs image-only",
        "frozen vs image-only",
    }


@pytest.mark.parametrize("number", [2, 3])
def test_the_papers_tables_of_such_runs_are_refused(kerasmi, own, number):
    _one_error(
        kerasmi(own, "--table", number),
        "no predictions of ",
        "Ask for --table findings, for findings, or train with retrain.tasks=",
    )


def test_runs_of_other_findings_are_refused_by_name(kerasmi, own, tmp_path):
    other = "retrain.findings=[Mass, Edema]"
    play_run(tmp_path / "other", "local_mine", OWN[0], other, "seed=1")
    _one_error(
        kerasmi(own, "other"),
        "other: retrain.findings is Edema, Mass, and Edema, Nodule in ",
    )


def test_the_order_of_the_findings_does_not_part_runs(kerasmi, own, tmp_path):
    other = "retrain.findings=[Edema, Nodule]"
    play_run(tmp_path / "other", "local_mine", OWN[0], other, "seed=1")
    assert kerasmi(own, "other").exit_code == 0


def test_all_tables_are_refused_only_where_there_is_none(kerasmi, with_data):
    folder, _ = with_data
    for name in ("one", "gone"):
        run = folder / name
        if name == "gone":
            play_run(run, "local_mine")
        path = run / "predictions.csv"
        whole = path.read_text()
        frame = pd.read_csv(path).assign(task="another")
        frame.to_csv(path, index=False)
        result = kerasmi(run)
        path.write_text(whole)
        if name == "one":
            assert result.exit_code == 0, result.stderr
            assert result.stdout.startswith("## Table 1. ")
        else:
            _one_error(result, "no predictions of ", " or findings. Train with")


# the paper's numbers


def test_beside_other_data_the_papers_numbers_say_so(kerasmi, grid):
    shown = kerasmi(grid, "--with-paper", "--table", 3).stdout
    rows = [row for row in shown.splitlines() if "| paper (MIMIC-CXR)" in row]
    assert len(rows) == 9
    assert all("other data: not comparable" in row for row in rows)


def test_beside_mimic_cxr_they_do_not(kerasmi, grid):
    for path in grid.rglob("environment.json"):
        (start,) = json.loads(path.read_text())
        start["data"] = {"source": "mimic-cxr", "path": "/gone"}
        path.write_text(json.dumps([start]))
        recipe = path.with_name("recipe.yaml")
        text = recipe.read_text().replace("source: phantom", "source: records")
        start, _, rest = text.partition("  # How many images the phantom")
        _, _, rest = rest.partition("  # Labels that the report")
        recipe.write_text(f"{start}  # Labels that the report{rest}")
    result = kerasmi(grid, "--with-paper", "--table", 3)
    assert result.exit_code == 0, result.stderr
    assert "Data: mimic-cxr" in result.stdout
    assert "not comparable" not in result.stdout
    assert result.stdout.count("| paper (MIMIC-CXR) ") == 9


# Table 1


@pytest.fixture(scope="module")
def with_data(tmp_path_factory):
    """A run beside a small phantom; the phantom; both where a run has them."""
    from kerasmi.data import write
    from kerasmi.data.schema import EDEMA_SEVERITY, PATHOLOGY9
    from kerasmi.data.sources import phantom

    folder = tmp_path_factory.mktemp("runs")
    data = write(
        phantom.generate(phantom.Phantom(train=16, validation=6, test=6), 1),
        folder / "data" / "small",
        name="small",
        source="phantom",
        label_names=(*PATHOLOGY9, EDEMA_SEVERITY),
        made_by={},
        image_size=64,
    )
    finger = data.fingerprint
    play_run(folder / "one", "local_mine", SMALL, FEW, fingerprint=finger)
    return folder, data


def test_table_1_counts_what_the_policies_leave(kerasmi, with_data):
    folder, data = with_data
    found = _rows(
        kerasmi(folder / "one", "--table", 1, "--format", "csv")
    ).set_index(["label", "split"])
    train = data.rows("train")["Edema"]
    one = found.loc[("Edema", "train")]
    assert one["n_positive"] == (train == 1).sum()
    assert one["n_negative"] == (train == 0).sum()
    # The test set is judged by the known answers, as the AUC is.
    truth = data.rows("test")["truth: Edema"]
    one = found.loc[("Edema", "test")]
    assert (one["n_positive"], one["n_images"]) == ((truth == 1).sum(), 6)
    assert (
        ".0"
        not in kerasmi(folder / "one", "--table", 1, "--format", "csv").stdout
    )
    severity = data.rows("train")["Edema Severity"]
    levels = found.loc[("Edema Severity", "train")]
    assert [levels[f"n_level_{level}"] for level in range(4)] == [
        (severity == level).sum() for level in range(4)
    ]


def test_table_1_follows_another_policy(kerasmi, with_data, tmp_path):
    folder, data = with_data
    policy = ("data.uncertain=ones", "data.blank=zero")
    there = play_run(
        folder / "policy",
        "local_mine",
        SMALL,
        FEW,
        *policy,
        fingerprint=data.fingerprint,
    )
    result = kerasmi(there, "--table", 1, "--format", "csv")
    found = _rows(result).set_index(["label", "split"])
    train = data.rows("train")["Edema"]
    one = found.loc[("Edema", "train")]
    assert one["n_images"] == 16
    assert one["n_positive"] == train.isin([1, -1]).sum()
    shown = kerasmi(there, "--table", 1).stdout
    assert "Labels: uncertain positive, blank negative." in shown


def test_table_1_stands_before_the_others(kerasmi, with_data):
    folder, _ = with_data
    shown = kerasmi(folder / "one", "--with-paper").stdout
    places = [shown.index(f"## Table {number}") for number in (1, 2, 3)]
    assert places == sorted(places)
    assert "65,129" in shown


def test_data_that_is_gone_leaves_out_table_1_and_says_so(kerasmi, grid):
    result = kerasmi(grid)
    assert "Table 1" not in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("Table 1 left out: ")
    assert line.endswith("its data is no longer where it was")
    _one_error(kerasmi(grid, "--table", 1), "no longer where it was")


def test_data_of_another_fingerprint_is_not_taken(with_data):
    folder, _ = with_data
    other = play_run(folder / "other", "local_mine", SMALL, FEW)
    assert table_data.dataset(Run.open(other)) is None


# what is refused


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"fingerprint": "0" * 64}, ["fingerprint is ffffffffffff"]),
        ({"override": "data.uncertain=ones"}, ["data.uncertain is"]),
        ({"override": "data.blank=zero"}, ["data.blank is"]),
        ({"override": "data.image_size=128"}, ["data.image_size is"]),
        ({"override": "retrain.labels=50"}, ["retrain.labels is", "50"]),
        ({"override": "retrain.tasks=[pathology9]"}, ["retrain.tasks is"]),
        ({"override": "evaluate.confidence=0.9"}, ["evaluate.confidence is"]),
    ],
)
def test_runs_of_different_data_are_refused_with_the_reason(
    kerasmi, tmp_path, changed, parts
):
    changed = dict(changed)
    overrides = [changed.pop("override")] if "override" in changed else []
    play_run(tmp_path / "a", "local_mine", *overrides, **changed)
    play_run(tmp_path / "b", "global_mine")
    result = kerasmi("a", "b")
    _one_error(result, "b: ", "in a;", *parts)
    assert result.stdout == ""


def test_two_runs_of_one_variant_and_seed_are_refused(kerasmi, tmp_path):
    for name in ("a", "b"):
        play_run(tmp_path / name, "local_mine")
    _one_error(kerasmi("a", "b"), "b: local-mi-mine with seed 0", " a is too")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("pretrain.epochs=3", "pretrain.epochs is 3, and 16 in"),
        ("pretrain.augmentation=null", "augmentation.rotation is not used"),
        ("objective.region=max", "objective.region is max, and logsumexp in"),
        ("retrain.learning_rate=0.1", "retrain.learning_rate is 0.1, and"),
        ("precision=mixed_bfloat16", "precision is mixed_bfloat16, and float"),
        ("text_encoder.max_tokens=99", "text_encoder.max_tokens is 99, and"),
    ],
)
def test_runs_of_one_row_differ_in_the_seed_alone(
    kerasmi, grid, override, told
):
    other = grid / "local_mine" / "seed2"
    play_run(other, "local_mine", "seed=2", override)
    first = grid / "local_mine" / "seed0"
    _one_error(
        kerasmi(grid), f"{other}: ", told, f"in {first}", "local-mi-mine"
    )
    _one_error(kerasmi(grid), f": leave out {other}, or make a table of each")
    shutil.rmtree(other)
    assert kerasmi(grid).exit_code == 0


def test_two_recipes_of_one_variant_are_told_apart_by_a_setting(
    kerasmi, tmp_path
):
    for region in ("max", "logsumexp"):
        for seed in (0, 1):
            settings = (f"objective.region={region}", f"seed={seed}")
            folder = tmp_path / region / f"seed{seed}"
            play_run(folder, "local_mine", *settings)
    play_run(tmp_path / "baseline", "image_only")
    _one_error(
        kerasmi("max", "logsumexp", "baseline"),
        "logsumexp/seed0: objective.region is logsumexp, and max in max/seed0",
        "(and 1 more)",
        ": leave out logsumexp/seed*, or make a table of each",
    )


def test_what_is_not_learned_may_differ_between_the_seeds(kerasmi, grid):
    free = ("intra_op_threads=null", "evaluate.bootstrap=7", "name=other")
    encoders = "retrain.encoders=[tuned]"
    other = grid / "local_mine" / "seed2"
    play_run(other, "local_mine", "seed=2", *free, encoders)
    result = kerasmi(grid)
    assert result.exit_code == 0, result.stderr
    assert "trained" not in result.stderr


def test_a_checkpoint_in_another_place_is_told(kerasmi, tmp_path):
    for seed, place in enumerate(("here", "here", "there", "there")):
        preset = f"text_encoder={{preset: clinical_bert, path: {place}}}"
        folder = tmp_path / str(seed)
        play_run(folder, "local_mine", f"seed={seed}", preset)
    result = kerasmi(0, 1, 2, 3)
    assert result.exit_code == 0, result.stderr
    (line,) = [x for x in result.stderr.splitlines() if "trained" in x]
    assert line == "2: not trained like 0: text_encoder.path: there, not here"


def test_the_grids_that_are_shipped_are_trained_alike(kerasmi, tmp_path):
    for name in recipes.names():
        if not recipes.is_grid(name):
            continue
        folder = tmp_path / name
        for member in grid_recipe.load(name).members:
            if member.labels in (None, "all"):
                path = folder / member.name
                play_run(path, member.recipe)
        result = kerasmi(folder)
        assert result.exit_code == 0, result.stderr
        assert "not trained like" not in result.stderr


def test_rows_that_differ_in_more_than_what_is_pretrained_are_told(
    kerasmi, tmp_path
):
    quick = ("retrain.epochs=9", "retrain.batch_size=8")
    for name, recipe, *settings in (
        ("a", "image_only"),
        ("b", "global_mine", "pretrain.epochs=3"),
        ("c", "local_mine", *quick),
        ("d", "local_mine", *quick, "seed=1"),
    ):
        play_run(tmp_path / name, recipe, *settings)
    result = kerasmi(*"abcd")
    assert result.exit_code == 0, result.stderr
    assert [x for x in result.stderr.splitlines() if "trained like" in x] == [
        "c: not trained like a: retrain.batch_size: 8, not 32",
        "c: not trained like b: retrain.epochs: 9, not 40",
    ]


def test_an_unfinished_run_is_refused_or_left_out(kerasmi, grid):
    late = grid / "local_mine" / "seed1"
    (late / "results.csv").unlink()
    _one_error(kerasmi(late), f"{late}: not finished", "--resume")
    result = kerasmi(grid)
    assert result.exit_code == 0
    assert f"{late}: not finished, left out\n" in result.stderr


def test_a_run_of_another_environment_is_told(kerasmi, grid):
    runs = sorted(path.parent for path in grid.rglob("environment.json"))
    for run, processors in zip(runs, (2, 2, 4, 2, 2, 2), strict=True):
        path = run / "environment.json"
        (start,) = json.loads(path.read_text())
        path.write_text(json.dumps([{**start, "processors": processors}]))
    result = kerasmi(grid)
    assert result.exit_code == 0
    (line,) = [x for x in result.stderr.splitlines() if "not made like" in x]
    assert line == (f"{runs[2]}: not made like {runs[0]}: processors: 4, not 2")


def test_predictions_of_other_images_are_refused(kerasmi, grid):
    path = grid / "local_mine" / "seed1" / "predictions.csv"
    frame = pd.read_csv(path)
    frame[frame["image_id"] != "i007"].to_csv(path, index=False)
    _one_error(kerasmi(grid), "must have the same images", "'i007'", "seed 1")


def test_a_table_of_a_task_that_no_run_has_is_refused(kerasmi, tmp_path):
    play_run(tmp_path / "a", "local_mine", "retrain.tasks=[pathology9]")
    _one_error(
        kerasmi("a", "--table", 2),
        "no predictions of edema_severity. Ask for --table 3, for pathology9, "
        "or train with retrain.tasks='[edema_severity]'",
    )
    _one_error(
        kerasmi("a", "--table", "findings"),
        "no predictions of findings. Ask for --table 3, for pathology9, or "
        "train with retrain.tasks='[findings]' retrain.findings='[LABEL]'",
    )
    assert kerasmi("a", "--table", 3).exit_code == 0
