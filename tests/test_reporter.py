"""How numbers are told."""

import pytest

from kerasmi.reporter import counted, percent


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2000, ("labelled image",), "2,000 labelled images"),
        (1, ("study", "studies"), "1 study"),
        (3, ("study", "studies"), "3 studies"),
    ],
)
def test_one_thing_is_told_in_the_singular(number, words, told):
    assert counted(number, *words) == told


@pytest.mark.parametrize(
    ("share", "told"),
    [
        *((0.95, "95%"), (0.9, "90%"), (0.5, "50%"), (0.07, "7%")),
        *((0.999, "99.9%"), (0.975, "97.5%"), (0.9999999, "99.99999%")),
    ],
)
def test_a_confidence_is_told_as_it_was_given(share, told):
    assert percent(share) == told
