"""The `emo2` command: run a workflow here or on a ComfyUI server, list the nodes, train networks, measure them.

Nothing heavy is imported before the arguments are read, so that help and mistakes answer at once.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error, from_disk
from .overrides import split_setting
from .problems import NodeFailed, WorkflowError, node_name

FAILED, WRONG, INTERRUPTED = 1, 2, 130
ROOMS = {
    "train": "train", "train-tiny": "train_tiny", "puppets": "puppets", "evaluate": "evaluate", "convert": "convert",
    "gestures": "gestures", "prepare": "prepare", "build-pose-bank": "build_pose_bank",
}  # fmt: skip
"""Commands that live in modules of their own: each has `add_parser(commands)` and `run(options)`, and imports late."""
TARGETS = """\
TARGET is a node's id, its title, or its type where only one node has it; quote what holds spaces:
  --set 'Load Image.image=me.png' --set 'Load Audio.audio=voice.wav' --set 12.steps=8
A path may be anywhere on disk. Values are checked before any work starts.

exit codes: 0 done, 1 it started and failed, 2 something given is wrong and nothing was started, 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every error is one line on stderr (more with --debug)."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return WRONG
    _show_log(getattr(options, "debug", False))
    try:
        return _commands()[options.command](options)
    except KeyboardInterrupt:
        return _fail("interrupted: nothing half-written is left", options, INTERRUPTED)
    except (EMO2Error, WorkflowError) as error:
        return _fail(str(error), options, WRONG)
    except BrokenPipeError:  # `emo2 nodes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        error = (from_disk(error) if isinstance(error, OSError) else None) or error
        known = isinstance(error, (NodeFailed, EMO2Error)) or getattr(error, "one_line", False)
        text = str(error) if known else f"{type(error).__name__}: {' '.join(str(error).split())}"
        return _fail(
            text + ("" if known or options.debug else " (run it with --debug for the details)"), options, FAILED
        )


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = argparse.ArgumentParser(prog="emo2", description="Talking avatars from one picture and one voice.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    form = argparse.RawDescriptionHelpFormatter
    run = commands.add_parser(
        "run", help="run a workflow file in this process, without ComfyUI", epilog=TARGETS, formatter_class=form,
        description="Run a workflow file (as saved by ComfyUI, or in API form) in this process.",
    )  # fmt: skip
    queue = commands.add_parser(
        "queue", help="run a workflow file on a ComfyUI server", epilog=TARGETS, formatter_class=form,
        description="Send a workflow file and its inputs to a ComfyUI server, follow the job, fetch the results.",
    )  # fmt: skip
    queue.add_argument(
        "--server", metavar="URL", action="append", default=[],
        help="the server, for example http://127.0.0.1:8188; several with --jobs: whichever is free gets the next job",
    )  # fmt: skip
    queue.add_argument(
        "--ray", metavar="ADDRESS",
        help="run --jobs on a Ray cluster instead, in the pack's own runner: auto, HOST:6379, ray://HOST:10001, local",
    )  # fmt: skip
    queue.add_argument("--actors", metavar="N", type=int, help="with --ray: jobs side by side (default: one a GPU)")
    queue.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, help="give up (and cancel) a job that takes longer"
    )
    queue.add_argument(
        "--jobs", metavar="JOBS.csv", type=Path,
        help="one job a row; columns: TARGET.INPUT, and name and out if wanted. Started again, it goes on",
    )  # fmt: skip
    run.add_argument(
        "--models", metavar="DIR", action="append", default=[], help="a folder with model files; may be repeated"
    )
    queue.add_argument(
        "--models",
        metavar="DIR",
        action="append",
        default=[],
        help="with --ray: a folder with model files on all machines",
    )
    for command in (run, queue):
        command.add_argument("file", metavar="FILE", type=Path, help="the workflow (.json)")
        command.add_argument(
            "--set", metavar="TARGET.INPUT=VALUE", action="append", default=[], help="change a value; may be repeated"
        )
        command.add_argument("--seed", metavar="N", type=int, help="use this seed wherever the workflow has one")
        command.add_argument(
            "--out", metavar="DIR", type=Path, default=Path("output"), help="where results go (default: output)"
        )
        command.add_argument(
            "--input", metavar="DIR", action="append", default=[], help="where inputs are looked for; may be repeated"
        )
        command.add_argument("--quiet", action="store_true", help="no progress bars")
    nodes = commands.add_parser("nodes", help="list the nodes", description="List the pack's nodes.")
    nodes.add_argument("--json", action="store_true", help="with inputs and outputs, as JSON")
    for room in ROOMS.values():
        _room(room).add_parser(commands)
    for command in commands.choices.values():
        command.add_argument("--debug", action="store_true", help="show tracebacks and more of what happens")
    return parser


