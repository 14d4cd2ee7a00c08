"""Cleaning a motion: its 2D points as keypoints are cleaned, and its hands in space, rotations included."""

from __future__ import annotations

import numpy as np

from ..easing import ease
from ..errors import EMO2Error
from ..hands.quaternions import continuous, normalise, slerp, to_matrix
from ..pose.body import ELBOWS, WRISTS, arm_keypoints
from ..pose.cleaning import EVIDENCE, HYSTERESIS, OFF, Cleaning, Report, clean_points
from ..pose.gaps import fill, gaps, hysteresis
from ..pose.keypoint_motion import Points
from ..pose.limbs import swapped_frames
from ..pose.time_filters import median_filter, one_euro, outliers
from ..types import SHOULDER_METRES, Motion
from .edit import rest_pose
from .vector import to_shoulders

LONG_GAPS = ("unknown", "rest")
TURN_SPEED = 3.0
"""Radians a second for each shoulder width a second: how fast joints may turn, beside how fast hands may move."""
LEAST_TURN = 0.25
"""Radians: smaller differences are no outliers."""
SINK_SECONDS = 0.6
"""How long a hand takes to its rest and back."""
_FIELDS = ("rotations", "translations", "hand_scores", "visible", "confidence")


def clean_motion(motion: Motion, how: Cleaning) -> tuple[Motion, Report]:
    """(motion, report): the motion cleaned as `how` says, with the same frames; itself if nothing is on or needed.

    A hand is unknown where it is not visible or below the gate. Short gaps are bridged and become visible, with the
    lower confidence of their two ends. Swaps, outliers and smoothing are those of `clean_points`; rotations jump when
    they turn away and back faster than TURN_SPEED allows. Body and face points are cleaned as keypoints.
    """
    if how.long_gaps not in LONG_GAPS:
        raise EMO2Error("long_gaps", f"one of {', '.join(LONG_GAPS)}", repr(how.long_gaps), "Choose one of them.")
    report = Report(len(motion), motion.fps)
    if how == OFF:
        return motion, report
    count = len(motion)
    nothing = np.zeros((count, 2, 21, 2), np.float32), np.zeros((count, 2, 21), np.float32)
    found = Points(motion.keypoints, motion.keypoint_scores, *nothing, motion.face, motion.face_scores)
    found, report = clean_points(found, motion.fps, motion.framing.size, how)
    motion = motion.replace(
        keypoints=found.body, keypoint_scores=found.body_scores, face=found.face, face_scores=found.face_scores
    )
    if how.swaps:
        motion = _unswapped(motion, report)
    known = motion.visible
    if how.gate > 0:
        known = known & hysteresis(motion.confidence, how.gate, min(how.gate + HYSTERESIS, 1.0))
        report.add("too unsure", "hands in space", motion.visible & ~known)
    motion = _mended(motion, known, how, report)
    if how.long_gaps == "rest":
        motion = _rested(motion, report)
    return _smoothed(motion, how, report), report


def _unswapped(motion: Motion, report: Report) -> Motion:
    """Hands that carry each other's name for some frames put right, with everything that is theirs."""
    places = motion.translations[:, :, None] / SHOULDER_METRES
    shown = to_shoulders(motion.framing.project(motion.wrists()), motion.framing)
    arms = to_shoulders(motion.keypoints[:, WRISTS], motion.framing)
    gap = np.linalg.norm(shown[:, :, None] - arms[:, None], axis=-1)
    cost = np.stack([gap[:, 0, 0] + gap[:, 1, 1], gap[:, 0, 1] + gap[:, 1, 0]], 1)
    told = np.concatenate([motion.visible, motion.keypoint_scores[:, WRISTS] > 0], 1).all(1, keepdims=True)
    evidence = EVIDENCE * np.where(told, cost - cost.min(1, keepdims=True), 0)
    wrong = swapped_frames(places[:, 0], places[:, 1], motion.visible[..., None], motion.fps, evidence)
    if not wrong.any() or wrong.mean() > 0.5:
        return motion
    report.add("left and right swapped back", "hands in space", wrong)
    changes = {name: getattr(motion, name).copy() for name in _FIELDS}
    for values in changes.values():
        values[wrong] = values[wrong, ::-1]
    return motion.replace(**changes)


