"""Who leads what: one motion from the voice's and a video's, part by part, and over time.

The parts are hands, body (the trunk's and the legs' points), head and lips. What nobody leads is left to the video
model. Parts are handed over smoothly: rotations by slerp, positions on lines; arms bend to wherever the hands are.
"""

from __future__ import annotations

import numpy as np

from ..easing import ease
from ..errors import EMO2Error
from ..maps.face import HEAD as HEAD_POINTS
from ..maps.face import LIPS as LIP_POINTS
from ..pose.body import ELBOWS, SHOULDERS, WRISTS, arm_keypoints
from ..types import FACE_POINTS, Motion
from .edit import parse_track
from .edit_blend import mix_body, mix_hands
from .edit_framing import apply_framing
from .edit_time import pad_to, resample

LEADERS, FACE_LEADERS = ("video", "voice", "free"), ("video", "free")
"""Who may lead hands and body; and head and lips, of which a voice's motion knows nothing."""
CHECKED = (10.0, 36_000)
"""Frames a second, and frames, at which a share is looked at before anything else: an hour of it."""
FADE_SECONDS = 0.3
"""How long the video's last pose takes to give way where the video is shorter."""


def combine(
    voice: Motion | None,
    video: Motion | None,
    hands: str = "voice",
    body: str = "video",
    head: str = "video",
    lips: str = "free",
    share: str = "",
) -> Motion:
    """One motion whose parts are led by the voice's motion, by the video's, or by nobody ("free").

    voice: stage 1's motion, or any other; its frame rate, length and framing are the result's. Without one they are the
    video's, and what the voice should lead is free. hands, body: one of LEADERS; head, lips: one of FACE_LEADERS.
    share: the video's part over time as "second:value, ..." from 0, it leads nothing, to 1, it leads all that it is
    asked to; lines between; nothing written is 1 throughout. What is led by nobody in a stretch has pose strength 0
    there, or is not visible.
    """
    for name, value, leaders in (("hands", hands, LEADERS), ("body", body, LEADERS), ("head", head, FACE_LEADERS),
                                 ("lips", lips, FACE_LEADERS)):  # fmt: skip
        if value not in leaders:
            raise EMO2Error(name, f"one of {', '.join(leaders)}", repr(value), "Choose one of them.")
    shares(share, *CHECKED)
    first = voice or video
    if first is None:
        raise EMO2Error("voice_motion", "a motion here or at video_motion", "none", "Connect one of them.")
    base = first if voice is not None else _nobody(first)
    weight = np.zeros(len(base))
    other = base
    if video is not None:
        other, weight = _beside(base, video, share)
    take = lambda leader: weight if leader == "video" else np.zeros(len(base))
    led, carried = take(hands), take(body)
    result = mix_hands(mix_body(base, other, carried), other, np.stack([led, led], 1))
    if hands == "free":
        result = result.replace(visible=np.zeros_like(result.visible), confidence=np.zeros_like(result.confidence))
    if body == "free":
        result = result.replace(keypoint_scores=np.zeros_like(result.keypoint_scores))
    result = _with_face(result, other, take(head) >= 0.5, take(lips) >= 0.5)
    strength = base.pose_strength + (other.pose_strength - base.pose_strength) * weight
    result = result.replace(pose_strength=strength)
    return _arms(result, np.abs(led - carried) > 1e-6)


def shares(text: str, fps: float, count: int) -> np.ndarray:
    """How much the video leads in each of `count` frames, (count,) 0..1; EMO2Error for a text that does not say it."""
    if not text.strip():
        return np.ones(count)
    values = parse_track(text, fps, count, "share")
    if values.min() < 0 or values.max() > 1:
        given = f"{values.min():g} to {values.max():g}"
        raise EMO2Error("share", "values from 0 (voice) to 1 (video)", given, "Correct the values.")
    return values


def _beside(base: Motion, video: Motion, share: str) -> tuple[Motion, np.ndarray]:
    """The video's motion at the base's rate, length and place, and how much of it leads in each frame (F,)."""
    other = apply_framing(resample(video, base.fps), base.framing)
    count = len(base)
    weight = shares(share, base.fps, count)
    if len(other) < count:
        fade = max(1, round(FADE_SECONDS * base.fps))
        weight = weight * ease((len(other) + fade - np.arange(count)) / fade)
    return pad_to(other, count), weight


def _nobody(motion: Motion) -> Motion:
    """A motion of that length and framing in which nothing is known and nothing is followed."""
    count = len(motion)
    return motion.replace(
        visible=np.zeros((count, 2), bool), confidence=np.zeros((count, 2)), hand_scores=None, face_scores=None,
        keypoint_scores=None, pose_strength=np.zeros(count), body_offset=None, body_rotation=None,
    )  # fmt: skip


def _with_face(result: Motion, other: Motion, head: np.ndarray, lips: np.ndarray) -> Motion:
    """Head and lips of `other` in the frames where it leads them, else nobody's."""
    led = np.zeros((len(result), FACE_POINTS), bool)
    led[:, HEAD_POINTS], led[:, LIP_POINTS] = head[:, None], lips[:, None]
    return result.replace(face=other.face, face_scores=np.where(led, other.face_scores, 0))


def _arms(motion: Motion, apart: np.ndarray) -> Motion:
    """Elbows and wrists bent anew in the frames in which hands and body come from different sources."""
    rows = apart[:, None] & motion.visible
    if not rows.any():
        return motion
    points, scores = motion.keypoints.copy(), motion.keypoint_scores.copy()
    bent, _ = arm_keypoints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    for hand, (shoulder, elbow, wrist) in enumerate(zip(SHOULDERS, ELBOWS, WRISTS)):
        here = rows[:, hand]
        known = (scores[here, shoulder] > 0)[:, None]
        # The arm begins where the body has its shoulder, not where the resting skeleton has it.
        away = np.where(known, points[here, shoulder] - bent[here, shoulder], 0)
        points[here, elbow], points[here, wrist] = bent[here, elbow] + away / 2, bent[here, wrist]
        scores[here, elbow] = scores[here, wrist] = scores[here].any(1)
    return motion.replace(keypoints=points, keypoint_scores=scores)
