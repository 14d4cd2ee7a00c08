"""A ComfyUI server made of its API only, and small canvases, for the tests of the runner."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from emo2.runner.definitions import LocalDefinitions
from PIL import Image


class Canvas:
    """Builds the JSON that ComfyUI's page saves."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []

    def node(self, kind: str, values: Any = (), inputs=(), outputs=(), **more: Any) -> dict[str, Any]:
        """inputs: (name, type) or (name, type, (node, slot)); a fourth item marks a converted widget."""
        node: dict[str, Any] = {"id": len(self.nodes) + 1, "type": kind, "mode": 0, "widgets_values": values, **more}
        node["outputs"] = [{"name": t, "type": t, "links": []} for t in outputs]
        node["inputs"] = []
        for place, (name, type_, *rest) in enumerate(inputs):
            slot: dict[str, Any] = {"name": name, "type": type_, "link": None}
            if rest and rest[0]:
                origin, number = rest[0]
                self.links.append([len(self.links) + 1, origin["id"], number, node["id"], place, type_])
                slot["link"] = len(self.links)
            if len(rest) > 1:
                slot["widget"] = {"name": name}
            node["inputs"].append(slot)
        self.nodes.append(node)
        return node

    def json(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "links": self.links, "groups": [], "version": 0.4}


def picture_canvas(image: str = "face.png", prefix: str = "shot") -> dict[str, Any]:
    """LoadImage -> SaveImage."""
    canvas = Canvas()
    load = canvas.node("LoadImage", [image, "image"], outputs=("IMAGE", "MASK"))
    canvas.node("SaveImage", [prefix], [("images", "IMAGE", (load, 0))])
    return canvas.json()


