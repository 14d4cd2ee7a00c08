"""`emo2 queue` against the real server: a whole job, the server's objections, and a server that dies in the middle."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from seed_only_cases import seed_only

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "hand_motion_only.json"
SHORT = ["--set", "EMO2SampleHandMotion.steps=2", "--set", "EMO2SampleHandMotion.end_second=0.4"]


@pytest.fixture
def emo2(tmp_path):
    """Start `emo2 queue` in a folder of its own; every line it prints goes through `on_line`."""

    def start(*arguments, on_line=None):
        command = [sys.executable, "-m", "emo2.runner", "queue", *map(str, arguments), "--out", tmp_path / "out"]
        process = subprocess.Popen(
            [str(part) for part in command], cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        watchdog = threading.Timer(200, process.kill)
        watchdog.start()
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if on_line:
                    on_line(line)
            return process.wait(), "".join(lines)
        finally:
            watchdog.cancel()
            process.kill()

    return start


def test_a_job_comes_back_with_its_files(server, emo2, tmp_path):
    code, text = emo2(WORKFLOW, "--server", server.url, "--quiet", *SHORT)
    assert code == 0, text
    made = sorted(path.suffix for path in (tmp_path / "out").iterdir())
    assert made.count(".mp4") == 3


def test_what_the_server_objects_to_is_said_in_one_line(server, emo2, api, tmp_path):
    file = tmp_path / "wrong.json"
    file.write_text(json.dumps(api("hand_motion_only", {"EMO2SampleHandMotion.steps": 0})))
    inputs = ["--input", ROOT / "assets"]
    code, text = emo2(file, "--server", server.url, "--quiet", *inputs)
    (line,) = [line for line in text.splitlines() if line.startswith("emo2: ")]
    assert code == 2 and "steps" in line and "Sample Hand Motion" in line and "0" in line, text
    assert "Traceback" not in text and not (tmp_path / "out").exists()
    assert not server.get("/queue")["queue_pending"], "what could have run without the wrong value was not left there"


def test_a_node_that_fails_says_so_in_one_line(server, emo2, tmp_path):
    late = ["--set", "EMO2SampleHandMotion.start_second=500"]
    code, text = emo2(WORKFLOW, "--server", server.url, "--quiet", *late)
    (line,) = [line for line in text.splitlines() if line.startswith("emo2: ")]
    assert code == 1 and "EMO2 Sample Hand Motion" in line and line.endswith("Choose an earlier start."), text
    assert "Traceback" not in text and not (tmp_path / "out").exists()


def test_a_server_that_dies_in_the_middle(new_server, emo2, tmp_path):
    server = new_server("dying")
    name = seed_only(server.base / "models" / "emo2", "motion")["motion"]
    killed = threading.Event()

    def kill(line):
        if not killed.is_set() and f"{name} holds untrained" in line:  # the job is running: a loader has warned
            killed.set()
            server.kill()

    long = ["--set", "EMO2SampleHandMotion.steps=1000", "--set", f"EMO2LoadMotionModel.model_name={name}"]
    code, text = emo2(WORKFLOW, "--server", server.url, "--quiet", *long, on_line=kill)
    assert killed.is_set() and code == 1, text
    assert "went away" in text and server.url in text and "Traceback" not in text
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_no_server_at_all(emo2):
    code, text = emo2(WORKFLOW, "--server", "http://127.0.0.1:9", "--quiet")
    assert code == 1 and "Cannot reach" in text and "Traceback" not in text
