"""`emo2 prepare`: footage of people into a data set for training."""

from __future__ import annotations

import argparse
import re
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..models.errors import EMO2Error
from .folders import output_folder
from .puppets import part_of, ticking

if TYPE_CHECKING:
    from ..models.pose.detection import Detector

MORE = """\
Clips are cut at shots, one person is followed, cropped and measured, and hands are fitted. `emo2 train` takes the
folder: video-image and video-clip with `data: FOLDER` (after --vae), motion with `data: [{kind: prepared, folder:
FOLDER}]`. FOLDER/report.csv says of every clip why it was left out, FOLDER/sheets shows what was kept.

Stopped at any time, it goes on; videos may be added later. Use footage that you may train on.
"""
HELP = {
    "shortest": "seconds of the shortest clip",
    "longest": "seconds after which a shot is divided",
    "least_fps": "frames a second that a video must have itself",
    "present": "share of a clip in which the person must be found",
    "enlarge": "how many times larger than filmed somebody may be shown",
    "closest": "widest shoulders, as a share of the picture's width",
    "hands": "share of a clip in which a hand must be seen",
    "face": "share of a clip in which the lips must be seen",
    "sharpness": "least sharpness of head and shoulders (report.csv has what was measured)",
    "overlap": "share of the person that others may cover",
    "leap": "shoulder widths that the head may jump from one frame to the next",
    "wander": "shoulder widths that the background may move",
    "zoom": "share by which the background may grow",
}


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    from ..training.footage.settings import Limits, Settings

    parser = commands.add_parser(
        "prepare", help="make a data set for training of videos of people", epilog=MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Prepare videos of people for training: shots, poses, hands, mouths, masks, sound, with a report.",
    )  # fmt: skip
    plain, limits = Settings(), Limits()
    parser.add_argument("videos", metavar="VIDEOS", nargs="+", help="video files, folders of them, or patterns")
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="where the records go")
    parser.add_argument(
        "--size",
        metavar="HxW",
        default=f"{plain.size[0]}x{plain.size[1]}",
        help="of the pictures (default %(default)s)",
    )
    parser.add_argument(
        "--fps", metavar="N", type=float, default=plain.fps, help="frames a second (default %(default)g)"
    )
    parser.add_argument(
        "--frames", metavar="N", type=int, default=plain.frames, help="of a record (default %(default)s)"
    )
    parser.add_argument("--style", metavar="NAME", default=plain.style, help="how people move (default %(default)s)")
    parser.add_argument(
        "--quality", metavar="N", type=int, default=plain.quality,
        help="of the pictures as JPEG, 100 without loss (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--vae", metavar="FILE", type=Path, help="also encode the records with this autoencoder")
    parser.add_argument("--part", metavar="K/N", default="0/1", help="take every N-th video from K on, for N processes")
    parser.add_argument(
        "--detector", metavar="FILE", type=Path, help="a DWPose or RTMW file (.onnx); default: the built-in detector"
    )
    parser.add_argument("--person-detector", metavar="FILE", type=Path, help="a YOLOX file (.onnx) that goes with it")
    parser.add_argument("--mano", metavar="FILE", type=Path, help="your MANO hands; default: the pack's own")
    parser.add_argument("--silent-ok", action="store_true", help="keep clips without sound")
    group = parser.add_argument_group("what is left out")
    for item in fields(Limits):
        if item.name != "silent_ok":
            group.add_argument(
                f"--{item.name.replace('_', '-')}", metavar="X", type=float, default=getattr(limits, item.name),
                help=f"{HELP[item.name]} (default %(default)g)",
            )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """Prepare, report, and encode if asked; all of it goes on where it was stopped."""
    from ..training.footage.prepare import find_videos, prepare
    from ..training.footage.report import told
    from ..training.footage.settings import Limits, Settings

    part = part_of(options.part)
    limits = Limits(**{item.name: getattr(options, item.name) for item in fields(Limits)})
    settings = Settings(
        _size(options.size), options.fps, options.frames, options.style, options.quality, limits
    )  # fmt: skip
    videos = find_videos(options.videos)
    folder = output_folder(options.out)
    for name in ("vae", "detector", "person_detector", "mano"):
        path = getattr(options, name)
        if path is not None and not (path.exists() if name == "mano" else path.is_file()):
            raise EMO2Error(f"--{name.replace('_', '-')}", "a file", f"no file at {path}", "Check the path.")
    if options.person_detector is not None and options.detector is None:
        raise EMO2Error("--person-detector", "a --detector that it goes with", "none", "Give both, or none.")
    import cv2
    import torch
    from tqdm import tqdm

    # Pictures are cut and hands fitted in small pieces: more threads only wait for each other.
    cv2.setNumThreads(1)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    hands = None
    if options.mano is not None:
        from ..models.hands import load_hands

        hands = load_hands(options.mano)
    with tqdm(desc="prepare", total=1, bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:
        summary = prepare(videos, folder, settings, partial(_detector, options), part, hands, ticking(bar))
    torch.set_num_threads(threads)
    print(told(summary, folder))
    if options.vae is not None and summary["left"]:
        print(f"{summary['left']} videos are with other processes; the last of them encodes, or this command again")
    elif options.vae is not None and summary["records"]:
        from ..training.puppets.latents import encode_cache

        # Whoever finishes the last video is alone; when all was done before, everybody is here.
        with tqdm(desc="encode", unit="record") as bar:
            encode_cache(folder, options.vae, progress=ticking(bar), part=(0, 1) if summary["new"] else part)
    return 0


def _detector(options: argparse.Namespace) -> Detector:
    """The detector that is asked for; its files are looked at here."""
    if options.detector is None:
        from ..models.pose.offline import OfflineDetector

        return OfflineDetector()
    from ..models.pose.wholebody import load_whole_body

    return load_whole_body(options.detector, options.person_detector)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", text.strip())
    if not match:
        raise EMO2Error("--size", "HEIGHTxWIDTH in pixels", repr(text), "For example --size 704x512.")
    return int(match[1]), int(match[2])
