"""Left and right put right where a detector exchanged them for some frames: arms, legs, hands.

Each frame is either as it is or exchanged; the sequence in which points move least, and hands lie at the wrists of
their own arms, is found over the whole clip (Viterbi). Somebody who turns round is not an exchange: their points cross
little by little.
"""

from __future__ import annotations

import numpy as np

from .body import MIRRORED, WRISTS
from .cheapest import cheapest, of_two
from .keypoint_motion import Points

UPPER = (2, 3, 4, 5, 6, 7, 14, 15, 16, 17)
LOWER = (8, 9, 10, 11, 12, 13)
"""Points that detectors exchange together: shoulders, arms and the head's sides; hips and legs."""
MOST = 1.5
"""Shoulder widths beyond which a jump is no worse."""
LASTING = 1.0
"""What a second of exchange costs against a jump, in shoulder widths: what lasts much longer than a second stays."""
DOUBT = 0.02
"""What it takes to exchange hands at all."""
BRIDGE = 0.3
"""Seconds of a wrist that is not seen over which it is thought to go on a line."""
DOUBLE, APART = 0.12, 0.45
"""Hands nearer than the first (shoulder widths) while the wrists are farther apart than the second are one hand."""


def repair_sides(found: Points, times: np.ndarray, aspect: float = 1.0) -> Points:
    """The points of one person over F frames with exchanged sides put right. times (F,) seconds; aspect: the picture's
    width over its height. Where nothing was exchanged the points come back unchanged.

    One hand that was found as both, while the arms' wrists are apart, is kept at the nearer wrist.
    """
    times = np.asarray(times, np.float64)
    scale = np.array([aspect, 1.0])
    width = _shoulders(found, scale)
    if width <= 0:
        return found
    body, scores = found.body.copy(), found.body_scores.copy()
    for group in (UPPER, LOWER):
        mine, other = list(group), [MIRRORED[i] for i in group]
        swap = _exchanged(body[:, mine] * scale / width, scores[:, mine], [group.index(i) for i in other], times)
        turned = np.flatnonzero(swap)[:, None]
        body[turned, mine] = found.body[turned, other]
        scores[turned, mine] = found.body_scores[turned, other]
    hands, hand_scores = found.hands.copy(), found.hand_scores.copy()
    swap = _crossed(hands * scale / width, hand_scores, body * scale / width, scores, times)
    hands[swap], hand_scores[swap] = hands[swap][:, ::-1], hand_scores[swap][:, ::-1]
    double = _doubled(hands * scale / width, hand_scores, body * scale / width, scores)
    hands[double], hand_scores[double] = 0, 0
    return Points(body, scores, hands, hand_scores, found.face, found.face_scores)


def _shoulders(found: Points, scale: np.ndarray) -> float:
    """The clip's shoulder width, or what the whole body says of it; 0 when nothing is known."""
    both = (found.body_scores[:, [2, 5]] > 0).all(1)
    if both.any():
        gaps = np.linalg.norm((found.body[both, 2] - found.body[both, 5]) * scale, axis=-1)
        return float(np.percentile(gaps, 75))
    known = found.body_scores > 0
    return float(np.ptp(found.body[known] * scale, axis=0).max() * 0.3) if known.any() else 0.0


def _exchanged(points: np.ndarray, scores: np.ndarray, other: list[int], times: np.ndarray) -> np.ndarray:
    """(F,) bool: frames in which a group of points (F, G, 2), in shoulder widths, has its sides exchanged.

    other: for each of the group's points the one on the other side.
    """
    known = scores > 0
    frames = np.flatnonzero(known.any(1))
    swap = np.zeros(len(points), bool)
    if len(frames) < 2:
        return swap
    before, behind = points[frames[:-1]], points[frames[1:]]
    same, cross = _ways(
        before, behind, behind[:, other], known[frames[:-1]], known[frames[1:]], known[frames[1:]][:, other]
    )
    gap = np.diff(times[frames])
    fresh = np.minimum(1.0, 0.3 / np.maximum(gap, 1e-6))
    lasting = LASTING * np.minimum(np.concatenate([gap[:1], gap]), 0.3)
    unary = np.stack([np.zeros(len(frames)), lasting], axis=1)
    swap[frames] = cheapest(unary, of_two(same * fresh, cross * fresh)) == 1
    return swap


