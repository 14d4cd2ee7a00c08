"""`emo2 queue --jobs` on two real servers: one is killed and comes back, the client is killed, every job is done."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / "workflows" / "hand_motion_only.json"
COUNT = 40
SHORT = ["--set", "EMO2SampleHandMotion.steps=60", "--set", "EMO2SampleHandMotion.end_second=2.0"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "jobs.csv"
    rows = "".join(f"job{i:02},{i}\n" for i in range(COUNT))
    path.write_text(f"name,EMO2SampleHandMotion.seed\n{rows}")
    return path


def client(table, servers, out):
    command = [sys.executable, "-m", "emo2.runner", "queue", WORKFLOW, "--jobs", table, "--out", out, "--quiet", *SHORT]
    for server in servers:
        command += ["--server", server.url]
    with open(out.with_suffix(".log"), "ab") as log:
        return subprocess.Popen([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT,
                                env={**os.environ, "PYTHONUNBUFFERED": "1"})  # fmt: skip


def finished(out):
    state = out / "jobs.state.json"
    if not state.is_file():
        return 0
    return sum(job["status"] == "done" for job in json.loads(state.read_text())["jobs"].values())


def wait_until(condition, process, seconds=400.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end and process.poll() is None, "waited in vain"
        time.sleep(0.1)


def test_forty_jobs_on_two_servers(new_server, table, tmp_path):
    servers = [new_server("left"), new_server("right")]
    out = tmp_path / "out"
    process = client(table, servers, out)
    try:
        wait_until(lambda: finished(out) >= 8, process)
        servers[0].kill()
        wait_until(lambda: finished(out) >= 14, process)  # the other goes on alone
        servers[0].restart()
        wait_until(lambda: finished(out) >= 24, process)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert finished(out) < COUNT
        process = client(table, servers, out)
        assert process.wait(400) == 0, out.with_suffix(".log").read_text()[-3000:]
    finally:
        process.kill()
    told = json.loads((out / "jobs.manifest.json").read_text())
    jobs = told["jobs"]
    assert [job["name"] for job in jobs] == [f"job{i:02}" for i in range(COUNT)]
    assert {job["status"] for job in jobs} == {"done"}
    assert all(sum(attempt["error"] is None for attempt in job["attempts"]) == 1 for job in jobs), "each exactly once"
    assert {job["server"] for job in jobs} == {server.url for server in servers}
    assert [next(iter(job["seeds"].values())) for job in jobs] == list(range(COUNT))
    assert all(told["servers"][server.url]["comfyui"] for server in servers)
    for job in jobs:
        made = {str(path) for path in Path(job["folder"]).rglob("*") if path.is_file()}
        assert made == {file["path"] for file in job["files"]}, "whole, none twice"
        videos = [path for path in made if path.endswith(".mp4") and "previews" not in path]
        assert len(videos) == 3
        with av.open(videos[0]) as video:
            assert sum(1 for _ in video.decode(video=0)) == 32
    text = out.with_suffix(".log").read_text()
    assert "Traceback" not in text and "were done before" in text
