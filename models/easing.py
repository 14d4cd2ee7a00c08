"""The smooth step: how things fade in and out everywhere in the pack."""

from __future__ import annotations

import numpy as np


def ease(t: np.ndarray) -> np.ndarray:
    """Smooth step: 0 to 1 with no speed at either end."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)
