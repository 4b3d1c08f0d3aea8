"""The verdict of a soak, of loops that are made up."""

import sys
import threading
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from benchmarks import heap, soak
from benchmarks.soak_verdict import Loop, growth, held, verdict


def loops(number=20, each=0.0, **late):
    """Loops of a minute; `each` MiB more in each, `late` from the 15th on."""
    return [
        Loop(
            hours=k / 60,
            rss=1000 + each * k,
            used=300 + late.get("used", 0) * k,
            handles=11 + (late.get("handles", 0) if k >= 15 else 0),
            threads=Counter(
                python=2,
                tf_Compute=20 + (late.get("threads", 0) if k >= 15 else 0),
            ),
            disk=20,
        )
        for k in range(number)
    ]


def test_growth_is_mib_an_hour():
    assert growth(loops(each=0.5)) == pytest.approx(30)


def test_a_flat_process_meets_all_bars():
    assert [bar.met for bar in verdict(loops())] == [True] * 4


def test_memory_that_rises_a_mib_in_each_loop_is_told():
    memory, *others = verdict(loops(each=1))
    assert memory.words == "memory +60.0 MiB an hour, <= 50"
    assert not memory.met
    assert all(bar.met for bar in others)


def test_half_a_mib_of_allocations_in_each_loop_is_told():
    (bar,) = [bar for bar in verdict(loops(used=0.5)) if not bar.met]
    assert bar.words == "allocated +30.0 MiB an hour, <= 20"


def test_an_array_is_in_use_until_it_is_freed():
    before = heap.in_use()
    array = np.ones(2**23)
    assert heap.in_use() - before > 60
    del array
    assert heap.in_use() - before < 4


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("handles", "handles 12 at most, 11 while warming up"),
        (
            "threads",
            "threads 23 at most, 22 while warming up (more of: tf_Compute)",
        ),
    ],
)
def test_one_handle_or_thread_more_than_while_warming_up_is_told(name, words):
    bars = verdict(loops(**{name: 1}))
    assert [bar.words for bar in bars if not bar.met] == [words]


def test_the_threads_of_this_process_are_counted_by_name():
    before = held(time.monotonic(), 0.0).threads
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        after = held(time.monotonic(), 0.0).threads
    finally:
        done.set()
        thread.join()
    assert after.total() == before.total() + 1


def test_what_grows_while_warming_up_counts_for_nothing():
    early, late = loops(8, each=100), loops(20)[8:]
    assert all(bar.met for bar in verdict(early + late, warm_up=8))


def test_too_few_loops_give_no_verdict():
    with pytest.raises(ValueError, match="too few"):
        verdict(loops(10))


@pytest.mark.parametrize(
    ("seeds", "drawn"), [(None, [1, 2, 3, 4, 5]), (2, [1, 0, 1, 0, 1])]
)
def test_loops_draw_anew_or_a_few_seeds_in_turn(monkeypatch, seeds, drawn):
    met = []
    monkeypatch.setattr(soak, "once", lambda folder, *how: met.append(how))
    assert len(soak.soak(60, 5, seeds, warm_up=2, fill=9)) == 5
    # those that warm up fill TensorFlow's caches
    expected = zip(drawn, [9, 9, 2, 2, 2], [False] * 5, strict=True)
    assert met == list(expected)


@pytest.mark.parametrize("hashed", [True, False])
def test_tables_say_what_is_held_out_unless_it_is_hashed(tmp_path, hashed):
    table = pd.read_csv(soak.write_table(tmp_path / "own", 1, hashed))
    assert len(table) == 160
    assert ("split" in table) is not hashed
    if not hashed:
        assert table["split"].value_counts().to_dict() == soak.IMAGES


def test_it_starts_anew_with_one_arena_unless_their_number_is_set(monkeypatch):
    started = []
    monkeypatch.setattr(soak.os, "execve", lambda *how: started.append(how))
    monkeypatch.setattr(sys, "argv", ["soak", "--minutes", "1"])
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    soak.with_arenas()
    assert not started
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    soak.with_arenas()
    ((_, words, variables),) = started
    assert words[1:] == ["-m", "benchmarks.soak", "--minutes", "1"]
    assert variables["MALLOC_ARENA_MAX"] == "1"
    assert variables["ARROW_DEFAULT_MEMORY_POOL"] == "system"
