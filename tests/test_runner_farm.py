"""A table on several servers: every job done once, elsewhere when one fails, and written down."""

import asyncio
import hashlib
import json
import threading
import time
from pathlib import Path

import pytest
from emo2.runner import farm as farm_module
from emo2.runner.board import LOSSES, Board
from emo2.runner.cli import main
from emo2.runner.client import Unreachable
from emo2.runner.farm import run_jobs
from emo2.runner.farm_table import FarmTable, clock
from emo2.runner.jobs import Job
from runner_cases import FakeComfyUI, jobs_client, picture_flow, wait_for


@pytest.fixture
def servers():
    both = [FakeComfyUI(), FakeComfyUI(own_ids=True)]
    yield both
    for server in both:
        server.close()


@pytest.fixture
def flow(tmp_path):
    return picture_flow(tmp_path, face=90)


def table(tmp_path, count):
    path = tmp_path / "jobs.csv"
    path.write_text("name,2.filename_prefix\n" + "".join(f"j{i},p{i}\n" for i in range(count)))
    return path


def prefixes(servers):
    return sorted(prompt["2"]["inputs"]["filename_prefix"] for server in servers for _, prompt in server.runs)


def manifest(tmp_path):
    return json.loads((tmp_path / "out" / "jobs.manifest.json").read_text())


def in_thread(*arguments, **options):
    box = {}

    def work():
        try:
            box["done"] = run_jobs(*arguments, **options)
        except Exception as error:
            box["error"] = error

    thread = threading.Thread(target=work)
    thread.start()
    return thread, box


def test_both_servers_work_and_everything_is_written_down(servers, flow, tmp_path):
    path = table(tmp_path, 12)
    done = run_jobs(flow, path, [server.url for server in servers], out=tmp_path / "out", seed=7)
    assert prefixes(servers) == sorted(f"p{i}" for i in range(12)) and not done.failed
    assert all(len(server.runs) >= 3 for server in servers), "both had their share"
    told = manifest(tmp_path)
    assert set(told["servers"]) == {server.url for server in servers}
    assert told["workflow"]["sha256"] == hashlib.sha256(flow.read_bytes()).hexdigest()
    assert [job["name"] for job in told["jobs"]] == [f"j{i}" for i in range(12)]
    for job in told["jobs"]:
        assert job["status"] == "done" and job["seconds"] >= 0 and job["started"].endswith("+00:00")
        assert len(job["attempts"]) == 1 and job["attempts"][0]["error"] is None
        (made,) = job["files"]
        assert hashlib.sha256(Path(made["path"]).read_bytes()).hexdigest() == made["sha256"]
        (used,) = job["input_files"].values()
        assert used["sha256"] == hashlib.sha256((tmp_path / "face.png").read_bytes()).hexdigest()
    again = run_jobs(flow, path, [server.url for server in servers], out=tmp_path / "out", seed=7)
    assert again.skipped == 12 and len(prefixes(servers)) == 12 and again.files == done.files
    assert [job["status"] for job in manifest(tmp_path)["jobs"]] == ["done"] * 12, "the manifest stays complete"


def test_a_job_that_fails_on_one_server_is_done_on_the_other(servers, flow, tmp_path):
    servers[0].failing = '"p1"'
    done = run_jobs(flow, table(tmp_path, 4), [server.url for server in servers], out=tmp_path / "out")
    assert not done.failed and prefixes(servers) == ["p0", "p1", "p2", "p3"]
    (job,) = [job for job in manifest(tmp_path)["jobs"] if job["name"] == "j1"]
    assert job["server"] == servers[1].url and job["attempts"][-1]["error"] is None
    if len(job["attempts"]) > 1:
        assert "too small" in job["attempts"][0]["error"] and job["attempts"][0]["server"] == servers[0].url


def test_a_job_that_fails_everywhere_has_failed(servers, flow, tmp_path):
    for server in servers:
        server.failing = '"p1"'
    done = run_jobs(flow, table(tmp_path, 4), [server.url for server in servers], out=tmp_path / "out")
    assert len(done.failed) == 1 and "row 3 (j1)" in done.failed[0] and prefixes(servers) == ["p0", "p2", "p3"]
    (job,) = [job for job in manifest(tmp_path)["jobs"] if job["status"] == "failed"]
    assert {attempt["server"] for attempt in job["attempts"]} == {server.url for server in servers}
    assert job["files"] == []


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_server_that_dies_in_the_middle_loses_no_job(servers, flow, tmp_path, comes_back, monkeypatch):
    monkeypatch.setattr(farm_module, "FIRST_PAUSE", 0.05)
    servers[0].hold()
    urls = [server.url for server in servers]
    thread, box = in_thread(flow, table(tmp_path, 10), urls, out=tmp_path / "out", back_seconds=0.5)
    wait_for(lambda: servers[0].running)
    servers[0].die()
    if comes_back:
        time.sleep(1.2)  # longer than it was waited for
        servers[0].start()
        servers[0].go()
    thread.join(40)
    assert not box["done"].failed
    assert prefixes(servers) == sorted(f"p{i}" for i in range(10)), "each once"
    assert all(job["status"] == "done" for job in manifest(tmp_path)["jobs"])
    if not comes_back:
        servers[0].start()


