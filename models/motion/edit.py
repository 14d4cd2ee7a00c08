"""Edits of a motion. Pure: each takes a Motion and returns a new one; the frame count stays unless time is the subject.

Errors name the node input. A factor of 1, a strength of 0 or the motion's own frame rate give back the same motion,
bit for bit. When hands move, the arms of the 2D body points move with them.
"""

from __future__ import annotations

import math

import numpy as np

from ..errors import EMO2Error
from ..hands.poses import finger_pose
from ..hands.quaternions import average, conjugate, continuous, from_axis_angle, multiply, normalise, slerp
from ..hands.quaternions import mirror as mirror_rotation
from ..hands.rest import HANGING
from ..pose.body import MIRRORED, REST_WRISTS
from ..types import Framing, Motion
from .edit_blend import envelope, follow, frame_at, hand_indices, mix_hands, number, stretch
from .edit_framing import apply_framing
from .edit_time import ENDINGS, change_speed, hold, join, pad_to, resample, retime, splice

__all__ = [
    "ENDINGS", "MUTES", "apply_framing", "change_speed", "hold", "join", "mirror", "mute", "offset", "pad_to",
    "parse_track", "resample", "retime", "scale", "set_confidence", "smooth", "splice",
]  # fmt: skip

MUTES = ("hide", "rest", "still")
LARGEST_FINGER_AMPLITUDE = 1.25
"""Fingers bend at most this much more than they did, whatever the amplitude: beyond it they would fold backwards."""

# For each of OpenPose's 70 face points the one on the other side: jaw, brows, nose, eyes, lips, pupils.
FACE_MIRRORED = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1), 69, 68,
)  # fmt: skip


def smooth(motion: Motion, seconds: float, hands: str = "both", body: bool = False) -> Motion:
    """Even out rotations and translations with a Gaussian whose width at half height is `seconds`.

    The first and the last frame keep their pose. `body`: the neck root, body points and face are smoothed too.
    """
    seconds = number("seconds", seconds, 0, 10, "seconds")
    sigma = seconds * motion.fps / 2.355
    if sigma < 0.05 or len(motion) < 3:
        return motion
    which = list(hand_indices(hands))
    rotations, translations = motion.rotations.copy(), motion.translations.copy()
    rotations[:, which] = _smooth_rotations(motion.rotations[:, which], sigma)
    translations[:, which] = _smooth_positions(motion.translations[:, which], sigma)
    changed = motion.replace(rotations=rotations, translations=translations)
    if not body:
        return follow(motion, changed)
    changed = changed.replace(
        body_rotation=_smooth_rotations(motion.body_rotation, sigma),
        body_offset=_smooth_positions(motion.body_offset, sigma),
    )
    for points, scores in (("keypoints", "keypoint_scores"), ("face", "face_scores")):
        known = getattr(motion, scores) > 0
        values = _smooth_positions(getattr(motion, points), sigma, known)
        changed = changed.replace(**{points: np.where(known[..., None], values, getattr(motion, points))})
    return changed


def mirror(motion: Motion, keep_place: bool = False) -> Motion:
    """The motion as a mirror shows it: left and right swapped in hands, body, face, scores and visibility.

    The framing's neck is mirrored as well, so that everything fits the mirrored picture. `keep_place`: the person stays
    where the framing had them, for use with the picture as it is.
    """
    flip = np.array([-1, 1, 1], np.float32)
    image = lambda points: np.stack([1 - points[..., 0], points[..., 1]], -1)
    body, face = list(MIRRORED), list(FACE_MIRRORED)
    frame = motion.framing
    framing = Framing((1 - frame.neck[0], frame.neck[1]), frame.shoulder_width, frame.size, frame.focal)
    mirrored = motion.replace(
        rotations=mirror_rotation(motion.rotations[:, ::-1]),
        translations=motion.translations[:, ::-1] * flip,
        body_rotation=mirror_rotation(motion.body_rotation),
        body_offset=motion.body_offset * flip,
        keypoints=image(motion.keypoints[:, body]),
        keypoint_scores=motion.keypoint_scores[:, body],
        face=image(motion.face[:, face]),
        face_scores=motion.face_scores[:, face],
        hand_scores=motion.hand_scores[:, ::-1],
        visible=motion.visible[:, ::-1],
        confidence=motion.confidence[:, ::-1],
        framing=framing,
    )
    return apply_framing(mirrored, frame) if keep_place else mirrored


