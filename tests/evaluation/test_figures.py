"""Figures show what they were given, and leave pyplot alone."""

import io
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont
from matplotlib.image import imread
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from kerasmi.evaluation import auc, drawing, figures, region_maps
from kerasmi.output_files import OutputError


def history(ceiling=None, epochs=4):
    frame = pd.DataFrame(
        {
            "epoch": range(epochs),
            "mutual_information": np.linspace(0.1, 1.0, epochs),
            "val_mutual_information": np.linspace(0.1, 0.9, epochs),
        }
    )
    return frame if ceiling is None else frame.assign(val_ceiling=ceiling)


def predictions():
    rng = np.random.default_rng(0)
    frames = []
    for encoder in ("frozen", "tuned"):
        for label in ("Edema", "Pneumonia"):
            targets = np.arange(60) % 2
            scores = targets + rng.normal(size=60)
            if label == "Pneumonia":
                targets = np.ones(60, int)
            frames.append(
                pd.DataFrame(
                    {
                        "task": "pathology9",
                        "encoder": encoder,
                        "image_id": [f"i{k}" for k in range(60)],
                        "study_id": "s",
                        "subject_id": [f"p{k // 2}" for k in range(60)],
                        "split": "test",
                        "label": label,
                        "target": targets,
                        "score": scores,
                    }
                )
            )
    return pd.concat(frames)


def words(axes):
    legend = axes.get_legend()
    named = [] if legend is None else [t.get_text() for t in legend.texts]
    return " ".join([t.get_text() for t in axes.texts] + named)


def heights(axes):
    return [line.get_ydata()[0] for line in axes.lines]


def test_a_ceiling_in_reach_is_drawn_at_its_height():
    axes = figures.training_curves(history(ceiling=2.0)).axes[0]
    assert 2.0 in heights(axes)
    assert "2.00 nats" in words(axes)
    assert axes.get_ylabel() == "bound (nats)"


def test_chance_is_a_line_where_the_bound_has_such_a_level():
    axes = figures.training_curves(history(), chance=-1.386).axes[0]
    assert -1.386 in heights(axes)
    assert "chance" in [text.get_text() for text in axes.get_legend().texts]
    axes = figures.training_curves(history(), chance=None).axes[0]
    assert "chance" not in [t.get_text() for t in axes.get_legend().texts]


def test_each_level_of_chance_is_a_line_under_the_bounds_of_variants():
    one = history()
    axes = figures.bound_curves({"a": [one]}, chances=(0, -1.386)).axes[0]
    assert {0, -1.386} <= set(heights(axes))


def test_a_ceiling_far_above_is_named_and_the_curves_keep_their_height():
    axes = figures.training_curves(history(ceiling=6.0)).axes[0]
    assert 6.0 not in heights(axes)
    assert "6.00 nats" in words(axes)
    assert axes.get_ylim()[1] < 2


def test_a_bound_without_a_ceiling_is_shown_without_one():
    shown = history(ceiling=2.0)
    axes = figures.training_curves(shown, ceiling=False).axes[0]
    assert 2.0 not in heights(axes)
    assert "ceiling" not in words(axes)


def test_epochs_are_counted_from_one():
    axes = figures.training_curves(history()).axes[0]
    assert list(axes.lines[0].get_xdata()) == [1, 2, 3, 4]


def test_a_history_without_the_bound_names_its_columns():
    with pytest.raises(ValueError, match="mutual_information"):
        figures.training_curves(pd.DataFrame({"epoch": [0], "loss": [1.0]}))


def test_the_best_validation_epoch_has_a_mark():
    histories = {
        "frozen": pd.DataFrame({"epoch": [0, 1, 2], "val_auc": [0.5, 0.7, 0.6]})
    }
    axes = figures.validation_curves(histories).axes[0]
    curve, mark = axes.lines[:2]
    assert list(curve.get_xdata()) == [1, 2, 3]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (2, 0.7)
    assert words(axes) == "frozen"


def test_a_variant_has_one_colour_and_a_curve_for_each_run():
    histories = {"local_cpc": [history(), history()], "local_mine": [history()]}
    axes = figures.bound_curves(histories).axes[0]
    one, other, third = (line.get_color() for line in axes.lines[:3])
    assert one == other != third
    assert words(axes) == "local cpc local mine"


def test_a_run_of_one_epoch_is_a_point():
    one = pd.DataFrame({"epoch": [0], "val_mutual_information": [0.1]})
    two = pd.DataFrame({"epoch": [0, 1], "val_mutual_information": [0.1, 0.2]})
    axes = figures.bound_curves({"local_mine": [one, two]}).axes[0]
    point, line = (line.get_marker() for line in axes.lines[:2])
    assert point not in ("None", "")
    assert line == "None"


def test_the_roc_curve_ends_in_both_corners_inside_its_band():
    figure = figures.roc_curves(predictions(), resamples=50)
    edema, absent = figure.axes
    rows = predictions().query("encoder == 'tuned' and label == 'Edema'")
    area = auc.auc(rows["target"], rows["score"])
    assert f"tuned AUC {area:.2f}" in words(edema)
    curve = edema.lines[-1].get_xydata()
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    # The area under the drawn curve is the AUC that stands beside it.
    assert sklearn.metrics.auc(*curve.T) == pytest.approx(area)
    assert "not defined" in words(absent)
    assert not absent.lines


def test_an_encoder_without_a_class_is_named_in_the_panel():
    rows = predictions().query("label == 'Edema'").copy()
    rows.loc[rows.encoder == "frozen", "target"] = 1
    figure = figures.roc_curves(rows, resamples=20)
    assert "frozen not defined: no negative" in words(figure.axes[0])