def test_a_job_that_its_server_still_does_is_not_sent_elsewhere(servers, flow, tmp_path):
    """The client went away while the first server worked; the next start waits for it there."""
    path, urls = table(tmp_path, 3), [server.url for server in servers]
    servers[0].hold()
    thread, _ = in_thread(flow, path, urls, out=tmp_path / "out")
    wait_for(lambda: servers[0].running and len(servers[1].runs) == 2)
    state = json.loads((tmp_path / "out" / "jobs.state.json").read_text())
    servers[0].go()
    thread.join(30)
    # As it was when the client was killed: one job sent, and the server has finished it since.
    (tmp_path / "out" / "jobs.state.json").write_text(json.dumps(state))
    done = run_jobs(flow, path, urls, out=tmp_path / "out")
    assert prefixes(servers) == ["p0", "p1", "p2"] and not done.failed and len(done.files) == 3


def test_what_went_elsewhere_is_stopped_where_it_was(servers, flow, tmp_path):
    """A server that still has a job in its queue which another one has done since."""
    path, out = table(tmp_path, 2), tmp_path / "out"
    servers[0].hold()
    process = jobs_client(flow, path, servers[0], out)
    wait_for(lambda: servers[0].running)
    process.kill()
    process.communicate()
    (old,) = [servers[0].running[1]]
    state = json.loads((out / "jobs.state.json").read_text())
    (job,) = state["jobs"].values()
    job.update(server=servers[1].url, prompt_id="11111111-0000-4000-8000-000000000000")
    (out / "jobs.state.json").write_text(json.dumps(state))
    done = run_jobs(flow, path, [server.url for server in servers], out=out)
    assert not done.failed and prefixes(servers) == ["p0", "p1"], "each once"
    assert "execution_interrupted" in json.dumps(servers[0].history[old]["status"])


def test_nobody_answers(flow, tmp_path):
    with pytest.raises(Unreachable, match="Is ComfyUI running there"):
        run_jobs(flow, table(tmp_path, 2), ["127.0.0.1:9", "127.0.0.1:10"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_that_is_not_there_holds_nobody_up(servers, flow, tmp_path):
    urls = ["http://127.0.0.1:9", servers[0].url]
    began = time.monotonic()
    done = run_jobs(flow, table(tmp_path, 3), urls, out=tmp_path / "out")
    assert not done.failed and prefixes(servers[:1]) == ["p0", "p1", "p2"] and time.monotonic() - began < 15


def test_all_gone_for_too_long(servers, flow, tmp_path, monkeypatch):
    monkeypatch.setattr(farm_module, "FIRST_PAUSE", 0.05)
    for server in servers:
        server.hold()
    urls = [server.url for server in servers]
    thread, box = in_thread(flow, table(tmp_path, 5), urls, out=tmp_path / "out", back_seconds=0.2, patience=0.6)
    wait_for(lambda: all(server.running for server in servers))
    for server in servers:
        server.die()
    thread.join(30)
    for server in servers:
        server.start()
    assert isinstance(box["error"], Unreachable) and "5 jobs are left" in str(box["error"])
    assert len(manifest(tmp_path)["jobs"]) == 5


def test_several_servers_need_a_table(servers, flow, capsys):
    code = main(["queue", str(flow), "--server", servers[0].url, "--server", servers[1].url])
    assert code == 2 and "Give --jobs, or one server" in capsys.readouterr().err


def jobs(count):
    return [Job(i, f"key{i}", f"j{i}", Path("x"), []) for i in range(count)]


def test_the_board_gives_up_on_a_job_that_takes_its_servers_down():
    async def play():
        board = Board(jobs(1), ["a", "b"])
        for turn in range(LOSSES):
            assert (await board.take("a")).name == "j0"
            assert await board.lost("a") == (turn < LOSSES - 1)
        assert await board.take("a") is None and board.left == 0

    asyncio.run(play())


def test_the_board_waits_for_a_job_that_may_come_back():
    async def play():
        board = Board(jobs(1), ["a", "b"])
        await board.take("a")
        waiting = asyncio.ensure_future(board.take("b"))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert await board.failed("a")
        assert (await waiting).name == "j0"
        assert not await board.failed("b"), "nobody is left"

    asyncio.run(play())


def test_a_job_whose_last_server_goes_away_is_given_up():
    async def play():
        board = Board(jobs(2), ["a", "b"])
        await board.take("a")
        await board.failed("a")
        assert [job.name for job in await board.away("b")] == ["j0"] and board.left == 1

    asyncio.run(play())


def test_what_is_held_is_for_its_server_until_it_is_released():
    async def play():
        board = Board(jobs(1), ["a", "b"])
        (other,) = jobs(1)
        board.hold("b", other)
        assert board.left == 2 and (await board.take("a")).name == "j0"
        await board.done("a")
        assert board.resume("a") is None and board.resume("b") is other
        await board.done("b")
        board.hold("b", other)
        await board.release("b")
        assert await board.take("a") is other

    asyncio.run(play())


def test_the_table_tells_how_long():
    shown = FarmTable(["a", "b"], quiet=True)
    shown.begin(10, 2)
    assert shown.left() is None
    shown.count(seconds=60.0)
    assert shown.left() == pytest.approx(7 * 60 / 2, abs=1)
    shown.line("b").state = "away, asked again in 2 s"
    assert shown.left() == pytest.approx(7 * 60, abs=1)
    line = shown.line("a")
    line.job("anna", {"3": {"class_type": "KSampler"}})
    line.progress("3", 5, 20)
    drawn = shown.drawn()
    assert "3 of 10" in drawn.title and [list(column.cells) for column in drawn.columns][3] == ["25%", ""]
    assert (clock(245), clock(4800)) == ("4:05 min", "1:20 h")
