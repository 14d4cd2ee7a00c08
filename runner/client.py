"""A ComfyUI server's API over HTTP: what is asked, and every way it can fail as one line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from ..models.errors import EMO2Error
from ..models.whole_files import temporary_file
from .problems import Problem, WorkflowError, node_name, one_line
from .whole_files import place_file

ANSWER_SECONDS = 60.0
Prompt = dict[str, dict[str, Any]]


class ServerError(Exception):
    """The server is not there, is no ComfyUI, or could not do what it was asked; `str()` is one line."""

    one_line = True

    def __init__(self, message: object):
        super().__init__(one_line(message))


class Unreachable(ServerError):
    """Nobody answers (any more)."""


class Lost(ServerError):
    """The server does not know the job (any more): it was restarted."""


def server_address(url: str) -> str:
    """`url` with its scheme and without a trailing slash: "127.0.0.1:8188" -> "http://127.0.0.1:8188"."""
    text = url.strip()
    text = (text if "://" in text else f"http://{text}").rstrip("/")
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or " " in text:
        raise EMO2Error("--server", "an address such as http://127.0.0.1:8188", repr(url), "Copy it from the browser.")
    return text


class Client:
    """One server. Use as `async with Client(url) as client`."""

    def __init__(self, url: str, answer_seconds: float = ANSWER_SECONDS):
        self.url = server_address(url)
        self.answer_seconds = answer_seconds
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.answer_seconds, sock_read=self.answer_seconds)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use `async with`"
        return self._session

    @asynccontextmanager
    async def request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request whose network troubles come as Unreachable."""
        try:
            async with self.session.request(method, f"{self.url}{path}", **options) as response:
                yield response
        except aiohttp.ServerDisconnectedError as error:
            raise Unreachable(
                f"The server {self.url} hung up in the middle of {method} {path}; is it still running?"
            ) from error
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise Unreachable(
                f"The server {self.url} does not answer ({method} {path}, {self.answer_seconds:g} s)."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(
                f"Cannot reach the server {self.url}: {reason}. Is ComfyUI running there, and is the address right?"
            ) from error

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a 200 answer."""
        async with self.request(method, path, **options) as response:
            body = await response.read()
            if response.status in (502, 503, 504):  # a gateway in front of a server that is not there
                raise Unreachable(f"The server behind {self.url} does not answer ({response.status}); is it running?")
            if response.status != 200:
                raise ServerError(
                    f"The server {self.url} answered {response.status} to {method} {path}; is it ComfyUI?"
                )
            try:
                return json.loads(body)
            except ValueError as error:
                raise ServerError(f"What answers at {self.url} is no ComfyUI server ({path} is not JSON).") from error

    async def definitions(self) -> dict[str, Any]:
        """/object_info: every node the server knows."""
        answer = await self.json("GET", "/object_info")
        if not isinstance(answer, dict) or not all(isinstance(v, dict) and "input" in v for v in answer.values()):
            raise ServerError(f"What answers at {self.url} is no ComfyUI server (/object_info lists no nodes).")
        return answer

    async def versions(self) -> dict[str, Any]:
        """What the server says of itself: {"comfyui", "python", "torch", "devices"}, as far as it does."""
        try:
            answer = await self.json("GET", "/system_stats")
        except Unreachable:
            raise
        except ServerError:
            return {}
        system = answer.get("system") if isinstance(answer, dict) else None
        if not isinstance(system, dict):
            return {}
        devices = [str(device.get("name")) for device in answer.get("devices") or [] if isinstance(device, dict)]
        known = {"comfyui": "comfyui_version", "python": "python_version", "torch": "pytorch_version"}
        return {name: system.get(key) for name, key in known.items()} | {"devices": devices}

    async def upload(self, path: Path) -> str:
        """Put a file into the server's input folder; the name it got there. The server keeps equal files once."""
        with open(path, "rb") as stream:
            form = aiohttp.FormData()
            form.add_field("image", stream, filename=path.name, content_type="application/octet-stream")
            form.add_field("type", "input")
            async with self.request("POST", "/upload/image", data=form) as response:
                body = await response.read()
                status = response.status
        if status == 413:
            raise ServerError(
                f"The server {self.url} refuses {path.name}: it is too big (start it with --max-upload-size)."
            )
        try:
            answer = json.loads(body)
            name = str(PurePosixPath(answer.get("subfolder") or "") / answer["name"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServerError(f"The server {self.url} did not take the file {path.name} (answer {status}).") from error
        return name

    async def queue(self, prompt: Prompt, client_id: str, prompt_id: str, extra: Mapping[str, Any]) -> str:
        """Queue a prompt; the id that the server gave it (newer servers take ours). WorkflowError when it refuses."""
        body = {"prompt": prompt, "client_id": client_id, "prompt_id": prompt_id, "extra_data": dict(extra)}
        async with self.request("POST", "/prompt", json=body) as response:
            text, status = await response.read(), response.status
        try:
            answer = json.loads(text)
        except ValueError as error:
            raise ServerError(
                f"The server {self.url} answered {status} to the workflow, without saying why."
            ) from error
        problems = read_problems(answer, prompt) if isinstance(answer, dict) else []
        if status == 200 and isinstance(answer, dict) and answer.get("prompt_id"):
            given = str(answer["prompt_id"])
            if problems:  # some outputs would run and others not: the artist wants all of them
                await self.cancel([given])
                raise WorkflowError(problems)
            return given
        if problems:
            raise WorkflowError(problems)
        raise ServerError(
            f"The server {self.url} answered {status} to the workflow: {text.decode(errors='replace')[:200]}"
        )

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """What the server remembers of a finished prompt, or None."""
        answer = await self.json("GET", f"/history/{prompt_id}")
        entry = answer.get(prompt_id) if isinstance(answer, dict) else None
        return entry if isinstance(entry, dict) else None

    async def waiting(self) -> dict[str, dict[str, Any]]:
        """Prompts that run or wait: id -> extra data ({"running": bool} added)."""
        answer = await self.json("GET", "/queue")
        found: dict[str, dict[str, Any]] = {}
        for key, running in (("queue_running", True), ("queue_pending", False)):
            for item in answer.get(key) or []:
                extra = item[3] if len(item) > 3 and isinstance(item[3], dict) else {}
                found[str(item[1])] = {**extra, "running": running}
        return found

    async def finished(self) -> dict[str, dict[str, Any]]:
        """The whole history: id -> entry."""
        answer = await self.json("GET", "/history")
        return {str(k): v for k, v in answer.items() if isinstance(v, dict)} if isinstance(answer, dict) else {}

    async def cancel(self, prompt_ids: list[str]) -> None:
        """Take prompts out of the queue, and stop the one that runs if it is among them."""
        async with self.request("POST", "/queue", json={"delete": prompt_ids}):
            pass
        running = [i for i, item in (await self.waiting()).items() if item["running"] and i in prompt_ids]
        for prompt_id in running:
            async with self.request("POST", "/interrupt", json={"prompt_id": prompt_id}):
                pass

    async def download(self, item: Mapping[str, Any], folder: Path) -> Path:
        """Fetch one result into `folder`, whole or not at all; a file of that name with other contents is kept."""
        name, subfolder = safe_names(item)
        target = folder / subfolder / name
        query = {
            "filename": name,
            "subfolder": str(item.get("subfolder") or ""),
            "type": str(item.get("type") or "output"),
        }
        with temporary_file(target) as temporary:
            with open(temporary, "wb") as part:
                async with self.request("GET", "/view", params=query) as response:
                    if response.status != 200:
                        raise ServerError(
                            f"The server {self.url} does not give out its result {name} ({response.status})."
                        )
                    async for block in response.content.iter_chunked(1 << 18):
                        part.write(block)
            return place_file(temporary, target)


def safe_names(item: Mapping[str, Any]) -> tuple[str, str]:
    """(file name, subfolder) of a result; a server has no say in where outside the output folder we write."""
    name, subfolder = str(item.get("filename") or ""), str(item.get("subfolder") or "").replace("\\", "/")
    parts = PurePosixPath(subfolder)
    bad_folder = parts.is_absolute() or ".." in parts.parts or ":" in subfolder or "\0" in subfolder
    if not name or name in (".", "..") or any(letter in name for letter in "/\\\0:") or bad_folder:
        raise ServerError(
            f"The server names a result outside the output folder ({subfolder!r}, {name!r}); it is not fetched."
        )
    return name, subfolder


def read_problems(answer: Mapping[str, Any], prompt: Prompt) -> list[Problem]:
    """The server's validation errors, one a line."""
    problems = []
    for node_id, found in (answer.get("node_errors") or {}).items():
        for error in found.get("errors") or [] if isinstance(found, dict) else []:
            label = node_name(str(node_id), prompt.get(str(node_id)) or {"class_type": found.get("class_type")})
            problems.append(_problem(error, str(node_id), label))
    error = answer.get("error")
    if error and not problems:
        if isinstance(error, str):
            return [Problem("error", error)]
        node_id = (error.get("extra_info") or {}).get("node_id") or str(error.get("details", "")).partition("#")[
            2
        ].strip("'")
        label = node_name(node_id, prompt[node_id]) if node_id in prompt else ""
        problems.append(_problem(error, node_id or None, label))
    return problems


def _problem(error: Mapping[str, Any], node_id: str | None, label: str) -> Problem:
    return Problem(
        str(error.get("type", "")), str(error.get("message", "")), str(error.get("details", "")), node_id, label
    )