def scale(motion: Motion, left: float = 1.0, right: float = 1.0, turns: bool = True) -> Motion:
    """Make each hand's gestures larger or smaller around its own mean pose: 0 still, 1 as they are, 2 twice as large.

    The mean is taken over the frames in which the hand is visible. `turns`: wrist and finger rotations are scaled too
    (slerp from the mean rotation; fingers by at most 1.25).
    """
    rotations, translations = motion.rotations.copy(), motion.translations.copy()
    for hand, name, value in ((0, "amplitude_left", left), (1, "amplitude_right", right)):
        factor = number(name, value, 0, 10)
        if factor == 1:
            continue
        turn, place = mean_pose(motion, hand)
        translations[:, hand] = place + (motion.translations[:, hand] - place) * factor
        if turns:
            share = np.full(16, min(factor, LARGEST_FINGER_AMPLITUDE))
            share[0] = factor
            rotations[:, hand] = slerp(turn[None], motion.rotations[:, hand].astype(np.float64), share[None])
    return follow(motion, motion.replace(rotations=rotations, translations=translations))


def mean_pose(motion: Motion, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean rotations (16, 4) and mean translation (3,) of a hand where it is visible (everywhere if it never is)."""
    seen = motion.visible[:, hand] if motion.visible[:, hand].any() else slice(None)
    return (
        average(motion.rotations[seen, hand].astype(np.float64)),
        motion.translations[seen, hand].mean(0, dtype=np.float64),
    )


def mute(
    motion: Motion,
    hands: str,
    how: str = "rest",
    start_second: float = 0.0,
    end_second: float = 0.0,
    blend_seconds: float = 0.3,
) -> Motion:
    """Take a hand out of the performance over a stretch of time.

    how: "hide": it is marked not visible, with confidence 0, and so not drawn; "rest": it lies in front of the belly,
    fingers down; "still": it keeps its own mean pose.
    """
    if how not in MUTES:
        raise EMO2Error("how", f"one of {', '.join(MUTES)}", repr(how), "Choose one of them.")
    first, stop = stretch(motion, start_second, end_second)
    which = hand_indices(hands)
    if how == "hide":
        visible, confidence = motion.visible.copy(), motion.confidence.copy()
        visible[first:stop, which], confidence[first:stop, which] = False, 0
        return motion.replace(visible=visible, confidence=confidence)
    rotations, translations = motion.rotations.copy(), motion.translations.copy()
    for hand in which:
        turn, place = rest_pose(hand) if how == "rest" else mean_pose(motion, hand)
        rotations[:, hand], translations[:, hand] = turn, place
    blend = frame_at(number("blend_seconds", blend_seconds, 0, 60, "seconds"), motion.fps)
    quiet = motion.replace(rotations=rotations, translations=translations)
    return follow(motion, mix_hands(motion, quiet, envelope(len(motion), first, stop, blend), which))


def rest_pose(hand: int) -> tuple[np.ndarray, np.ndarray]:
    """A relaxed hand: rotations (16, 4) and translation (3,)."""
    rotations = finger_pose("relaxed", hand)
    rotations[0] = HANGING[hand]
    return rotations, REST_WRISTS[hand]


def set_confidence(motion: Motion, left: float | np.ndarray = 1.0, right: float | np.ndarray = 1.0) -> Motion:
    """Hand confidence, one value or one a frame (F,), 0..1 for each hand."""
    columns = []
    for name, value in (("confidence_left", left), ("confidence_right", right)):
        values = np.asarray(value, np.float64)
        if values.ndim > 1 or values.size not in (1, len(motion)):
            raise EMO2Error(
                name, f"one value, or one for each of the motion's {len(motion)} frames", f"{values.size} values",
                "Resample or pad it to the motion's length.",
            )  # fmt: skip
        if not ((values >= 0) & (values <= 1)).all():
            raise EMO2Error(name, "values from 0 to 1", f"{values.min():g} to {values.max():g}", "Scale it to 0..1.")
        columns.append(np.broadcast_to(values.reshape(-1), (len(motion),)))
    return motion.replace(confidence=np.stack(columns, 1))


def parse_track(text: str, fps: float, count: int, where: str = "track") -> np.ndarray:
    """Values (count,) from "seconds:value" pairs such as "0:1.0, 2.5:0.3": lines between them, held beyond them."""
    pairs = []
    for item in filter(None, (part.strip() for part in text.replace("\n", ",").replace(";", ",").split(","))):
        time, colon, value = item.partition(":")
        try:
            pair = (float(time), float(value))
        except ValueError:
            pair = (math.nan, math.nan)
        if not (colon and all(math.isfinite(n) for n in pair) and pair[0] >= 0):
            raise EMO2Error(where, 'pairs such as "0:1.0, 2.5:0.3" (seconds:value)', repr(item), "Correct that pair.")
        pairs.append(pair)
    if not pairs:
        raise EMO2Error(where, 'pairs such as "0:1.0, 2.5:0.3" (seconds:value)', "none", "Write at least one pair.")
    times, values = np.array(sorted(pairs, key=lambda p: p[0])).T
    return np.interp((np.arange(count) + 0.5) / fps, times, values)


def offset(
    motion: Motion,
    start_second: float = 0.0,
    end_second: float = 0.0,
    move: tuple[float, float, float] = (0.0, 0.0, 0.0),
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
    hands: str = "both",
    blend_seconds: float = 0.2,
) -> Motion:
    """Displace hands over a stretch of time, eased in and out inside it; frames outside are untouched.

    move: metres in camera axes (x to the picture's right, y down, z away). turn: rotation vector in radians about the
    same axes, applied at the wrist.
    """
    first, stop = stretch(motion, start_second, end_second)
    for name, values, limit in (("move", move, 5), ("turn", turn, 2 * math.pi)):
        for value in values:
            number(name, value, -limit, limit)
    blend = frame_at(number("blend_seconds", blend_seconds, 0, 60, "seconds"), motion.fps)
    weight = envelope(len(motion), first, stop, blend)
    inside = weight > 0
    rotations, translations = motion.rotations.copy(), motion.translations.copy()
    for hand in hand_indices(hands):
        if any(move):
            translations[inside, hand] += weight[inside, None] * np.asarray(move, float)
        if any(turn):
            turned = from_axis_angle(weight[inside, None] * np.asarray(turn, float))
            rotations[inside, hand, 0] = normalise(multiply(turned, rotations[inside, hand, 0].astype(np.float64)))
    return follow(motion, motion.replace(rotations=rotations, translations=translations))


def _kernel(sigma: float, count: int) -> np.ndarray:
    radius = min(max(int(np.ceil(3.5 * sigma)), 1), count - 1)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return weights / weights.sum()


def _filter(padded: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    count = len(padded) - len(kernel) + 1
    total = np.zeros((count, *padded.shape[1:]))
    for i, weight in enumerate(kernel):
        total += weight * padded[i : i + count]
    return total


def _smooth_positions(values: np.ndarray, sigma: float, known: np.ndarray | None = None) -> np.ndarray:
    """Gaussian along axis 0; values are point-reflected at the ends, which keeps the first and last exactly.

    known (F, P): points (F, P, 2) that are unknown do not count (there the ends are not held).
    """
    x = values.astype(np.float64)
    kernel = _kernel(sigma, len(x))
    radius = len(kernel) // 2
    if known is not None and not known.all():
        share = known[..., None].astype(np.float64)
        pad = [(radius, radius)] + [(0, 0)] * (x.ndim - 1)
        total = _filter(np.pad(x * share, pad), kernel)
        return (total / np.maximum(_filter(np.pad(share, pad), kernel), 1e-9)).astype(np.float32)
    front, back = 2 * x[0] - x[radius:0:-1], 2 * x[-1] - x[-2 : -radius - 2 : -1]
    result = _filter(np.concatenate([front, x, back]), kernel).astype(np.float32)
    result[0], result[-1] = values[0], values[-1]
    return result


def _smooth_rotations(values: np.ndarray, sigma: float) -> np.ndarray:
    """The same for unit quaternions (F, ..., 4): weighted sums in one hemisphere, made unit again."""
    q = continuous(values.astype(np.float64))
    kernel = _kernel(sigma, len(q))
    radius = len(kernel) // 2
    # The point reflection of q at p is p q^-1 p.
    reflect = lambda p, q: multiply(multiply(p[None], conjugate(q)), p[None])
    padded = np.concatenate([reflect(q[0], q[radius:0:-1]), q, reflect(q[-1], q[-2 : -radius - 2 : -1])])
    result = normalise(_filter(padded, kernel)).astype(np.float32)
    result[0], result[-1] = values[0], values[-1]
    return result
