"""Which frame of a clip becomes a record's reference picture: another moment of the same person."""

from __future__ import annotations

import numpy as np

APART = 0.4
"""Seconds between a record and its reference, where the clip is long enough."""
SHUT = 0.06
"""Mouth opening up to which a mouth counts as shut."""


def reference_frame(
    opening: np.ndarray, face: np.ndarray, visible: np.ndarray, confidence: np.ndarray, sharp: np.ndarray,
    record: tuple[int, int], fps: float,
) -> int:  # fmt: skip
    """The frame of a clip (F) that a record of frames record[0]..record[1]-1 has as its reference.

    As an artist would choose a portrait: from the rest of the same clip (same person, light and crop), at least
    APART seconds away if there is any; the mouth shut (opening (F,), face (F,) whether it is known); both hands
    clearly seen, or both out of sight at rest rather than one (visible and confidence (F, 2)); as sharp as can be
    (sharp (F,)). A clip no longer than the record gives one of the record's own frames.
    """
    count = len(opening)
    frames = np.arange(count)
    away = np.maximum(record[0] - frames, frames - (record[1] - 1))
    allowed = away > APART * fps
    if not allowed.any():
        allowed = away > 0
    if not allowed.any():
        allowed = np.ones(count, bool)
    worth = -np.clip(opening - SHUT, 0, None) * 4 - np.where(face, 0.0, 2.0)
    sure = np.where(visible, confidence, 0.0)
    worth = worth + sure.mean(1) - 0.75 * np.abs(sure[:, 0] - sure[:, 1])
    worth = worth + 0.3 * sharp / max(float(sharp.max(initial=0.0)), 1e-9)
    return int(np.where(allowed, worth, -np.inf).argmax())


__all__ = ["reference_frame"]
