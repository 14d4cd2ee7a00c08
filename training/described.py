"""What happens when, in words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Described:
    """`text` says what happens from `start` to `end` seconds of a clip."""

    text: str
    start: float
    end: float
