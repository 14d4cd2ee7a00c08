"""From a video of a person to motion."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..models.errors import EMO2Error
from ..models.hands import HandModel, load_hands
from ..models.picture import image_of
from ..models.pose.detection import Detector
from ..models.pose.extraction import choose, identities, points_of, watch
from ..models.pose.keypoint_motion import framing_of, motion_of_points
from ..models.pose.people_picture import people_sheet
from ..models.pose.pose_keypoint import points_to_pose_keypoint
from ..models.pose.tracking import known_points
from ..models.types import Framing, Motion
from ..models.video.read_frames import PictureFrames
from . import host
from .motion_files import HAND_FIT, HANDS, fits
from .pose_detectors import built_in
from .registry import node
from .sample_motion import Ticks
from .video_input import Footage, footage

SLOWEST = 1.0
"""Frames a second below which nothing moves."""
MISSING = 0.2
"""Share of frames without the person from which on it is said."""
SHAPE = 0.03
"""How much a framing's picture may differ in shape from the video."""
SECOND = {"default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.1, "round": 0.001}
PLACE = {"default": -1.0, "min": -1.0, "max": 1.0, "step": 0.01, "round": 0.0001}


@node("EMO2ExtractPose", "EMO2 Extract Pose", "EMO2/pose")
class ExtractPose:
    DESCRIPTION = (
        "Follows one person through a video and gives their body, hands and face as motion: people who walk by, "
        "crossings and absences do not confuse it. The video is read piece by piece, so it may be long and large."
    )
    RETURN_TYPES = ("EMO2_MOTION", "POSE_KEYPOINT", "FLOAT", "INT", "EMO2_FRAMING", "AUDIO", "IMAGE")
    RETURN_NAMES = ("motion", "pose_keypoint", "fps", "frame_count", "framing", "audio", "preview")
    OUTPUT_TOOLTIPS = (
        "The person's motion. EMO2 Apply Framing brings it onto your own picture.",
        "The chosen person's points as the detector saw them: one OpenPose dict a frame, empty where they are missing.",
        "Frames a second of the motion.",
        "How many frames it has.",
        "Where the person is in the video: the given framing, or the median neck and shoulders.",
        "The sound of the same stretch, as long as the motion; silence where the video has none.",
        "Some frames on one sheet: everybody with their number, and the motion over the chosen person.",
    )
    FUNCTION = "extract"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "fps": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 240.0, "step": 1.0, "round": 0.001,
                    "tooltip": "For a video: frames a second of the motion, 0 the video's own. For images: how fast "
                               "they play."}),
                "person": ("INT", {"default": 0, "min": 0, "max": 99,
                    "tooltip": "Whom to follow: 0 is the most prominent person (large, in the middle, there for long), "
                               "1 the next, ... The preview shows the numbers."}),
                "pick_x": ("FLOAT", {**PLACE,
                    "tooltip": "Or pick somebody by a place on them: 0 is the left edge, 1 the right one. -1: by "
                               "number."}),
                "pick_y": ("FLOAT", {**PLACE,
                    "tooltip": "The place's height: 0 is the top edge, 1 the bottom. -1: by number."}),
                "pick_second": ("FLOAT", {**SECOND,
                    "tooltip": "When they are at that place, in seconds from the video's beginning. Times before "
                               "start_second count as start_second."}),
                "start_second": ("FLOAT", {**SECOND, "tooltip": "Where in the video the motion begins."}),
                "end_second": ("FLOAT", {**SECOND, "tooltip": "Where it ends; 0 is the end of the video."}),
                "longest_side": ("INT", {"default": 1920, "min": 0, "max": 8192, "step": 8,
                    "tooltip": "Larger pictures are scaled down to this for the detector; 0 never. More finds the "
                               "hands of people who are far away, and takes longer."}),
            },
            "optional": {
                "video": ("VIDEO", {"tooltip": "The video, from Load Video. Connect this or images."}),
                "images": ("IMAGE", {"tooltip": "The frames of a video as pictures, all of which lie in memory."}),
                "detector": ("EMO2_POSE_DETECTOR", {
                    "tooltip": "From EMO2 Load Pose Detector; without it, the one that comes with the pack."}),
                "framing": ("EMO2_FRAMING", {"tooltip": "Where the person is in the video; without it, measured from "
                                                        "neck and shoulders."}),
                "hands": HANDS,
                "hand_fit": HAND_FIT,
            },
        }  # fmt: skip

    def extract(
        self, fps: float, person: int, pick_x: float, pick_y: float, pick_second: float, start_second: float,
        end_second: float, longest_side: int, video: Any = None, images: torch.Tensor | None = None,
        detector: Detector | None = None, framing: Framing | None = None, hands: HandModel | None = None,
        hand_fit: str = HAND_FIT[0][0],
    ) -> tuple[Motion, list, float, int, Framing, dict[str, Any], torch.Tensor]:  # fmt: skip
        fit = fits(hand_fit)
        if 0 < fps < SLOWEST:
            raise EMO2Error("fps", f"0 for the video's own, or at least {SLOWEST:g}", fps, "Give a higher rate.")
        source = _source(video, images, fps)
        if framing is not None:
            _check_shape(framing, source.frames.size)
        finder = detector if detector is not None else built_in()
        total = source.frames.estimate(fps, start_second, end_second)
        with host.Progress(total, f"looking for people, {total} frames") as progress:
            seen = watch(source.frames, finder, fps, start_second, end_second, longest_side, progress.tick)
        tracks = identities(seen)
        if not len(tracks):
            given = f"{len(seen.shown)} frames in which {finder.name} finds nobody"
            remedy = "Check the video, raise longest_side, or use another detector."
            raise EMO2Error("images" if video is None else "video", "a person in at least one frame", given, remedy)
        place = (pick_x, pick_y) if pick_x >= 0 and pick_y >= 0 else None
        second = max(pick_second, float(seen.start))
        who = choose(seen, tracks, person, place, second)
        raw = points_of(seen, tracks, who)
        found = known_points(raw)
        place_of = framing or framing_of(found.body, found.body_scores, source.frames.size)
        ticks = Ticks("fitting hands")
        motion = motion_of_points(found, float(seen.fps), place_of, hands, fit, ticks)
        ticks.close()
        _warn_missing(tracks.seats[seen.shown, who], motion)
        sheet = people_sheet(seen, tracks, who, motion, hands or load_hands(None))
        heard = source.sound(float(seen.start), float(seen.start + seen.seconds))
        picture = image_of(sheet)
        keypoints = points_to_pose_keypoint(raw, source.frames.size)
        return motion, keypoints, motion.fps, len(motion), motion.framing, heard, picture


