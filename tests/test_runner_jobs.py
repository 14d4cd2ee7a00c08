"""Tables of jobs: every row checked first, every job done exactly once, whatever dies in between."""

import json
import os
import signal

import pytest
from emo2.models.errors import EMO2Error
from emo2.runner.cli import main
from emo2.runner.farm import run_jobs
from emo2.runner.jobs import State
from emo2.runner.problems import WorkflowError
from runner_cases import FakeComfyUI, jobs_client, picture_flow, wait_for


@pytest.fixture(params=[False, True], ids=["our ids", "the server's ids"])
def any_server(request):
    server = FakeComfyUI(own_ids=request.param)
    yield server
    server.close()


@pytest.fixture
def server():
    server = FakeComfyUI()
    yield server
    server.close()


@pytest.fixture
def flow(tmp_path):
    return picture_flow(tmp_path, face=0, anna=90, ben=200)


def table(tmp_path, text):
    path = tmp_path / "jobs.csv"
    path.write_text(text)
    return path


def prefixes(server):
    return [prompt["2"]["inputs"]["filename_prefix"] for _, prompt in server.runs]


def state_of(path):
    jobs = json.loads(path.read_text())["jobs"].values()
    return {job["name"]: job["status"] for job in jobs}


def test_one_job_a_row(any_server, flow, tmp_path):
    rows = "name,Load Image.image,2.filename_prefix,out\nanna,anna.png,a,\nben,ben.png,b,extra/ben\n,,c,\n"
    done = run_jobs(flow, table(tmp_path, rows), any_server.url, out=tmp_path / "out")
    assert prefixes(any_server) == ["a", "b", "c"]
    assert [p["1"]["inputs"]["image"] for _, p in any_server.runs] == ["anna.png", "ben.png", "face.png"]
    assert [str(p.relative_to(tmp_path / "out")) for p in done.files] == [
        "anna/shot_00001_.png", "extra/ben/shot_00002_.png", "row-0003/shot_00003_.png"]  # fmt: skip
    assert state_of(tmp_path / "out" / "jobs.state.json") == {"anna": "done", "ben": "done", "row-0003": "done"}
    assert not done.failed


def test_a_second_start_repeats_nothing_and_does_what_is_new(server, flow, tmp_path):
    path = table(tmp_path, "name,2.filename_prefix\na,1\nb,2\n")
    run_jobs(flow, path, server.url, out=tmp_path / "out")
    table(tmp_path, "name,2.filename_prefix\na,1\nb,changed\nc,3\n")
    again = run_jobs(flow, path, server.url, out=tmp_path / "out")
    assert prefixes(server) == ["1", "2", "changed", "3"]
    assert again.skipped == 1 and len(again.files) == 3


