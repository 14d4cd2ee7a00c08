"""`emo2 gestures`: keypoint sets that somebody has become motion files, a library for EMO2 Gesture Library."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..models.errors import EMO2Error


def add_parser(commands: argparse._SubParsersAction) -> None:
    """The command's options."""
    parser = commands.add_parser(
        "gestures", help="turn recorded keypoints into a library of gestures",
        description="Turn keypoint sets (.npz with body and hands, or folders of .npy frames as EchoMimicV2 publishes "
        "them) into motion files. Put the folder into ComfyUI's input folder for EMO2 Gesture Library.",
    )  # fmt: skip
    parser.add_argument("sets", metavar="SET", nargs="+", type=Path, help="a keypoint set, or a folder of several")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the motion files go")
    parser.add_argument("--fps", type=float, default=24.0, help="frames a second of the sets (%(default)s)")


def run(options: argparse.Namespace) -> int:
    """Convert every set, and print what was made and how much of it shows both hands."""
    from ..models.motion.files import save_motion
    from ..models.pose.keypoint_sets import is_keypoint_set, motion_from_keypoints

    if not 1 <= options.fps <= 240:
        raise EMO2Error("--fps", "a number from 1 to 240", options.fps, "Give the recording's own.")
    found: list[Path] = []
    for path in options.sets:
        inner = sorted(path.iterdir()) if path.is_dir() and not is_keypoint_set(path) else [path]
        sets = [one for one in inner if is_keypoint_set(one)]
        if not sets:
            given = f"{path}, which {'holds none' if path.exists() else 'is not there'}"
            raise EMO2Error("SET", "a keypoint set (.npz, or a folder of .npy frames)", given, "Check the name.")
        found += sets
    names = [path.stem if path.suffix == ".npz" else path.name for path in found]
    taken = sorted({name for name in names if names.count(name) > 1 or (options.out / f"{name}.npz").exists()})
    if taken:
        raise EMO2Error("--out", "names that are free and different", ", ".join(taken), "Rename sets, or take another "
                        "folder.")  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    for path, name in zip(found, names):
        motion = motion_from_keypoints(path, options.fps, where="SET")
        both = motion.visible.all(1).mean()
        print(f"{save_motion(motion, options.out / f'{name}.npz')}  {motion.duration:.1f} s, both hands {both:.0%}")
    return 0
