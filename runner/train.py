"""`emo2 train`: teach one of the networks, in as many pieces as one likes."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..models.errors import EMO2Error

INTERRUPTED = 130
MORE = """\
A training writes states into --out and goes on from the newest when it is started again, after a kill too. Ctrl-C
stops it cleanly. Many processes: `accelerate launch --num_processes N -m emo2.runner train ...`.

trainers:
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    from ..training.registry import TRAINERS

    width = max(map(len, TRAINERS))
    listed = "".join(f"  {name:<{width}}  {about}\n" for name, (_, _, about) in TRAINERS.items())
    parser = commands.add_parser(
        "train", help="train one of the networks", epilog=MORE + listed,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train one of the networks; a run that was stopped goes on where it was.",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="the trainer (see below)")
    parser.add_argument("--config", metavar="NAME|FILE", required=True, help="paper, tiny, quick, or a .yaml file")
    parser.add_argument("--out", metavar="DIR", type=Path, help="the run's folder (default: runs/NAME)")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[],
        help="change a key of the config, such as optimizer.lr=1e-4 or recipe.data=DIR; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--resume", choices=("auto", "never", "must"), default="auto",
        help="go on from the folder's newest state: where there is one (auto), never, or fail without one (must)",
    )  # fmt: skip
    parser.add_argument("--stop-after", metavar="SECONDS", type=float, help="write a state and stop then")
    parser.add_argument("--threads", metavar="N", type=int, help="at most so many (default: the cores there are)")
    parser.add_argument("--cpu", action="store_true", help="leave a GPU alone")
    parser.add_argument("--allow-changes", action="store_true", help="go on although the config has changed")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> int:
    """Train, and print the checkpoints that were written."""
    for name, value in (("--stop-after", options.stop_after), ("--threads", options.threads)):
        if value is not None and not value > 0:
            raise EMO2Error(name, "a number above 0", value, "Leave it out for no limit.")
    from ..training.registry import TRAINERS
    from ..training.settings import load_settings

    if options.name not in TRAINERS:
        raise EMO2Error("NAME", f"one of {', '.join(TRAINERS)}", repr(options.name), "Choose a trainer from the list.")
    settings = load_settings(options.name, options.config, options.set)
    from ..training.loop import train

    outcome = train(
        settings, options.out or Path("runs") / options.name, resume=options.resume, stop_after=options.stop_after,
        threads=options.threads, cpu=options.cpu, quiet=options.quiet, allow_changes=options.allow_changes,
    )  # fmt: skip
    for path in outcome.files:
        print(path)
    if not outcome.finished:
        print(f"stopped after step {outcome.step} of {outcome.steps}; the same command goes on")
    return INTERRUPTED if outcome.signal and not outcome.finished else 0