def test_many_names_stand_below_their_panel():
    one = predictions().query("encoder == 'tuned' and label == 'Edema'")
    names = ["a", "b", "c", "d", "e"]
    rows = pd.concat([one.assign(encoder=name) for name in names])
    figure = figures.roc_curves(rows, resamples=10)
    figures.to_array(figure)
    axes = figure.axes[0]
    assert axes.get_legend().get_window_extent().y1 < axes.bbox.y0


def test_the_forest_marks_each_value_and_names_what_is_not_defined():
    results = auc.evaluate(predictions(), resamples=50)
    axes = figures.forest(results).axes[0]
    marks = np.concatenate([line.get_xdata() for line in axes.lines])
    values = results["value"].dropna()
    assert np.isin(values, marks).all()
    assert "not defined: no negative" in words(axes)
    assert "30 / 30" in words(axes)


def test_a_note_of_what_is_not_defined_opens_no_other_font():
    def fonts(rows):
        figure = figures.forest(auc.evaluate(rows, resamples=20))
        texts = figure.findobj(Text)
        return {findfont(text.get_fontproperties()) for text in texts}

    rows = predictions()
    defined = rows[rows["label"] == "Edema"]
    # matplotlib keeps the file of each font open as long as the process lives
    assert fonts(rows) == fonts(defined)


def test_the_map_colours_the_region_with_the_highest_score():
    maps = np.zeros((4, 4))
    maps[3, 0] = 1.0
    alpha = region_maps._overlay(maps, (64, 64))[..., 3]
    assert alpha[56, 8] > 0.5
    assert np.unravel_index(alpha.argmax(), alpha.shape)[0] >= 48
    assert np.unravel_index(alpha.argmax(), alpha.shape)[1] < 16
    assert alpha[8, 56] == 0


def test_the_outline_is_the_border_of_the_true_cells():
    truth = np.zeros(16)
    truth[[0, 1]] = 1
    figure = figures.region_maps(
        np.zeros((1, 64, 64)), ["Opacity."], np.zeros((1, 4, 4)), [truth]
    )
    lines = figure.axes[0].collections[0].get_segments()
    corners = np.concatenate(lines)
    # Two cells of 16 pixels side by side: six edges about 32 x 16 pixels.
    assert len(lines) == 6
    assert corners.min(axis=0).tolist() == [-0.5, -0.5]
    assert corners.max(axis=0).tolist() == [31.5, 15.5]


def test_long_sentences_are_wrapped_and_dollars_are_no_formula():
    images = np.zeros((2, 32, 32, 1))
    sentences = ["a $100 heart " * 20, "No change."]
    figure = figures.region_maps(images, sentences, np.zeros((2, 4, 4)))
    title = figure.axes[0].get_title()
    assert title.count("\n") == 2
    assert title.endswith("…")
    figures.to_array(figure)


def test_maps_without_images_are_refused():
    with pytest.raises(ValueError, match="one map per image"):
        figures.region_maps(np.zeros((2, 8, 8)), ["a"], np.zeros((2, 4, 4)))


def test_a_figure_becomes_an_array_of_its_size():
    array = figures.to_array(figures.training_curves(history()))
    assert array.dtype == np.uint8
    assert array.shape == (480, 768, 3)
    assert array.min() < 100 < array.max()


def test_saving_replaces_the_file_whole_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "figures" / "curve.png"
    figure = figures.training_curves(history())
    figures.save(figure, path)
    figures.save(figure, path)
    assert [p.name for p in path.parent.iterdir()] == ["curve.png"]
    assert imread(path).shape[:2] == (480, 768)


def test_a_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "curve.png"
    path.write_bytes(b"old")
    figure = figures.training_curves(history())

    def broken(beside, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", broken)
    with pytest.raises(OSError, match="disk full"):
        figures.save(figure, path)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_neither_pyplot_nor_tensorflow_nor_keras_is_imported():
    program = (
        "import sys\n"
        "from kerasmi.evaluation import figures, mutual_information, tables\n"
        "names = {'matplotlib.pyplot', 'tensorflow', 'keras'}\n"
        "print(sorted(names & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_figure_is_laid_out_once_and_looks_as_matplotlib_writes_it(
    tmp_path, monkeypatch
):
    def drawn():
        columns = {"epoch": [0, 1], "mutual_information": [0.1, 0.4]}
        history = columns | {"ceiling": [4.1, 4.1]}
        return figures.training_curves(pd.DataFrame(history), ceiling=True)

    laid_out = []
    real = ConstrainedLayoutEngine.execute

    def watched(engine, figure):
        laid_out.append(figure)
        return real(engine, figure)

    drawn().savefig(tmp_path / "theirs.png", dpi=150)
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", watched)
    drawing.write(drawn(), str(tmp_path / "ours.png"), 150)
    assert len(laid_out) == 1
    drawing.save_asked(drawn(), tmp_path / "new" / "asked.png")
    assert len(laid_out) == 2
    ours, theirs = (
        imread(tmp_path / f"{name}.png") for name in ("ours", "theirs")
    )
    np.testing.assert_array_equal(ours, theirs)


def test_letters_that_no_font_has_do_not_stop_a_figure(tmp_path):
    figure = Figure((1, 1))
    figure.text(0, 0, "日本")
    drawing.save_asked(figure, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match=r"b\.png: cannot be written"):
        drawing.save_asked(Figure((1, 1)), tmp_path / "taken" / "b.png")


def test_a_file_gets_a_png_whatever_the_settings_of_matplotlib():
    file = io.BytesIO()
    with matplotlib.rc_context({"savefig.format": "pdf"}):
        drawing.write(figures.training_curves(history()), file, 50)
    assert file.getvalue().startswith(b"\x89PNG")
