"""What a metric says of a set of clips: one number, and the same number over any resampling of the clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Measured:
    """One metric over `count` clips.

    name: as in the table. better: "higher", "lower" or "" (neither). clips (n,): one value a clip, NaN where a clip has
    nothing to measure (the mean leaves it out); empty for metrics of a whole set (Frechet distances). over: the metric
    over the clips with given indices, for sets. network: what the number was computed with, if with a network.
    missing: what is not at hand; then there is no number at all. note: what a reader must know.
    """

    name: str
    better: str
    clips: Any = field(default_factory=lambda: np.zeros(0))
    over: Callable[[np.ndarray], float] | None = None
    count: int = 0
    network: str = ""
    missing: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        clips = np.asarray(self.clips, np.float64)
        object.__setattr__(self, "clips", clips)
        if not self.count:
            object.__setattr__(self, "count", len(clips))

    @property
    def value(self) -> float | None:
        """The number over all clips, or None: what is needed is missing, or no clip had anything to measure."""
        return None if self.missing else self.resample(np.arange(self.count))

    def resample(self, indices: np.ndarray | Sequence[int]) -> float | None:
        """The number over the clips `indices` (repeats allowed), which is what a bootstrap asks for."""
        if self.missing:
            return None
        indices = np.asarray(indices, np.int64)
        if self.over is not None:
            number = float(self.over(indices))
        else:
            kept = self.clips[indices]
            kept = kept[np.isfinite(kept)]
            number = float(kept.mean()) if len(kept) else float("nan")
        return number if np.isfinite(number) else None

    def text(self) -> str:
        """The number for a table, or what is missing."""
        if self.missing:
            return f"missing: {self.missing}"
        value = self.value
        return "nothing to measure" if value is None else f"{value:.4g}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON; a missing metric has no `value` key."""
        facts = {"name": self.name, "better": self.better, "network": self.network, "note": self.note}
        facts = {key: text for key, text in facts.items() if text}
        if self.missing:
            return {**facts, "missing": self.missing}
        if self.value is None:
            return {**facts, "clips": self.count, "nothing": "no clip had anything to measure"}
        return {**facts, "value": self.value, "clips": self.count}


def absent(name: str, better: str, missing: str, network: str = "") -> Measured:
    """A metric that cannot be had, and why."""
    return Measured(name, better, missing=missing, network=network)
