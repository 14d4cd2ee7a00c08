"""Jerk, and what happens where the sampler's windows meet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


def jerk(points: np.ndarray, fps: float) -> float:
    """Mean length of the third derivative, m/s^3: mean |x[t+3] - 3 x[t+2] + 3 x[t+1] - x[t]| fps^3.

    Compare with the truth's.

    points (F, ..., 3) metres; differences that touch NaN are left out; NaN where none is left (fewer than 4 frames).
    Exact for cubics. Higher is more trembling; less than the truth's is sluggish.
    """
    points = np.asarray(points, np.float64)
    if len(points) < 4:
        return float("nan")
    length = np.linalg.norm(np.diff(points, n=3, axis=0), axis=-1) * float(fps) ** 3
    length = length[np.isfinite(length)]
    return float(length.mean()) if length.size else float("nan")


@dataclass(frozen=True)
class Seams:
    """Velocity jumps at seams against the ordinary ones. `jumps` (n,): each seam's, m/s; `elsewhere`: the 99th
    percentile of all other frames, m/s."""

    jumps: np.ndarray
    elsewhere: float

    @property
    def ratios(self) -> np.ndarray:
        """(n,) each seam's jump over the 99th percentile elsewhere."""
        return self.jumps / max(self.elsewhere, 1e-9)

    @property
    def ratio(self) -> float:
        """Mean over the seams; NaN without a seam. Lower is better, 1 is as bad as the worst hundredth elsewhere."""
        return float(self.ratios.mean()) if len(self.jumps) else float("nan")

    @property
    def worst(self) -> float:
        """The worst seam's ratio; NaN without a seam."""
        return float(self.ratios.max()) if len(self.jumps) else float("nan")


def window_seams(count: int, window: int = 300, carried: int = 12) -> list[int]:
    """First frames of all windows but the first, as the sampler cuts `count` frames."""
    from ...models.motion.sampler import windows

    return [span.start for span in windows(count, window, carried) if span.start]


def seam_jumps(points: np.ndarray, fps: float, seams: Sequence[int]) -> Seams:
    """How hard the points' velocity jumps where a new window begins, at frames `seams` (the windows' first frames).

    The velocity jump at frame t is |x[t+1] - 2 x[t] + x[t-1]| fps in m/s, averaged over the points (F, ..., 3). A seam
    before frame s shows at t = s - 1 and t = s; its jump is the larger of the two. Frames that touch NaN are left out.
    """
    points = np.asarray(points, np.float64).reshape(len(points), -1, 3)
    if len(points) < 3:
        return Seams(np.zeros(0), 0.0)
    change = np.linalg.norm(np.diff(points, n=2, axis=0), axis=-1) * fps
    known = np.isfinite(change)
    jump = np.where(known, change, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    jump[~known.any(axis=1)] = np.nan
    # change[k] is centred on frame k + 1.
    pairs = [(s - 2, s - 1) for s in seams if 2 <= s <= len(points) - 2]
    at = np.array([np.nanmax(jump[list(pair)]) for pair in pairs if np.isfinite(jump[list(pair)]).any()])
    others = np.ones(len(jump), bool)
    for pair in pairs:
        others[list(pair)] = False
    rest = jump[others & np.isfinite(jump)]
    return Seams(at, float(np.percentile(rest, 99)) if rest.size else 0.0)
