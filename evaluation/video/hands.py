"""Hands in the made video without any truth: HKC, HKV and the jerk beside it (EMO2 section 4.2)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .measured import Measured
from .registry import missing, named

NO_DETECTOR = (
    "a hand detector: the package mediapipe, which holds its models (pip install --no-deps mediapipe==0.10.21)"
)


@dataclass(frozen=True)
class HandPoints:
    """What a detector saw in one clip of F frames, K points a hand (21, or fewer).

    points (F, 2, K, 2): x, y relative to the picture's WIDTH, hand 0 left; confidence (F, 2, K) 0..1, 0 where nothing
    was found. detector: its name, for the table.
    """

    points: np.ndarray
    confidence: np.ndarray
    detector: str

    @property
    def found(self) -> np.ndarray:
        """(F, 2): frames in which a hand was found."""
        return np.asarray((self.confidence > 0).any(2))


Detector = Callable[[np.ndarray], HandPoints]
"""From a clip (F, H, W, 3) uint8 to what is seen in it."""


def hkc(clips: Sequence[HandPoints]) -> Measured:
    """Hand keypoint confidence, one value a clip: the mean confidence of the points of the hands that were found.

    As the papers print it, hands that were not found do not count, so a video that hides its hands is not punished:
    the note says in how many of the places a hand was found.
    """
    values, share = [], []
    for clip in clips:
        values.append(float(clip.confidence[clip.found].mean()) if clip.found.any() else np.nan)
        share.append(float(clip.found.mean()))
    return named("HKC", clips=values, network=_detectors(clips), note=_found(share))


def hkv(clips: Sequence[HandPoints]) -> Measured:
    """Hand keypoint variance, one value a clip: each point's variance over the frames its hand was found in (x plus y),
    averaged over points and hands, in squared picture widths times 10^4. Neither way is better: jitter raises it too.
    """
    values = []
    for clip in clips:
        each = [clip.points[clip.found[:, h], h].var(0).sum(-1).mean() for h in range(2) if clip.found[:, h].sum() > 1]
        values.append(float(np.mean(each)) * 1e4 if each else np.nan)
    return named("HKV", clips=values, network=_detectors(clips), note="1e-4 squared widths; read with the jerk")


def hand_jerk(clips: Sequence[HandPoints], fps: float) -> Measured:
    """Mean length of the third difference of the points over runs of four found frames, picture widths per s^3."""
    values = []
    for clip in clips:
        each = []
        for hand in range(2):
            found = clip.found[:, hand]
            run = found[:-3] & found[1:-2] & found[2:-1] & found[3:]
            third = np.diff(clip.points[:, hand], 3, axis=0)[run]
            each.append(np.linalg.norm(third, axis=-1).mean(-1))
        joined = np.concatenate(each) if each else np.zeros(0)
        values.append(float(joined.mean()) * fps**3 if len(joined) else np.nan)
    return named("hand jerk", clips=values, network=_detectors(clips), note="widths per s^3")


def hand_metrics(videos: Sequence[np.ndarray], fps: float, detect: Detector | None = None) -> list[Measured]:
    """HKC, HKV and jerk of clips (F, H, W, 3) uint8 with a detector (None: mediapipe, or "missing" without it)."""
    if detect is None:
        if importlib.util.find_spec("mediapipe") is None:
            return [missing(name, NO_DETECTOR) for name in ("HKC", "HKV", "hand jerk")]
        detect = mediapipe_hands
    seen = [detect(video) for video in videos]
    return [hkc(seen), hkv(seen), hand_jerk(seen, fps)]


def mediapipe_hands(video: np.ndarray) -> HandPoints:
    """Both hands by mediapipe's tracker, with the models its package holds; a hand's score stands for all its points.

    Its handedness takes pictures for mirrors: what it calls left is the right hand of the person in the video.
    """
    from mediapipe.python.solutions.hands import Hands

    height, width = video.shape[1:3]
    points, confidence = np.zeros((len(video), 2, 21, 2)), np.zeros((len(video), 2, 21))
    with Hands(static_image_mode=False, max_num_hands=2, model_complexity=1) as tracker:
        for index, frame in enumerate(video):
            result = tracker.process(np.ascontiguousarray(frame))
            for side, marks in zip(result.multi_handedness or (), result.multi_hand_landmarks or ()):
                label = side.classification[0]
                hand = 0 if label.label == "Right" else 1
                if label.score <= confidence[index, hand, 0]:
                    continue
                points[index, hand] = [(mark.x, mark.y * height / width) for mark in marks.landmark]
                confidence[index, hand] = label.score
    return HandPoints(points, confidence, "mediapipe hands 0.10")


def _detectors(clips: Sequence[HandPoints]) -> str:
    return ", ".join(sorted({clip.detector for clip in clips}))


def _found(share: Sequence[float]) -> str:
    return f"hands found in {100 * float(np.mean(share)):.0f} % of frames" if share else ""
