"""A schedule of long commands that depend on one another: each in a process of its own, several side by side.

What is done is marked by a file, so a schedule that was stopped, killed or failed goes on where it stood. One thread a
process, each on its own core: two such processes get more done than one with two threads.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..models.errors import EMO2Error
from ..models.whole_files import whole_file

log = logging.getLogger("emo2")
GRACE = 90.0
"""Seconds that a process gets to write its last checkpoint when it is told to stop."""
TAIL = 6
COMMAND = (sys.executable, "-m", "emo2.runner")
"""What the stages' arguments are given to."""


@dataclass(frozen=True)
class Stage:
    """One command. `arguments` follow `emo2`; `needs`: stages before it; `makes`: files that prove it was done.

    minutes: how long it takes about, on one core. spread: it uses all cores by itself, as nothing runs beside it.
    Stages that are ready are started in the order of the schedule.
    """

    name: str
    arguments: tuple[str, ...]
    needs: tuple[str, ...] = ()
    makes: tuple[Path, ...] = ()
    minutes: float = 1.0
    spread: bool = False


@dataclass(frozen=True)
class Standing:
    """Where a stage stands. state: "done", "failed", "begun", "ready" or "waiting". seconds: worked on it so far."""

    stage: Stage
    state: str
    seconds: float
    last: str = ""


@dataclass(frozen=True)
class Failure:
    """A stage that ended with an error: its exit code, its log, and the log's last lines."""

    name: str
    code: int
    log: Path
    lines: tuple[str, ...]


