"""Who does which job next, on several servers at once: one job a server at a time, another try elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress

from .jobs import Job

LOSSES = 3
"""How often a job may be lost with a server before it is not tried again: it may be what brings them down."""


class Board:
    """The jobs that are left, and the servers that ask for them.

    A job that failed somewhere is given only to servers where it has not failed; when no server that answers is left
    for it, it has failed. A job that was lost with its server goes to whoever is free.
    """

    def __init__(self, jobs: Iterable[Job], servers: Sequence[str]):
        self.pending = list(jobs)
        self.live: set[str] = set(servers)
        self.running: dict[str, Job] = {}
        self.held: dict[str, list[Job]] = defaultdict(list)
        self._refused: dict[str, set[str]] = defaultdict(set)
        self._lost: Counter[str] = Counter()
        self._changed = asyncio.Condition()

    @property
    def left(self) -> int:
        """Jobs that are not over."""
        return len(self.pending) + len(self.running) + sum(map(len, self.held.values()))

    async def take(self, server: str) -> Job | None:
        """The next job for `server`, which must be over before it asks again; None when nothing is left to do."""
        async with self._changed:
            while True:
                job = next((job for job in self.pending if server not in self._refused[job.key]), None)
                if job is not None:
                    self.pending.remove(job)
                    self.running[server] = job
                    return job
                if not self.left:
                    return None
                await self._changed.wait()

    async def rest(self, seconds: float) -> None:
        """Wait so long, or until nothing is left to do."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._over(), seconds)

    async def _over(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self.left)

    async def done(self, server: str) -> None:
        """The server's job is over."""
        self.running.pop(server)
        await self._tell()

    async def failed(self, server: str) -> bool:
        """The server's job failed there; whether it is tried elsewhere."""
        job = self.running.pop(server)
        self._refused[job.key].add(server)
        again = self._possible(job)
        if again:
            self.pending.insert(0, job)
        await self._tell()
        return again

    async def lost(self, server: str) -> bool:
        """The server's job was lost with the server; whether it is tried again."""
        job = self.running.pop(server)
        self._lost[job.key] += 1
        again = self._lost[job.key] < LOSSES
        if again:
            self.pending.insert(0, job)
        await self._tell()
        return again

    async def away(self, server: str) -> list[Job]:
        """The server does not answer. The jobs that nobody is left for are taken off the board and returned."""
        self.live.discard(server)
        hopeless = [job for job in self.pending if not self._possible(job)] if self.live else []
        self.pending = [job for job in self.pending if job not in hopeless]
        await self._tell()
        return hopeless

    def back(self, server: str) -> None:
        """The server answers (again)."""
        self.live.add(server)

    def hold(self, server: str, job: Job) -> None:
        """A job of an earlier start, which the server may still be working on: nobody else gets it before release."""
        self.held[server].append(job)

    def resume(self, server: str) -> Job | None:
        """One of the jobs that are held for a server, which now goes on with it."""
        if not self.held[server]:
            return None
        self.running[server] = self.held[server].pop(0)
        return self.running[server]

    async def release(self, server: str) -> None:
        """What was held for the server is anybody's."""
        self.pending = [*self.held.pop(server, []), *self.pending]
        await self._tell()

    def _possible(self, job: Job) -> bool:
        return bool(self.live - self._refused[job.key])

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
