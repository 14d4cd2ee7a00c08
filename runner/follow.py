"""Follows jobs on a server: listens on its web socket, asks its history when the line breaks, shows progress."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
from tqdm import tqdm

from .client import Client, Lost, ServerError, Unreachable
from .problems import node_name, one_line

log = logging.getLogger("emo2")
Prompt = dict[str, dict[str, Any]]


class JobFailed(ServerError):
    """A node on the server raised, or somebody stopped the job."""


class Watcher(Protocol):
    """Who is told how a prompt goes."""

    def running(self, node_id: str) -> None: ...
    def cached(self, count: int) -> None: ...
    def progress(self, node_id: str, value: float, total: float) -> None: ...
    def close(self) -> None: ...


class Show:
    """Progress of one prompt on the terminal: a bar for each node that counts, a line for each node that runs."""

    def __init__(self, prompt: Prompt, quiet: bool = False, name: str = ""):
        self.prompt, self.quiet = prompt, quiet
        self.name = f"{name}: " if name else ""
        self.bar: tqdm | None = None
        self.node: str | None = None

    def running(self, node_id: str) -> None:
        if node_id != self.node:
            self.close()
            self.node = node_id
            self._say(node_name(node_id, self.prompt.get(node_id)))

    def cached(self, count: int) -> None:
        if count:
            self._say(f"{count} nodes are unchanged since an earlier run")

    def progress(self, node_id: str, value: float, total: float) -> None:
        if self.quiet or total <= 0:
            return
        if self.bar is None or self.node != node_id or self.bar.total != total:
            self.close()
            self.node = node_id
            label = node_name(node_id, self.prompt.get(node_id))
            self.bar = tqdm(total=total, desc=self.name + label, file=sys.stderr, leave=False)
        self.bar.n = value
        self.bar.refresh()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def _say(self, text: str) -> None:
        if not self.quiet:
            tqdm.write(self.name + text, file=sys.stderr)


class Follower:
    """Waits for prompts on one server. `async with Follower(client, client_id) as follower: await follower.wait(...)`.

    back_seconds: how long a server that vanished may take to come back. ask_seconds: how often the history is asked
    when the socket is silent (messages can get lost when the line breaks).
    """

    def __init__(self, client: Client, client_id: str, back_seconds: float = 20.0, ask_seconds: float = 5.0):
        self.client, self.client_id = client, client_id
        self.back_seconds, self.ask_seconds = back_seconds, ask_seconds
        self.socket: aiohttp.ClientWebSocketResponse | None = None

    async def __aenter__(self) -> Follower:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.socket is not None:
            await self.socket.close()

    async def connect(self) -> None:
        """Open the socket; it must stand before the prompt is queued, or its first messages are missed."""
        url = f"{self.client.url.replace('http', 'ws', 1)}/ws?clientId={self.client_id}"
        try:
            self.socket = await asyncio.wait_for(
                self.client.session.ws_connect(url, max_msg_size=0, heartbeat=20.0), self.client.answer_seconds
            )
        except aiohttp.WSServerHandshakeError as error:
            raise ServerError(
                f"What answers at {self.client.url} is no ComfyUI server (no web socket at /ws)."
            ) from error
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            raise Unreachable(f"Cannot reach the server {self.client.url}: {error or type(error).__name__}.") from error

    async def wait(self, prompt_id: str, show: Watcher, timeout: float | None = None) -> dict[str, Any]:
        """Follow a prompt to its end; its history entry. JobFailed, Unreachable, or ServerError when it got lost."""
        end = time.monotonic() + timeout if timeout else None
        try:
            while True:
                entry = await self._look(prompt_id)
                if entry is not None:
                    return entry
                pause = self.ask_seconds if end is None else min(self.ask_seconds, end - time.monotonic())
                if pause <= 0:
                    await self.client.cancel([prompt_id])
                    raise JobFailed(f"The job took longer than {timeout:g} s and was cancelled (--timeout).")
                await self._listen(prompt_id, show, time.monotonic() + pause)
        finally:
            show.close()

    async def _look(self, prompt_id: str) -> dict[str, Any] | None:
        """The history entry when the job is over, None while it waits or runs; waits for a server that vanished."""
        end = time.monotonic() + self.back_seconds
        pause, tries = 0.2, 0
        while True:
            try:
                waiting = prompt_id in await self.client.waiting()  # first this, then the history: it moves that way
                entry = await self.client.history(prompt_id)
                if entry is None and not waiting:
                    raise Lost(
                        f"The server {self.client.url} was restarted or forgot the job ({prompt_id}). Queue it again."
                    )
                if self.socket is None or self.socket.closed:
                    await self.connect()
                return entry
            except Unreachable as error:
                tries += 1
                if tries > 1 and time.monotonic() > end:
                    raise Unreachable(
                        f"The server {self.client.url} went away in the middle of the job and did not come back in "
                        f"{self.back_seconds:g} s. Start it again and queue the job again."
                    ) from error
                await asyncio.sleep(pause)
                pause = min(2 * pause, 2.0)

    async def _listen(self, prompt_id: str, show: Watcher, until: float) -> None:
        """Show messages until the prompt is over, the socket closes, or it has been silent until `until`."""
        pause = until - time.monotonic()
        while self.socket is not None and not self.socket.closed:
            try:
                message = await self.socket.receive(timeout=max(pause, 0.01))
            except (asyncio.TimeoutError, TimeoutError):
                return
            if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
                return
            if message.type == aiohttp.WSMsgType.ERROR:
                return
            if message.type != aiohttp.WSMsgType.TEXT:
                show_text(message.data)
                continue
            try:
                event = json.loads(message.data)
                kind, data = event.get("type"), event.get("data") or {}
            except (ValueError, AttributeError):
                continue
            if data.get("prompt_id", prompt_id) == prompt_id and self._over(kind, data, show):
                return

    def _over(self, kind: str | None, data: Mapping[str, Any], show: Watcher) -> bool:
        """Show one event; whether it is the last of its prompt."""
        if kind == "executing":
            if data.get("node") is None:
                return "prompt_id" in data
            show.running(str(data["node"]))
        elif kind == "progress" and data.get("node") is not None:
            show.progress(str(data["node"]), data.get("value") or 0, data.get("max") or 0)
        elif kind == "execution_cached":
            show.cached(len(data.get("nodes") or []))
        elif kind == "emo2.warning":
            log.warning("%s", one_line(data.get("message") or ""))
        return kind in ("execution_success", "execution_error", "execution_interrupted")


def show_text(data: bytes) -> None:
    """Text that a node sends while it runs (warnings, say): event 3, the length of the node's id, the id, the text."""
    if isinstance(data, bytes) and len(data) > 8 and int.from_bytes(data[:4], "big") == 3:
        length = int.from_bytes(data[4:8], "big")
        log.warning("%s", one_line(data[8 + length :].decode(errors="replace")))


def outcome(entry: Mapping[str, Any], prompt: Prompt) -> dict[str, Any]:
    """The outputs of a history entry: node id -> ui dict. JobFailed with the node and its message when it failed."""
    status = entry.get("status") or {}
    for message in status.get("messages") or []:
        kind, data = (message[0], message[1]) if isinstance(message, (list, tuple)) and len(message) == 2 else ("", {})
        if kind == "execution_error":
            raise JobFailed(error_line(data, prompt))
        if kind == "execution_interrupted":
            raise JobFailed("The job was stopped on the server before it was done.")
    if status.get("status_str") == "error":
        raise JobFailed("The job failed on the server, which does not say why; its log may.")
    return dict(entry.get("outputs") or {})


def error_line(data: Mapping[str, Any], prompt: Prompt) -> str:
    """A node's error in one line. EMO2's own messages say everything; others keep the exception's name."""
    node_id = str(data.get("node_id"))
    label = node_name(node_id, prompt.get(node_id) or {"class_type": data.get("node_type")})
    kind = str(data.get("exception_type") or "").rpartition(".")[2]
    text = str(data.get("exception_message") or "").strip()
    return one_line(f"{label}: {text}" if kind == "EMO2Error" else f"{label}: {kind}: {text}")
