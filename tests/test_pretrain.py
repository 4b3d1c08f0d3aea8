"""What is shown of a pretraining while it runs."""

from typing import get_args

import pytest

from kerasmi import pretrain
from kerasmi import recipe as recipes
from kerasmi.recipe_schema import Bound


@pytest.mark.parametrize("bound", get_args(Bound))
def test_the_ceiling_is_shown_of_infonce_alone(bound):
    words = list(pretrain.shown(bound).values())
    ceiling = ["ceiling"] if bound == "cpc" else []
    without_unit = bound in ("jensen_shannon", "cpc_pooled")
    word = "value" if without_unit else "bound"
    assert words == [word, *ceiling, "validation"]


@pytest.mark.parametrize(("bound", "drawn"), [("mine", False), ("cpc", True)])
def test_the_curves_have_a_ceiling_where_the_progress_line_has(
    tmp_path, monkeypatch, bound, drawn
):

    asked = []

    def curves(history, ceiling, chance, axis):
        asked.append(ceiling)

    monkeypatch.setattr(pretrain.figures, "training_curves", curves)
    monkeypatch.setattr(pretrain.figures, "save", lambda *_: None)
    (tmp_path / "history.csv").write_text("epoch,mutual_information\n0,0.1\n")
    recipe = recipes.load(f"global_{bound}")
    pretrain._draw(recipe, None, None, tmp_path)
    assert asked == [drawn]
