"""Many jobs from a table: one row, one job. What was done is written down: a restart goes on and repeats nothing.

Before a job is sent, its prompt id is in the state file, and the server takes that id: whatever happens in between, the
next start finds the job in the server's queue or history, or knows that it never arrived.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from ..models.whole_files import whole_file
from . import inputs
from .client import Client, Lost
from .folders import existing_folders, output_folder
from .follow import Follower, JobFailed, Show, outcome
from .problems import Problem, WorkflowError, one_line
from .queue import Prompt, cancelling, extra_data, fetch, prepare, run_async, upload_inputs
from .workflow import Workflow, read_workflow

log = logging.getLogger("emo2")
OWN_COLUMNS = ("name", "out")
TRIES = 3
LONGEST = 200


@dataclass
class Job:
    """One row. `key` is what the state file knows it by: a row that is changed is another job."""

    row: int
    key: str
    name: str
    folder: Path
    settings: list[tuple[str, str]]
    prompt: Prompt = field(default_factory=dict)


@dataclass
class JobsResult:
    """What happened: files of all jobs in row order, and "row 3 (name): message" for those that failed."""

    files: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: int = 0


class State:
    """The state file: job key -> {"prompt_id", "status" ("sent", "done" or "failed"), "files", ...}; written whole."""

    def __init__(self, path: Path):
        self.path = path
        self.jobs: dict[str, dict[str, Any]] = {}
        if path.exists():
            try:
                self.jobs = dict(json.loads(path.read_text(encoding="utf-8"))["jobs"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                given = f"{path} ({error})"
                raise EMO2Error("--jobs", "its own state file", given, "Delete it to start anew.") from error

    def put(self, job: Job, **values: Any) -> None:
        self.jobs[job.key] = {**self.jobs.get(job.key, {}), "row": job.row, "name": job.name, **values}
        with whole_file(self.path) as temporary:
            temporary.write_text(json.dumps({"version": 1, "jobs": self.jobs}, indent=1), encoding="utf-8")

    def status(self, job: Job) -> str:
        return str(self.jobs.get(job.key, {}).get("status", ""))


def run_jobs(
    workflow: str | Path,
    table: str | Path,
    server: str,
    overrides: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
    out: str | Path = "output",
    input_dirs: Iterable[str | Path] = (),
    seed: int | None = None,
    timeout: float | None = None,
    quiet: bool = True,
    back_seconds: float = 20.0,
) -> JobsResult:
    """Run every row of the CSV `table` on the server; results of a row go to `out`/NAME.

    Columns are "TARGET.INPUT" (an empty cell leaves the value as it is), and optionally "name" (default row-0001) and
    "out" (a folder below `out`, or an absolute one). Bad rows are reported by number before anything is queued. A job
    that fails does not stop the others; the next start tries it again. Other arguments: as queue_workflow.
    """
    source = read_workflow(workflow)
    settings = list(overrides.items() if isinstance(overrides, Mapping) else overrides)
    out = output_folder(out)
    jobs = read_jobs(Path(table), out, source, settings, seed)
    state = State(out / f"{Path(table).stem}.state.json")
    chosen = existing_folders(input_dirs, "--input")
    folders = inputs.InputFolders.of([*chosen, Path(table).resolve().parent], source.folder)

    async def work() -> JobsResult:
        async with Client(server) as client:
            definitions = await client.definitions()
            _check_rows(jobs, source, settings, definitions, folders, client.url, seed)
            return await _Batch(client, state, jobs, source, definitions, folders, timeout, quiet, back_seconds).run()

    return run_async(work)


def read_jobs(
    path: Path, out: Path, source: Workflow, settings: list[tuple[str, Any]], seed: int | None = None
) -> list[Job]:
    """The rows of a CSV file, checked for their form."""
    if not path.is_file():
        raise EMO2Error("--jobs", "a table (.csv)", f"no file at {path}", "Check the name.")
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.reader(stream, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise EMO2Error("--jobs", "a table (.csv, UTF-8)", f"{path} ({error})", "Save it as CSV UTF-8.") from error
    head = [cell.strip() for cell in rows[0]] if rows else []
    _check_head(head, path)
    body = [(number, row) for number, row in enumerate(rows[1:], start=2) if any(cell.strip() for cell in row)]
    if not body:
        raise EMO2Error("--jobs", "at least one row below the column names", f"none in {path}", "Write one job a row.")
    basis = json.dumps(
        [source.canvas, source.api, [[k, str(v)] for k, v in settings], seed], sort_keys=True, default=str
    )
    jobs: list[Job] = []
    problems: list[Problem] = []
    folders: dict[Path, int] = {}
    for number, row in body:
        if len(row) > len(head):
            problems.append(_row_problem(number, f"{len(row)} cells, but the table has {len(head)} columns"))
            continue
        cells = dict(zip(head, row))
        values = [(k, v) for k, v in cells.items() if k not in OWN_COLUMNS and v.strip()]
        name = cells.get("name", "").strip() or f"row-{number - 1:04}"
        folder = out / (cells.get("out", "").strip() or name)
        inside = Path(cells.get("out", "").strip()).is_absolute() or folder.resolve().is_relative_to(out.resolve())
        if name in (".", "..") or any(c in name for c in "/\\\0:") or not inside:
            problems.append(_row_problem(number, f"{name!r} cannot be the name of a folder below {out}"))
        elif len(name.encode()) > LONGEST:
            problems.append(_row_problem(number, f"its name {name[:40]!r}... is longer than {LONGEST} bytes"))
        elif folder in folders:
            problems.append(
                _row_problem(number, f"its results go to the same folder as row {folders[folder]}'s ({folder})")
            )
        folders[folder] = number
        key = hashlib.sha256(json.dumps([basis, values, str(folder)]).encode()).hexdigest()[:24]
        jobs.append(Job(number, key, name, folder, values))
    if problems:
        raise WorkflowError(problems)
    return jobs


def _check_head(head: list[str], path: Path) -> None:
    bad = [cell for cell in head if cell not in OWN_COLUMNS and "." not in cell.strip(".")]
    if not head or bad or not [cell for cell in head if cell not in OWN_COLUMNS]:
        given = f"{bad[0]!r} in {path}" if bad else f"no such column in {path}"
        raise EMO2Error(
            "--jobs", "columns named TARGET.INPUT (and name, out)", given, "For example: name,Load Audio.audio"
        )
    twice = {cell for cell in head if head.count(cell) > 1}
    if twice:
        raise EMO2Error("--jobs", "every column once", f"{', '.join(sorted(twice))} more than once", "Remove one.")


def _row_problem(row: int, message: object) -> Problem:
    return Problem("bad_row", one_line(message), node=f"row {row}")


def _check_rows(
    jobs: list[Job], source: Workflow, settings: list[tuple[str, Any]], definitions: Mapping[str, Any],
    folders: inputs.InputFolders, server: str, seed: int | None,
) -> None:  # fmt: skip
    """Make every row's prompt; WorkflowError names each row that cannot be one."""
    prepare(source, settings, definitions, folders, server, seed)  # what is wrong with all rows is said once
    problems = []
    for job in jobs:
        try:
            everything = [*settings, *job.settings]
            job.prompt = prepare(source, everything, definitions, folders, server, seed, "column")
        except (EMO2Error, WorkflowError) as error:
            problems += [_row_problem(job.row, line) for line in str(error).splitlines()]
    if problems:
        raise WorkflowError(problems)


