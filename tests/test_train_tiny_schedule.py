"""A schedule runs what is ready, remembers what is done, goes on after a stop and tells what failed."""

import json
import sys
import textwrap
import time

import pytest
from emo2.models.errors import EMO2Error
from emo2.training.schedule import Schedule, Stage, last_lines

WORKER = textwrap.dedent("""
    import pathlib, signal, sys, time
    what, path = sys.argv[1], pathlib.Path(sys.argv[2])
    with open(path.parent / "order", "a") as stream:
        stream.write(path.name + "\\n")
    if what == "fail":
        sys.exit("the disk is on fire")
    if what == "slow":
        signal.signal(signal.SIGTERM, lambda *_: ((path.parent / "told").touch(), sys.exit(0)))
        print("step 3 of 900", flush=True)
        time.sleep(60)
    if what == "meet":  # waits for its neighbour
        path.touch()
        other = path.with_name({"left": "right", "right": "left"}[path.name])
        until = time.time() + 20
        while not other.exists() and time.time() < until:
            time.sleep(0.02)
        sys.exit(0 if other.exists() else 3)
    if what != "nothing":
        path.touch()
""")


@pytest.fixture
def make(tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)

    def schedule(*stages):
        made = [
            Stage(name, (what, str(tmp_path / name)), needs, (tmp_path / name,), minutes)
            for name, what, needs, minutes in stages
        ]
        return Schedule(made, tmp_path / "runs", (sys.executable, str(script)))

    return schedule


def order(tmp_path):
    return (tmp_path / "order").read_text().split()


def test_stages_run_after_what_they_need_and_only_once(make, tmp_path):
    schedule = make(("a", "touch", (), 1), ("b", "touch", ("a",), 1))
    assert schedule.run(pin=False) == []
    assert order(tmp_path) == ["a", "b"]
    assert schedule.run(pin=False) == []
    assert order(tmp_path) == ["a", "b"]
    assert [s.state for s in schedule.standing()] == ["done", "done"]


def test_two_stages_work_side_by_side(make, tmp_path):
    schedule = make(("left", "meet", (), 1), ("right", "meet", (), 1))
    assert schedule.run(workers=2, pin=True) == []


def test_a_failure_is_reported_with_its_log_and_stops_only_what_needs_it(make, tmp_path):
    schedule = make(("a", "fail", (), 1), ("b", "touch", ("a",), 1), ("c", "touch", (), 1))
    (failure,) = schedule.run(pin=False)
    assert failure.name == "a" and failure.code == 1
    assert "the disk is on fire" in failure.lines
    assert [s.state for s in schedule.standing()] == ["failed", "waiting", "done"]
    assert order(tmp_path) == ["a", "c"]


def test_a_stage_that_makes_nothing_has_failed(make):
    schedule = make(("a", "nothing", (), 1))
    (failure,) = schedule.run(pin=False)
    assert "did not make" in failure.lines[-1]
    assert not schedule.done("a")


def test_a_stop_lets_the_stage_write_and_the_next_run_goes_on(make, tmp_path):
    schedule = make(("a", "slow", (), 1), ("b", "touch", ("a",), 1))
    heard = []
    begin = time.monotonic()
    assert schedule.run(pin=False, stop_after=1 / 60, on_change=lambda *what: heard.append(what)) == []
    assert time.monotonic() - begin < 20
    assert (tmp_path / "told").exists()
    assert heard == [("a", "begun"), ("a", "stopped")]
    (first, second) = schedule.standing()
    assert (first.state, second.state) == ("begun", "waiting")
    assert first.seconds > 0.5 and first.last == "step 3 of 900"
    again = Schedule([Stage("a", ("touch", str(tmp_path / "a")), (), (tmp_path / "a",))], schedule.folder,
                     schedule.command)  # fmt: skip
    assert again.run(pin=False) == []
    assert again.standing()[0].seconds > first.seconds


def test_files_that_are_gone_are_made_again(make, tmp_path):
    schedule = make(("a", "touch", (), 1))
    schedule.run(pin=False)
    (tmp_path / "a").unlink()
    assert not schedule.done("a")
    schedule.run(pin=False)
    assert order(tmp_path) == ["a", "a"]


def test_forgetting_a_stage_forgets_what_builds_on_it(make, tmp_path):
    schedule = make(("a", "touch", (), 1), ("b", "touch", ("a",), 1), ("c", "touch", (), 1))
    schedule.run(pin=False)
    assert schedule.forget("a") == ["a", "b"]
    schedule.run(pin=False)
    assert order(tmp_path) == ["a", "b", "c", "a", "b"] or order(tmp_path) == ["a", "c", "b", "a", "b"]


def test_only_wants_what_it_needs_done_first(make):
    schedule = make(("a", "touch", (), 1), ("b", "touch", ("a",), 1))
    with pytest.raises(EMO2Error, match="a to be done first"):
        schedule.run(only=["b"], pin=False)
    with pytest.raises(EMO2Error, match="one of a, b"):
        schedule.run(only=["x"], pin=False)
    assert schedule.run(only=["a"], pin=False) == []
    assert schedule.done("a") and not schedule.done("b")


def test_a_folder_has_one_owner(make):
    schedule = make(("a", "touch", (), 1))
    schedule.folder.mkdir()
    fcntl = pytest.importorskip("fcntl")
    with open(schedule.folder / "lock", "ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(EMO2Error, match="another run is at work"):
            schedule.run(pin=False)


def test_the_time_left_lays_stages_on_cores_and_learns_the_pace(make, tmp_path):
    schedule = make(("a", "touch", (), 10), ("b", "touch", (), 20), ("c", "touch", ("a",), 5))
    assert schedule.minutes_left(1) == pytest.approx(35)
    assert schedule.minutes_left(2) == pytest.approx(20)
    (tmp_path / "a").touch()
    marker = schedule.folder / "stages" / "a.json"
    marker.parent.mkdir(parents=True)
    marker.write_text(json.dumps({"seconds": 1200, "done": True}))  # twice as long as planned
    assert schedule.minutes_left(2) == pytest.approx(40)


def test_a_damaged_marker_counts_as_not_done(make, tmp_path):
    schedule = make(("a", "touch", (), 1))
    schedule.run(pin=False)
    (schedule.folder / "stages" / "a.json").write_text("{")
    assert not schedule.done("a")


def test_stages_are_named_before_they_are_needed(tmp_path):
    with pytest.raises(ValueError, match="which do not come before"):
        Schedule([Stage("b", (), ("a",)), Stage("a", ())], tmp_path)


def test_of_a_progress_bar_the_last_state_is_shown(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"begin\nbar 1\rbar 2\rbar 3")
    assert last_lines(log, 1) == ["bar 3"]
    assert last_lines(tmp_path / "none", 1) == []
