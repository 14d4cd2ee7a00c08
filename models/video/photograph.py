"""Is a picture a photograph or a drawing? A rough answer, for a warning only."""

from __future__ import annotations

import cv2
import numpy as np
import torch

SIDE = 128
LEAST_BITS = 5.7
"""Photographs measured 6.0 to 9.1 bits, also before plain white; flat drawings 3.7 to 5.4, also noisy or graded."""


def looks_like_photograph(image: torch.Tensor) -> bool:
    """Whether `image` (1, H, W, 3) floats 0..1 spreads its colours over many shades, as light on real things does."""
    return colour_entropy(image) > LEAST_BITS


def colour_entropy(image: torch.Tensor) -> float:
    """Entropy in bits of the colours of `image` (1, H, W, 3), the most frequent one (often an empty wall) left out.

    Counted in 32 steps a channel after scaling the picture down, which removes noise and compression's traces.
    """
    pixels = (image[0, ..., :3].clamp(0, 1) * 255).to(torch.uint8).cpu().numpy()
    scale = SIDE / max(pixels.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    steps = np.asarray(cv2.medianBlur(np.ascontiguousarray(pixels), 3)).astype(np.int32) >> 3
    counts = np.unique((steps[..., 0] << 10) + (steps[..., 1] << 5) + steps[..., 2], return_counts=True)[1]
    counts = np.sort(counts)[:-1]
    if counts.sum() == 0:
        return 0.0
    share = counts / counts.sum()
    return float(-(share * np.log2(share)).sum())
