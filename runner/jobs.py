"""Many jobs from a table: one row, one job, checked before anything is sent; and the file that says what was done."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error
from ..models.whole_files import whole_file
from . import inputs
from .problems import Problem, WorkflowError, one_line
from .queue import prepare
from .workflow import Workflow

OWN_COLUMNS = ("name", "out")
LONGEST = 200


@dataclass
class Job:
    """One row. `key` is what the state file knows it by: a row that is changed is another job."""

    row: int
    key: str
    name: str
    folder: Path
    settings: list[tuple[str, str]]


@dataclass
class JobsResult:
    """What happened: files of all jobs in row order, and "row 3 (name): message" for those that failed."""

    files: list[Path] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    skipped: int = 0


class State:
    """The state file: job key -> {"status" ("sent", "done" or "failed"), "server", "prompt_id", "files", ...}; written
    whole."""

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


def check_rows(
    jobs: list[Job], source: Workflow, settings: list[tuple[str, Any]], definitions: Mapping[str, Any],
    folders: inputs.InputFolders, server: str, seed: int | None,
) -> None:  # fmt: skip
    """Make every row's prompt; WorkflowError names each row that cannot be one."""
    prepare(source, settings, definitions, folders, server, seed)  # what is wrong with all rows is said once
    problems = []
    for job in jobs:
        try:
            everything = [*settings, *job.settings]
            prepare(source, everything, definitions, folders, server, seed, "column")
        except (EMO2Error, WorkflowError) as error:
            problems += [_row_problem(job.row, line) for line in str(error).splitlines()]
    if problems:
        raise WorkflowError(problems)


def tickets(waiting: Mapping[str, Mapping[str, Any]], finished: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Prompt ids by what they were sent with, "JOB KEY/PROMPT ID": the server may have chosen another id."""
    found = {str(item.get("emo2_job")): prompt_id for prompt_id, item in waiting.items()}
    for prompt_id, entry in finished.items():
        prompt = entry.get("prompt") or []
        extra = prompt[3] if len(prompt) > 3 and isinstance(prompt[3], dict) else {}
        found[str(extra.get("emo2_job"))] = prompt_id
    return found
