"""Files that a command writes: refused at once, else whole or not at all."""

import os

import pytest

from kerasmi import output_files
from kerasmi.errors import RunError
from kerasmi.output_files import OutputError


def test_a_file_appears_whole_with_its_folder(tmp_path):
    path = tmp_path / "a/b.csv"
    output_files.write(path, lambda beside: beside.write_text("x\n"))
    assert path.read_text() == "x\n"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_fails_half_way_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def half(beside):
        beside.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match=r"a\.csv: cannot be written: No sp"):
        output_files.write(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_not_there_stands_in_the_nearest_folder_that_is(tmp_path):
    (tmp_path / "a").mkdir()
    for path in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c"):
        assert output_files.standing(path) == tmp_path / "a"


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("The heart is large.", "the-heart-is-large"),
        ("a/../b\\c:$", "a-b-c"),
        ("  ?!", "unnamed"),
        ("Herzgröße", "herzgröße"),
        ("w" * 40, "w" * 32),
        ("ab " * 11, "-".join(["ab"] * 11)),
    ],
)
def test_a_slug_is_letters_digits_and_hyphens(text, slug):
    assert output_files.slug(text) == slug


def test_an_existing_file_needs_force(tmp_path):
    path = tmp_path / "a.PNG"
    path.write_text("old")
    with pytest.raises(OutputError, match="--force overwrites it"):
        output_files.check_file(path, (".png",), force=False)
    output_files.check_file(path, (".png",), force=True)
    (tmp_path / "b.png").mkdir()
    with pytest.raises(OutputError, match="a folder; give the name of a file"):
        output_files.check_file(tmp_path / "b.png", (".png",), force=True)


@pytest.mark.parametrize("leads_to", ["..", "../elsewhere", "/etc"])
def test_a_link_must_not_lead_out_of_what_was_given(tmp_path, leads_to):
    run = tmp_path / "run"
    run.mkdir()
    (run / "made").symlink_to(leads_to)
    for path in (run / "made", run / "made" / "a.png"):
        with pytest.raises(OutputError, match=r"a link leads out of .*/run; "):
            output_files.check_within(path, run)


def test_a_link_that_stays_inside_or_leads_there_is_no_matter(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "short").symlink_to("run")
    (tmp_path / "run/b").symlink_to("a")
    output_files.check_within(tmp_path / "short/b/c.png", tmp_path / "short")


def test_a_new_folder_must_not_exist_and_another_may(tmp_path):
    output_files.check_folder(tmp_path, new=False)
    output_files.check_folder(tmp_path / "new/er", new=True)
    with pytest.raises(OutputError, match="exists; give another --output"):
        output_files.check_folder(tmp_path, new=True)
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_has_its_name_only_when_it_is_whole(tmp_path):
    with output_files.new_folder(tmp_path / "a/b") as beside:
        (beside / "x").write_text("1")
        assert not (tmp_path / "a/b").exists()
    assert os.listdir(tmp_path / "a") == ["b"]
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o755


def test_what_fails_inside_a_new_folder_is_told_as_what_it_is(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"records\.tfrecord"),
        output_files.new_folder(tmp_path / "a"),
    ):
        (tmp_path / "records.tfrecord").read_bytes()
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_refused_is_told_as_asked(tmp_path):
    (tmp_path / "file").write_text("")
    words = r"a: cannot be written: .*; give another --output$"
    with (
        pytest.raises(RunError, match=words),
        output_files.new_folder(
            tmp_path / "file/a", RunError, "give another --output"
        ),
    ):
        pass
    with (
        pytest.raises(OutputError, match="b: cannot be written: No space"),
        output_files.written(tmp_path / "b"),
    ):
        raise OSError(28, "No space left on device")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    def fill(beside):
        beside.write_text("ne")
        raise ZeroDivisionError

    path = tmp_path / "a.html"
    with output_files.replaced(path) as beside:
        beside.write_text("old")
    assert path.stat().st_mode & 0o777 == 0o644
    with (
        pytest.raises(ZeroDivisionError),
        output_files.replaced(path) as beside,
    ):
        fill(beside)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.html"]
