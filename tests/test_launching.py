"""Programs that stand for workers: what ends them, and what then happens."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from click.testing import CliRunner

from kerasmi import cluster, interruption, launching
from kerasmi.cli import main
from kerasmi.cli.launch import _devices
from kerasmi.cluster import Cluster
from kerasmi.errors import RunError


def run(code, *arguments, workers=2, restarts=1):
    told = []
    program = [sys.executable, "-c", code, *map(str, arguments)]
    return launching.run(program, workers, restarts, told.append), told


def test_every_worker_is_told_of_all_and_its_lines_have_its_number(capfd):
    code = "import os; print(os.environ['TF_CONFIG'])"
    assert run(code, workers=3) == (0, [])
    lines = sorted(capfd.readouterr().out.splitlines())
    configs = [json.loads(line.split("] ", 1)[1]) for line in lines]
    assert [line[:11] for line in lines] == [f"[worker {k}] " for k in range(3)]
    assert [config["task"]["index"] for config in configs] == [0, 1, 2]
    (hosts,) = {tuple(config["cluster"]["worker"]) for config in configs}
    assert len(set(hosts)) == 3


KILLED = """
import json, os, pathlib, signal, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
if "--resume" not in sys.argv:
    if index:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)
pathlib.Path(sys.argv[1], str(index)).touch()
"""


def test_all_start_anew_with_resume_when_one_was_killed(tmp_path):
    status, told = run(KILLED, tmp_path)
    assert status == 0
    assert len(told) == 1
    assert "worker 1" in told[0]
    assert "SIGKILL" in told[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_the_restarts_come_to_an_end(tmp_path):
    status, told = run(KILLED, tmp_path, restarts=0)
    assert status == 1
    assert "--restarts 0" in told[0]


@pytest.mark.parametrize("wrong", [1, 2])
def test_an_exit_status_is_final_and_ends_the_others(wrong):
    code = f"""
import json, os, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
sys.exit({wrong}) if index else time.sleep(600)
"""
    assert run(code) == (wrong, [])


LEAVES = """
import json, os, pathlib, signal, sys, tempfile, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
made = pathlib.Path(sys.argv[1], f"made{index}")
made.with_suffix(".new").write_text(tempfile.mkdtemp())
made.with_suffix(".new").rename(made)
while not made.with_name("made0").exists():
    time.sleep(0.05)
