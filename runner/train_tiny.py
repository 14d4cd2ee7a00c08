"""`emo2 train-tiny`: make the shipped weights from nothing, in as many pieces as one likes."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.errors import EMO2Error

if TYPE_CHECKING:
    from ..training.schedule import Schedule

FAILED, STOPPED = 1, 130
ROOT = Path(__file__).resolve().parents[1]


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "train-tiny", help="make the shipped weights from nothing: paint, train, evaluate",
        description="Make the tiny profile's weights from nothing. It goes on where it was stopped: run it again.",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", type=Path, default=Path("runs/tiny"), help="default: %(default)s")
    parser.add_argument("--weights", metavar="DIR", type=Path, default=ROOT / "weights", help="where the results go")
    parser.add_argument("--status", action="store_true", help="show what is done and what is next, and do nothing")
    parser.add_argument("--stop-after", metavar="MINUTES", type=float, help="stop then, to go on another time")
    parser.add_argument("--only", metavar="STAGE", action="append", default=[], help="only this; may be repeated")
    parser.add_argument(
        "--again", metavar="STAGE", action="append", default=[], help="do this, and what builds on it, once more"
    )
    parser.add_argument("--workers", metavar="N", type=int, help="processes side by side (default: 2 on a CPU)")
    parser.add_argument("--ablations", action="store_true", help="also train what the ablations compare")
    parser.add_argument("--speech", metavar="DIR", type=Path, help="recordings of real voices, for the evaluation")
    parser.add_argument("--config", metavar="NAME", default="tiny", help="tiny, or quick to see that all parts fit")
    parser.add_argument("--puppets", metavar="N", type=int, help="how many are painted (default: 4000)")
    parser.add_argument("--ship", action="store_true", help=argparse.SUPPRESS)


def run(options: argparse.Namespace) -> int:
    """Show the standing, or go on with what is not done."""
    from ..training import tiny

    if options.stop_after is not None and not options.stop_after > 0:
        raise EMO2Error("--stop-after", "minutes above 0", options.stop_after, "Leave it out to run to the end.")
    for name in ("workers", "puppets"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise EMO2Error(f"--{name}", "at least 1", value, "Give a larger number.")
    plan = tiny.Plan(
        options.out, options.weights, options.config, options.puppets or tiny.PUPPETS, options.ablations, options.speech
    )
    if options.ship:
        for path in tiny.ship(plan):
            print(path)
        return 0
    schedule = tiny.schedule(plan)
    for name in (*options.only, *options.again):
        schedule[name]
    workers, pin = tiny.workers_here()
    workers = options.workers or workers
    if options.status:
        show(schedule, workers)
        return 0
    for name in options.again:
        schedule.forget(name)
    return _go_on(schedule, options, workers, pin)


def show(schedule: Schedule, workers: int) -> None:
    """The standing as a table."""
    rows = schedule.standing()
    width = max(len(row.stage.name) for row in rows)
    for row in rows:
        spent = _time(row.seconds) if row.seconds else ""
        about = "" if row.state == "done" else f"about {_time(row.stage.minutes * 60)}"
        print(f"{row.stage.name:<{width}}  {row.state:<8}{spent:>9}  {about:<13} {row.last[:100]}".rstrip())
    left = schedule.minutes_left(workers)
    following = [row.stage.name for row in rows if row.state in ("begun", "failed", "ready")]
    if following:
        print(f"\nnext: {', '.join(following[:workers])}; about {_time(left * 60)} to go with {workers} at a time")
    else:
        print("\nall done")


def _go_on(schedule: Schedule, options: argparse.Namespace, workers: int, pin: bool) -> int:
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{_time(time.monotonic() - begin)}] {text}", file=sys.stderr, flush=True)

    def waiting(names: list[str]) -> None:
        from ..training.schedule import last_lines

        for name in names:
            say(f"{name}: {''.join(last_lines(schedule.log(name), 1))[:140]}")

    say(
        f"about {_time(schedule.minutes_left(workers) * 60)} to go, {workers} at a time; logs in {schedule.folder}/logs"
    )
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        failures = schedule.run(
            workers=workers, only=options.only, stop_after=options.stop_after, pin=pin,
            on_change=lambda name, what: say(f"{name}: {what}"), on_wait=waiting,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGTERM, before)
    for failure in failures:
        print(f"emo2: {failure.name} failed (exit code {failure.code}); its log is {failure.log}:", file=sys.stderr)
        for line in failure.lines:
            print(f"  {line}", file=sys.stderr)
    show(schedule, workers)
    return FAILED if failures else 0


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes} min" if minutes < 90 else f"{seconds / 3600:.1f} h"
