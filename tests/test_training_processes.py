"""Two processes with batch b are one with batch 2b."""

import socket
import subprocess

import pytest
import torch
from emo2.training.journal import read_metrics
from emo2.training.loop import train
from emo2.training.state import load_state
from training_cases import LineRecipe, line_settings, run_script

SETTINGS = {"steps": 12, "batch": 3, "accumulate": 2, "checkpoint_every": 5}


def two(folder, **settings):
    """The texts and exit codes of a training in two processes that talk over gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    both = []
    for rank in "01":
        places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
                  "RANK": rank, "LOCAL_RANK": rank, "ACCELERATE_USE_CPU": "true"}  # fmt: skip
        command = run_script(folder, {**SETTINGS, **settings}, **places)
        both.append(subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
    texts = [process.communicate(timeout=280)[0] for process in both]
    return texts, [process.returncode for process in both]


def one(folder, **settings):
    chosen = line_settings(**{**SETTINGS, "batch": 6, **settings})
    return train(chosen, folder, recipe=LineRecipe(chosen.recipe, chosen.seed), quiet=True)


def test_two_processes_see_the_loss_curve_of_one(tmp_path):
    texts, codes = two(tmp_path / "two")
    assert codes == [0, 0], texts
    one(tmp_path / "one")
    first, second = read_metrics(tmp_path / "one"), read_metrics(tmp_path / "two")
    assert len(first) == len(second) == 12
    for a, b in zip(first, second):
        for name in ("loss", "absolute", "gradient"):
            assert a[name] == pytest.approx(b[name], abs=1e-4)
    for name, value in load_state(tmp_path / "one")["average"].items():
        torch.testing.assert_close(value, load_state(tmp_path / "two")["average"][name], atol=1e-5, rtol=1e-5)
    # One process goes on where two were, because together they had its batch.
    assert one(tmp_path / "two", steps=14).step == 14


def test_trouble_in_one_process_stops_both(tmp_path):
    texts, codes = two(tmp_path, recipe={"wrong": 51, "nan": 200})  # process 1 reads sample 51, in step 5
    assert codes == [1, 1]
    assert "sample 51" in texts[1] and "trouble in another process" in texts[0]
    assert load_state(tmp_path)["step"] == 4
