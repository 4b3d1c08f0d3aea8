"""What `environment.json` says of a machine, and of two of them."""

import pytest

from kerasmi import cluster, distribute, environment

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
    assert "vector_units" in found
    assert found["packages"]["tensorflow"]


@pytest.mark.parametrize(
    "name",
    [
        "TF_NUM_INTRAOP_THREADS",
        "ONEDNN_MAX_CPU_ISA",
        "DNNL_MAX_CPU_ISA",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        "DNNL_DEFAULT_FPMATH_MODE",
        "NVIDIA_TF32_OVERRIDE",
    ],
)
def test_settings_of_tensorflow_are_told(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert environment.describe()["variables"][name] == "1"


def test_the_number_of_workers_is_told_of_two_starts(monkeypatch):
    found = []
    for workers in ((), ("host:1", "host:2")):
        here = cluster.Cluster(workers)
        monkeypatch.setattr(cluster, "here", lambda here=here: here)
        found.append(distribute.facts())
    assert environment.differences(*found) == [("workers", "1", "2")]


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


def cpuinfo(model, flags):
    """What Linux tells of two processors of a hypervisor that hides names."""
    one = f"""
model name\t: AMD EPYC
cpu family\t: 25
model\t\t: {model}
stepping\t: 1
flags\t\t: fpu {flags} sse4_2 syscall
"""
    return f"processor\t: 0{one}\nprocessor\t: 1{one}"


def test_processors_of_one_name_are_told_apart():
    newer = environment._processor(cpuinfo(17, "avx2 avx512f fma"))
    older = environment._processor(cpuinfo(1, "avx2 fma"))
    assert newer == {
        "processor": "AMD EPYC (family 25, model 17, stepping 1)",
        "vector_units": "avx2 avx512f fma sse4_2",
    }
    assert environment.differences(newer, older) == [
        (
            "processor",
            "AMD EPYC (family 25, model 17, stepping 1)",
            "AMD EPYC (family 25, model 1, stepping 1)",
        ),
        ("vector_units", "avx512f", "none"),
    ]


def test_a_system_without_cpuinfo_still_starts():
    found = environment._processor("")
    assert found["vector_units"] == ""


def test_the_driver_of_a_gpu_is_told(tmp_path, monkeypatch):
    file = tmp_path / "version"
    monkeypatch.setattr(environment, "_DRIVER", file)
    assert environment.describe()["driver"] is None
    file.write_text("NVRM version: NVIDIA 1.2\nGCC version: 12\n")
    assert environment.describe()["driver"] == "NVRM version: NVIDIA 1.2"
