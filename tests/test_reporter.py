"""How numbers are told."""

import pytest

from kerasmi.reporter import counted


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