if index:
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(600)
"""


def test_killed_workers_leave_no_temporary_files(tmp_path):
    assert run(LEAVES, tmp_path, restarts=0)[0] == 1
    for index in (0, 1):
        assert not os.path.exists((tmp_path / f"made{index}").read_text())


WAITING = """#!{python}
import json, os, pathlib, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
place = pathlib.Path({folder!r})
(place / "pid").with_suffix(f".{{index}}").write_text(str(os.getpid()))
time.sleep(600)
"""
LAUNCH = """
import sys
from kerasmi.cli import main
sys.executable = sys.argv[1]
main(["launch", "--workers", "2", "local_mine"])
"""


@pytest.mark.parametrize("restarts", [[], ["--restarts", "0"]])
def test_the_command_that_goes_on_restarts_as_often(monkeypatch, restarts):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(launching, "run", interrupted)
    words = ["launch", "--workers", "2", *restarts, "local_mine"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 130
    told = done.stderr.strip()
    assert told.endswith(f"Continue with: kerasmi {' '.join(words)} --resume")


@pytest.mark.parametrize(
    "arguments",
    [["local_mine", "--debug"], ["--debug", "local_mine"], ["local_mine"]],
)
def test_the_workers_are_told_to_debug(monkeypatch, arguments):
    programs = []

    def interrupted(program, *_, **__):
        programs.append(program)
        raise KeyboardInterrupt

    monkeypatch.setattr(launching, "run", interrupted)
    done = CliRunner().invoke(main, ["launch", "--workers", "2", *arguments])
    wanted = ["--debug"] if "--debug" in arguments else []
    (program,) = programs
    assert program[3:] == ["run", *wanted, "local_mine"]
    again = " ".join(["--workers 2", *wanted, "local_mine --resume"])
    assert done.stderr.splitlines()[-1].endswith(f"kerasmi launch {again}")


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_to_the_launcher_ends_its_workers(tmp_path, hang_ups, number):
    worker = tmp_path / "python"
    worker.write_text(
        WAITING.format(python=sys.executable, folder=str(tmp_path))
    )
    worker.chmod(0o755)
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, worker],
        stderr=subprocess.PIPE,
        text=True,
    )
    files = [tmp_path / f"pid.{index}" for index in (0, 1)]
    while not all(file.is_file() and file.read_text() for file in files):
        assert launcher.poll() is None
        time.sleep(0.05)
    launcher.send_signal(number)
    _, told = launcher.communicate(timeout=60)
    pids = [int(file.read_text()) for file in files]
    left = [pid for pid in pids if os.path.isdir(f"/proc/{pid}")]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left
    assert launcher.returncode == 130
    assert "kerasmi launch --workers 2 local_mine --resume" in told


def test_gpus_are_shared_out_and_too_few_are_refused(monkeypatch):
    monkeypatch.setattr(launching.glob, "glob", lambda _: list("01234567"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert launching.visible_gpus(2, 2) == ["0,1", "2,3"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert launching.visible_gpus(2, 1) == ["5", "7"]
    with pytest.raises(RunError, match=r"2 workers of 2 GPU.* 2 GPU"):
        launching.visible_gpus(2, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert launching.visible_gpus(2, 1) == []


@pytest.mark.parametrize(
    ("given", "gpus"),
    [
        ("-1", []),
        ("NoDevFiles", []),
        ("8", []),
        (",0", []),
        ("0,-1,1", ["0"]),
        ("3,8,1", ["3"]),
        ("3, 1,-1", ["3", " 1"]),
        ("GPU-8932f937,MIG-1a2b,-1", ["GPU-8932f937", "MIG-1a2b"]),
    ],
)
def test_nothing_counts_from_the_first_that_is_no_gpu(monkeypatch, given, gpus):
    monkeypatch.setattr(launching.glob, "glob", lambda _: list("01234567"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert launching.visible_gpus(max(1, len(gpus)), 1) == gpus
    if gpus:
        offered = rf"offers {len(gpus)} GPU"
        with pytest.raises(RunError, match=offered):
            launching.visible_gpus(len(gpus) + 1, 1)


def test_the_devices_of_a_worker_are_those_of_its_run():
    assert _devices(("local_mine", "--devices", "4")) == 4
    assert _devices(("--devices=2", "local_mine")) == 2
    assert _devices(("local_mine", "seed=1")) == 1


def test_a_cluster_is_read_as_it_is_written():
    written = Cluster(("a:1", "b:2"), 1)
    read = cluster.here({"TF_CONFIG": written.config()})
    assert read == written
    assert read.is_many
    assert (read.number, Cluster().number) == (2, 1)
    assert not read.is_chief
    assert cluster.here({}) == Cluster()
    assert cluster.here({}).is_chief


GOOD = {
    "cluster": {"worker": ["a:1", "b:2"]},
    "task": {"type": "worker", "index": 0},
}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "Expecting"),
        ("[]", "expected"),
        ("{}", "no 'cluster'"),
        (json.dumps({**GOOD, "cluster": {"worker": []}}), "no list"),
        (json.dumps({**GOOD, "cluster": {"worker": ["a"]}}), "'a' is no HOST"),
        (json.dumps({**GOOD, "cluster": {"worker": ["a:1"] * 2}}), "twice"),
        (
            json.dumps({**GOOD, "cluster": {"worker": ["a:1"], "ps": []}}),
            "'ps'",
        ),
        (json.dumps({**GOOD, "task": {"type": "ps", "index": 0}}), "'ps'"),
        (
            json.dumps({**GOOD, "task": {"type": "worker", "index": 2}}),
            "task 2",
        ),
    ],
)
def test_a_wrong_cluster_is_one_line_that_says_what_is_expected(text, named):
    with pytest.raises(RunError, match=r"TF_CONFIG: .*expected") as caught:
        cluster.here({"TF_CONFIG": text})
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_launched_run_is_whole_and_told_by_its_chief_alone(tmp_path):
    words = (
        "image_only",
        "data.images={train: 24, validation: 16, test: 16}",
        "retrain.tasks=[edema_severity]",
        "retrain.batch_size=4",
        "retrain.epochs=1",
        "retrain.labels=12",
        "evaluate.bootstrap=20",
    )
    run = tmp_path / "run"
    command = ["launch", "--workers", "2", *words, "--output", str(run)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == f"[worker 0] {run}"
    assert "[worker 1]" not in done.stdout
    (start,) = json.loads((run / "environment.json").read_text())
    assert start["devices"] == 2
    # 16 test images, each with three thresholds, once
    found = pd.read_csv(run / "predictions.csv").query("split == 'test'")
    assert len(found) == len(found[["image_id", "label"]].drop_duplicates())
    assert found["image_id"].nunique() == 16
    assert found["score"].between(0, 1).all()
    assert (run / "report.html").is_file()
