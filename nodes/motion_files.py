"""Motion in and out of files and other packs: save, load, POSE_KEYPOINT, BVH."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..models.checkpoints.format import fingerprint
from ..models.errors import EMO2Error
from ..models.hands import HandModel, load_hands
from ..models.motion.bvh import UNITS, export_bvh
from ..models.motion.files import load_motion, save_motion
from ..models.pose.pose_keypoint import from_pose_keypoint, to_pose_keypoint
from ..models.types import Framing, Motion
from . import host
from .registry import node
from .sample_motion import Ticks
from .saving import check_prefix, place

HANDS = ("EMO2_HANDS", {"tooltip": "Hands from EMO2 Load Hands; without it, the pack's own neutral hands."})
HAND_FIT = (["fit", "quick"], {
    "default": "fit",
    "tooltip": "fit: the hands are optimised over the whole clip, precise and smooth; it takes about half "
               "as long as the clip lasts. quick: a rough estimate frame by frame.",
})  # fmt: skip
OUTPUT = " [output]"
LISTED = 2000


def prefix(default: str) -> tuple[str, dict[str, Any]]:
    tip = "Beginning of the file's name, numbered like ComfyUI's own files. A folder may stand in front: takes/wave."
    return "STRING", {"default": default, "tooltip": tip}


def fits(hand_fit: str) -> bool:
    """Whether hands are to be fitted; EMO2Error for a value that is none of HAND_FIT's."""
    if hand_fit not in HAND_FIT[0]:
        raise EMO2Error("hand_fit", "fit or quick", repr(hand_fit), "Choose one of them.")
    return hand_fit == "fit"


@node("EMO2SaveMotion", "EMO2 Save Motion", "EMO2/motion")
class SaveMotion:
    DESCRIPTION = "Saves a motion as a small file (.npz) in ComfyUI's output folder, to edit or reuse it later."
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("filename",)
    OUTPUT_TOOLTIPS = ("Where the file is.",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": ("EMO2_MOTION", {"tooltip": "The motion to save. Nothing is lost in the file."}),
            "filename_prefix": prefix("emo2/motion"),
        }}  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None = None) -> bool | str:
        return check_prefix(filename_prefix)

    def save(self, motion: Motion, filename_prefix: str) -> dict[str, Any]:
        path, subfolder = numbered(filename_prefix, motion, ".npz")
        return saved(save_motion(motion, path), subfolder)


@node("EMO2LoadMotion", "EMO2 Load Motion", "EMO2/motion")
class LoadMotion:
    DESCRIPTION = "Loads a motion that EMO2 Save Motion wrote, from ComfyUI's input or output folder."
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frame_count")
    OUTPUT_TOOLTIPS = ("The motion.", "Its frames a second.", "How many frames it has.")
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "A motion file (.npz) in ComfyUI's input folder, or in its output folder (marked [output])."
        return {"required": {"motion_file": (motion_files(), {"tooltip": tip, "emo2_file": True})}}

    @classmethod
    def IS_CHANGED(cls, motion_file: str | None = None) -> str:
        try:
            return fingerprint(motion_path(motion_file)) if motion_file is not None else ""
        except (EMO2Error, OSError):
            return ""

    @classmethod
    def VALIDATE_INPUTS(cls, motion_file: str | None = None) -> bool | str:
        try:
            if motion_file is not None:  # it is None when it comes over a wire
                motion_path(motion_file)
        except EMO2Error as error:
            return str(error)
        return True

    def load(self, motion_file: str) -> tuple[Motion, float, int]:
        motion = load_motion(motion_path(motion_file))
        return motion, motion.fps, len(motion)


@node("EMO2MotionToPoseKeypoint", "EMO2 Motion to Pose Keypoint", "EMO2/pose")
class MotionToPoseKeypoint:
    DESCRIPTION = "Gives a motion as POSE_KEYPOINT (OpenPose JSON), which other packs' pose nodes draw and edit."
    RETURN_TYPES = ("POSE_KEYPOINT",)
    RETURN_NAMES = ("pose_keypoint",)
    OUTPUT_TOOLTIPS = ("One OpenPose dict a frame: body, face and both hands of one person, in pixels.",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motion": ("EMO2_MOTION", {"tooltip": "The motion to convert."}),
                "full_scores": ("BOOLEAN", {"default": True,
                    "tooltip": "On: every known point has score 1, as controlnet_aux draws nothing below. Off: the "
                               "motion's own scores."}),
            },
            "optional": {"hands": HANDS},
        }  # fmt: skip

    def convert(self, motion: Motion, full_scores: bool, hands: HandModel | None = None) -> tuple[list]:
        return (to_pose_keypoint(motion, hands or load_hands(None), full_scores),)