def _ways(
    before: np.ndarray, behind: np.ndarray, turned: np.ndarray, known: np.ndarray, also: np.ndarray, cross: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far points (N, G, 2) moved if they go on to those behind, and to those with exchanged sides, (N,) each.

    A mean over the points known in both, 0 where there is none. If only one of the two ways has any, a short move
    there speaks against the other: what stands where the other side was a moment ago has changed its name, not its
    place.
    """
    moves = []
    for after, there in ((behind, also), (turned, cross)):
        both = known & there
        gaps = np.minimum(np.linalg.norm(after - before, axis=-1), MOST)
        moves.append(((gaps * both).sum(1) / np.maximum(both.sum(1), 1), both.any(1)))
    (same, alike), (other, unlike) = moves
    return np.where(~alike & unlike, MOST - other, same), np.where(alike & ~unlike, MOST - same, other)


def _places(hands: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each hand is (F, 2, 2), its wrist or else the middle of what is known, and whether it is known (F, 2)."""
    known = scores > 0
    middle = (hands * known[..., None]).sum(2) / np.maximum(known.sum(2), 1)[..., None]
    return np.where(known[:, :, :1], hands[:, :, 0], middle), np.asarray(known.any(2))


def _crossed(
    hands: np.ndarray, scores: np.ndarray, body: np.ndarray, body_scores: np.ndarray, times: np.ndarray
) -> np.ndarray:
    """(F,) bool: frames in which the left hand is called the right one and the other way round."""
    place, known = _places(hands, scores)
    frames = np.flatnonzero(known.any(1))
    swap = np.zeros(len(hands), bool)
    if not len(frames):
        return swap
    place, known = place[frames], known[frames]
    wrists, sure = _bridged(body[:, WRISTS], body_scores[:, WRISTS] > 0, times)
    wrists, sure = wrists[frames], sure[frames]
    both = sure.all(1, keepdims=True)  # one wrist alone does not say whose a hand is
    own = (np.minimum(np.linalg.norm(place - wrists, axis=-1), MOST) * (known & both)).sum(1)
    other = (np.minimum(np.linalg.norm(place - wrists[:, ::-1], axis=-1), MOST) * (known & both)).sum(1)
    unary = np.stack([own, other + DOUBT], axis=1)
    gap = np.diff(times[frames])
    fresh = np.minimum(1.0, 0.1 / np.maximum(gap, 1e-6))
    same, cross = _ways(place[:-1], place[1:], place[1:, ::-1], known[:-1], known[1:], known[1:, ::-1])
    swap[frames] = cheapest(unary, of_two(same * fresh, cross * fresh)) == 1
    return swap


def _bridged(points: np.ndarray, known: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (F, P, 2) with short gaps filled on lines, and whether they are known (F, P) now."""
    filled, sure = points.copy(), known.copy()
    for p in range(points.shape[1]):
        at = np.flatnonzero(known[:, p])
        if not len(at):
            continue
        for axis in (0, 1):
            filled[:, p, axis] = np.interp(times, times[at], points[at, p, axis])
        # The known frames before and after each one, for the length of the gap.
        behind = np.clip(np.searchsorted(at, np.arange(len(times))), 0, len(at) - 1)
        before = np.clip(np.searchsorted(at, np.arange(len(times)), side="right") - 1, 0, len(at) - 1)
        ends = np.abs(times - times[at[before]]), np.abs(times - times[at[behind]])
        sure[:, p] |= np.maximum(*ends) <= BRIDGE
    return filled, sure


def _doubled(hands: np.ndarray, scores: np.ndarray, body: np.ndarray, body_scores: np.ndarray) -> np.ndarray:
    """(F, 2) bool: hands that are the other one found a second time."""
    known = scores > 0
    both = known.all(1)
    gaps = np.linalg.norm(hands[:, 0] - hands[:, 1], axis=-1)
    near = (gaps * both).sum(1) / np.maximum(both.sum(1), 1)
    wrists = body[:, WRISTS]
    sure = (body_scores[:, WRISTS] > 0).all(1)
    apart = np.linalg.norm(wrists[:, 0] - wrists[:, 1], axis=-1) > APART
    one = (both.sum(1) >= 5) & (near < DOUBLE) & sure & apart
    place, _ = _places(hands, scores)
    off = np.linalg.norm(place - wrists, axis=-1)
    return one[:, None] & (off == off.max(1, keepdims=True)) & (off > off.min(1, keepdims=True))
