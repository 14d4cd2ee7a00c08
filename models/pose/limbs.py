"""What a body's build says about its points in the picture: bones have a length, and left is not right.

Points here are in shoulder widths (any one unit will do). Foreshortening makes a bone's picture shorter, never longer,
so the longest that a clip shows of it is nearest to the truth.
"""

from __future__ import annotations

import numpy as np

from .body import ELBOWS, SHOULDERS, WRISTS
from .cheapest import cheapest, of_two
from .time_filters import half_window, sliding_median

ARM_BONES = ((SHOULDERS[0], ELBOWS[0]), (SHOULDERS[1], ELBOWS[1]), (ELBOWS[0], WRISTS[0]), (ELBOWS[1], WRISTS[1]))
"""(nearer to the trunk, further away) points of upper arms and forearms, left before right."""
SHOULDER_BONES = ((1, SHOULDERS[0]), (1, SHOULDERS[1]))
HAND_BONES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
"""The 20 bones among a hand's 21 points, from the wrist out."""
FOREARM_SHARE = 0.8
"""A forearm's joints are at least this share of an upper arm's length apart, however foreshortened it is seen."""
STAY, CHANGE = 0.25, 0.3
"""Cost of a swapped second and of a change of names, in shoulder widths: only what gains clearly counts as a swap."""


def longest_seen(
    points: np.ndarray, known: np.ndarray, bones: tuple[tuple[int, int], ...], fps: float, seconds: float = 0.5
) -> np.ndarray:
    """The robust maximum (B,) of each bone's length in points (F, P, 2) with known (F, P); 0 where it is never seen.

    It is the 98th percentile of the running median over `seconds`: shorter outliers do not count.
    """
    a, b = np.array(bones).T
    both = known[:, a] & known[:, b]
    lengths = np.linalg.norm(points[:, a] - points[:, b], axis=-1)
    calm = sliding_median(lengths[..., None], both, half_window(seconds, fps))[..., 0]
    return np.array([np.percentile(calm[k, i], 98) if (k := both[:, i]).any() else 0.0 for i in range(len(bones))])


def arm_limits(points: np.ndarray, known: np.ndarray, fps: float, tolerance: float = 0.1) -> np.ndarray:
    """Greatest lengths (4,) of ARM_BONES, 0 where unknown: of one person's two arms the longer one holds for both."""
    seen = longest_seen(points, known, ARM_BONES, fps)
    upper, fore = seen[:2].max(), seen[2:].max()
    if fore > 0:
        fore = max(fore, FOREARM_SHARE * upper)
    return np.array([upper, upper, fore, fore]) * (1 + tolerance)


def shoulder_limits(points: np.ndarray, known: np.ndarray, fps: float, tolerance: float = 0.1) -> np.ndarray:
    """Greatest lengths (2,) of SHOULDER_BONES: the wider side holds for both."""
    return np.full(2, longest_seen(points, known, SHOULDER_BONES, fps).max() * (1 + tolerance))


def hand_limits(points: np.ndarray, known: np.ndarray, fps: float, tolerance: float = 0.2) -> np.ndarray:
    """Greatest lengths (20,) of HAND_BONES from points (F, 2, 21, 2): one for both hands."""
    seen = [longest_seen(points[:, hand], known[:, hand], HAND_BONES, fps) for hand in (0, 1)]
    return np.maximum(*seen) * (1 + tolerance)


def too_long(
    points: np.ndarray, known: np.ndarray, bones: tuple[tuple[int, int], ...], limits: np.ndarray
) -> np.ndarray:
    """Points (F, P) bool at the far end of a bone that is longer than its limit (0: no limit)."""
    result = np.zeros(known.shape, bool)
    for (a, b), limit in zip(bones, limits):
        if limit > 0:
            result[:, b] |= known[:, a] & known[:, b] & (np.linalg.norm(points[:, b] - points[:, a], axis=-1) > limit)
    return result


def limited(
    points: np.ndarray, known: np.ndarray, bones: tuple[tuple[int, int], ...], limits: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(points, moved (F, P)): far ends pulled straight towards the near ones until each bone is within its limit.

    Bones are taken in order, so a chain is drawn in from the trunk outwards. What is within its limits stays.
    """
    result, moved = np.array(points, np.float64), np.zeros(known.shape, bool)
    for (a, b), limit in zip(bones, limits):
        if limit <= 0:
            continue
        line = result[:, b] - result[:, a]
        length = np.linalg.norm(line, axis=-1)
        over = known[:, a] & known[:, b] & (length > limit)
        result[over, b] = result[over, a] + line[over] * (limit / length[over])[:, None]
        moved |= over[:, None] & (np.arange(known.shape[1]) == b)
    return result, moved


def swapped_frames(
    left: np.ndarray,
    right: np.ndarray,
    known: np.ndarray,
    fps: float,
    evidence: np.ndarray | None = None,
) -> np.ndarray:
    """Frames (F,) in which two things carry each other's name, by the cheapest course through the clip (Viterbi).

    left, right (F, P, C): their points, known (F, 2, P). Each frame is kept or swapped; the cost is the way that the
    points travel (mean over the points known on both sides of a step), `stay` for each swapped second, and evidence
    (F, 2): extra cost of keeping and of swapping. Things that truly cross touch, and there nothing is gained by a swap.
    """
    count = len(left)
    pair = np.stack([left, right], axis=1)
    usable = known.all((1, 2)) if known.shape[2] == 1 else (known.sum(2) * 2 >= known.shape[2]).all(1)
    at = np.flatnonzero(usable)
    swapped = np.zeros(count, bool)
    if len(at) < 2:
        return swapped
    cost = np.zeros((len(at), 2)) if evidence is None else evidence[at].copy()
    cost[:, 1] += STAY / fps
    shown = known[at]
    way = np.zeros((len(at) - 1, 2))
    for flip in (0, 1):
        now, there = pair[at[1:]], shown[1:]
        if flip:
            now, there = now[:, ::-1], there[:, ::-1]
        both = there & shown[:-1]
        gap = np.linalg.norm(now - pair[at[:-1]], axis=-1) * both
        way[:, flip] = gap.sum((1, 2)) / np.maximum(both.sum((1, 2)), 1) * 2
    swapped[at] = cheapest(cost, of_two(way[:, 0], way[:, 1]) + CHANGE * (1 - np.eye(2))) == 1
    # Frames that tell nothing go with both their neighbours.
    place = np.searchsorted(at, np.arange(count))
    before, after = at[np.maximum(place - 1, 0)], at[np.minimum(place, len(at) - 1)]
    return np.where(usable, swapped, swapped[before] & swapped[after])


__all__ = [
    "ARM_BONES", "HAND_BONES", "SHOULDER_BONES", "arm_limits", "hand_limits", "limited", "longest_seen",
    "shoulder_limits", "swapped_frames", "too_long",
]  # fmt: skip
