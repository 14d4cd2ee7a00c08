"""Edits of a motion as an artist sees them: each node takes a motion and gives a new one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ..models.errors import EMO2Error
from ..models.motion import edit
from ..models.pose.portrait import outside_warning
from ..models.types import AudioFeatures, Framing, Motion
from . import host
from .registry import node

MOTION = ("EMO2_MOTION", {"tooltip": "The motion to edit; it is left as it is, the edited one comes out."})
HANDS = ["both", "left", "right"]
SECOND = {"default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.04, "round": 0.001}
START = ("FLOAT", {**SECOND, "tooltip": "Where the stretch begins, in seconds."})
END = ("FLOAT", {**SECOND, "tooltip": "Where the stretch ends, in seconds; 0 is the end of the motion."})


def hands(what: str, default: str = "both") -> tuple[list[str], dict[str, Any]]:
    return HANDS, {"default": default, "tooltip": f"{what} Left and right are the person's own."}


def blend(default: float, what: str) -> tuple[str, dict[str, Any]]:
    return "FLOAT", {"default": default, "min": 0.0, "max": 60.0, "step": 0.05, "round": 0.001, "tooltip": what}


class Edit:
    """What all edits share: one motion out."""

    RETURN_TYPES: tuple[str, ...] = ("EMO2_MOTION",)
    RETURN_NAMES: tuple[str, ...] = ("motion",)
    OUTPUT_TOOLTIPS: tuple[str, ...] = ("The edited motion.",)
    FUNCTION = "edit"


@node("EMO2SmoothMotion", "EMO2 Smooth Motion", "EMO2/motion")
class SmoothMotion(Edit):
    DESCRIPTION = "Evens out trembling and hasty movement. The first and the last frame keep their pose."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            "seconds": ("FLOAT", {"default": 0.15, "min": 0.0, "max": 10.0, "step": 0.01, "round": 0.001,
                "tooltip": "Movement shorter than this is evened out. 0.1 removes trembling, 0.5 makes it dreamy."}),
            "hands": hands("Which hands are smoothed."),
            "body": ("BOOLEAN", {"default": False,
                "tooltip": "Also smooth the body's and the face's points and the swaying of the body."}),
        }}  # fmt: skip

    def edit(self, motion: Motion, seconds: float, hands: str, body: bool) -> tuple[Motion]:
        return (edit.smooth(motion, seconds, hands, body),)


@node("EMO2MirrorMotion", "EMO2 Mirror Motion", "EMO2/motion")
class MirrorMotion(Edit):
    DESCRIPTION = "Swaps left and right, as a mirror shows it: hands, body, face, scores and visibility."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            "keep_place": ("BOOLEAN", {"default": True,
                "tooltip": "On: the person stays where they are in the picture. Off: they move to the other side, as "
                           "in a picture that is mirrored too."}),
        }}  # fmt: skip

    def edit(self, motion: Motion, keep_place: bool) -> tuple[Motion]:
        return (edit.mirror(motion, keep_place),)


@node("EMO2ScaleMotion", "EMO2 Scale Motion", "EMO2/motion")
class ScaleMotion(Edit):
    DESCRIPTION = "Makes each hand's gestures larger or smaller, faster or slower. The motion keeps its length."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        dial = {"default": 1.0, "min": 0.0, "step": 0.05, "round": 0.001}
        size = "Size of the {} hand's gestures around its own mean pose: 0 still, 1 as it is, 2 twice as large."
        pace = "Speed of the {} hand, from its first frame: 0.5 half as fast, 1 as it is, 2 twice as fast."
        return {"required": {
            "motion": MOTION,
            "amplitude_left": ("FLOAT", {**dial, "max": 10.0, "tooltip": size.format("left")}),
            "amplitude_right": ("FLOAT", {**dial, "max": 10.0, "tooltip": size.format("right")}),
            "speed_left": ("FLOAT", {**dial, "max": 100.0, "tooltip": pace.format("left")}),
            "speed_right": ("FLOAT", {**dial, "max": 100.0, "tooltip": pace.format("right")}),
            "turns": ("BOOLEAN", {"default": True,
                "tooltip": "Scale the turning of wrist and fingers too, not just where the hand goes."}),
            "ending": (list(edit.ENDINGS), {"default": edit.ENDINGS[0],
                "tooltip": "What a faster hand does when its motion runs out before the clip's end: play backwards "
                           "and forwards again, or hold its last pose."}),
        }}  # fmt: skip

    def edit(
        self, motion: Motion, amplitude_left: float, amplitude_right: float, speed_left: float, speed_right: float,
        turns: bool, ending: str,
    ) -> tuple[Motion]:  # fmt: skip
        scaled = edit.scale(motion, amplitude_left, amplitude_right, turns)
        return (edit.change_speed(scaled, speed_left, speed_right, ending),)


@node("EMO2MuteHand", "EMO2 Mute Hand", "EMO2/motion")
class MuteHand(Edit):
    DESCRIPTION = "Takes a hand out of the performance: lets it rest, keeps it still, or hides it."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            "hands": hands("Which hand is muted.", "left"),
            "how": (list(edit.MUTES), {"default": "rest",
                "tooltip": "rest: it lies before the belly. still: it keeps its own mean pose. hide: it is marked as "
                           "not visible and is not drawn at all."}),
            "start_second": START,
            "end_second": END,
            "blend_seconds": blend(0.3, "How long it takes to come to rest and to wake again, inside the stretch."),
        }}  # fmt: skip

    def edit(
        self, motion: Motion, hands: str, how: str, start_second: float, end_second: float, blend_seconds: float
    ) -> tuple[Motion]:
        return (edit.mute(motion, hands, how, start_second, end_second, blend_seconds),)


@node("EMO2HandConfidence", "EMO2 Hand Confidence", "EMO2/motion")
class HandConfidence(Edit):
    DESCRIPTION = (
        "Tells the video model how much to trust each hand, from 0 (blurred or hidden) to 1 (sharp and certain): one "
        "value, a curve over time, a mask, or the loudness of the voice."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        value = {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "round": 0.001}
        curve = "A curve as seconds:value pairs, e.g. 0:1.0, 2.5:0.3, with straight lines between; {} wins when set."
        return {
            "required": {
                "motion": MOTION,
                "confidence_left": ("FLOAT", {**value, "tooltip": "Confidence of the left hand in every frame."}),
                "confidence_right": ("FLOAT", {**value, "tooltip": "Confidence of the right hand in every frame."}),
                "curve_left": ("STRING", {"default": "", "tooltip": curve.format("it") + " For the left hand."}),
                "curve_right": ("STRING", {"default": "", "tooltip": curve.format("it") + " For the right hand."}),
                "loudness_amount": ("FLOAT", {**value, "default": 0.0,
                    "tooltip": "With audio_features connected: 0 ignores it, 1 multiplies by the loudness."}),
            },
            "optional": {
                "mask": ("MASK", {"tooltip": "Mean brightness of each frame's mask multiplies the confidence of both "
                                             "hands; one mask for all frames, or one for each."}),
                "audio_features": ("EMO2_AUDIO", {
                    "tooltip": "The voice, for loudness_amount; from EMO2 Encode Audio."}),
            },
        }  # fmt: skip

    def edit(
        self, motion: Motion, confidence_left: float, confidence_right: float, curve_left: str, curve_right: str,
        loudness_amount: float, mask: torch.Tensor | None = None, audio_features: AudioFeatures | None = None,
    ) -> tuple[Motion]:  # fmt: skip
        count, factor = len(motion), np.ones(len(motion))
        if mask is not None:
            means = mask.reshape(mask.shape[0] if mask.ndim == 3 else 1, -1).float().mean(1).cpu().numpy()
            if len(means) not in (1, count):
                given = f"{len(means)} masks"
                raise EMO2Error("mask", f"1 mask or {count}, one a frame", given, "Repeat or cut the masks.")
            factor = factor * np.clip(means, 0, 1)
        if audio_features is not None:
            factor = factor * (1 - loudness_amount + loudness_amount * audio_features.loudness_at(motion.fps, 0, count))
        elif loudness_amount > 0:
            raise EMO2Error(
                "audio_features",
                "a voice, as loudness_amount is above 0",
                "nothing",
                "Connect EMO2 Encode Audio, or set it to 0.",
            )
        values = []
        for side, value, curve in (
            ("left", confidence_left, curve_left), ("right", confidence_right, curve_right),
        ):  # fmt: skip
            if curve.strip():
                name = f"curve_{side}"
                value = edit.parse_track(curve, motion.fps, count, name)
                if value.min() < 0 or value.max() > 1:
                    given = f"{value.min():g} to {value.max():g}"
                    raise EMO2Error(name, "values from 0 to 1", given, "Correct the curve.")
            values.append(np.clip(value * factor, 0, 1))
        return (edit.set_confidence(motion, *values),)


@node("EMO2OffsetMotion", "EMO2 Offset Motion", "EMO2/motion")
class OffsetMotion(Edit):
    DESCRIPTION = "Moves and turns hands by a fixed amount over a stretch of time, eased in and out."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        way = {"default": 0.0, "min": -100.0, "max": 100.0, "step": 0.5, "round": 0.01}
        return {"required": {
            "motion": MOTION,
            "hands": hands("Which hands are moved."),
            "right_cm": ("FLOAT", {**way, "tooltip": "Centimetres to the picture's right; negative: to its left."}),
            "up_cm": ("FLOAT", {**way, "tooltip": "Centimetres upwards; negative: down."}),
            "forward_cm": ("FLOAT", {**way, "tooltip": "Centimetres towards the camera; negative: away from it."}),
            "turn_degrees": ("FLOAT", {**way, "min": -180.0, "max": 180.0, "step": 5.0,
                "tooltip": "Turn about the wrist, clockwise in the picture."}),
            "start_second": START,
            "end_second": END,
            "blend_seconds": blend(0.2, "How long the move takes at each end of the stretch, inside it."),
        }}  # fmt: skip

    def edit(
        self, motion: Motion, hands: str, right_cm: float, up_cm: float, forward_cm: float, turn_degrees: float,
        start_second: float, end_second: float, blend_seconds: float,
    ) -> tuple[Motion]:  # fmt: skip
        move = (right_cm / 100, -up_cm / 100, -forward_cm / 100)
        # z points away from the camera and y down, so a positive turn about z is clockwise in the picture.
        turn = (0.0, 0.0, math.radians(turn_degrees))
        return (edit.offset(motion, start_second, end_second, move, turn, hands, blend_seconds),)


@node("EMO2HoldMotion", "EMO2 Hold Motion", "EMO2/motion")
class HoldMotion(Edit):
    DESCRIPTION = "Freezes a pose for a while: a pause, a pointing finger that stays. Then the motion goes on."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            "start_second": ("FLOAT", {**SECOND, "tooltip": "The pose at this second is held."}),
            "end_second": ("FLOAT", {**SECOND, "tooltip": "Until this second; 0 is the end of the motion."}),
            "hands": hands("Which hands are held."),
            "blend_seconds": blend(0.3, "How long it takes to find back into the motion, before end_second."),
            "body": ("BOOLEAN", {"default": False,
                "tooltip": "Hold the body and the face too (only together with both hands)."}),
        }}  # fmt: skip

    def edit(
        self, motion: Motion, start_second: float, end_second: float, hands: str, blend_seconds: float, body: bool
    ) -> tuple[Motion]:
        if body and hands != "both":
            raise EMO2Error("body", "off, or hands set to both", f"on with hands = {hands}", "Change one of them.")
        return (edit.hold(motion, start_second, end_second, hands, blend_seconds, body),)


class Timed(Edit):
    """An edit that may change the length, and tells it."""

    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frame_count")
    OUTPUT_TOOLTIPS = ("The edited motion.", "Its frames a second.", "How many frames it has.")


@node("EMO2RetimeMotion", "EMO2 Retime Motion", "EMO2/motion")
class RetimeMotion(Timed):
    DESCRIPTION = "Plays a stretch slower or faster, so that a gesture lands on a word. Nothing is skipped or reversed."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            "start_second": START,
            "end_second": END,
            "new_seconds": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 3600.0, "step": 0.04, "round": 0.001,
                "tooltip": "How long the stretch takes afterwards."}),
            "keep_length": ("BOOLEAN", {"default": True,
                "tooltip": "On: what follows is played faster or slower to make up for it, so the motion still fits "
                           "its sound. Off: what follows is moved, and the motion becomes longer or shorter."}),
            "blend_seconds": blend(0.2, "Over how long a time the speed changes."),
        }}  # fmt: skip

    def edit(
        self, motion: Motion, start_second: float, end_second: float, new_seconds: float, keep_length: bool,
        blend_seconds: float,
    ) -> tuple[Motion, float, int]:  # fmt: skip
        return told(edit.retime(motion, start_second, end_second, new_seconds, keep_length, blend_seconds))


@node("EMO2SpliceMotion", "EMO2 Splice Motion", "EMO2/motion")
class SpliceMotion(Timed):
    DESCRIPTION = "Joins two motions: the first up to a cut, then the second, with a soft change-over."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "first": ("EMO2_MOTION", {"tooltip": "The motion that begins; its frame rate and framing are kept."}),
            "second": ("EMO2_MOTION", {"tooltip": "The motion that follows; it is brought to the first one's frame "
                                                  "rate and framing."}),
            "at_second": ("FLOAT", {**SECOND, "tooltip": "Where in the first motion the cut is; 0 is its end."}),
            "from_second": ("FLOAT", {**SECOND, "tooltip": "Where in the second motion to begin."}),
            "blend_seconds": blend(0.3, "How long the first fades into the second, after the cut."),
        }}  # fmt: skip

    def edit(
        self, first: Motion, second: Motion, at_second: float, from_second: float, blend_seconds: float
    ) -> tuple[Motion, float, int]:
        return told(edit.splice(first, second, at_second, from_second, blend_seconds))


@node("EMO2ResampleMotion", "EMO2 Resample Motion", "EMO2/motion")
class ResampleMotion(Timed):
    DESCRIPTION = "Changes the frame rate and keeps the duration: 16 for Wan, 24 for film, 25 for EMO2's own models."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        rate = {"default": 25.0, "min": 1.0, "max": 240.0, "step": 1.0, "round": 0.001}
        return {"required": {
            "motion": MOTION,
            "fps": ("FLOAT", {**rate, "tooltip": "Frames a second of the result."}),
        }}  # fmt: skip

    def edit(self, motion: Motion, fps: float) -> tuple[Motion, float, int]:
        return told(edit.resample(motion, fps))


@node("EMO2ApplyFraming", "EMO2 Apply Framing", "EMO2/motion")
class ApplyFraming(Edit):
    DESCRIPTION = "Moves a motion to where the person is in another picture: same gestures, other place and size."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {
            "motion": MOTION,
            "framing": ("EMO2_FRAMING", {"tooltip": "Where the person is, from EMO2 Set Framing."}),
        }}  # fmt: skip

    def edit(self, motion: Motion, framing: Framing) -> tuple[Motion]:
        moved = edit.apply_framing(motion, framing)
        warning = outside_warning(moved)
        if warning and not outside_warning(motion):
            host.warn(warning)
        return (moved,)


def told(motion: Motion) -> tuple[Motion, float, int]:
    return motion, motion.fps, len(motion)