@node("EMO2PoseKeypointToMotion", "EMO2 Pose Keypoint to Motion", "EMO2/pose")
class PoseKeypointToMotion:
    DESCRIPTION = (
        "Makes a motion of POSE_KEYPOINT from any detector (DWPose, SDPose, ...). Body and face keep their points; the "
        "hands are fitted in space: wrists, palms and every finger joint, smooth over the whole clip."
    )
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT", "EMO2_FRAMING")
    RETURN_NAMES = ("motion", "fps", "frame_count", "framing")
    OUTPUT_TOOLTIPS = (
        "The motion.",
        "Its frames a second.",
        "How many frames it has.",
        "Where the person is in the picture: the given framing, or the clip's median neck and shoulders.",
    )
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        rate = {"default": 25.0, "min": 1.0, "max": 240.0, "step": 1.0, "round": 0.001}
        return {
            "required": {
                "pose_keypoint": ("POSE_KEYPOINT", {"tooltip": "From a pose detector; one entry a frame."}),
                "fps": ("FLOAT", {**rate, "tooltip": "Frames a second of the video that the poses come from."}),
                "person": ("INT", {"default": 0, "min": 0, "max": 99,
                    "tooltip": "Which person, when there are several: 0 is the first one listed."}),
            },
            "optional": {
                "framing": ("EMO2_FRAMING", {"tooltip": "Where the person is in the picture; without it, measured from "
                                                        "neck and shoulders."}),
                "hands": HANDS,
                "hand_fit": HAND_FIT,
            },
        }  # fmt: skip

    def convert(
        self, pose_keypoint: Any, fps: float, person: int, framing: Framing | None = None,
        hands: HandModel | None = None, hand_fit: str = "fit",
    ) -> tuple[Motion, float, int, Framing]:  # fmt: skip
        progress = Ticks("fitting hands")
        try:
            motion = from_pose_keypoint(pose_keypoint, fps, framing, hands, person, fits(hand_fit), progress)
        finally:
            progress.close()
        if not motion.visible.any():
            host.warn("No hand was found in any frame: both rest and are marked not visible.")
        return motion, motion.fps, len(motion), motion.framing


@node("EMO2ExportBVH", "EMO2 Export BVH", "EMO2/motion")
class ExportBVH:
    DESCRIPTION = (
        "Writes a motion as BVH for Blender, Maya and other 3D programs: neck, arms, hands, all finger joints."
    )
    RETURN_TYPES = ("STRING",)
    RETURN_NAMES = ("filename",)
    OUTPUT_TOOLTIPS = ("Where the file is.",)
    FUNCTION = "export"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motion": ("EMO2_MOTION", {"tooltip": "The motion to export."}),
                "filename_prefix": prefix("emo2/motion"),
                "arms": ("BOOLEAN", {"default": True,
                    "tooltip": "On: shoulders, elbows and wrists as bones. Off: the hands hang freely on the neck and "
                               "are exactly where the motion has them, even out of an arm's reach."}),
                "units": (list(UNITS), {"default": "centimetres", "tooltip": "Unit of lengths in the file."}),
            },
            "optional": {"hands": HANDS},
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str | None = None) -> bool | str:
        return check_prefix(filename_prefix)

    def export(
        self, motion: Motion, filename_prefix: str, arms: bool, units: str, hands: HandModel | None = None
    ) -> dict[str, Any]:
        path, subfolder = numbered(filename_prefix, motion, ".bvh")
        return saved(export_bvh(motion, path, hands or load_hands(None), arms, units), subfolder)


def motion_files() -> list[str]:
    """Names of the motion files in the input folder, then those in the output folder, marked; one folder deep.

    The page asks for this list each time it loads, and output folders grow large: deeper ones are not searched.
    """
    return listed(Path.is_file, "*.npz", "*/*.npz")


def listed(fits: Callable[[Path], bool], *patterns: str) -> list[str]:
    """Names of what `fits` among the matches in the input folder, then those in the output folder, marked."""
    names = []
    for folder, mark in ((host.input_directory(), ""), (host.output_directory(), OUTPUT)):
        if folder.is_dir():
            found = [path for pattern in patterns for path in folder.glob(pattern) if fits(path)]
            names += sorted(path.relative_to(folder).as_posix() + mark for path in found)[:LISTED]
    return names


def motion_path(name: str) -> Path:
    """The file a name in the list stands for; it never leaves its folder."""
    name = str(name)
    if not host.inside() and host.outside.find and (found := host.outside.find(name)) and found.suffix == ".npz":
        return found
    path = named(name, "motion_file")
    if path.suffix.lower() != ".npz" or not path.is_file():
        raise EMO2Error(
            "motion_file", "a motion file (.npz) in ComfyUI's input or output folder", repr(name),
            "Put the file there, or choose another one.",
        )  # fmt: skip
    return path


def named(name: str, where: str) -> Path:
    """What a name of `listed` stands for, there or not; it never leaves its folder."""
    folder = host.output_directory() if name.endswith(OUTPUT) else host.input_directory()
    return inside(folder, name.removesuffix(OUTPUT).removesuffix(" [input]"), where)


def inside(folder: Path, name: str, where: str) -> Path:
    """`folder` / `name`, which must lie in the folder."""
    folder = Path(os.path.abspath(folder))
    path = Path(os.path.abspath(folder / name)) if "\0" not in name else folder
    if path == folder or folder not in path.parents:
        raise EMO2Error(where, f"a name inside {folder}", repr(name), "Leave out '..' and leading slashes.")
    return path


def numbered(filename_prefix: str, motion: Motion, suffix: str) -> tuple[Path, str]:
    """The next free `<prefix>_00001_<suffix>` in the output folder, and its subfolder there."""
    folder, name, subfolder = place(filename_prefix.strip(), *motion.framing.size)
    pattern = re.compile(re.escape(name) + r"_(\d+)_?\.\w+$")
    found = map(pattern.match, os.listdir(folder)) if folder.is_dir() else ()
    last = max((int(match[1]) for match in found if match), default=0)
    return folder / f"{name}_{last + 1:05}_{suffix}", subfolder


def saved(path: Path, subfolder: str) -> dict[str, Any]:
    """What a saving node returns: the path, and where ComfyUI's page finds the file."""
    entry = {"filename": path.name, "subfolder": subfolder, "type": "output"}
    return {"ui": {"files": [entry], "text": [str(path)]}, "result": (str(path),)}
