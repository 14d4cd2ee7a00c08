"""Metrics of hand motion (stage 1): spread, beats, accuracy, smoothness, retrieval, control. Pure NumPy functions.

Every function takes arrays or a `Motion` and says in its docstring the formula, where it comes from, its unit and which
direction is better. Points are the hands' joints and fingertips in metres, relative to the neck root.
"""

from .accuracy import pck
from .beats import BeatAlignment, audio_beats, beat_alignment, beat_score, motion_beats
from .control import SpeedControl, spearman, speed_control
from .emphasis import hand_speed, motion_in_silence, pauses, speed_intensity
from .frechet import fgd, gesture_features
from .points import hand_points, wrist_points
from .retrieve import AccentFilter, Retrieval, accent_scores, retrieval
from .smoothness import Seams, jerk, seam_jumps
from .spread import diversity, pairwise_diversity
from .style import StyleClassifier, motion_statistics

__all__ = [
    "AccentFilter", "BeatAlignment", "Retrieval", "Seams", "SpeedControl", "StyleClassifier", "accent_scores",
    "audio_beats", "beat_alignment", "beat_score", "diversity", "fgd", "gesture_features", "hand_points", "hand_speed",
    "jerk", "motion_beats", "motion_in_silence", "motion_statistics", "pairwise_diversity", "pauses", "pck",
    "retrieval", "seam_jumps", "spearman", "speed_control", "speed_intensity", "wrist_points",
]  # fmt: skip
