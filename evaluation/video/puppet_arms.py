"""Do arms join shoulder and hand? The measure of "pixels prior IK" (EMO2 section 3.1) on puppets' pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.pose.puppet_estimator import ELBOWS, HANDS, SHOULDERS
from ...training.puppets.canvas import shade
from ...training.puppets.identity import Identity
from .measured import Measured
from .puppet_hands import errors
from .puppet_seen import SURE, Seen
from .puppet_truth import Truth

STRIDE = 4
"""Every fourth frame is looked at."""
STEPS = 2
"""Places a pixel at which the way along an arm is looked at."""
NEAR_ENOUGH = 0.15
"""A point that is seen within this share of the width from its true place is where the arm leads."""
ELBOW = 0.1


def arms(made: Sequence[np.ndarray], seen: Sequence[Seen], truths: Sequence[Truth]) -> Measured:
    """The mean of continuity and of the share of elbows within a tenth of the width, one value a clip, 0..1."""
    values = []
    for clip, a, b in zip(made, seen, truths):
        parts = [clip_continuity(clip, b, a), _elbows(a, b)]
        values.append(float(np.mean(parts)) if np.isfinite(parts).all() else np.nan)
    return Measured("arms", "higher", values, network="puppet estimator", note="mean of continuity and elbows")


def arm_continuity(made: Sequence[np.ndarray], truths: Sequence[Truth], seen: Sequence[Seen] | None = None) -> Measured:
    """How much of the way from shoulder over elbow to hand is arm, one value a clip, 0..1. Higher is better."""
    pairs = zip(made, truths, [None] * len(made) if seen is None else seen)
    return Measured("arm continuity", "higher", [clip_continuity(clip, truth, s) for clip, truth, s in pairs])


def clip_continuity(clip: np.ndarray, truth: Truth, seen: Seen | None = None) -> float:
    """Mean continuity over both arms of every fourth frame; NaN where no arm can be judged.

    Each pixel is given to the known colour it is nearest to: the arm's (sleeve, skin) or that of anything else, the
    empty scene's at that place among them. Continuity is the share of the way from shoulder over elbow to hand that has
    an arm's pixel within 1 % of the width. The elbow and the hand are those that `seen` finds in the picture, so an arm
    that bends elsewhere than the true one still joins its hand; without `seen`, or where it is unsure, the true ones.
    """
    truth.check(clip)
    values = []
    for index in range(0, len(clip), STRIDE):
        arm = _widened(arm_pixels(clip[index], truth))
        for hand in range(2):
            value = _joined(arm, index, hand, truth, seen)
            if np.isfinite(value):
                values.append(value)
    return float(np.mean(values)) if values else float("nan")


def arm_pixels(picture: np.ndarray, truth: Truth) -> np.ndarray:
    """Which pixels (H, W) of a picture (H, W, 3) have the colour of a sleeve, skin or hand rather than any other's."""
    pixels = picture.astype(np.float32)
    own, other = arm_colours(truth.identity)
    to_arm = np.linalg.norm(pixels[:, :, None] - own, axis=-1).min(-1)
    to_other = np.linalg.norm(pixels[:, :, None] - other, axis=-1).min(-1)
    to_other = np.minimum(to_other, np.linalg.norm(pixels - truth.empty, axis=-1))
    return to_arm < to_other


def arm_colours(identity: Identity) -> tuple[np.ndarray, np.ndarray]:
    """Colours (n, 3) of the arms and hands, and (m, 3) of everything else of a person, as the painter uses them."""
    person = identity.person
    sleeve, skin = shade(person.top, 0.8), shade(person.skin, 0.93)
    own = [shade(person.skin, tone) for tone in (0.7, 0.8, 0.93, 1.05)]
    own += [sleeve] if person.sleeve != "none" else [skin]
    other = [person.top, person.second, person.hair, person.trousers, (58, 14, 22)]
    return np.array(own, np.float32), np.array(other, np.float32)


def _joined(arm: np.ndarray, index: int, hand: int, truth: Truth, seen: Seen | None) -> float:
    """Continuity of one arm in one frame, NaN where it is too short to judge, hidden or outside the picture."""
    there = truth.counts[index]
    if not (there[HANDS[hand]] and there[SHOULDERS[hand]]):
        return float("nan")
    shoulder, elbow, end = (_place(index, points[hand], truth, seen) for points in (SHOULDERS, ELBOWS, HANDS))
    way = np.concatenate([_line(shoulder, elbow), _line(elbow, end)])
    scale = truth.motion.framing.fitted(truth.size).pixels_per_metre
    person = truth.identity.person
    # The shoulder's ball, the hand itself and the cuff, which has a colour of its own, are no part of the way.
    off_shoulder = np.linalg.norm(way - shoulder, axis=1) > 0.062 * scale * person.build
    off_hand = np.linalg.norm(way - end, axis=1) > (0.13 if person.sleeve == "long" else 0.055) * scale
    inside = ((way >= 0) & (way < np.array(truth.size[::-1]))).all(1)
    way = way[off_shoulder & off_hand & inside]
    if len(way) < 0.05 * truth.size[1] * STEPS:
        return float("nan")
    column, row = np.floor(way).astype(int).T
    return float(arm[row, column].mean())


def _place(index: int, point: int, truth: Truth, seen: Seen | None) -> np.ndarray:
    """Where a point is seen, if surely and not far from where it ought to be; else where it ought to be."""
    true = truth.points[index, point]
    if seen is None or seen.confidence[index, point] < SURE:
        return true
    found = seen.points[index, point]
    return found if np.linalg.norm(found - true) <= NEAR_ENOUGH * truth.size[1] else true


def _line(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Points (n, 2) from start to end, STEPS a pixel."""
    count = max(round(float(np.linalg.norm(end - start)) * STEPS), 1)
    return start + (np.arange(count)[:, None] + 0.5) / count * (end - start)


def _widened(mask: np.ndarray) -> np.ndarray:
    import cv2

    reach = max(round(0.01 * mask.shape[1]), 1)
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8)) > 0


def _elbows(seen: Seen, truth: Truth) -> float:
    away = errors(seen, truth, ELBOWS)
    away = away[~np.isnan(away)]
    return float((away <= ELBOW).mean()) if len(away) else float("nan")
