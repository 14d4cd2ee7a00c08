"""What happens when, in words."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_TEXT = "A person is giving a speech."
"""The text of motion about which nobody said anything (VersaAnimator, section 3.2)."""


@dataclass(frozen=True)
class Described:
    """`text` says what happens from `start` to `end` seconds of a clip."""

    text: str
    start: float
    end: float
