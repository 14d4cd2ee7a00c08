"""Where edits meet: reading a motion between its frames, mixing two motions, stretches of time, arms that follow hands.

Frame i is centred on (i + 0.5) / fps seconds, as audio features are. Where nothing is to be mixed the values come back
bit for bit.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..easing import ease
from ..errors import EMO2Error
from ..hands.quaternions import slerp
from ..pose.body import ELBOWS, WRISTS, arm_keypoints
from ..types import FRAME_FIELDS, Motion

WHICH = {"both": (0, 1), "left": (0,), "right": (1,)}
"""What an artist may choose: hand indices by name."""

HAND_POSITIONS = ("translations", "hand_scores", "confidence")
POINTS = (("keypoints", "keypoint_scores"), ("face", "face_scores"))


def hand_indices(hands: str) -> tuple[int, ...]:
    """Indices of the hands called "both", "left" or "right"."""
    if hands not in WHICH:
        raise EMO2Error("hands", f"one of {', '.join(WHICH)}", repr(hands), "Choose one of them.")
    return WHICH[hands]


def number(name: str, value: Any, low: float, high: float, unit: str = "") -> float:
    """`value` as a float from `low` to `high`; an error that names the input otherwise."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        result = math.nan
    if not low <= result <= high:
        between = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
        raise EMO2Error(name, f"a number {between}{unit and ' ' + unit}", repr(value), "Give a value in that range.")
    return result


def frame_at(second: float, fps: float) -> int:
    """The boundary between frames that lies nearest to a time: frame n begins at n / fps."""
    return math.floor(second * fps + 0.5)


def stretch(motion: Motion, start_second: float, end_second: float) -> tuple[int, int]:
    """Frames (first, last + 1) of a stretch of time; `end_second` 0 is the motion's end."""
    whole = motion.duration
    start = number("start_second", start_second, 0, math.inf, "seconds")
    end = number("end_second", end_second, 0, math.inf, "seconds") or whole
    first, stop = frame_at(start, motion.fps), frame_at(end, motion.fps)
    inside = f"The motion lasts {whole:.3f} seconds."
    if stop > len(motion):
        raise EMO2Error("end_second", f"a time up to {whole:.3f} s (0: the end)", f"{end:g} s", inside)
    if first >= len(motion):
        raise EMO2Error("start_second", f"a time before {whole:.3f} s", f"{start:g} s", inside)
    if stop <= first:
        raise EMO2Error(
            "end_second", f"a time after start_second ({start:g} s), at least one frame later", f"{end:g} s", inside
        )
    return first, stop


