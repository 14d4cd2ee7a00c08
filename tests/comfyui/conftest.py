"""A real ComfyUI server with the pack in it: one a session, with its own folders and port, a ceiling on its memory."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / "tests" / "artifacts"
PACK = "ComfyUI-EMO2"
START_SECONDS, JOB_SECONDS = 120.0, 240.0
MEMORY = int(float(os.environ.get("COMFY_MEMORY_GB", "10")) * (1 << 30))
DEATH_SIGNAL = 1  # prctl: what the kernel sends to a child whose parent is gone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.comfyui)


def checkout() -> Path:
    return Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI")


@pytest.fixture(scope="session")
def comfyui() -> Path:
    """The folder of a ComfyUI checkout with a Python environment; skipped with the reason where there is none."""
    folder = checkout()
    if not (folder / "main.py").is_file():
        pytest.skip(f"no ComfyUI at {folder} (set COMFYUI_PATH)")
    if not python_of(folder).is_file():
        pytest.skip(f"the ComfyUI at {folder} has no environment at {python_of(folder)} (set COMFYUI_PYTHON)")
    return folder


def python_of(folder: Path) -> Path:
    return Path(os.environ.get("COMFYUI_PYTHON") or folder / ".venv" / "bin" / "python")


@pytest.fixture(scope="session")
def detector(comfyui: Path) -> None:
    """The built-in pose detector's package in ComfyUI's environment; skipped with the reason where it is missing."""
    if subprocess.run([python_of(comfyui), "-c", "import ai_edge_litert"], capture_output=True).returncode:
        pytest.skip(f"{python_of(comfyui)} has no ai-edge-litert: install the pack's requirements.txt there")


def _limits(memory: int) -> None:
    """In the child: out of memory fails the node instead of the machine, and nobody outlives the tests."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """A running ComfyUI. `log()` is what it has printed, `url` where it listens, `base` where its folders are."""

    def __init__(self, folder: Path, base: Path, *flags: str, name: str = "server", memory: int = MEMORY):
        self.folder, self.base, self.flags, self.memory = folder, base, flags, memory
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        self.log_path = ARTIFACTS / f"{name}.log"
        for part in ("custom_nodes", "input", "output", "models", "user/default"):
            (base / part).mkdir(parents=True, exist_ok=True)
        (base / "custom_nodes" / PACK).symlink_to(ROOT)
        # The dialog of the first start would cover the page.
        (base / "user" / "default" / "comfy.settings.json").write_text('{"Comfy.TutorialCompleted": true}')
        for attempt in range(3):
            self.port = _free_port()
            self._start()
            if self._answers():
                return
            self.stop()
            if "in use" not in self.log() or attempt == 2:
                raise RuntimeError(f"ComfyUI did not start, see {self.log_path}:\n{self.log()[-3000:]}")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return re.sub(r"\x1b\[[0-9;]*m", "", self.log_path.read_text(errors="replace"))

    def _start(self) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")},
            "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1",
            # Threads that spin while they wait starve the others on a busy machine.
            "OMP_WAIT_POLICY": "PASSIVE",
        }  # fmt: skip
        command = [
            python_of(self.folder), self.folder / "main.py", "--cpu", "--base-directory", self.base,
            "--database-url", f"sqlite:///{self.base}/user/comfyui.db", "--listen", "127.0.0.1", "--port", self.port,
            "--disable-auto-launch", *self.flags,
        ]  # fmt: skip
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                cwd=self.base, env=environment, start_new_session=True, preexec_fn=lambda: _limits(self.memory),
            )  # fmt: skip

    def _answers(self) -> bool:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.get("/object_info/KSampler")
                return True
            except OSError:
                time.sleep(0.2)
        return False

    def kill(self) -> None:
        """End it at once, with whatever it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    def restart(self) -> None:
        """Start it again at the same address, after `kill`; its queue and history are gone."""
        self._start()
        if not self._answers():
            raise RuntimeError(f"ComfyUI did not start again, see {self.log_path}:\n{self.log()[-3000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        self.kill()

    def request(self, path: str, data: Any = None) -> tuple[int, bytes]:
        """(status, body) of a GET, or of a POST of `data` as JSON."""
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def get(self, path: str) -> Any:
        """The JSON at a path; anything but 200 is an error."""
        status, body = self.request(path)
        assert status == 200, f"{path}: {status} {body[:300]!r}"
        return json.loads(body)

    def upload(self, path: Path) -> str:
        """Put a file into the input folder over the API, as the browser does; its name there."""
        edge = uuid.uuid4().hex
        head = f'--{edge}\r\nContent-Disposition: form-data; name="image"; filename="{path.name}"\r\n\r\n'
        body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/upload/image", body, kind), timeout=60) as got:
            return json.load(got)["name"]

    def view(self, item: dict[str, str]) -> bytes:
        """A result file, as the history names it."""
        status, body = self.request(
            f"/view?filename={item['filename']}&subfolder={item['subfolder']}&type={item['type']}"
        )
        assert status == 200, f"{item}: {status}"
        return body


@pytest.fixture(scope="session")
def server(comfyui: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(comfyui, tmp_path_factory.mktemp("comfyui"), "--preview-method", "latent2rgb")
    try:
        for sample in ("portrait.png", "speech.flac", "driver.mp4"):
            running.upload(ROOT / "assets" / sample)
        yield running
    finally:
        running.stop()


@pytest.fixture
def new_server(comfyui: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Makes a server that the test may kill; it is gone after the test."""
    made: list[Server] = []

    def make(name: str, *flags: str, memory: int = MEMORY) -> Server:
        made.append(Server(comfyui, tmp_path / name, *flags, name=name, memory=memory))
        return made[-1]

    yield make
    for one in made:
        one.stop()


class Job:
    """What happened to one prompt, message by message."""

    def __init__(self, prompt_id: str):
        self.prompt_id = prompt_id
        self.messages: list[tuple[str, Any]] = []
        self.previews = 0

    @property
    def end(self) -> str:
        return self.messages[-1][0]

    def data(self, kind: str) -> list[Any]:
        return [data for name, data in self.messages if name == kind]

    def progress(self) -> list[tuple[str, int, int]]:
        """(node, value, max) of every progress message."""
        return [(data["node"], data["value"], data["max"]) for data in self.data("progress") if data.get("node")]

    def outputs(self) -> dict[str, Any]:
        return {data["node"]: data["output"] for data in self.data("executed")}

    def succeeded(self) -> Job:
        assert self.end == "execution_success", json.dumps(self.messages[-1])[:3000]
        return self


ENDS = ("execution_success", "execution_error", "execution_interrupted")


@pytest.fixture(scope="session")
def run(server: Server) -> Callable[..., Job]:
    """Queue an API prompt and follow it to its end over the web socket, as a page does.

    run(prompt, on_message=None, **extra_data): `on_message(job)` is called after every message.
    """
    return lambda prompt, on_message=None, **extra: follow(server, prompt, on_message, **extra)


@pytest.fixture(scope="session")
def follow_on() -> Callable[..., Job]:
    """follow_on(server, prompt, ...): `run` on another server than the session's."""
    return follow


def follow(
    server: Server, prompt: dict, on_message: Callable[[Job], None] | None = None, seconds: float = JOB_SECONDS,
    **extra: Any,
) -> Job:  # fmt: skip
    import asyncio

    import aiohttp

    async def main() -> Job:
        client = uuid.uuid4().hex
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/ws?clientId={client}", max_msg_size=0) as socket,
        ):
            body = {"prompt": prompt, "client_id": client, "extra_data": extra}
            async with session.post(f"{server.url}/prompt", json=body) as answer:
                told = await answer.json()
                assert answer.status == 200 and not told["node_errors"], json.dumps(told)[:3000]
            job = Job(told["prompt_id"])
            while not job.messages or job.end not in ENDS:
                message = await socket.receive()
                if message.type == aiohttp.WSMsgType.BINARY:
                    job.previews += message.data[:4] in (b"\0\0\0\1", b"\0\0\0\4")
                    continue
                assert message.type == aiohttp.WSMsgType.TEXT, message
                event = json.loads(message.data)
                if (event.get("data") or {}).get("prompt_id") not in (None, job.prompt_id):
                    continue
                if event["type"] != "status":
                    job.messages.append((event["type"], event["data"]))
                    if on_message:
                        await asyncio.to_thread(on_message, job)
            return job

    return asyncio.run(asyncio.wait_for(main(), seconds))


@pytest.fixture(scope="session")
def api() -> Callable[..., dict[str, Any]]:
    """api(name, **{"Title or class.input": value}): workflows/api/<name>.json with inputs set, sample files kept."""

    def load(name: str, settings: dict[str, Any] | None = None) -> dict[str, Any]:
        prompt = json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text())
        for target, value in (settings or {}).items():
            place, _, field = target.rpartition(".")
            nodes = [n for n in prompt.values() if place in (n["class_type"], n.get("_meta", {}).get("title"))]
            assert nodes and all(field in node["inputs"] for node in nodes), f"{name}.json has no {target}"
            for node in nodes:
                node["inputs"][field] = value
        return prompt

    return load
