"""Refocusing a motion on the voice as an artist sees it."""

from __future__ import annotations

from typing import Any

from ..models.errors import EMO2Error
from ..models.hands import HandModel
from ..models.motion.refocus import CALM, LEAD_SECONDS, SMOOTH_SECONDS, refocus
from ..models.types import AudioFeatures, Motion
from . import host
from .motion_edit import Edit, hands
from .registry import node

TENTH = {"step": 0.05, "round": 0.001}


@node("EMO2RefocusMotion", "EMO2 Refocus Motion", "EMO2/motion")
class RefocusMotion(Edit):
    DESCRIPTION = (
        "Ties a motion to the voice's accents: gestures grow where the voice stresses and calm down where it is quiet, "
        "each around its own rest pose. Works on any motion and for every video model."
    )
    OUTPUT_TOOLTIPS = ("The refocused motion, with its strength in each frame if strength_amount is above 0.",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motion": ("EMO2_MOTION", {
                    "tooltip": "The motion to refocus: from stage 1, from a video or from a library."}),
                "audio_features": ("EMO2_AUDIO", {"tooltip": "The voice, from EMO2 Encode Audio."}),
                "amount": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 2.0, **TENTH,
                    "tooltip": "0 changes nothing; at 1 gestures are twice as large on the strongest accents, at 2 "
                               "four times where the arm and the picture allow it."}),
                "calm": ("FLOAT", {"default": CALM, "min": 0.0, "max": 0.95, **TENTH,
                    "tooltip": "How much of a gesture goes in silence at amount 1: 0 nothing, 0.95 nearly all."}),
                "hands": hands("Which hands are refocused."),
                "smooth_seconds": ("FLOAT", {"default": SMOOTH_SECONDS, "min": 0.0, "max": 10.0, **TENTH,
                    "tooltip": "How gently the size changes: 0.45 follows stressed words, 1.5 whole phrases. Below 0.2 "
                               "it trembles."}),
                "lead_seconds": ("FLOAT", {"default": LEAD_SECONDS, "min": -2.0, "max": 2.0, "step": 0.02,
                    "round": 0.001, "tooltip": "How much sooner than the voice the hands react; people's hands lead."}),
                "strength_amount": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 1.0, **TENTH,
                    "tooltip": "How much less strongly video models are held to the pose in quiet parts: 0 leaves it, "
                               "0.5 half as strongly in silence, 1 not at all there."}),
                "start_second": ("FLOAT", {"default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.04, "round": 0.001,
                    "tooltip": "Where in the audio the motion begins, as in EMO2 Sample Hand Motion."}),
            },
            "optional": {
                "hand_model": ("EMO2_HANDS", {
                    "tooltip": "Hands from EMO2 Load Hands, whose points are kept in the picture; without it, the "
                               "neutral hands."}),
            },
        }  # fmt: skip

    def edit(
        self, motion: Motion, audio_features: AudioFeatures, amount: float, calm: float, hands: str,
        smooth_seconds: float, lead_seconds: float, strength_amount: float, start_second: float,
        hand_model: HandModel | None = None,
    ) -> tuple[Motion]:  # fmt: skip
        if start_second >= audio_features.duration:
            wanted = f"a time before the audio's end ({audio_features.duration:.2f} s)"
            raise EMO2Error("start_second", wanted, f"{start_second:g} s", "Choose an earlier start.")
        first = round(start_second * motion.fps)
        intensity = audio_features.intensity_at(motion.fps, first, len(motion))
        if not intensity.any() and (amount or strength_amount):
            host.warn(
                "Nothing is said in this stretch of the audio, or its loudness is unknown: the whole motion is calmed."
            )
        return (
            refocus(motion, intensity, amount, calm, hands, smooth_seconds, lead_seconds, strength_amount, hand_model),
        )
