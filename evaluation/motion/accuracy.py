"""PCK: how many hand points lie where they truly were."""

from __future__ import annotations

import numpy as np

from ...models.errors import EMO2Error

THRESHOLD = 0.1
"""Metres: about a hand's width. BEAT's SRGR uses the same (Liu et al. 2022, section 5)."""


def pck(made: np.ndarray, true: np.ndarray, threshold: float = THRESHOLD) -> float:
    """Share 0..1 of points (F, ..., 3) within `threshold` metres of the truth (Yang and Ramanan 2013).

    Higher is better.

    Points are relative to the neck root; a point that is NaN on either side is left out, and NaN comes back where none
    is left. Many motions are right for one sound, so a good generator scores low here: it is for reconstructions, and
    for comparing with what a still pose scores.
    """
    made, true = np.asarray(made, np.float64), np.asarray(true, np.float64)
    if made.shape != true.shape:
        raise EMO2Error("PCK", f"points of shape {true.shape}", f"shape {made.shape}", "Cut both to the same frames.")
    distance = np.linalg.norm(made - true, axis=-1)
    distance = distance[np.isfinite(distance)]
    return float((distance <= threshold).mean()) if distance.size else float("nan")
