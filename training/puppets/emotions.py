"""Emotions on a puppet's face: how brows, lids and mouth leave their place, and emotions over time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ...models.errors import EMO2Error
from ...models.video.face_track import EMOTIONS, NEUTRAL, weights


@dataclass(frozen=True)
class Expression:
    """What an emotion adds to a face; all zero: as it is. Left and right are the picture's.

    inner, outer (left, right): how far the brow's ends are raised, in half heights of the head. lids (left, right):
    how much wider the eyes are open. corners (left, right): how far the mouth's corners are raised, in half widths of
    the head. opening, width: added to the mouth's. lip: how far the middle of the upper lip is raised, in half widths.
    wrinkle, furrow, cheeks, tears: 0..1, lines beside the nose and between the brows, red cheeks, tears below the eyes.
    """

    inner_left: float = 0.0
    inner_right: float = 0.0
    outer_left: float = 0.0
    outer_right: float = 0.0
    lids_left: float = 0.0
    lids_right: float = 0.0
    corner_left: float = 0.0
    corner_right: float = 0.0
    opening: float = 0.0
    width: float = 0.0
    lip: float = 0.0
    wrinkle: float = 0.0
    furrow: float = 0.0
    cheeks: float = 0.0
    tears: float = 0.0

    @property
    def strength(self) -> float:
        """0..1: how much of a face this is."""
        return min(1.0, 8 * max(abs(float(getattr(self, f.name))) for f in fields(self)))

    def inner(self, side: int) -> float:
        """Of the brow on the picture's left (side -1) or right (1)."""
        return self.inner_right if side > 0 else self.inner_left

    def outer(self, side: int) -> float:
        return self.outer_right if side > 0 else self.outer_left

    def lids(self, side: int) -> float:
        return self.lids_right if side > 0 else self.lids_left


def _even(inner: float, outer: float, lids: float, corner: float, **more: float) -> Expression:
    """The same on both sides."""
    return Expression(inner, inner, outer, outer, lids, lids, corner, corner, **more)


FACES: dict[str, Expression] = {
    "neutral": Expression(),
    "happy": _even(0.08, 0.06, -0.35, 0.24, width=0.5, cheeks=1.0),
    "sad": _even(0.22, -0.14, -0.3, -0.3, width=-0.15, tears=1.0),
    "angry": _even(-0.22, 0.12, -0.3, -0.16, width=-0.3, furrow=1.0),
    "surprised": _even(0.3, 0.28, 0.4, 0.0, opening=0.6, width=-0.55),
    "fearful": _even(0.34, 0.04, 0.35, -0.1, opening=0.25, width=0.6),
    "disgusted": _even(-0.12, -0.1, -0.5, -0.1, lip=0.16, wrinkle=1.0, width=0.1),
    "contempt": Expression(-0.08, 0.16, -0.04, 0.22, -0.4, -0.1, -0.04, 0.36, width=-0.05),
}
"""The faces after Ekman and Friesen (1978), drawn as large as small pictures need."""
_TABLE = np.array([[getattr(FACES[name], f.name) for f in fields(Expression)] for name in EMOTIONS])


def expression(shown: np.ndarray) -> Expression | None:
    """The mixture of FACES with weights (8,); None where nothing leaves its place."""
    mixed = np.asarray(shown, np.float64) @ _TABLE
    return Expression(*(float(v) for v in mixed)) if np.abs(mixed).max() > 1e-9 else None


def emotion_track(rng: np.random.Generator, count: int, name: str | None = None, fps: float = 25.0) -> np.ndarray:
    """Weights (F, 8) of EMOTIONS over `count` frames, each row adding up to 1.

    name: shown throughout at a strength of 0.7 to 1 that breathes a little. None: one to three emotions drawn, each
    for a while, with changes of half a second.
    """
    if name is not None and name not in EMOTIONS:
        raise EMO2Error("emotion", ", ".join(EMOTIONS), repr(name), "Give one of these.")
    times = np.arange(count) / fps
    names = [name] if name is not None else [str(n) for n in rng.choice(EMOTIONS, size=int(rng.integers(1, 4)))]
    borders = np.sort(rng.uniform(0, max(times[-1], fps**-1), len(names) - 1))
    rows = []
    for one in names:
        strength = rng.uniform(0.7, 1.0) + 0.06 * np.sin(2 * np.pi * (times * rng.uniform(0.1, 0.4) + rng.random()))
        rows.append(np.stack([weights(one, float(s)) for s in np.clip(strength, 0, 1)]))
    track = rows[0]
    for border, row in zip(borders, rows[1:]):
        share = np.clip((times - border) / 0.5 + 0.5, 0, 1)[:, None]
        track = track * (1 - share) + row * share
    track[:, NEUTRAL] += 1 - track.sum(1)
    return np.clip(track, 0, 1).astype(np.float32)
