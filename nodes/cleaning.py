"""Keypoints and motions cleaned: trembling, jumps, gaps, swapped sides."""

from __future__ import annotations

from typing import Any

from ..models.motion.clean import LONG_GAPS, clean_motion
from ..models.pose.cleaning import OFF, Cleaning, clean_points
from ..models.pose.pose_keypoint import points_of, pose_keypoint_of
from ..models.types import Motion
from .motion_edit import MOTION
from .registry import node

USUAL = Cleaning()
REPORT = "What was removed, filled, limited and smoothed, in counts and seconds."


def dials() -> dict[str, Any]:
    """The widgets that both nodes share, in their order."""
    number = lambda default, most, step, tip: (
        "FLOAT", {"default": default, "min": 0.0, "max": most, "step": step, "round": 0.001, "tooltip": tip}
    )  # fmt: skip
    switch = lambda default, tip: ("BOOLEAN", {"default": default, "tooltip": tip})
    return {
        "confidence_gate": number(USUAL.gate, 1.0, 0.05, "Points and hands with a lower score count as not seen; they "
            "come back at 0.1 above it, so that nothing flickers. 0 lets everything through."),
        "outlier_speed": number(USUAL.outlier_speed, 1000.0, 0.5, "Shoulder widths a second: a point that jumps away "
            "faster than this and is back within 0.2 s is an error. 0 switches it off."),
        "longest_gap": number(USUAL.longest_gap, 60.0, 0.1, "Gaps of up to so many seconds are bridged. 0 bridges "
            "none."),
        "limb_lengths": switch(USUAL.limb_lengths, "Hold shoulders, arms and fingers to the longest that the clip "
            "shows of them: pictures of bones get shorter by perspective, never longer."),
        "fix_swaps": switch(USUAL.swaps, "Put right a left and a right hand, or arm, that carry each other's name for "
            "some frames."),
        "median_seconds": number(USUAL.median_seconds, 10.0, 0.02, "Window of the median filter, as wide as the "
            "paper's guidance wants it. 0 switches it off."),
        "smoothing_hz": number(USUAL.smooth_hz, 100.0, 0.5, "One-euro filter: trembling faster than so many times a "
            "second is evened out where a point is at rest. 0 switches it off."),
        "smoothing_speed": number(USUAL.smooth_beta, 100.0, 0.5, "One-euro filter: by how much the limit rises with "
            "speed. Higher follows fast gestures more closely."),
        "zero_phase": switch(USUAL.zero_phase, "On: smoothed forwards and backwards, so that nothing comes late. Off: "
            "as a live filter would do it."),
    }  # fmt: skip


def cleaning(
    confidence_gate: float, outlier_speed: float, longest_gap: float, limb_lengths: bool, fix_swaps: bool,
    median_seconds: float, smoothing_hz: float, smoothing_speed: float, zero_phase: bool, long_gaps: str = "unknown",
) -> Cleaning:  # fmt: skip
    """What the widgets say; `OFF` when nothing is on."""
    on = confidence_gate, outlier_speed, longest_gap, limb_lengths, fix_swaps, median_seconds, smoothing_hz
    if not any(on) and long_gaps == OFF.long_gaps:
        return OFF
    return Cleaning(
        confidence_gate, fix_swaps, outlier_speed, longest_gap, limb_lengths, median_seconds, smoothing_hz,
        smoothing_speed, zero_phase, long_gaps,
    )  # fmt: skip


@node("EMO2CleanMotion", "EMO2 Clean Motion", "EMO2/pose")
class CleanMotion:
    DESCRIPTION = (
        "Cleans a motion that comes from a video: throws out jumps, bridges short gaps, puts swapped hands right, "
        "holds bones to their length and evens out trembling without delay. Says what it did."
    )
    RETURN_TYPES = ("EMO2_MOTION", "STRING")
    RETURN_NAMES = ("motion", "report")
    OUTPUT_TOOLTIPS = ("The cleaned motion, frame for frame.", REPORT)
    FUNCTION = "clean"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            **dials(),
            "long_gaps": (list(LONG_GAPS), {"default": LONG_GAPS[0],
                "tooltip": "What hands do that are away for longer. unknown: they are marked not visible. rest: they "
                           "sink to rest before the belly and come back from there."}),
        }}  # fmt: skip

    def clean(
        self, motion: Motion, confidence_gate: float, outlier_speed: float, longest_gap: float, limb_lengths: bool,
        fix_swaps: bool, median_seconds: float, smoothing_hz: float, smoothing_speed: float, zero_phase: bool,
        long_gaps: str,
    ) -> tuple[Motion, str]:  # fmt: skip
        how = cleaning(
            confidence_gate, outlier_speed, longest_gap, limb_lengths, fix_swaps, median_seconds, smoothing_hz,
            smoothing_speed, zero_phase, long_gaps,
        )  # fmt: skip
        cleaned, report = clean_motion(motion, how)
        return cleaned, str(report)


@node("EMO2CleanPoseKeypoint", "EMO2 Clean Pose Keypoint", "EMO2/pose")
class CleanPoseKeypoint:
    DESCRIPTION = (
        "Cleans POSE_KEYPOINT from any detector before other packs draw it: the same steps as EMO2 Clean Motion, on "
        "the points in the picture. One person goes on."
    )
    RETURN_TYPES = ("POSE_KEYPOINT", "STRING")
    RETURN_NAMES = ("pose_keypoint", "report")
    OUTPUT_TOOLTIPS = ("One OpenPose dict a frame with the chosen person, cleaned, in pixels.", REPORT)
    FUNCTION = "clean"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "pose_keypoint": ("POSE_KEYPOINT", {"tooltip": "From a pose detector; one entry a frame."}),
            "fps": ("FLOAT", {"default": 25.0, "min": 1.0, "max": 240.0, "step": 1.0, "round": 0.001,
                "tooltip": "Frames a second of the video that the poses come from."}),
            "person": ("INT", {"default": 0, "min": 0, "max": 99,
                "tooltip": "Which person, when there are several: 0 is the first one listed."}),
            **dials(),
        }}  # fmt: skip

    def clean(
        self, pose_keypoint: Any, fps: float, person: int, confidence_gate: float, outlier_speed: float,
        longest_gap: float, limb_lengths: bool, fix_swaps: bool, median_seconds: float, smoothing_hz: float,
        smoothing_speed: float, zero_phase: bool,
    ) -> tuple[Any, str]:  # fmt: skip
        how = cleaning(
            confidence_gate, outlier_speed, longest_gap, limb_lengths, fix_swaps, median_seconds, smoothing_hz,
            smoothing_speed, zero_phase,
        )  # fmt: skip
        found, size = points_of(pose_keypoint, None, person, fps)
        cleaned, report = clean_points(found, fps, size, how)
        alone = isinstance(pose_keypoint, list) and all(len((f or {}).get("people") or []) <= 1 for f in pose_keypoint)
        return pose_keypoint if how == OFF and alone else pose_keypoint_of(cleaned, size), str(report)