def test_bad_rows_are_reported_by_number_before_anything_is_queued(server, flow, tmp_path, capsys):
    definitions = server.definitions["SaveImage"]["input"]["required"]
    definitions["copies"] = ["INT", {"default": 1, "min": 1, "max": 4}]
    rows = "name,Load Image.image,2.copies\nok,anna.png,2\nx,nobody.png,2\ny,ben.png,9\nz,ben.png,two\n../up,,1\n"
    path = table(tmp_path, rows)
    assert main(["queue", str(flow), "--server", server.url, "--jobs", str(path), "--out", str(tmp_path / "out")]) == 2
    assert [line for line in capsys.readouterr().err.splitlines() if "row 6" in line]  # the form is checked first
    path.write_text(rows.replace("../up,,1\n", ""))
    assert main(["queue", str(flow), "--server", server.url, "--jobs", str(path), "--out", str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "row 3" in lines[0] and "nobody.png" in lines[0]
    assert "row 4" in lines[1] and "from 1 to 4" in lines[1] and "got 9" in lines[1]
    assert "row 5" in lines[2] and "whole number" in lines[2]
    assert server.posted == 0 and server.uploads == {} and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "columns named"), ("name\nx\n", "columns named"), ("image\nx\n", "columns named"),
        ("2.filename_prefix\n\n", "at least one row"), ("1.image,1.image\na,b\n", "every column once"),
        ("2.filename_prefix\na,b\n", "row 2: 2 cells"), ("name,2.filename_prefix\nx,1\nx,2\n", "same folder as row 2"),
        ("7.filename_prefix\na\n", "id, title or type"), ('2.filename_prefix\n"a\n', "CSV"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_run(server, flow, tmp_path, text, message):
    with pytest.raises((EMO2Error, WorkflowError), match=message):
        run_jobs(flow, table(tmp_path, text), server.url, out=tmp_path / "out")
    assert server.posted == 0


def test_one_failure_does_not_stop_the_others_and_is_tried_again(server, flow, tmp_path):
    server.failing = '"bad"'
    path = table(tmp_path, "name,2.filename_prefix\na,1\nb,bad\nc,3\n")
    done = run_jobs(flow, path, server.url, out=tmp_path / "out")
    assert prefixes(server) == ["1", "3"]
    assert len(done.failed) == 1 and "row 3 (b): node 2" in done.failed[0] and "too small" in done.failed[0]
    server.failing = None
    assert not run_jobs(flow, path, server.url, out=tmp_path / "out").failed
    assert prefixes(server) == ["1", "3", "bad"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("killed_when", ["first job sent", "one done"])
def test_kill_9_loses_and_repeats_nothing(any_server, flow, tmp_path, killed_when):
    """The client is killed at different moments; the server goes on, and the next start collects the rest."""
    server, out = any_server, tmp_path / "out"
    path = table(tmp_path, "name,2.filename_prefix\n" + "".join(f"j{i},{i}\n" for i in range(5)))
    state = out / "jobs.state.json"
    if killed_when != "one done":
        server.hold()
    process = jobs_client(flow, path, server, out)
    if killed_when == "first job sent":
        wait_for(lambda: server.posted >= 1)
    else:
        wait_for(lambda: state.exists() and "done" in state.read_text())
    process.kill()
    process.communicate()
    server.go()
    done = run_jobs(flow, path, server.url, out=out)
    assert sorted(prefixes(server)) == [str(i) for i in range(5)], "every job exactly once"
    assert len(done.files) == 5 and all(p.is_file() for p in done.files)
    assert set(state_of(state).values()) == {"done"}
    shown = [p for p in out.rglob("*.png") if not p.name.startswith(".")]
    assert len(shown) == 5 and all(json.loads(p.read_bytes()) for p in shown), "whole, and none twice"


def test_killed_between_writing_down_and_sending(server, flow, tmp_path):
    """The state file says "sent", the server never heard of it: it is sent again."""
    path = table(tmp_path, "name,2.filename_prefix\na,1\n")
    run_jobs(flow, path, server.url, out=tmp_path / "out")
    state = tmp_path / "out" / "jobs.state.json"
    text = json.loads(state.read_text())
    for job in text["jobs"].values():
        job.update(status="sent", prompt_id="00000000-0000-4000-8000-000000000000")
    state.write_text(json.dumps(text))
    run_jobs(flow, path, server.url, out=tmp_path / "out")
    assert prefixes(server) == ["1", "1"]


def test_a_server_that_forgets_its_queue_gets_the_jobs_again(server, flow, tmp_path):
    import threading

    server.hold()
    path = table(tmp_path, "name,2.filename_prefix\na,1\nb,2\n")
    box = {}
    thread = threading.Thread(target=lambda: box.update(done=run_jobs(flow, path, server.url, out=tmp_path / "out")))
    thread.start()
    wait_for(lambda: server.running)
    server.die()
    server.start()
    server.go()
    thread.join(30)
    assert not box["done"].failed and sorted(prefixes(server)) == ["1", "2"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_cancels_and_the_next_start_does_the_jobs(server, flow, tmp_path):
    server.hold()
    path = table(tmp_path, "name,2.filename_prefix\na,1\nb,2\n")
    process = jobs_client(flow, path, server, tmp_path / "out")
    wait_for(lambda: server.running)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130 and "Traceback" not in err
    wait_for(lambda: not server.running and not server.queue)
    assert server.runs == []
    server.go()
    done = run_jobs(flow, path, server.url, out=tmp_path / "out")
    assert prefixes(server) == ["1", "2"] and not done.failed


def test_a_damaged_state_file_is_an_error(tmp_path):
    path = tmp_path / "jobs.state.json"
    path.write_text("{")
    with pytest.raises(EMO2Error, match="state file"):
        State(path)