class _Batch:
    def __init__(
        self, client: Client, state: State, jobs: list[Job], source: Workflow, definitions: Mapping[str, Any],
        folders: inputs.InputFolders, timeout: float | None, quiet: bool, back_seconds: float,
    ):  # fmt: skip
        self.client, self.state, self.jobs, self.source = client, state, jobs, source
        self.definitions, self.folders = definitions, folders
        self.timeout, self.quiet, self.back_seconds = timeout, quiet, back_seconds
        self.client_id = uuid.uuid4().hex
        self.sent: dict[Path, str] = {}
        self.result = JobsResult()

    async def run(self) -> JobsResult:
        left = [job for job in self.jobs if self.state.status(job) != "done"]
        self.result.skipped = len(self.jobs) - len(left)
        if self.result.skipped:
            log.info("%d of %d jobs were done before", self.result.skipped, len(self.jobs))
        known = await self._known()
        ids: list[str] = []
        async with Follower(self.client, self.client_id, self.back_seconds) as follower:
            await cancelling(self.client, ids, self._all(left, known, ids, follower))
        for job in self.jobs:
            self.result.files += [Path(name) for name in self.state.jobs[job.key].get("files", [])]
        return self.result

    async def _known(self) -> set[str]:
        """Prompt ids that the server has in its queue or its history (asked in this order: jobs move that way)."""
        waiting, finished = await self.client.waiting(), await self.client.finished()
        by_job = {str(item.get("emo2_job")): prompt_id for prompt_id, item in waiting.items()}
        for prompt_id, entry in finished.items():
            prompt = entry.get("prompt") or []
            extra = prompt[3] if len(prompt) > 3 and isinstance(prompt[3], dict) else {}
            by_job[str(extra.get("emo2_job"))] = prompt_id
        for job in self.jobs:  # a server that chose its own id before we could write it down
            ours = self.state.jobs.get(job.key, {})
            ticket = f"{job.key}/{ours.get('prompt_id')}"
            if ours.get("status") == "sent" and ticket in by_job:
                self.state.put(job, prompt_id=by_job[ticket])
        stopped = {i for i, entry in finished.items() if "execution_interrupted" in json.dumps(entry.get("status"))}
        return (waiting.keys() | finished.keys()) - stopped

    async def _all(self, left: list[Job], known: set[str], ids: list[str], follower: Follower) -> None:
        for place, job in enumerate(left):
            if self.state.status(job) == "sent" and self.state.jobs[job.key]["prompt_id"] in known:
                ids.append(self.state.jobs[job.key]["prompt_id"])
                continue
            await self._send(job, ids)
            log.debug("%d of %d jobs sent", place + 1, len(left))
        for place, job in enumerate(left):
            if self.state.status(job) != "sent":
                continue
            log.info("job %d of %d: %s", place + 1, len(left), job.name)
            for again in range(TRIES):
                try:
                    await self._finish(job, follower)
                    break
                except JobFailed as error:
                    self._failed(job, str(error))
                    break
                except Lost as error:
                    if again == TRIES - 1:
                        raise
                    log.warning("%s", error)
                    await self._send(job, ids)
                    if self.state.status(job) != "sent":
                        break

    async def _send(self, job: Job, ids: list[str]) -> None:
        """Upload the job's inputs and queue it; its state becomes "sent", or "failed" when the server refuses it."""
        await upload_inputs(self.client, job.prompt, self.definitions, self.folders, self.sent)
        prompt_id = str(uuid.uuid4())
        ids.append(prompt_id)
        self.state.put(job, status="sent", prompt_id=prompt_id, error=None, files=[])
        extra = extra_data(self.source, emo2_job=f"{job.key}/{prompt_id}")
        try:
            given = await self.client.queue(job.prompt, self.client_id, prompt_id, extra)
        except WorkflowError as error:
            self._failed(job, str(error))
            return
        if given != prompt_id:
            ids.append(given)
            self.state.put(job, prompt_id=given)

    async def _finish(self, job: Job, follower: Follower) -> None:
        show = Show(job.prompt, self.quiet, job.name)
        entry = await follower.wait(self.state.jobs[job.key]["prompt_id"], show, self.timeout)
        outputs = outcome(entry, job.prompt)
        files = await fetch(self.client, outputs, job.folder)
        self.state.put(job, status="done", files=[str(path) for path in files])

    def _failed(self, job: Job, message: str) -> None:
        line = f"row {job.row} ({job.name}): {one_line(message)}"
        log.error("%s", line)
        self.result.failed.append(line)
        self.state.put(job, status="failed", error=one_line(message))