def _room(name: str) -> Any:
    return import_module(f".{name}", __package__)


def _commands() -> dict[str, Callable[[argparse.Namespace], int]]:
    """What each command does."""
    own = {"run": _run, "queue": _queue, "nodes": _nodes}
    return own | {command: lambda options, room=room: _room(room).run(options) for command, room in ROOMS.items()}


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("comfyui-emo2")
        except PackageNotFoundError:
            number = "(not installed as a package)"
        print(f"emo2 {number}")
        parser.exit(0)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no positive number of seconds")
    return seconds


class _Console(logging.Handler):
    """Log records as lines on stderr that do not tear a progress bar apart."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = {logging.WARNING: "warning: ", logging.ERROR: "error: "}.get(record.levelno, "")
        _say(prefix + self.format(record))


def _say(text: str) -> None:
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr)


def _show_log(debug: bool) -> None:
    log = logging.getLogger("emo2")
    log.handlers = [handler for handler in log.handlers if not isinstance(handler, _Console)] + [_Console()]
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    log.propagate = False


def _fail(text: str, options: argparse.Namespace, code: int) -> int:
    if getattr(options, "debug", False):
        traceback.print_exc()
    for line in text.splitlines():
        _say(f"emo2: {line}")
    return code


def _print_results(files: Sequence[Path], shown: dict[str, Any]) -> None:
    """Texts that nodes show, then the files, one a line."""
    paths = [str(path) for path in files]
    absolute = {os.path.abspath(path) for path in paths}
    for ui in shown.values():
        for text in ui.get("text", ()):
            if os.path.abspath(str(text)) not in absolute:  # some nodes show the name of what they saved
                print(text)
    for path in paths:
        print(path)


def _run(options: argparse.Namespace) -> int:
    settings = [split_setting(text) for text in options.set]
    from ..nodes import host
    from .executor import run_workflow

    host.outside.quiet = options.quiet

    def on_node(place: int, count: int, node_id: str, node: dict[str, Any]) -> None:
        if not options.quiet:
            _say(f"[{place}/{count}] {node_name(node_id, node)}")

    result = run_workflow(
        options.file, settings, options.models, options.out, options.input, options.seed, on_node=on_node
    )
    _print_results(result.files, result)
    return 0


def _queue(options: argparse.Namespace) -> int:
    settings = [split_setting(text) for text in options.set]
    common: dict[str, Any] = {
        "overrides": settings, "out": options.out, "input_dirs": options.input,
        "seed": options.seed, "timeout": options.timeout, "quiet": options.quiet,
    }  # fmt: skip
    if bool(options.ray) == bool(options.server):
        given = "both" if options.ray else "neither"
        raise EMO2Error("--server", "--server or --ray", given, "Say where the job is to run.")
    if options.ray and not options.jobs:
        raise EMO2Error("--ray", "--jobs beside it", "none", "Write one job a row, or use `emo2 run`.")
    if options.jobs:
        if options.ray:
            from .ray_jobs import run_ray_jobs

            del common["timeout"]
            more = {"models": options.models, "actors": options.actors}
            table = run_ray_jobs(options.file, options.jobs, options.ray, **common, **more)
        else:
            from .farm import run_jobs

            table = run_jobs(options.file, options.jobs, options.server, **common)
        _print_results(table.files, {})
        return FAILED if table.failed else 0
    from .queue import queue_workflow

    if len(options.server) > 1:
        given = f"{len(options.server)} servers and no table of jobs"
        raise EMO2Error("--server", "one server for one job", given, "Give --jobs, or one server.")
    result = queue_workflow(options.file, options.server[0], **common)
    _print_results(result.files, result)
    return 0


def _nodes(options: argparse.Namespace) -> int:
    from .. import nodes
    from . import core_nodes
    from .definitions import LocalDefinitions

    definitions = LocalDefinitions()
    own = [definitions[class_id] for class_id in nodes.NODE_CLASS_MAPPINGS]
    if options.json:
        print(json.dumps(own, indent=2, default=str, ensure_ascii=False))
        return 0
    category = None
    for definition in sorted(own, key=lambda d: (d["category"], d["display_name"])):
        if definition["category"] != category:
            category = definition["category"]
            print(f"\n{category}")
        line = definition["description"].split(". ")[0].rstrip(".")
        print(f"  {definition['name']:<28} {definition['display_name']:<32} {line}.")
    print("\nComfyUI's own nodes that `emo2 run` brings along: " + ", ".join(sorted(core_nodes.NODE_CLASS_MAPPINGS)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
