"""The queue client against a server that speaks ComfyUI's API: what is sent, what comes back, and every way to fail."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from emo2.models.errors import EMO2Error
from emo2.runner.cli import main
from emo2.runner.client import ServerError, Unreachable, safe_names, server_address
from emo2.runner.follow import JobFailed
from emo2.runner.problems import WorkflowError
from emo2.runner.queue import queue_workflow
from PIL import Image
from runner_cases import FakeComfyUI, picture_canvas


@pytest.fixture
def server():
    server = FakeComfyUI()
    yield server
    server.close()


@pytest.fixture
def flow(tmp_path):
    """A folder with a workflow and its picture."""
    Image.new("RGB", (8, 8), (200, 10, 10)).save(tmp_path / "face.png")
    path = tmp_path / "flow.json"
    path.write_text(json.dumps(picture_canvas()))
    return path


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) if folder.exists() else []


def test_inputs_go_up_and_results_come_down(server, flow, tmp_path):
    other = tmp_path / "elsewhere" / "me.png"
    other.parent.mkdir()
    Image.new("RGB", (4, 4)).save(other)
    result = queue_workflow(
        flow, server.url, {"Load Image.image": str(other), "2.filename_prefix": "take"}, tmp_path / "out"
    )
    assert server.uploads == {"me.png": other.read_bytes()}
    _, prompt = server.runs[0]
    assert prompt["1"]["inputs"]["image"] == "me.png" and prompt["2"]["inputs"]["filename_prefix"] == "take"
    assert [p.name for p in result.files] == ["shot_00001_.png"]
    assert json.loads(result.files[0].read_bytes()) == prompt
    extra = server.history[result.prompt_id]["prompt"][3]
    assert extra["extra_pnginfo"]["workflow"]["nodes"][0]["type"] == "LoadImage"


def test_the_api_form_is_sent_as_it_is(server, tmp_path):
    api = {
        "a": {"class_type": "LoadImage", "inputs": {"image": "there.png"}},
        "b": {"class_type": "SaveImage", "inputs": {"images": ["a", 0], "filename_prefix": "x"}},
    }
    server.definitions["LoadImage"]["input"]["required"]["image"][0] = ["there.png"]
    queue_workflow(api, server.url, out=tmp_path)
    assert {k: v["inputs"] for k, v in server.runs[0][1].items()} == {k: v["inputs"] for k, v in api.items()}
    assert server.uploads == {}


def test_a_second_run_keeps_the_first_ones_results(server, flow, tmp_path):
    out = tmp_path / "out"
    queue_workflow(flow, server.url, out=out)
    before = (out / "shot_00001_.png").read_bytes()
    server.files.clear()  # the server counts from 1 again
    queue_workflow(flow, server.url, {"2.filename_prefix": "other"}, out)
    assert files(out) == ["shot_00001_ (2).png", "shot_00001_.png"]
    assert (out / "shot_00001_.png").read_bytes() == before


def test_the_servers_validation_errors_are_lines_that_name_the_node(server, flow, tmp_path, capsys):
    server.errors = {
        "error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
        "node_errors": {"2": {"class_type": "SaveImage", "dependent_outputs": ["2"], "errors": [
            {"type": "value_bigger_than_max", "message": "Value 9 bigger than max of 8", "details": "steps"},
            {"type": "custom_validation_failed", "message": "Custom validation failed", "details": "a - no\nway"},
        ]}},
    }  # fmt: skip
    assert main(["queue", str(flow), "--server", server.url, "--out", str(tmp_path / "out"), "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        'emo2: node 2 "Save Image" (SaveImage): Value 9 bigger than max of 8: steps. Choose a smaller value.',
        'emo2: node 2 "Save Image" (SaveImage): Custom validation failed: a - no way',
    ]
    assert files(tmp_path / "out") == []


def test_a_partly_good_prompt_is_cancelled(server, flow, tmp_path, monkeypatch):
    """ComfyUI would run the good outputs and drop the others without a word in the results."""
    problems = {"2": {"class_type": "SaveImage", "errors": [{"message": "Value not in list", "details": "x"}]}}

    async def answer(request):
        from aiohttp import web

        body = await request.json()
        server.queue.append((1, body["prompt_id"], {}, {}, []))
        return web.json_response({"prompt_id": body["prompt_id"], "node_errors": problems})

    server.hold()
    monkeypatch.setattr(server, "_prompt", answer)
    server.die()
    server.start()
    with pytest.raises(WorkflowError, match="Value not in list: x"):
        queue_workflow(flow, server.url, out=tmp_path / "out")
    server.go()
    wait_for(lambda: not server.queue and not server.running)
    assert files(tmp_path / "out") == []


def test_a_node_error_names_the_node_and_its_message(server, flow, tmp_path):
    server.failing = "SaveImage"
    with pytest.raises(JobFailed, match=r'node 2 "Save Image" \(SaveImage\): TooSmall: the picture is too small'):
        queue_workflow(flow, server.url, out=tmp_path / "out")
    assert files(tmp_path / "out") == []


def test_an_unknown_node_is_said_before_anything_is_sent(server, flow, tmp_path):
    del server.definitions["SaveImage"]
    with pytest.raises(WorkflowError, match=r"SaveImage does not exist.*Install or update"):
        queue_workflow(flow, server.url, out=tmp_path)
    assert server.uploads == {} and server.posted == 0


def test_a_missing_picture_is_said_before_anything_is_sent(server, flow, tmp_path):
    (flow.parent / "face.png").unlink()
    with pytest.raises(WorkflowError, match=r"node 1.*'face.png' is neither in .* nor on http"):
        queue_workflow(flow, server.url, out=tmp_path / "out")
    assert server.posted == 0


def test_nobody_there(flow, tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert main(["queue", str(flow), "--server", f"127.0.0.1:{port}", "--out", str(tmp_path / "out")]) == 1
    line = capsys.readouterr().err.strip()
    assert "\n" not in line and f"Cannot reach the server http://127.0.0.1:{port}" in line and "ComfyUI" in line
    assert files(tmp_path / "out") == []


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"[]", b'{"a": 1}'])
def test_something_else_answers(server, flow, tmp_path, monkeypatch, answer):
    async def other(request):
        from aiohttp import web

        return web.Response(body=answer)

    monkeypatch.setattr(server, "_object_info", other)
    server.die()
    server.start()
    with pytest.raises(ServerError, match="no ComfyUI server"):
        queue_workflow(flow, server.url, out=tmp_path)


def run_in_thread(function, *arguments, **options):
    box = {}

    def work():
        try:
            box["result"] = function(*arguments, **options)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=work)
    thread.start()
    return thread, box


def test_a_server_that_dies_in_the_middle(server, flow, tmp_path):
    server.hold()
    thread, box = run_in_thread(queue_workflow, flow, server.url, out=tmp_path / "out", back_seconds=0.3)
    wait_for(lambda: server.running)
    server.die()
    thread.join(20)
    assert isinstance(box["error"], Unreachable) and "went away in the middle" in str(box["error"])
    assert files(tmp_path / "out") == []


def test_a_server_that_comes_back_without_the_job(server, flow, tmp_path):
    server.hold()
    thread, box = run_in_thread(queue_workflow, flow, server.url, out=tmp_path / "out", back_seconds=10)
    wait_for(lambda: server.running)
    server.die()
    server.start()
    thread.join(20)
    assert isinstance(box["error"], ServerError) and "restarted or forgot the job" in str(box["error"])


def test_a_broken_line_is_taken_up_again(server, flow, tmp_path):
    """Only the connections break; the server goes on with the job."""
    server.hold()
    thread, box = run_in_thread(queue_workflow, flow, server.url, out=tmp_path / "out", back_seconds=10)
    wait_for(lambda: server.running and server.sockets)
    running = server.running
    server.die(forget=False)
    server.queue.insert(0, running)
    server.start()
    server.go()
    thread.join(20)
    assert "error" not in box and [p.name for p in box["result"].files] == ["shot_00001_.png"]


def test_a_download_that_breaks_leaves_nothing(server, flow, tmp_path, monkeypatch):
    async def half(request):
        from aiohttp import web

        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half")
        request.transport.abort()
        return response

    monkeypatch.setattr(server, "_view", half)
    server.die()
    server.start()
    with pytest.raises(Unreachable):
        queue_workflow(flow, server.url, out=tmp_path / "out")
    assert files(tmp_path / "out") == []


def test_a_job_that_takes_too_long_is_cancelled(server, flow, tmp_path):
    server.hold()
    with pytest.raises(JobFailed, match=r"longer than 0\.2 s"):
        queue_workflow(flow, server.url, out=tmp_path / "out", timeout=0.2)
    wait_for(lambda: not server.running)
    assert server.runs == []


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_cancels_on_the_server(server, flow, tmp_path):
    server.hold()
    command = [
        sys.executable,
        "-m",
        "emo2.runner",
        "queue",
        str(flow),
        "--server",
        server.url,
        "--out",
        str(tmp_path / "o"),
    ]
    client = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: server.running, 60)
    client.send_signal(signal.SIGINT)
    _, err = client.communicate(timeout=30)
    assert client.returncode == 130 and "Traceback" not in err and "interrupted" in err
    wait_for(lambda: not server.running)
    assert server.runs == [] and files(tmp_path / "o") == []


@pytest.mark.parametrize(
    "name, subfolder", [("../x.png", ""), ("x.png", "../.."), ("x.png", "/etc"), ("", ""), ("a/b", "")]
)
def test_a_result_outside_the_folder_is_refused(name, subfolder):
    with pytest.raises(ServerError, match="outside the output folder"):
        safe_names({"filename": name, "subfolder": subfolder})


def test_a_hostile_result_name_writes_nothing(server, flow, tmp_path):
    server.bad_name = "../../evil.png"
    with pytest.raises(ServerError, match="outside"):
        queue_workflow(flow, server.url, out=tmp_path / "a" / "out")
    assert not (tmp_path / "evil.png").exists() and files(tmp_path / "a") == []


def test_addresses():
    assert server_address("127.0.0.1:8188") == "http://127.0.0.1:8188"
    assert server_address("https://host/comfy/") == "https://host/comfy"
    for bad in ("", "ftp://host", "http://", "http://host:99999", "two words"):
        with pytest.raises(EMO2Error):
            server_address(bad)
