"""Real gestures: keypoint sets that an artist has, and motions made from a folder of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..models.audio.timing import frame_count
from ..models.errors import EMO2Error
from ..models.hands import HandModel
from ..models.motion.files import load_motion
from ..models.motion.library import from_library
from ..models.pose.keypoint_sets import is_keypoint_set, motion_from_keypoints
from ..models.pose.portrait import outside_warning
from ..models.types import AudioFeatures, Framing, Motion
from . import host
from .motion_files import HAND_FIT, HANDS, fits, listed, named
from .registry import node
from .sample_motion import Ticks

RATE = {"default": 24.0, "min": 1.0, "max": 240.0, "step": 1.0, "round": 0.001}
MOST_FILES = 500


def _path(name: str, where: str, wanted: str) -> Path:
    """The file or folder that a name in a list stands for; it never leaves its folder."""
    if not host.inside() and host.outside.find and (found := host.outside.find(name)):
        return found
    path = named(name, where)
    if not path.exists():
        raise EMO2Error(where, f"{wanted} in ComfyUI's input or output folder", repr(name), "Put it there.")
    return path


def _members(folder: Path) -> list[Path]:
    """The motions and keypoint sets of a library, in order."""
    return sorted(p for p in folder.iterdir() if p.suffix == ".npz" or (p.is_dir() and is_keypoint_set(p)))[:MOST_FILES]


def _is_set(path: Path) -> bool:
    return not path.name.startswith(".") and is_keypoint_set(path)


def _is_library(path: Path) -> bool:
    try:
        return not path.name.startswith(".") and not is_keypoint_set(path) and bool(_members(path))
    except OSError:
        return False


def _state(paths: list[Path]) -> str:
    return ";".join(f"{path}:{path.stat().st_mtime_ns}:{path.stat().st_size}" for path in paths)


@node("EMO2LoadKeypoints", "EMO2 Load Keypoints", "EMO2/pose")
class LoadKeypoints:
    DESCRIPTION = (
        "Loads recorded keypoints of a real person as a motion: arrays in a .npz, or a folder of .npy frames as "
        "EchoMimicV2 publishes its drivers. Hands are fitted in space, so that they can be edited and drawn anew."
    )
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT", "EMO2_FRAMING")
    RETURN_NAMES = ("motion", "fps", "frame_count", "framing")
    OUTPUT_TOOLTIPS = (
        "The motion.",
        "Its frames a second.",
        "How many frames it has.",
        "Where the recorded person is in the picture.",
    )
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "A keypoint set in ComfyUI's input folder, or in its output folder (marked [output])."
        return {
            "required": {
                "keypoints": (listed(_is_set, "*.npz", "*/*.npz", "*/", "*/*/"), {"tooltip": tip}),
                "fps": ("FLOAT", {**RATE, "tooltip": "Frames a second of the recording; EchoMimicV2's have 24."}),
            },
            "optional": {
                "framing": ("EMO2_FRAMING", {"tooltip": "Where the person is in the recording; without it, measured "
                                                        "from neck and shoulders."}),
                "hands": HANDS,
                "hand_fit": HAND_FIT,
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, keypoints: str | None = None) -> bool | str:
        try:
            if keypoints is not None:
                _path(keypoints, "keypoints", "a keypoint set")
        except EMO2Error as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, keypoints: str | None = None) -> str:
        try:
            path = _path(keypoints, "keypoints", "") if keypoints else None
            return "" if path is None else _state(sorted(path.iterdir()) if path.is_dir() else [path])
        except (EMO2Error, OSError):
            return ""

    def load(
        self, keypoints: str, fps: float, framing: Framing | None = None, hands: HandModel | None = None,
        hand_fit: str = "fit",
    ) -> tuple[Motion, float, int, Framing]:  # fmt: skip
        path, progress = _path(keypoints, "keypoints", "a keypoint set"), Ticks("fitting hands")
        try:
            motion = motion_from_keypoints(path, fps, framing, hands, fit=fits(hand_fit), on_step=progress)
        finally:
            progress.close()
        return motion, motion.fps, len(motion), motion.framing


@node("EMO2GestureLibrary", "EMO2 Gesture Library", "EMO2/motion")
class GestureLibrary:
    DESCRIPTION = (
        "Makes a motion of any length from a folder of real gestures: it plays stretches of them one after the other, "
        "joins them where the poses fit, and picks lively ones where the voice is loud. No model is needed."
    )
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frame_count")
    OUTPUT_TOOLTIPS = (
        "The motion, as long as the voice.",
        "Its frames a second.",
        "How many frames it has.",
    )
    FUNCTION = "make"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "library": (listed(_is_library, "*/", "*/*/"), {
                    "tooltip": "A folder in ComfyUI's input (or output) folder with motions of EMO2 Save "
                    "Motion and keypoint sets of EMO2 Load Keypoints."}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True,
                    "tooltip": "Another seed takes other gestures."}),
                "follow_voice": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 4.0, "step": 0.1, "round": 0.001,
                    "tooltip": "How much the voice's loudness chooses the gestures against how smoothly they join."}),
                "stretch_seconds": ("FLOAT", {"default": 3.0, "min": 0.5, "max": 60.0, "step": 0.1, "round": 0.001,
                    "tooltip": "How long one recording plays, on the average, before another takes over."}),
                "blend_seconds": ("FLOAT", {"default": 0.3, "min": 0.0, "max": 2.0, "step": 0.05, "round": 0.001,
                    "tooltip": "How long one fades into the next."}),
                "fps": ("FLOAT", {**RATE, "default": 25.0, "tooltip": "Frames a second of the motion that is made."}),
                "keypoint_fps": ("FLOAT", {**RATE, "tooltip": "Frames a second of the keypoint sets in the folder; "
                    "motions know their own."}),
                "seconds": ("FLOAT", {"default": 10.0, "min": 0.1, "max": 86400.0, "step": 0.1, "round": 0.001,
                    "tooltip": "How long the motion is where no voice is connected."}),
            },
            "optional": {
                "audio_features": ("EMO2_AUDIO", {"tooltip": "The voice, from EMO2 Encode Audio: its length and its "
                                                             "loudness."}),
                "framing": ("EMO2_FRAMING", {"tooltip": "Where the person of your picture is: the gestures are moved "
                                                        "there. Without it, that of the first recording."}),
                "hands": HANDS,
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, library: str | None = None) -> bool | str:
        try:
            if library is not None:
                _path(library, "library", "a folder of motions")
        except EMO2Error as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, library: str | None = None) -> str:
        try:
            return _state(_members(_path(library, "library", ""))) if library else ""
        except (EMO2Error, OSError):
            return ""

    def make(
        self, library: str, seed: int, follow_voice: float, stretch_seconds: float, blend_seconds: float, fps: float,
        keypoint_fps: float, seconds: float, audio_features: AudioFeatures | None = None,
        framing: Framing | None = None, hands: HandModel | None = None,
    ) -> tuple[Motion, float, int]:  # fmt: skip
        folder = _path(library, "library", "a folder of motions")
        files = _members(folder) if folder.is_dir() else []
        if not files:
            raise EMO2Error("library", "a folder of motions or keypoint sets", f"none in {library!r}", "Put some in.")
        motions = []
        with host.Progress(len(files), "reading gestures") as progress:
            for path in files:
                one = is_keypoint_set(path)
                motions.append(motion_from_keypoints(path, keypoint_fps, None, hands, "library", fit=False) if one
                               else load_motion(path, "library"))  # fmt: skip
                progress.tick()
        count = frame_count(audio_features.duration if audio_features else seconds, fps)
        loudness = audio_features.loudness_at(fps, 0, count) if audio_features else None
        motion = from_library(
            motions, count, fps, framing, loudness, seed, follow_voice, stretch_seconds, blend_seconds
        )
        warning = outside_warning(motion)
        if warning:
            host.warn(warning)
        return motion, motion.fps, len(motion)
