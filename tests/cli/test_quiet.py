import subprocess
import sys

import pytest

NOISE = "import os; os.write(2, b'cuda? ')\n"


def _stderr(code):
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    return answer.stderr


def test_noise_from_below_python_is_held_back():
    code = "from kerasmi.cli.quiet import quiet\nwith quiet():\n  " + NOISE
    assert _stderr(code) == ""


def test_the_block_is_the_only_quiet_place():
    code = (
        "from kerasmi.cli.quiet import quiet\nwith quiet():\n  pass\n" + NOISE
    )
    assert _stderr(code) == "cuda? "


@pytest.mark.parametrize(
    ("error", "shown"), [("OSError", True), ("errors.DataError", False)]
)
def test_a_failure_shows_what_was_held_back(error, shown):
    code = (
        "from kerasmi import errors\n"
        "from kerasmi.cli.quiet import quiet\n"
        f"with quiet():\n  {NOISE}  raise {error}('x')"
    )
    text = _stderr(code)
    assert ("cuda? " in text) is shown
    assert "Error: x" in text


def test_the_users_log_level_is_kept(monkeypatch):
    from kerasmi.cli.quiet import quiet

    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    with quiet():
        import os

        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "0"
