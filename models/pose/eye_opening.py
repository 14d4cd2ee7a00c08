"""How far the eyes of a person in a video are closed, from the outlines of both eyes among the 70 face points."""

from __future__ import annotations

import numpy as np

from ..errors import EMO2Error
from ..maps.face import EYES
from ..types import Motion

OPEN_PERCENTILE = 75
"""Of an eye's aspect ratios over the clip, which one is its own open eye: eyes are closed for a small part of the time,
and differ between people."""
CLOSED_SHARE = 0.3
"""Aspect ratio of a closed eye, in open ones: detectors keep both lids' points a little apart."""
TREMBLING = 0.12
"""Closure below which it is the detector's trembling, and lids that ride with the gaze."""
LEAST_KNOWN = 0.2
"""Share of the frames in which an eye must be seen."""


def aspect_ratios(motion: Motion) -> np.ndarray:
    """Eye aspect ratios (F, 2), NaN where a point of the eye is unknown.

    (|p2 - p6| + |p3 - p5|) / (2 |p1 - p4|) of an eye's six points (Soukupova and Cech 2016): about 0.3 open, near 0
    closed, whatever the size in the picture.
    """
    points = motion.face.astype(np.float64) * np.array([motion.framing.size[1], motion.framing.size[0]])
    ratios = np.full((len(motion), 2), np.nan)
    for side, eye in enumerate(EYES):
        p, known = points[:, eye], (motion.face_scores[:, eye] > 0).all(1)
        gap = lambda a, b, p=p: np.linalg.norm(p[:, a] - p[:, b], axis=-1)
        width = gap(0, 3)
        known &= width > 1e-9
        ratios[known, side] = ((gap(1, 5) + gap(2, 4)) / np.maximum(2 * width, 1e-9))[known]
    return ratios


def blink_ratio(motion: Motion) -> np.ndarray:
    """Closure (F,) 0 open .. 1 closed of a motion whose face was found in a video; EMO2Error where it was not.

    Each eye is compared with its own open one; both are averaged. Where no eye is seen, lines run between the frames
    around.
    """
    ratios = aspect_ratios(motion)
    known = np.isfinite(ratios)
    if known.any(1).mean() < LEAST_KNOWN:
        raise EMO2Error(
            "motion", "a motion whose eyes were found in a video",
            f"eyes in {int(known.any(1).sum())} of {len(motion)} frames",
            "Take one from EMO2 Extract Pose with a detector that finds faces, or let the blinks be natural.",
        )  # fmt: skip
    total, weight = np.zeros(len(motion)), np.zeros(len(motion))
    for side in range(2):
        seen = known[:, side]
        if not seen.any():
            continue
        wide = float(np.percentile(ratios[seen, side], OPEN_PERCENTILE))
        if wide <= 1e-6:  # closed throughout
            total[seen] += 1
        else:
            total[seen] += np.clip((1 - ratios[seen, side] / wide) / (1 - CLOSED_SHARE), 0, 1)
        weight[seen] += 1
    frames = np.flatnonzero(weight)
    closed = np.interp(np.arange(len(motion)), frames, total[frames] / weight[frames])
    return np.clip((closed - TREMBLING) / (1 - TREMBLING), 0, 1)
