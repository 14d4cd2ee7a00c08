"""What a detector of people gives: every person in every picture, whatever network found them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np


class Seen(NamedTuple):
    """One person in one picture. Positions are normalised to it, (0, 0) top left and (1, 1) bottom right; scores 0..1.

    body (18, 2) in OpenPose's order, hands (2, 21, 2) the person's left then right, face (70, 2): 68 points and the
    pupils. A point that was not found has score 0 and position 0. box: (left, top, right, bottom). score: of the
    person as a whole.
    """

    body: np.ndarray
    body_scores: np.ndarray
    hands: np.ndarray
    hand_scores: np.ndarray
    face: np.ndarray
    face_scores: np.ndarray
    box: np.ndarray
    score: float


class Detector(Protocol):
    """Finds people in pictures.

    `name` says to an artist which one it is. A detector may remember the frames before to find what moves more
    easily: `detect` is called with consecutive frames of one video in order, and `reset` begins another.
    """

    name: str

    def detect(self, frames: np.ndarray) -> list[list[Seen]]:
        """People in each of `frames` (N, H, W, 3) uint8 RGB, the surest first."""
        ...

    def reset(self) -> None:
        """Forget earlier frames."""
        ...
