"""A table of jobs on any number of ComfyUI servers: one job a server at a time, another try elsewhere when one fails.

Before a job is sent, its server and prompt id are in the state file, and the server takes that id: whatever happens in
between, the next start finds the job in the server's queue or history, or knows that it never arrived. A server that
does not answer is asked again, less and less often.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from . import inputs
from .board import Board
from .client import Client, Lost, ServerError, Unreachable, server_address
from .farm_table import FarmTable
from .folders import existing_folders, output_folder
from .follow import Follower, outcome
from .jobs import Job, JobsResult, State, check_rows, read_jobs, tickets
from .manifest import InputHashes, described, write_manifest
from .problems import WorkflowError, one_line
from .queue import Prompt, extra_data, fetch, prepare, run_async, upload_inputs
from .workflow import Workflow, read_workflow

log = logging.getLogger("emo2")
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until a server that does not answer is asked again: at first, and at most, doubling in between."""
LAST_ANSWER = 3.0
"""Seconds that a server gets to answer when nothing is left to do."""
PATIENCE = 600.0
"""Seconds without any server that answers, after which the rest is given up."""
TOLD = ("status", "server", "prompt_id", "started", "seconds", "seeds", "input_files", "attempts", "error")
"""What of the state file the manifest has, beside the files."""


def run_jobs(
    workflow: str | Path,
    table: str | Path,
    servers: str | Sequence[str],
    overrides: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    out: str | Path = "output",
    input_dirs: Iterable[str | Path] = (),
    seed: int | None = None,
    timeout: float | None = None,
    quiet: bool = True,
    back_seconds: float = 20.0,
    patience: float = PATIENCE,
) -> JobsResult:
    """Run every row of the CSV `table` once, on whichever of `servers` is free; results of a row go to `out`/NAME.

    Columns are "TARGET.INPUT" (an empty cell leaves the value as it is), and optionally "name" (default row-0001) and
    "out" (a folder below `out`, or an absolute one). Bad rows are reported by number before anything is queued. A job
    that fails does not stop the others; the next start tries it again. Other arguments: as `queue_workflow`.

    back_seconds: how long a server that vanished in the middle of a job may take to come back to it; then the job goes
    to another. patience: seconds without any server, after which Unreachable is raised. `out`/TABLE.manifest.json says
    what every job was made from, where, and what came out.
    """
    addresses = list(dict.fromkeys(map(server_address, [servers] if isinstance(servers, str) else servers)))
    asked = Asked.of(workflow, table, overrides, out, input_dirs, seed)
    farm = Farm(asked, addresses, FarmTable(addresses, quiet), patience)

    async def work() -> JobsResult:
        try:
            await _check(asked, addresses)
            return await farm.run(lambda url: _Worker(farm, url, timeout, back_seconds).run())
        finally:
            farm.write_manifest()

    return run_async(work)


@dataclass
class Asked:
    """What is to be done: a workflow, its table and settings, read and checked for their form."""

    workflow: Path
    table: Path
    out: Path
    source: Workflow
    settings: list[tuple[str, Any]]
    jobs: list[Job]
    folders: inputs.InputFolders
    seed: int | None

    @classmethod
    def of(
        cls, workflow: str | Path, table: str | Path, overrides: Mapping[str, Any] | Iterable[tuple[str, Any]],
        out: str | Path, input_dirs: Iterable[str | Path], seed: int | None,
    ) -> Asked:  # fmt: skip
        """Read all of it; arguments as `run_jobs`."""
        source = read_workflow(workflow)
        settings = list(overrides.items() if isinstance(overrides, Mapping) else overrides)
        out, table = output_folder(out), Path(table)
        jobs = read_jobs(table, out, source, settings, seed)
        chosen = existing_folders(input_dirs, "--input")
        folders = inputs.InputFolders.of([*chosen, table.resolve().parent], source.folder)
        return cls(Path(workflow), table, out, source, settings, jobs, folders, seed)

    def check(self, definitions: Mapping[str, Any], server: str) -> None:
        """WorkflowError names each row that cannot be a prompt."""
        check_rows(self.jobs, self.source, self.settings, definitions, self.folders, server, self.seed)

    def prompt(self, job: Job, definitions: Mapping[str, Any], server: str) -> Prompt:
        """The prompt of a row."""
        everything = [*self.settings, *job.settings]
        return prepare(self.source, everything, definitions, self.folders, server, self.seed, "column")


