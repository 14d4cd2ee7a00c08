"""Which of several sources a sample comes from: each as often as its weight says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


class WeightedDraw:
    """`draw(rng)`: the number of one of `sources`, which have a `weight` above 0 each."""

    def __init__(self, sources: Sequence[Any]):
        weights = np.array([source.weight for source in sources], np.float64)
        self._edges = np.cumsum(weights / weights.sum())

    def __call__(self, rng: np.random.Generator) -> int:
        # The last edge may be a little below 1.
        return min(int(np.searchsorted(self._edges, rng.random(), side="right")), len(self._edges) - 1)
