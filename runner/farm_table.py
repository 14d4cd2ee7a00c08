"""The live table of a farm: a line a server, what is done, and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

from .problems import node_name

Prompt = dict[str, dict[str, Any]]


class Line:
    """What one server does. It takes the messages of a `Follower`, as `follow.Show` does."""

    def __init__(self, server: str):
        self.server, self.state, self.name = server, "asked", ""
        self.prompt: Prompt = {}
        self.began = time.monotonic()
        self.done = 0
        self.share: float | None = None

    def job(self, name: str, prompt: Prompt) -> None:
        """A job begins."""
        self.name, self.prompt, self.state, self.share = name, prompt, "sent", None
        self.began = time.monotonic()

    def rest(self) -> None:
        """Nothing to do."""
        self.name, self.state, self.share = "", "free", None

    def running(self, node_id: str) -> None:
        """A node begins."""
        self.state, self.share = node_name(node_id, self.prompt.get(node_id)), None

    def progress(self, node_id: str, value: float, total: float) -> None:
        """A node counts."""
        self.state = node_name(node_id, self.prompt.get(node_id))
        self.share = value / total if total > 0 else None

    def cached(self, count: int) -> None:
        """Nodes that need not run again."""

    def close(self) -> None:
        """The job is over."""


class FarmTable:
    """The table, redrawn twice a second on a terminal; elsewhere, or with `quiet`, nothing is drawn."""

    def __init__(self, servers: Sequence[str], quiet: bool):
        self.lines = {server: Line(server) for server in servers}
        self.total = self.over = self.failures = 0
        self.times: list[float] = []
        self._live: Any = None
        self.shown = not quiet and sys.stderr.isatty()

    def line(self, server: str) -> Line:
        """A server's line."""
        return self.lines[server]

    def begin(self, total: int, over: int) -> None:
        """Begin to draw. total: jobs in the table; over: done before."""
        self.total, self.over = total, over
        if not self.shown:
            return
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            get_renderable=self.drawn, console=Console(stderr=True), refresh_per_second=2, transient=True
        )  # fmt: skip
        self._live.start()

    def count(self, seconds: float | None = None, failed: bool = False) -> None:
        """One more job is over."""
        self.over += 1
        self.failures += failed
        if seconds is not None:
            self.times.append(seconds)

    def left(self) -> float | None:
        """Seconds that are left, about: jobs that are left share the servers that answer. None before one is done."""
        busy = [line for line in self.lines.values() if not line.state.startswith("away")]
        if not self.times or not busy:
            return None
        mean = sum(self.times) / len(self.times)
        begun = sum(min(time.monotonic() - line.began, mean) for line in busy if line.name)
        return max(mean * (self.total - self.over) - begun, 0.0) / len(busy)

    def drawn(self) -> Any:
        """The table as `rich` draws it."""
        from rich.table import Table

        left = self.left()
        ended = f"{self.over} of {self.total} jobs" + (f", {self.failures} failed" if self.failures else "")
        table = Table(title=ended + (f", about {clock(left)} left" if left is not None else ""), title_justify="left")
        for name in ("server", "job", "doing", ""):
            table.add_column(name)
        for line in self.lines.values():
            share = f"{line.share:.0%}" if line.share is not None else ""
            table.add_row(line.server, line.name, line.state, share)
        return table

    def close(self) -> None:
        """Stop drawing."""
        if self._live is not None:
            self._live.stop()
            self._live = None


def clock(seconds: float) -> str:
    """A time as minutes and seconds, or hours and minutes: "4:05 min", "1:20 h"."""
    minutes = int(seconds) // 60
    return f"{minutes}:{int(seconds) % 60:02d} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d} h"