async def _check(asked: Asked, servers: Sequence[str]) -> None:
    """Check all rows against a server that answers, before anything is sent. ServerError when none does."""
    trouble: list[str] = []
    for url in servers:
        try:
            async with Client(url, answer_seconds=10.0) as client:
                definitions = await client.definitions()
        except ServerError as error:
            trouble.append(str(error))
            continue
        asked.check(definitions, url)
        return
    raise Unreachable(" ".join(trouble))


class Farm:
    """What the workers share, one of them for each of `servers`: jobs, what is written down, the table."""

    def __init__(self, asked: Asked, servers: list[str], table: FarmTable, patience: float = PATIENCE):
        self.asked, self.jobs = asked, asked.jobs
        self.servers, self.table, self.patience = servers, table, patience
        self.state = State(asked.out / f"{asked.table.stem}.state.json")
        self.result = JobsResult()
        self.versions: dict[str, Any] = {}
        """Server -> what it says of itself, once it has answered."""
        self.board = Board([], servers)

    async def run(self, work: Callable[[str], Coroutine[Any, Any, None]]) -> JobsResult:
        """Do what is left of the jobs. work(server): that server's part, until the board is empty."""
        left = [job for job in self.jobs if self.state.status(job) != "done"]
        self.result.skipped = len(self.jobs) - len(left)
        if self.result.skipped:
            log.info("%d of %d jobs were done before", self.result.skipped, len(self.jobs))
        sent = {job.key: self.state.jobs[job.key].get("server") for job in left if self.state.status(job) == "sent"}
        self.board = Board([job for job in left if sent.get(job.key) not in self.servers], self.servers)
        for job in left:
            if sent.get(job.key) in self.servers:
                self.board.hold(str(sent[job.key]), job)
        self.table.begin(len(self.jobs), self.result.skipped)
        workers: list[asyncio.Future[None]] = [asyncio.ensure_future(work(url)) for url in self.servers]
        try:
            await self._all(workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            self.table.close()
        for job in self.jobs:
            self.result.files += [Path(name) for name in self.state.jobs.get(job.key, {}).get("files", [])]
        return self.result

    async def _all(self, workers: list[asyncio.Future[None]]) -> None:
        """Wait for the workers; Unreachable when no server has answered for too long."""
        silent = over = None
        while not all(worker.done() for worker in workers):
            await asyncio.wait(workers, timeout=0.2, return_when=asyncio.FIRST_EXCEPTION)
            for worker in workers:
                if worker.done():
                    worker.result()
            if not self.board.left:
                over = over or time.monotonic()
                if time.monotonic() - over > LAST_ANSWER:
                    return  # of a server that is asked for nothing any more
            if self.board.live or not self.board.left:
                silent = None
            elif silent is None:
                silent = time.monotonic()
            elif time.monotonic() - silent > self.patience:
                raise Unreachable(
                    f"None of the servers has answered for {self.patience:g} s; {self.board.left} jobs are left. "
                    "Start one and give the same command again."
                )

    def sent(self, job: Job, server: str, started: float, prompt_id: str | None, made_from: Mapping[str, Any]) -> None:
        """Write down that a job goes to a server, before it does."""
        when = datetime.fromtimestamp(started, timezone.utc).isoformat(timespec="milliseconds")
        self.state.put(
            job, status="sent", server=server, prompt_id=prompt_id, error=None, files=[], made=[],
            started=when, started_at=started, **made_from,
        )  # fmt: skip

    async def done(self, job: Job, server: str, started: float, files: Sequence[Path]) -> None:
        """A job is done, and its files are here."""
        seconds = round(time.time() - started, 3)
        self.state.put(
            job, status="done", server=server, files=[str(path) for path in files], error=None,
            made=[described(path) for path in files], seconds=seconds, attempts=self._attempts(job, server, started),
        )  # fmt: skip
        self.table.count(seconds=seconds)
        log.info("%s: done on %s in %.1f s", job.name, server, seconds)
        await self.board.done(server)

    async def refused(self, job: Job, server: str, started: float, message: str) -> None:
        """A job failed on a server, and is tried on another where there is one."""
        self.state.put(job, attempts=self._attempts(job, server, started, message), error=message)
        if await self.board.failed(server):
            log.warning("row %d (%s) goes to another server: %s", job.row, job.name, message)
        else:
            self.failed(job, message)

    async def lost(self, job: Job, server: str, started: float, message: str) -> None:
        """A job was lost with its server, and is tried again, but not for ever."""
        self.state.put(job, attempts=self._attempts(job, server, started, message))
        log.warning("%s", message)
        if not await self.board.lost(server):
            self.failed(job, f"it was lost with its server, again and again. {message}")

    def failed(self, job: Job, message: str) -> None:
        """A job that is not tried again."""
        line = f"row {job.row} ({job.name}): {one_line(message)}"
        log.error("%s", line)
        self.result.failed.append(line)
        self.state.put(job, status="failed", error=one_line(message))
        self.table.count(failed=True)

    def _attempts(self, job: Job, server: str, started: float, error: str | None = None) -> list[dict[str, Any]]:
        known = self.state.jobs.get(job.key, {}).get("attempts", [])
        return [*known, {"server": server, "seconds": round(time.time() - started, 3), "error": error}]

    def entry(self, job: Job) -> dict[str, Any]:
        """The job as the manifest has it."""
        known = self.state.jobs.get(job.key, {})
        own = {"row": job.row, "name": job.name, "folder": str(job.folder), "settings": dict(job.settings)}
        return own | {name: known.get(name) for name in TOLD} | {"files": known.get("made")}

    def write_manifest(self) -> None:
        """Write what happened to every job, once a server has answered."""
        if self.versions:
            asked, entries = self.asked, [self.entry(job) for job in self.jobs]
            target = asked.out / f"{asked.table.stem}.manifest.json"
            write_manifest(target, asked.workflow, asked.table, self.versions, entries)


class _Worker:
    """One server, and the job that it is working on."""

    def __init__(self, farm: Farm, url: str, timeout: float | None, back_seconds: float):
        self.farm, self.url, self.timeout, self.back_seconds = farm, url, timeout, back_seconds
        self.board, self.state, self.line = farm.board, farm.state, farm.table.line(url)
        self.client_id, self.began = uuid.uuid4().hex, time.time()
        self.current: Job | None = None

    async def run(self) -> None:
        pause, told = FIRST_PAUSE, ""
        while self.board.left:
            try:
                async with Client(self.url) as client:
                    await self._serve(client)
                return
            except (ServerError, EMO2Error) as error:
                if str(error) != told and self.current is None:  # otherwise its job's loss is told
                    log.warning("%s", one_line(error))
                told = str(error)
                await self._away(str(error))
            self.line.state = f"away, asked again in {pause:g} s"
            await self.board.rest(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            if self.board.live - {self.url} and time.time() - self.began > self.back_seconds:
                await self.board.release(self.url)  # nobody knows when it comes back to them

    async def _away(self, error: str) -> None:
        if self.current is not None:
            job, self.current = self.current, None
            await self.farm.lost(job, self.url, self.began, one_line(error))
        for job in await self.board.away(self.url):
            self.farm.failed(job, self.state.jobs.get(job.key, {}).get("error") or error)

    async def _serve(self, client: Client) -> None:
        """Do jobs until none is left. Unreachable when the server goes."""
        definitions = await client.definitions()
        self.farm.versions[self.url] = await client.versions()
        async with Follower(client, self.client_id, self.back_seconds) as follower:
            known = await self._tidy(client)
            self.board.back(self.url)
            sent: dict[Path, str] = {}
            hashes = InputHashes(definitions, self.farm.asked.folders)
            while True:
                job = self.board.resume(self.url)
                goes_on = job is not None and self.state.jobs[job.key]["prompt_id"] in known
                if job is None:
                    self.line.rest()
                    job = await self.board.take(self.url)
                if job is None:
                    return
                self.current, self.began = job, time.time()
                try:
                    await self._do(client, follower, job, definitions, hashes, sent, goes_on)
                except Lost as error:
                    self.current = None
                    await self.farm.lost(job, self.url, self.began, one_line(error))
                except Unreachable:
                    raise
                except (ServerError, WorkflowError, EMO2Error) as error:
                    self.current = None
                    await self.farm.refused(job, self.url, self.began, one_line(error))
                except asyncio.CancelledError:
                    await self._cancel(client, job)
                    raise

    async def _tidy(self, client: Client) -> set[str]:
        """Prompt ids that the server knows. Jobs of this table that it still does and that went elsewhere since, or
        that were stopped, are cancelled."""
        waiting, finished = await client.waiting(), await client.finished()
        stopped = {i for i, entry in finished.items() if "execution_interrupted" in str(entry.get("status"))}
        ours = {job.key: self.state.jobs.get(job.key, {}) for job in self.farm.jobs}
        for ticket, prompt_id in tickets(waiting, finished).items():
            key, _, asked = ticket.partition("/")
            mine = ours.get(key)
            if mine is None:
                continue
            current = mine.get("status") == "sent" and mine.get("server") == self.url and mine.get("prompt_id") == asked
            if current and prompt_id != asked:  # the server chose its own id before we could write it down
                job = next(job for job in self.farm.jobs if job.key == key)
                self.state.put(job, prompt_id=prompt_id)
            elif not current and mine.get("prompt_id") != prompt_id and prompt_id in waiting:
                await client.cancel([prompt_id])
        return (waiting.keys() | finished.keys()) - stopped

    async def _do(
        self, client: Client, follower: Follower, job: Job, definitions: Mapping[str, Any], hashes: InputHashes,
        sent: dict[Path, str], goes_on: bool,
    ) -> None:  # fmt: skip
        farm = self.farm
        prompt = farm.asked.prompt(job, definitions, client.url)
        self.line.job(job.name, prompt)
        if goes_on:
            started = self.state.jobs[job.key].get("started_at") or self.began
        else:
            started, prompt_id = time.time(), str(uuid.uuid4())
            made_from = hashes.of(prompt)  # before its files have the server's names
            await upload_inputs(client, prompt, definitions, farm.asked.folders, sent)
            farm.sent(job, self.url, started, prompt_id, made_from)
            extra = extra_data(farm.asked.source, emo2_job=f"{job.key}/{prompt_id}")
            given = await client.queue(prompt, self.client_id, prompt_id, extra)
            if given != prompt_id:
                self.state.put(job, prompt_id=given)
        entry = await follower.wait(self.state.jobs[job.key]["prompt_id"], self.line, self.timeout)
        files = await fetch(client, outcome(entry, prompt), job.folder)
        self.current = None
        await farm.done(job, self.url, started, files)

    async def _cancel(self, client: Client, job: Job) -> None:
        """Ctrl-C: the server stops, too."""
        prompt_id = self.state.jobs.get(job.key, {}).get("prompt_id")
        if self.state.status(job) != "sent" or not prompt_id:
            return
        try:
            await asyncio.shield(asyncio.wait_for(client.cancel([prompt_id]), 5.0))
        except (ServerError, asyncio.TimeoutError) as error:
            log.warning("the job on %s could not be cancelled: %s", self.url, error)
