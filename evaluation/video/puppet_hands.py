"""Are the hands where they ought to be? (puppets: the truth is known)"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.errors import EMO2Error
from ...models.pose.puppet_estimator import ELBOWS, HANDS
from .measured import Measured
from .puppet_seen import SURE, Seen
from .puppet_truth import Truth

SIDES = ("left", "right")


def errors(seen: Seen, truth: Truth, points: Sequence[int] = HANDS) -> np.ndarray:
    """Distances (F, n) in picture widths; infinite where nothing was found, NaN where there is nothing to find."""
    if len(seen.points) != len(truth):
        raise EMO2Error("made clip", f"{len(truth)} frames", len(seen.points), "Compare clips of the same length.")
    at = list(points)
    away = np.linalg.norm(seen.points[:, at] - truth.points[:, at], axis=-1) / truth.size[1]
    away = np.where(seen.confidence[:, at] < SURE, np.inf, away)
    return np.where(truth.counts[:, at], away, np.nan)


def hands_within(seen: Sequence[Seen], truths: Sequence[Truth], share: float, hand: int | None = None) -> Measured:
    """The share of hands within `share` of the picture's width (0.1, 0.05), one value a clip; both hands, or one.

    Only hands that are marked visible, lie inside the picture and are not hidden behind the other hand count; a hand
    that the estimator cannot find at all is a miss. Higher is better.
    """
    hands = HANDS if hand is None else (HANDS[hand],)
    label = "hands" if hand is None else f"{SIDES[hand]} hand"
    return _within(f"{label} within 1/{1 / share:.0f} of the width", seen, truths, hands, share)


def elbows_within(seen: Sequence[Seen], truths: Sequence[Truth], share: float) -> Measured:
    """The share of elbows within `share` of the picture's width, one value a clip. Higher is better."""
    return _within(f"elbows within 1/{1 / share:.0f} of the width", seen, truths, ELBOWS, share)


def hand_distance(seen: Sequence[Seen], truths: Sequence[Truth]) -> Measured:
    """The median distance of the hands from where they ought to be, in picture widths, one value a clip."""
    values = []
    for a, b in zip(seen, truths):
        away = errors(a, b)
        away = away[~np.isnan(away)]
        # A hand that was not found is infinitely far: the median stays finite unless most are.
        median = float(np.median(away)) if len(away) else np.nan
        values.append(min(median, 1.0))
    return Measured("hand distance", "lower", values, network="puppet estimator", note="picture widths")


def _within(name: str, seen: Sequence[Seen], truths: Sequence[Truth], points: Sequence[int], share: float) -> Measured:
    values = []
    for a, b in zip(seen, truths):
        away = errors(a, b, points)
        away = away[~np.isnan(away)]
        values.append(float((away <= share).mean()) if len(away) else np.nan)
    return Measured(name, "higher", values, network="puppet estimator")
