"""`emo2 evaluate`: the shipped profile on held-out puppets, or one's own video or motion against the truth."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.errors import EMO2Error
from .folders import existing_folders, output_folder

if TYPE_CHECKING:
    from ..evaluation.report import Report, Row

log = logging.getLogger("emo2")
ROOT = Path(__file__).resolve().parents[1]
PROFILES = ("tiny",)
MORE = """\
three uses:
  emo2 evaluate --profile tiny                          the shipped weights on puppets that no training has seen
  emo2 evaluate --video MADE.mp4 --truth TRUE.mp4       a video of yours against the true one
  emo2 evaluate --motion MADE.npz --truth TRUE.npz --audio VOICE.wav    a hand motion against the true one

parts of a profile: {parts}
What was made for an evaluation is kept in --work, so one that was stopped goes on where it stood.
"""


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    from ..evaluation.tiny import PARTS

    parser = commands.add_parser(
        "evaluate", help="measure how good weights, a video or a motion are",
        epilog=MORE.format(parts=", ".join(PARTS)), formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure, and print a table with intervals; with floors and targets for the shipped profile.",
    )  # fmt: skip
    parser.add_argument("--profile", metavar="NAME", help="tiny: the shipped weights on held-out puppets")
    parser.add_argument(
        "--video", metavar="FILE", type=Path, action="append", default=[], help="a video; may be repeated"
    )
    parser.add_argument("--motion", metavar="FILE", type=Path, action="append", default=[], help="a motion (.npz)")
    parser.add_argument(
        "--truth", metavar="FILE", type=Path, action="append", default=[], help="the true one, for each"
    )
    parser.add_argument("--audio", metavar="FILE", type=Path, action="append", default=[], help="the voice, for each")
    parser.add_argument("--models", metavar="DIR", action="append", default=[], help="a folder with model files")
    parser.add_argument("--parts", metavar="A,B", help="only these parts of the profile")
    parser.add_argument("--clips", metavar="N", type=int, help="how many videos (default 50)")
    parser.add_argument(
        "--quick", action="store_true", help="a first look in a minute or two: few clips, wide intervals"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="which held-out puppets")
    parser.add_argument("--speech", metavar="DIR", help="recordings of real voices (wav, flac, ogg, mp3)")
    parser.add_argument("--ablations", metavar="DIR", help="where `emo2 train-tiny --ablations` has its runs")
    parser.add_argument("--steps", metavar="N", type=int, default=8, help="denoising steps of the video (%(default)s)")
    parser.add_argument("--cfg", metavar="X", type=float, default=1.5, help="guidance of the video (%(default)s)")
    parser.add_argument("--motion-cfg", metavar="X", type=float, default=2.5, help="guidance of stage 1 (%(default)s)")
    parser.add_argument(
        "--motion-smoothing", metavar="S", type=float, default=0.12, help="its smoothing, seconds (%(default)s)"
    )
    parser.add_argument("--scheduler", metavar="NAME", default="ddim", help="of the video (%(default)s)")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="(%(default)s)")
    parser.add_argument(
        "--workers", metavar="N", type=int, help="processes that paint (default: one a core, at most 2)"
    )
    parser.add_argument("--work", metavar="DIR", default="runs/evaluation", help="what is kept (default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the figures to this file")
    parser.add_argument(
        "--card", metavar="FILE", type=Path, help="also write the model card of --models (needs --json)"
    )
    parser.add_argument("--card-only", action="store_true", help="measure nothing: the card from what --json holds")
    parser.add_argument("--sheet", metavar="FILE", type=Path, help="also paint a contact sheet (.png) to look at")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def run(options: argparse.Namespace) -> int:
    """Measure what was asked for and print the table."""
    kinds = [name for name in ("profile", "video", "motion") if getattr(options, name)]
    if len(kinds) != 1:
        given = " and ".join(f"--{name}" for name in kinds) or "none of them"
        raise EMO2Error("emo2 evaluate", "one of --profile, --video and --motion", given, "Give one of them.")
    for path in (options.json, options.card, options.sheet):
        if path is not None:
            output_folder(path.parent, f"--{path.suffix.lstrip('.') or 'json'}")
            if path.is_dir():
                raise EMO2Error("--json", "a file name", f"the folder {path}", "Add a name to it.")
    if options.profile:
        return _profile(options)
    rows = _video(options) if options.video else _motion(options)
    from ..evaluation.report import Report

    return _finish(Report(tuple(rows), {"kind": kinds[0]}), options)


def _profile(options: argparse.Namespace) -> int:
    if options.profile not in PROFILES:
        raise EMO2Error("--profile", f"one of {', '.join(PROFILES)}", repr(options.profile), "Choose one of them.")
    if options.card and not options.json:
        raise EMO2Error("--card", "--json beside it", "nothing", "The card's figures are those of a stored evaluation.")
    folders = existing_folders(options.models, "--models") or [ROOT / "weights"]
    if options.card_only:
        if not (options.card and options.json):
            raise EMO2Error("--card-only", "--json and --card", "not both", "Say where figures are and the card goes.")
        return _card(options, folders)
    parts = _parts(options.parts)
    from ..evaluation.report import Report
    from ..evaluation.tiny.bench import Amounts, Bench
    from ..evaluation.tiny.networks import Networks
    from ..evaluation.tiny.run import evaluate
    from ..evaluation.tiny.studio import Studio
    from ..models.motion.edit_blend import number
    from ..models.video.conditions import Settings

    if not 0 <= options.seed < 1000:
        raise EMO2Error("--seed", "a number from 0 to 999", options.seed, "Choose another.")
    number("--motion-smoothing", options.motion_smoothing, 0, 10, "seconds")
    work, device = output_folder(options.work, "--work"), _device()
    settings = Settings(steps=options.steps, cfg=options.cfg, scheduler=options.scheduler)
    amounts = (Amounts.quick() if options.quick else Amounts()).with_clips(options.clips)
    speech = existing_folders([options.speech], "--speech")[0] if options.speech else None
    before = Report.load(options.json) if options.json and options.json.is_file() and options.parts else None
    with Bars(options.quiet) as bars:
        studio = Studio(
            Networks(folders, device=device), work, settings, motion_cfg=options.motion_cfg,
            motion_smoothing=options.motion_smoothing,
            workers=0 if device != "cpu" else _workers(options.workers), precision=options.precision, progress=bars,
        )  # fmt: skip
        ablations = Path(options.ablations) if options.ablations else None
        bench = Bench(studio.networks, studio, amounts, options.seed, speech, ablations)
        report = evaluate(bench, parts)
        if options.sheet:
            from ..evaluation.tiny.sheet import paint_sheet

            paint_sheet(bench, options.sheet)
    # Parts that are measured again take the place of the old ones.
    if before and before.about.get("networks") != report.about.get("networks"):
        log.warning("%s holds figures of other weights: they are not kept.", options.json)
        before = None
    _finish(before.merged(report) if before else report, options, report)
    return _card(options, folders) if options.card else 0


def _parts(text: str | None) -> tuple[str, ...]:
    from ..evaluation.tiny import PARTS

    if text is None:
        return PARTS
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    unknown = [part for part in wanted if part not in PARTS]
    if unknown or not wanted:
        given = ", ".join(unknown) or "nothing"
        raise EMO2Error("--parts", f"some of {', '.join(PARTS)}", given, "Name them with commas between.")
    return tuple(part for part in PARTS if part in wanted)


def _card(options: argparse.Namespace, folders: list[Path]) -> int:
    from ..evaluation.card import model_card, note_metrics
    from ..evaluation.report import Report
    from ..models.whole_files import whole_file

    report = Report.load(options.json)
    note_metrics(folders[0], report)
    text = model_card(folders[0], report)
    with whole_file(options.card) as temporary:
        temporary.write_text(text, "utf-8")
    print(options.card)
    return 0


def _video(options: argparse.Namespace) -> list[Row]:
    from ..evaluation.own_video import measure_videos

    _as_many(options, "video", ("truth", "audio"))
    folders = existing_folders(options.models, "--models") or [ROOT / "weights"]
    return measure_videos(options.video, options.truth, options.audio, folders)


def _motion(options: argparse.Namespace) -> list[Row]:
    from ..evaluation.own_motion import measure_motions

    _as_many(options, "motion", ("truth", "audio"))
    folders = existing_folders(options.models, "--models") or [ROOT / "weights"]
    return measure_motions(options.motion, options.truth, options.audio, folders)


def _as_many(options: argparse.Namespace, name: str, others: tuple[str, ...]) -> None:
    """Every file is there, and each of the others is given not at all or once for each."""
    count = len(getattr(options, name))
    for other in others:
        files = getattr(options, other)
        if files and len(files) != count:
            given = f"{len(files)} for {count} --{name}"
            raise EMO2Error(f"--{other}", f"one for each --{name}, in the same order", given, "Give as many.")
    for kind in (name, *others):
        for path in getattr(options, kind):
            if not path.is_file():
                raise EMO2Error(f"--{kind}", "a file", f"no file at {path}", "Check the name and the folder.")


def _finish(report: Report, options: argparse.Namespace, shown: Report | None = None) -> int:
    from ..evaluation.report import MEANING, table

    shown = shown or report
    if options.json:
        report.save(options.json)
    print(table(shown.rows))
    counts = {status: count for status, count in shown.counts().items() if count}
    print("\n" + "; ".join(f"{count} {MEANING[status]}" for status, count in counts.items()))
    return 0


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _workers(asked: int | None) -> int:
    from ..training.tiny import workers_here

    if asked is not None and asked < 1:
        raise EMO2Error("--workers", "at least 1", asked, "Leave it out.")
    return asked if asked is not None else workers_here()[0]


class Bars:
    """One progress bar after the other, each for what is being made."""

    def __init__(self, quiet: bool):
        self.quiet, self.label, self.bar = quiet, "", None

    def __call__(self, label: str, done: int, total: int) -> None:
        if self.quiet or total == 0:
            return
        from tqdm import tqdm

        if label != self.label:
            self.close()
            self.label, self.bar = label, tqdm(total=total, desc=label, file=sys.stderr, mininterval=0.5)
        assert self.bar is not None
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