def _source(video: Any, images: torch.Tensor | None, fps: float) -> Footage:
    """The one of the two that is connected."""
    if (video is None) == (images is None):
        given = "neither" if video is None else "both"
        raise EMO2Error("video and images", "one of the two", given, "Connect a video, or the frames of one.")
    if video is not None:
        return footage(video)
    if fps == 0 and getattr(images, "ndim", 0) and len(images) > 1:  # type: ignore[arg-type]
        remedy = "Give the rate; Get Video Components has it as its fps."
        raise EMO2Error("fps", "how fast the images play", "0", remedy)
    return Footage(PictureFrames(images, fps or 25.0))


def _check_shape(framing: Framing, size: tuple[int, int]) -> None:
    own, wanted = framing.size[1] / framing.size[0], size[1] / size[0]
    if abs(own / wanted - 1) > SHAPE:
        given = f"one of {framing.size[0]} x {framing.size[1]}"
        remedy = "Make it with EMO2 Set Framing from a frame of the video, or leave it out."
        raise EMO2Error("framing", f"a framing of the video's shape ({size[0]} x {size[1]})", given, remedy)


def _warn_missing(seats: np.ndarray, motion: Motion) -> None:
    missing = float((seats < 0).mean())
    if missing > MISSING:
        host.warn(f"The person is not seen in {missing:.0%} of the frames: there the motion is filled in.")
    if not motion.visible.any():
        host.warn("No hand was found in any frame: both rest and are marked not visible.")