def _mended(motion: Motion, known: np.ndarray, how: Cleaning, report: Report) -> Motion:
    """Outliers out, short gaps bridged; what is unknown for longer is not visible."""
    fps, count = motion.fps, len(motion)
    places = motion.translations.astype(np.float64)
    turns = _continuous(motion.rotations.astype(np.float64).reshape(count, 32, 4), np.repeat(known, 16, 1))
    good, steady = known, np.repeat(known, 16, 1)
    if how.outlier_speed > 0:
        good = known & ~outliers(places / SHOULDER_METRES, known, fps, how.outlier_speed)
        # Of a matrix the distance is the sine of half the angle, twice: the angle itself when it is small.
        matrices = to_matrix(turns).reshape(count, 32, 9) / np.sqrt(2)
        jump = outliers(matrices, steady, fps, how.outlier_speed * TURN_SPEED, least=LEAST_TURN)
        steady = steady & ~jump
        report.add("outliers removed", "hands in space", (known & ~good) | _any_joint(jump))
    if how.longest_gap > 0:
        turns = _continuous(turns, steady)
        conf, scores = motion.confidence.astype(np.float64), motion.hand_scores.astype(np.float64)
        places, conf, moved = fill(places, conf, good, fps, how.longest_gap)
        turns, _, turned = fill(turns, np.ones(steady.shape), steady, fps, how.longest_gap)
        scores, _, back = fill(scores, np.ones(known.shape), known, fps, how.longest_gap)
        conf = np.where(back, conf, motion.confidence)
        report.add("gaps filled", "hands in space", moved | _any_joint(turned))
        good, steady, known = good | moved, steady | turned, known | back
    else:
        conf, scores = motion.confidence, motion.hand_scores
    # An outlier at the clip's very end has one neighbour only: it stands still there.
    places = _held(places, known & ~good, good)
    turns = _held(turns, np.repeat(known, 16, 1) & ~steady, steady)
    turns = normalise(turns).reshape(count, 2, 16, 4)
    touched_places = _differs(places, motion.translations)
    touched_turns = _differs(turns, motion.rotations) & _turned(turns, motion.rotations)
    return motion.replace(
        translations=np.where(touched_places[..., None], places, motion.translations),
        rotations=np.where(touched_turns[..., None], turns, motion.rotations),
        visible=known,
        confidence=np.where(known, conf, np.where(motion.visible, 0.0, motion.confidence)),
        hand_scores=scores,
    )


def _any_joint(mask: np.ndarray) -> np.ndarray:
    """Hands (F, 2) with a marked joint of (F, 32)."""
    return np.asarray(mask.reshape(len(mask), 2, 16).any(2))


