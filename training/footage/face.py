"""What the mouth does, from a face's 70 points: opening, width and place, on the puppets' scale."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...models.maps.face import LIPS
from ...models.pose.gaps import on_lines

SIDES = (0, 16)
"""Ends of the jaw's line: the face's width."""
INNER_GAP = ((61, 67), (62, 66), (63, 65))
CORNERS = (60, 64)
NARROW, WIDER = 0.30, 0.22
"""Half the mouth's width over half the face's: of the narrowest mouth, and how much more it is of the widest."""
BELOW_NECK = -0.42
"""Where a mouth usually is, in shoulder widths below the neck: for faces that are never seen."""


class Mouth(NamedTuple):
    """shapes (F, 2): opening and width, 0..1; places (F, 2): the mouth's centre, normalised to the picture; known (F,):
    whether the lips are seen. Unknown frames are filled from their neighbours."""

    shapes: np.ndarray
    places: np.ndarray
    known: np.ndarray


def mouth_of(face: np.ndarray, scores: np.ndarray, size: tuple[int, int], neck: np.ndarray, shoulder: float) -> Mouth:
    """The mouth of a face (F, 70, 2), normalised to a picture of `size` (H, W), with scores (F, 70), 0 unknown.

    opening: the inner lips' gap over half the face's width; width: the inner lips' width over the face's, 0 narrow and
    1 wide. The face's width is one number for the clip (the 80th percentile): turning the head opens no mouth. neck
    (F, 2) normalised and shoulder (pixels) place a mouth that is never seen.
    """
    pixels = np.asarray(face, np.float64) * np.array([size[1], size[0]])
    known = np.asarray((scores[:, LIPS] > 0).all(1))
    jaw = (scores[:, SIDES] > 0).all(1)
    count = len(pixels)
    if not (known & jaw).any():
        places = np.asarray(neck, np.float64) + np.array([0, BELOW_NECK * shoulder / size[0]])
        return Mouth(np.tile(np.float32([0, 0.4]), (count, 1)), places, np.zeros(count, bool))
    across = np.linalg.norm(pixels[:, SIDES[0]] - pixels[:, SIDES[1]], axis=-1)
    half = max(float(np.percentile(across[known & jaw], 80)) / 2, 1e-6)
    gaps = [np.linalg.norm(pixels[:, a] - pixels[:, b], axis=-1) for a, b in INNER_GAP]
    opening = np.max(gaps, axis=0) / half
    inner = np.linalg.norm(pixels[:, CORNERS[0]] - pixels[:, CORNERS[1]], axis=-1) / 2
    width = (inner / half - NARROW) / WIDER
    shapes = np.clip(np.stack([opening, width], 1), 0, 1)
    places = np.asarray(face)[:, LIPS].mean(1)
    filled = on_lines(np.concatenate([shapes, places], 1), known)
    return Mouth(filled[:, :2].astype(np.float32), filled[:, 2:], known)


__all__ = ["Mouth", "mouth_of"]