class Schedule:
    """Stages and the folder that remembers them: markers in `folder`/stages, logs in `folder`/logs."""

    def __init__(self, stages: Sequence[Stage], folder: Path, command: Sequence[str] = COMMAND):
        self.stages, self.folder, self.command = tuple(stages), folder, tuple(command)
        names = [stage.name for stage in stages]
        for place, stage in enumerate(stages):
            unknown = set(stage.needs) - set(names[:place])
            if unknown:
                raise ValueError(f"{stage.name} needs {', '.join(sorted(unknown))}, which do not come before it")
        if len(set(names)) != len(names):
            raise ValueError("two stages have one name")

    def __getitem__(self, name: str) -> Stage:
        for stage in self.stages:
            if stage.name == name:
                return stage
        known = ", ".join(stage.name for stage in self.stages)
        raise EMO2Error("stage", f"one of {known}", repr(name), "Choose one of these.")

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def done(self, name: str) -> bool:
        """Whether a stage is marked as done and its files are there."""
        return self._mark(name).get("done") is True and all(path.exists() for path in self[name].makes)

    def forget(self, name: str) -> list[str]:
        """Take the marks off a stage and all that build on it, and return their names; their files stay."""
        gone = [self[name].name]
        for stage in self.stages:
            if stage.name not in gone and set(stage.needs) & set(gone):
                gone.append(stage.name)
        for each in gone:
            self._marker(each).unlink(missing_ok=True)
        return gone

    def standing(self) -> list[Standing]:
        """Where every stage stands, in the schedule's order."""
        found = []
        for stage in self.stages:
            mark = self._mark(stage.name)
            if self.done(stage.name):
                state = "done"
            elif mark.get("failed"):
                state = "failed"
            elif not all(self.done(need) for need in stage.needs):
                state = "waiting"
            else:
                state = "begun" if mark else "ready"
            last = "" if state in ("done", "waiting", "ready") else "".join(last_lines(self.log(stage.name), 1))
            found.append(Standing(stage, state, float(mark.get("seconds", 0)), last))
        return found

    def minutes_left(self, workers: int) -> float:
        """About how long it takes still: the stages are laid out as they will be run, at the pace measured so far."""
        standing = {s.stage.name: s for s in self.standing()}
        finished = [s for s in standing.values() if s.state == "done" and s.seconds > 30]
        planned = sum(s.stage.minutes for s in finished)
        pace = sum(s.seconds / 60 for s in finished) / planned if planned else 1.0
        left = {
            name: max(s.stage.minutes * pace - s.seconds / 60, 0.05 * s.stage.minutes * pace)
            for name, s in standing.items()
            if s.state != "done"
        }
        ends = {name: 0.0 for name, s in standing.items() if s.state == "done"}
        lanes = [0.0] * max(1, workers)
        for stage in self.stages:
            if stage.name in left:
                lane = min(range(len(lanes)), key=lanes.__getitem__)
                begin = max([lanes[lane], *(ends[need] for need in stage.needs)])
                lanes[lane] = ends[stage.name] = begin + left[stage.name]
        return max(ends.values(), default=0.0)

    def run(
        self,
        *,
        workers: int = 1,
        only: Sequence[str] = (),
        stop_after: float | None = None,
        pin: bool = True,
        on_change: Callable[[str, str], None] = lambda name, what: None,
        on_wait: Callable[[list[str]], None] = lambda names: None,
        every: float = 60.0,
    ) -> list[Failure]:
        """Run what is not done yet, `workers` stages side by side, and return the failures (none: all went well).

        only: nothing but these stages. stop_after: minutes, then the running ones are told to write a checkpoint and
        to stop. pin: one core and one thread for each. on_change(name, "begun" | "done" | "failed" | "stopped");
        on_wait(names that run) is called every `every` seconds. A stage that fails does not stop those that do not
        need it. Raises EMO2Error when another process works on the folder, or when `only` lacks what it needs.
        """
        wanted = [self[name] for name in only] or list(self.stages)
        for stage in wanted:
            lacking = [n for n in stage.needs if not self.done(n) and self[n] not in wanted]
            if lacking:
                raise EMO2Error("stage", f"{', '.join(lacking)} to be done first", stage.name, "Run those first.")
        with _alone(self.folder):
            return self._run(wanted, workers, stop_after, pin, on_change, on_wait, every)

    def _run(self, wanted, workers, stop_after, pin, on_change, on_wait, every) -> list[Failure]:
        begin, told = time.monotonic(), time.monotonic()
        running: list[_Process] = []
        failures: list[Failure] = []
        tried: set[str] = set()
        try:
            while True:
                late = stop_after is not None and time.monotonic() - begin >= stop_after * 60
                if late:
                    break
                for stage in wanted:
                    ready = stage.name not in tried and all(self.done(need) for need in stage.needs)
                    if ready and not self.done(stage.name) and len(running) < workers:
                        tried.add(stage.name)
                        core = min(set(range(workers)) - {p.core for p in running})
                        running.append(
                            _Process(self.command, stage, self.log(stage.name), core, pin and not stage.spread)
                        )
                        self._note(stage.name, seconds=self._spent(stage.name))
                        on_change(stage.name, "begun")
                if not running:
                    break
                time.sleep(min(0.2, every))
                for process in [p for p in running if p.ended()]:
                    running.remove(process)
                    failures += self._settle(process, on_change)
                if running and time.monotonic() - told >= every:
                    told = time.monotonic()
                    for process in running:
                        self._note(process.stage.name, seconds=self._spent(process.stage.name) + process.lap())
                    on_wait([process.stage.name for process in running])
        finally:
            for process in running:
                process.stop()
            for process in running:
                process.wait()
                if process.code == 0 and all(path.exists() for path in process.stage.makes):
                    failures += self._settle(process, on_change)
                else:
                    self._note(process.stage.name, seconds=self._spent(process.stage.name) + process.lap())
                    on_change(process.stage.name, "stopped")
        return failures

    def _settle(self, process: _Process, on_change: Callable[[str, str], None]) -> list[Failure]:
        """Mark what became of a process that ended by itself."""
        name, path = process.stage.name, self.log(process.stage.name)
        seconds = self._spent(name) + process.lap()
        absent = [str(file) for file in process.stage.makes if not file.exists()]
        if process.code == 0 and not absent:
            self._note(name, seconds=seconds, done=True)
            on_change(name, "done")
            return []
        if process.code == 0:
            with open(path, "a", encoding="utf-8") as stream:
                stream.write(f"\nended without an error, but did not make {', '.join(absent)}\n")
        self._note(name, seconds=seconds, failed=process.code or 1)
        on_change(name, "failed")
        return [Failure(name, process.code or 1, path, tuple(last_lines(path, TAIL)))]

    def _marker(self, name: str) -> Path:
        return self.folder / "stages" / f"{name}.json"

    def _mark(self, name: str) -> dict:
        try:
            found = json.loads(self._marker(name).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _spent(self, name: str) -> float:
        return float(self._mark(name).get("seconds", 0))

    def _note(self, name: str, **values: object) -> None:
        with whole_file(self._marker(name)) as temporary:
            temporary.write_text(json.dumps({"arguments": self[name].arguments, **values}), "utf-8")


class _Process:
    """A stage at work, with its log; one thread on one core where it is pinned."""

    def __init__(self, command: Sequence[str], stage: Stage, log_path: Path, core: int, pin: bool):
        self.stage, self.core, self.code = stage, core, -1
        self.since = time.monotonic()
        log_path.parent.mkdir(parents=True, exist_ok=True)
        environment = dict(os.environ)
        if pin:
            environment |= {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        with open(log_path, "ab") as stream:
            stream.write(f"\n$ emo2 {' '.join(stage.arguments)}\n".encode())
            stream.flush()
            self.process = subprocess.Popen(
                [*command, *stage.arguments],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        if pin and hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(self.process.pid, {cores[core % len(cores)]})

    def lap(self) -> float:
        """Seconds since the last lap."""
        now = time.monotonic()
        passed, self.since = now - self.since, now
        return passed

    def ended(self) -> bool:
        code = self.process.poll()
        self.code = self.code if code is None else code
        return code is not None

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        try:
            self.code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.code = self.process.wait()


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a log that say something; of a progress bar its last state."""
    try:
        with open(path, "rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - 8192))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip("\r").split("\r")[-1].strip() for line in text.splitlines(keepends=False)]
    return [line for line in lines if line][-count:]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One schedule works on a folder at a time; the lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "ab") as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            given = f"{folder}, where another run is at work"
            raise EMO2Error("--out", "a folder of its own", given, "Wait for it, or give another folder.") from error
        except (ImportError, OSError):
            log.debug("no lock on %s", folder)
        yield