def _continuous(turns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Quaternions (F, N, 4) with signs that go on from each known one to the next."""
    place = np.where(known, np.arange(len(turns))[:, None], 0)
    last = np.maximum.accumulate(place, axis=0)
    held = np.take_along_axis(turns, last[..., None], 0)
    signs = np.where((continuous(held) * held).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    return turns * signs


def _held(values: np.ndarray, lost: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Lost entries (F, N) of values (F, N, C) replaced by the nearest known one of their track, if there is any."""
    result = values
    for n in np.flatnonzero((lost & known.any(0)).any(0)):
        at, from_ = np.flatnonzero(lost[:, n]), np.flatnonzero(known[:, n])
        nearest = from_[np.abs(at[:, None] - from_[None]).argmin(1)]
        result = result.copy() if result is values else result
        result[at, n] = values[nearest, n]
    return result


def _differs(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    return (new.astype(np.float32) != old).any(-1)


def _turned(new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Whether rotations differ by more than rounding; q and -q are one."""
    return np.asarray(np.abs((new * old).sum(-1)) < 1 - 1e-7)


def _rested(motion: Motion, report: Report) -> Motion:
    """Hands that are not visible sink to rest, and come back from there; their arms go with them."""
    found = gaps(motion.visible)
    if not len(found.track):
        return motion
    rotations, translations = motion.rotations.astype(np.float64), motion.translations.astype(np.float64)
    visible, confidence, scores = motion.visible.copy(), motion.confidence.copy(), motion.hand_scores.copy()
    pull = np.zeros((len(motion), 2))
    report.add("sent to rest", "hands in space", ~motion.visible)
    for hand, first, last in zip(*found):
        turn, place = rest_pose(hand)
        frames = np.arange(first, last + 1)
        ends = [end for end in (first - 1, last + 1) if 0 <= end < len(motion)]
        gone = (frames - first + 1) / motion.fps if first > 0 else np.full(len(frames), np.inf)
        left = (last + 1 - frames) / motion.fps if last + 1 < len(motion) else np.full(len(frames), np.inf)
        weight = ease(np.minimum(np.minimum(gone, left) / SINK_SECONDS, 1))
        across = ease((frames - first + 1) / (last - first + 2)) if len(ends) == 2 else np.zeros(len(frames))
        poses = [(rotations[e, hand], translations[e, hand]) for e in ends] or [(turn, place)]
        between = slerp(poses[0][0][None], poses[-1][0][None], across[:, None])
        rotations[frames, hand] = slerp(between, turn[None], weight[:, None])
        at = poses[0][1] + (poses[-1][1] - poses[0][1]) * across[:, None]
        translations[frames, hand] = at + (place - at) * weight[:, None]
        visible[frames, hand] = True
        confidence[frames, hand] = min((motion.confidence[e, hand] for e in ends), default=1.0)
        scores[frames, hand] = np.min([motion.hand_scores[e, hand] for e in ends], 0) if ends else 1.0
        pull[frames, hand] = ease(np.minimum(np.minimum(gone, left) / (SINK_SECONDS / 3), 1))
    rested = motion.replace(
        rotations=normalise(rotations), translations=translations, visible=visible, confidence=confidence,
        hand_scores=scores,
    )  # fmt: skip
    arms = arm_keypoints(motion.framing, rested.wrists(), motion.body_offset, motion.body_rotation)[0]
    points = motion.keypoints.copy()
    for hand in (0, 1):
        for joint in (ELBOWS[hand], WRISTS[hand]):
            weight = (pull[:, hand] * (motion.keypoint_scores[:, joint] > 0))[:, None]
            points[:, joint] = np.where(weight > 0, points[:, joint] * (1 - weight) + arms[:, joint] * weight,
                                        points[:, joint])  # fmt: skip
    return rested.replace(keypoints=points)


def _smoothed(motion: Motion, how: Cleaning, report: Report) -> Motion:
    """Median and one-euro filters on the hands where they are visible and on the neck root."""
    if len(motion) < 2 or (how.smooth_hz <= 0 and int(how.median_seconds * motion.fps / 2 + 1e-9) < 1):
        return motion
    fps, count = motion.fps, len(motion)

    def even(values: np.ndarray, known: np.ndarray) -> np.ndarray:
        calm = median_filter(values, known, fps, how.median_seconds)
        return one_euro(calm, known, fps, how.smooth_hz, how.smooth_beta, zero_phase=how.zero_phase)

    always = np.ones((count, 1), bool)
    joints = np.repeat(motion.visible, 16, 1)
    places = even(motion.translations / SHOULDER_METRES, motion.visible)
    # Half radians are near the way of a fingertip in shoulder widths, so that one beta serves both.
    turns = even(_continuous(motion.rotations.reshape(count, 32, 4).astype(np.float64), joints), joints)
    sway = even(motion.body_offset[:, None] / SHOULDER_METRES, always)[:, 0]
    lean = even(continuous(motion.body_rotation.astype(np.float64))[:, None], always)[:, 0]
    moved = np.linalg.norm(places - motion.translations / SHOULDER_METRES, axis=-1)
    report.smoothed("hands in space", moved[motion.visible])
    seen = motion.visible[..., None]
    return motion.replace(
        translations=np.where(seen, places * SHOULDER_METRES, motion.translations),
        rotations=np.where(seen[..., None], normalise(turns).reshape(motion.rotations.shape), motion.rotations),
        body_offset=sway * SHOULDER_METRES,
        body_rotation=normalise(lean),
    )


__all__ = ["LONG_GAPS", "clean_motion"]