class FakeComfyUI:
    """Runs on a thread. `hold()` stops before the next node until `go()`; `die()` breaks every line at once.

    runs: prompt ids in the order in which they were executed, with their prompts; uploads: name -> bytes.
    """

    def __init__(self, own_ids: bool = False) -> None:
        names = ("LoadImage", "LoadAudio", "SaveImage", "CreateVideo", "SaveVideo", "PrimitiveInt", "PreviewImage")
        local = LocalDefinitions()
        self.definitions = json.loads(json.dumps({name: local[name] for name in names}))
        self.own_ids = own_ids
        self.uploads: dict[str, bytes] = {}
        self.queue: list[tuple] = []
        self.running: tuple | None = None
        self.history: dict[str, Any] = {}
        self.runs: list[tuple[str, dict[str, Any]]] = []
        self.errors: dict[str, Any] | None = None
        self.failing: str | None = None
        self.files: dict[str, bytes] = {}
        self.bad_name: str | None = None
        self.interrupted: str | None = None
        self.posted = 0
        self.sockets: set[web.WebSocketResponse] = set()
        self.loop = asyncio.new_event_loop()
        self.port = 0
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.gate = self._call(self._make_event())
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    async def _make_event(self) -> asyncio.Event:
        event = asyncio.Event()
        event.set()
        return event

    def hold(self) -> None:
        self.loop.call_soon_threadsafe(self.gate.clear)

    def go(self) -> None:
        self.loop.call_soon_threadsafe(self.gate.set)

    def start(self) -> None:
        self._call(self._start())

    def die(self, forget: bool = True) -> None:
        """Gone in the middle of whatever it did; with `forget`, its queue and history are gone too."""
        self._call(self._die())
        if forget:
            self.queue, self.history = [], {}
        self.running = None

    def close(self) -> None:
        self._call(self._die())
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def _start(self) -> None:
        app = web.Application(client_max_size=1 << 28)
        for method, path, handler in (
            ("GET", "/ws", self._ws), ("GET", "/object_info", self._object_info), ("POST", "/prompt", self._prompt),
            ("POST", "/upload/image", self._upload), ("GET", "/history", self._history),
            ("GET", "/history/{id}", self._history), ("GET", "/queue", self._queue), ("POST", "/queue", self._delete),
            ("POST", "/interrupt", self._interrupt), ("GET", "/view", self._view),
        ):  # fmt: skip
            app.router.add_route(method, path, handler)
        self.runner = web.AppRunner(app, shutdown_timeout=0)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self.worker = asyncio.ensure_future(self._work())

    async def _die(self) -> None:
        self.worker.cancel()
        server = self.runner.server
        for connection in list(server.connections) if server else ():
            if connection.transport is not None:
                connection.transport.abort()
        await self.runner.cleanup()
        self.sockets.clear()

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.add(socket)
        await socket.send_json({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}})
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
        self.sockets.discard(socket)
        return socket

    async def _tell(self, kind: str, **data: Any) -> None:
        for socket in list(self.sockets):
            try:
                await socket.send_json({"type": kind, "data": data})
            except (ConnectionError, RuntimeError):  # that client was killed
                self.sockets.discard(socket)

    async def _object_info(self, request: web.Request) -> web.Response:
        return web.json_response(self.definitions)

    async def _prompt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.posted += 1
        if self.errors is not None:
            return web.json_response(self.errors, status=400)
        prompt_id = str(uuid.uuid4()) if self.own_ids else body["prompt_id"]
        self.queue.append((self.posted, prompt_id, body["prompt"], body["extra_data"], []))
        return web.json_response({"prompt_id": prompt_id, "number": self.posted, "node_errors": {}})

    async def _upload(self, request: web.Request) -> web.Response:
        post = await request.post()
        field = post["image"]
        data = field.file.read()
        name = field.filename
        while name in self.uploads and self.uploads[name] != data:
            name = f"x{name}"
        self.uploads[name] = data
        return web.json_response({"name": name, "subfolder": "", "type": "input"})

    async def _history(self, request: web.Request) -> web.Response:
        wanted = request.match_info.get("id")
        return web.json_response({k: v for k, v in self.history.items() if wanted in (None, k)})

    async def _queue(self, request: web.Request) -> web.Response:
        running = [self.running] if self.running else []
        return web.json_response({"queue_running": running, "queue_pending": self.queue})

    async def _delete(self, request: web.Request) -> web.Response:
        ids = (await request.json()).get("delete", [])
        self.queue = [item for item in self.queue if item[1] not in ids]
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        self.interrupted = (await request.json()).get("prompt_id")
        self.gate.set()
        return web.Response()

    async def _view(self, request: web.Request) -> web.Response:
        data = self.files.get(f"{request.query['subfolder']}/{request.query['filename']}")
        return web.Response(status=404) if data is None else web.Response(body=data)

    async def _work(self) -> None:
        while True:
            if not self.queue:
                await asyncio.sleep(0.005)
                continue
            self.running = self.queue.pop(0)
            _, prompt_id, prompt, _, _ = self.running
            outputs, messages = await self._execute(prompt_id, prompt)
            status = {"status_str": "error" if messages else "success", "completed": not messages, "messages": messages}
            self.history[prompt_id] = {"prompt": list(self.running), "outputs": outputs, "status": status}
            self.running = None
            await self._tell("executing", node=None, prompt_id=prompt_id)

    async def _execute(self, prompt_id: str, prompt: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
        outputs: dict[str, Any] = {}
        await self._tell("execution_start", prompt_id=prompt_id)
        for node_id, node in prompt.items():
            await self._tell("executing", node=node_id, prompt_id=prompt_id)
            await self._tell("progress", node=node_id, value=1, max=2, prompt_id=prompt_id)
            await self.gate.wait()
            if self.interrupted == prompt_id:
                self.interrupted = None
                await self._tell("execution_interrupted", prompt_id=prompt_id)
                return outputs, [["execution_interrupted", {"node_id": node_id}]]
            if self.failing and self.failing in json.dumps(node):
                error = {
                    "prompt_id": prompt_id, "node_id": node_id, "node_type": node["class_type"],
                    "exception_message": "the picture\nis too small", "exception_type": "some.pack.TooSmall",
                }  # fmt: skip
                await self._tell("execution_error", **error)
                return outputs, [["execution_error", error]]
            if self.definitions[node["class_type"]]["output_node"]:
                name = self.bad_name or f"shot_{len(self.files) + 1:05}_.png"
                self.files[f"/{name}"] = json.dumps(prompt, sort_keys=True).encode()
                outputs[node_id] = {"images": [{"filename": name, "subfolder": "", "type": "output"}]}
        self.runs.append((prompt_id, prompt))
        await self._tell("execution_success", prompt_id=prompt_id)
        return outputs, []


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Until `condition` holds; a test that waits for longer has failed."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def jobs_client(flow: Path, path: Path, server: FakeComfyUI, out: Path) -> subprocess.Popen[str]:
    """`emo2 queue --jobs` in a process of its own, for tests that kill it."""
    command = [sys.executable, "-m", "emo2.runner", "queue", str(flow), "--server", server.url, "--quiet"]
    return subprocess.Popen(
        [*command, "--jobs", str(path), "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def picture_flow(folder: Path, **colours: int) -> Path:
    """The file of `picture_canvas`, and beside it pictures with a red of `colours`."""
    for name, colour in colours.items():
        Image.new("RGB", (8, 8), (colour, 10, 10)).save(folder / f"{name}.png")
    path = folder / "flow.json"
    path.write_text(json.dumps(picture_canvas()))
    return path