def envelope(count: int, first: int, stop: int, blend: int, rise: bool = True, fall: bool = True) -> np.ndarray:
    """Weights (count,): 0 outside first..stop-1, 1 inside, eased over `blend` frames at the inner edges.

    An edge that is the motion's own end needs no easing, as there is nothing to come from; at most half of the
    stretch is used for each.
    """
    weight = np.zeros(count)
    weight[first:stop] = 1
    blend = min(blend, (stop - first) // 2)
    ramp = ease(np.arange(1, blend + 1) / (blend + 1))
    if rise and first > 0:
        weight[first : first + blend] = ramp
    if fall and stop < count:
        weight[stop - blend : stop] = ramp[::-1]
    return weight


def _turn(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    mixed = slerp(a.astype(np.float64), b, t)
    keep = t[..., None]
    return np.where(keep <= 0, a, np.where(keep >= 1, b, mixed.astype(np.float32)))


def _line(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    t = t.reshape(t.shape + (1,) * (a.ndim - t.ndim))
    mixed = a.astype(np.float64) * (1 - t) + b * t
    return np.where(t <= 0, a, np.where(t >= 1, b, mixed.astype(np.float32)))


def _points(
    a: np.ndarray, sa: np.ndarray, b: np.ndarray, sb: np.ndarray, t: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points with scores: an unknown one (score 0) does not pull; its neighbour's place is used and its score fades."""
    t = np.broadcast_to(t.reshape(t.shape + (1,) * (sa.ndim - t.ndim)), sa.shape)
    known = (sa > 0) & (sb > 0)
    pull = np.where(known, t, np.where(sb > 0, 1.0, np.where(sa > 0, 0.0, t)))
    # At the ends of the mix the frame itself comes back, known or not.
    pull = np.where(t <= 0, 0.0, np.where(t >= 1, 1.0, pull))
    return _line(a, b, pull), _line(sa, sb, t)


def mix_hands(a: Motion, b: Motion, weight: np.ndarray, only: tuple[int, ...] = (0, 1)) -> Motion:
    """Hands of `a` (weight 0) mixed with those of `b` (1), two motions of one length. weight (F,) or (F, 2)."""
    full = np.zeros((len(a), 2))
    full[:, list(only)] = (weight if weight.ndim == 2 else np.repeat(weight[:, None], 2, 1))[:, list(only)]
    changes = {name: _line(getattr(a, name), getattr(b, name), full) for name in HAND_POSITIONS}
    changes["rotations"] = _turn(a.rotations, b.rotations, np.broadcast_to(full[..., None], a.rotations.shape[:3]))
    changes["visible"] = np.where(full < 0.5, a.visible, b.visible)
    return a.replace(**changes)


def mix_body(a: Motion, b: Motion, weight: np.ndarray) -> Motion:
    """The same for what is not hands: neck root, body points, face, the pose's strength. weight (F,)."""
    changes = {
        "pose_strength": _line(a.pose_strength, b.pose_strength, weight),
        "body_rotation": _turn(a.body_rotation, b.body_rotation, weight),
        "body_offset": _line(a.body_offset, b.body_offset, weight),
    }
    for points, scores in POINTS:
        changes[points], changes[scores] = _points(
            getattr(a, points), getattr(a, scores), getattr(b, points), getattr(b, scores), weight
        )
    return a.replace(**changes)


def mix(a: Motion, b: Motion, weight: np.ndarray) -> Motion:
    """`a` where the weight (F,) is 0, `b` where it is 1, in between slerp for rotations and lines for positions."""
    return mix_body(mix_hands(a, b, weight), b, weight)


def gather(motion: Motion, index: np.ndarray) -> Motion:
    """The frames at `index` (N,), or (N, 2): one index for each hand, the body then going with the left one's."""
    index = np.asarray(index)
    if index.ndim == 1:
        return motion.replace(**{name: getattr(motion, name)[index] for name in FRAME_FIELDS})
    left, right = gather(motion, index[:, 0]), gather(motion, index[:, 1])
    names = ("rotations", "visible", *HAND_POSITIONS)
    return left.replace(**{n: np.stack([getattr(left, n)[:, 0], getattr(right, n)[:, 1]], 1) for n in names})


def fade_in(old: Motion, at: int, new: Motion, blend: int) -> Motion:
    """`new` as it comes in: over its first `blend` frames `old` plays on from frame `at` (or stands, past its end) and
    fades."""
    blend = min(blend, len(new))
    going_on = gather(old, np.minimum(np.arange(at, at + len(new)), len(old) - 1))
    weight = np.ones(len(new))
    weight[:blend] = ease(np.arange(1, blend + 1) / (blend + 1))
    return mix(going_on, new, weight)


def at_places(motion: Motion, places: np.ndarray) -> Motion:
    """The motion at fractional frame numbers `places` (N,), held beyond its ends. Whole numbers give frames exactly."""
    places = np.clip(places, 0, len(motion) - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, len(motion) - 1)
    return mix(gather(motion, low), gather(motion, high), places - low)


def hands_at_places(motion: Motion, places: np.ndarray) -> Motion:
    """Each hand at its own fractional frame numbers `places` (F, 2); the body stays, its arms follow."""
    places = np.clip(places, 0, len(motion) - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, len(motion) - 1)
    moved = mix_hands(gather(motion, low), gather(motion, high), places - low)
    names = ("rotations", "visible", *HAND_POSITIONS)
    return follow(motion, motion.replace(**{n: getattr(moved, n) for n in names}))


def follow(before: Motion, after: Motion) -> Motion:
    """`after` with its elbow and wrist points moved by as much as two-bone arms moved with the wrists since `before`.

    Without it an edited hand would leave its forearm behind. Points that are unknown, and frames whose wrists did not
    move, stay bit for bit. Both motions have one length and one framing.
    """
    arms = [*ELBOWS, *WRISTS]
    moved = (before.wrists() != after.wrists()).any((1, 2)) & (after.keypoint_scores[:, arms] > 0).any(1)
    if not moved.any():
        return after
    was, now = (
        arm_keypoints(m.framing, m.wrists()[moved], m.body_offset[moved], m.body_rotation[moved])[0]
        for m in (before, after)
    )
    keypoints = after.keypoints.copy()
    block = keypoints[moved]
    known = after.keypoint_scores[moved][:, arms, None] > 0
    # Hands that did not move keep their own arm exactly, too.
    block[:, arms] = np.where(known, block[:, arms] + (now - was)[:, arms], block[:, arms])
    keypoints[moved] = block
    return after.replace(keypoints=keypoints)
