"""A run that was killed, stopped or interrupted ends with the very bits of one that never was."""

import signal
import subprocess
import time

import pytest
import torch
from emo2.training.journal import read_metrics
from emo2.training.loop import train
from emo2.training.state import load_state, state_files
from training_cases import LineRecipe, line_settings, run_script

SETTINGS = {"steps": 40, "checkpoint_every": 5, "precision": "bf16", "accumulate": 2}


def go(folder, arguments=None, **settings):
    chosen = line_settings(**{**SETTINGS, **settings})
    return train(chosen, folder, recipe=LineRecipe(chosen.recipe, chosen.seed), quiet=True, **(arguments or {}))


def flat(value, name="state"):
    """Every tensor and number of a state, with its place."""
    if isinstance(value, dict):
        return [leaf for key in value for leaf in flat(value[key], f"{name}.{key}")]
    if isinstance(value, (list, tuple)):
        return [leaf for i, part in enumerate(value) for leaf in flat(part, f"{name}.{i}")]
    return [(name, value)]


def same_state(one, other):
    """Weights, averages, moments of the optimiser, step and running loss, bit for bit."""
    one, other = dict(flat(load_state(one))), dict(flat(load_state(other)))
    one.pop("state.settings"), other.pop("state.settings")
    assert one.keys() == other.keys()
    wanted = {"module.lin.weight", "average.lin.weight", "optimizer.state.0.exp_avg", "step", "loss"}
    assert {f"state.{name}" for name in wanted} <= one.keys()
    for name, value in one.items():
        same = torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name]
        assert same, f"{name}: {value} and {other[name]}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    go(folder)
    return folder


def started(folder, least, **settings):
    """A training in a process of its own, with at least one state newer than `least`."""
    process = subprocess.Popen(
        **run_script(folder, {**SETTINGS, **settings}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 250
    while not any(int(path.stem[6:]) > least for path in state_files(folder)):
        assert process.poll() is None and time.monotonic() < until, process.communicate()[0]
        time.sleep(0.01)
    return process


def test_killed_and_resumed_is_the_same_to_the_bit(tmp_path, whole):
    killed = []
    for least in (0, 12):
        process = started(tmp_path, least, recipe={"pause": 0.02})
        time.sleep(0.1)  # somewhere between two states
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed.append(int(state_files(tmp_path)[0].stem[6:]))
    assert 5 <= killed[0] < killed[1] < SETTINGS["steps"]
    assert go(tmp_path, {"resume": "must"}).finished
    same_state(tmp_path, whole)
    lines, wanted = read_metrics(tmp_path), read_metrics(whole)
    assert [line["step"] for line in lines] == list(range(1, 41)), "no step is told twice or left out"
    assert [line["loss"] for line in lines] == [line["loss"] for line in wanted]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_cleanly(tmp_path, whole, number):
    process = started(tmp_path, 0, recipe={"pause": 0.02})
    process.send_signal(number)
    text = process.communicate(timeout=250)[0]
    assert process.returncode == 0 and "stopping after this step" in text
    step = load_state(tmp_path)["step"]
    assert 5 <= step < 40 and (tmp_path / "export" / "line.json").is_file()
    assert [line["step"] for line in read_metrics(tmp_path)][-1] == step
    assert go(tmp_path, {"resume": "must"}).finished
    same_state(tmp_path, whole)


def test_many_pieces_are_the_same_to_the_bit(tmp_path, whole):
    for steps in (1, 2, 9, 23, 40):
        go(tmp_path, steps=steps)
    same_state(tmp_path, whole)


def test_a_kill_while_a_state_is_written_leaves_the_one_before(tmp_path, whole):
    go(tmp_path, steps=10)
    (tmp_path / ".state-00000015.abc.part").write_bytes(b"half")
    go(tmp_path)
    same_state(tmp_path, whole)
