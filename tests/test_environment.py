"""What `environment.json` says of a machine, and of two of them."""

from kerasmi import environment

NOW = {
    "started": "2026-01-01",
    "python": "3.11.7",
    "packages": {"tensorflow": "2.16.2", "keras": "3.15.1"},
    "processors": 2,
    "deterministic": True,
}


def test_a_start_says_what_decides_roundings():
    found = environment.describe()
    assert found["processors"] >= 1
    assert found["processor"]
    assert found["packages"]["tensorflow"]


def test_settings_of_tensorflow_are_told(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    found = environment.describe()["variables"]
    assert found["TF_NUM_INTRAOP_THREADS"] == "1"


def test_two_starts_alike_have_no_difference():
    later = {**NOW, "started": "2026-01-02", "command": "another"}
    assert environment.differences(NOW, later) == []


def test_every_difference_is_named():
    other = {
        **NOW,
        "packages": {"tensorflow": "2.17.0"},
        "processors": 4,
        "deterministic": False,
    }
    assert environment.differences(NOW, other) == [
        ("keras", "3.15.1", "none"),
        ("tensorflow", "2.16.2", "2.17.0"),
        ("processors", "2", "4"),
        ("deterministic", "True", "False"),
    ]


def test_a_fact_that_one_start_lacks_is_passed_over():
    without = {k: v for k, v in NOW.items() if k != "processors"}
    assert environment.differences(without, NOW) == []
