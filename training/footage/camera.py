"""Whether the camera moves: how far the background wanders behind the people, and how much it grows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

SIDE = 320
"""Longest side of the pictures in which movement is measured."""
STEP = 0.16
"""Seconds between two of them."""
CELLS, FEATURES, FEWEST = 5, 8, 12
"""The picture is divided into so many cells a side; points of the background that are followed in each, and how many in
all must be found again for it to count."""
PLAIN = 2.0
"""Deviation of grey levels below which a cell has nothing in it to follow."""
AROUND = 0.08
"""How much larger than their boxes people are taken to be."""


class Camera:
    """Follows the background over a clip. `wander` and `zoom` say how far it went; a plain wall does not tell."""

    def __init__(self, fps: float):
        self.every = max(round(STEP * fps), 1)
        self.before: np.ndarray | None = None
        self.free: np.ndarray | None = None
        self.places = [np.zeros(2)]
        self.scales = [0.0]

    def take(self, frame: int, picture: np.ndarray, boxes: np.ndarray) -> None:
        """Frame number `frame` of the clip, (H, W, 3) uint8, with people in boxes (n, 4): left, top, right and bottom,
        0..1. Only every STEP seconds is looked at.
        """
        if frame % self.every:
            return
        import cv2

        scale = min(SIDE / max(picture.shape[:2]), 1.0)
        size = max(round(picture.shape[1] * scale), 8), max(round(picture.shape[0] * scale), 8)
        grey = cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
        free = _free(grey.shape, boxes)
        if self.before is not None and self.free is not None:
            self._compare(grey, free)
        self.before, self.free = grey, free

    @property
    def wander(self) -> float:
        """The farthest two places of the background are apart, in shares of the picture's longest side."""
        path = np.array(self.places)
        return float(np.linalg.norm(np.ptp(path, axis=0)))

    @property
    def zoom(self) -> float:
        """The largest change of size, as a ratio less one."""
        return float(np.expm1(np.ptp(self.scales)))

    def _compare(self, grey: np.ndarray, free: np.ndarray) -> None:
        import cv2

        assert self.before is not None and self.free is not None
        moved, grown = np.zeros(2), 0.0
        found = _features(self.before, self.free)
        if len(found) >= FEWEST:
            there, ok, _ = cv2.calcOpticalFlowPyrLK(self.before, grey, found, None, winSize=(15, 15), maxLevel=3)
            back, again, _ = cv2.calcOpticalFlowPyrLK(grey, self.before, there, None, winSize=(15, 15), maxLevel=3)
            one, two = found.reshape(-1, 2), there.reshape(-1, 2)
            good = (ok.ravel() > 0) & (again.ravel() > 0)
            good &= np.linalg.norm(back.reshape(-1, 2) - one, axis=1) < 0.7
            at = two.round().astype(int).clip(0, np.array(grey.shape[::-1]) - 1)
            good &= free[at[:, 1], at[:, 0]] > 0
            if good.sum() >= FEWEST:
                moved, grown = _movement(one[good], two[good] - one[good])
        self.places.append(self.places[-1] + moved / max(grey.shape))
        self.scales.append(self.scales[-1] + grown)


def _features(grey: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Corners (n, 1, 2) float32 of every part of the background: the strongest alone would lie on laid-over text."""
    import cv2

    found = []
    rows, columns = (np.linspace(0, side, CELLS + 1).astype(int) for side in grey.shape)
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            part, mask = grey[top:bottom, left:right], free[top:bottom, left:right]
            if min(part.shape) < 8 or not mask.any() or part[mask > 0].std() < PLAIN:
                continue
            corners = cv2.goodFeaturesToTrack(part, FEATURES, 0.1, 4, mask=mask)
            if corners is not None:
                found.append(corners + np.array([left, top], np.float32))
    return np.concatenate(found) if found else np.zeros((0, 1, 2), np.float32)


def _movement(places: np.ndarray, flow: np.ndarray) -> tuple[np.ndarray, float]:
    """Median shift (2,) of points (n, 2) that move by `flow` (n, 2), and the logarithm of their growth."""
    shift = np.median(flow, axis=0)
    arms = places - np.median(places, axis=0)
    length = np.square(arms).sum(1)
    long = length >= np.median(length)
    growth = np.median(((flow - shift) * arms).sum(1)[long] / np.maximum(length[long], 1e-6))
    return shift, float(np.log(max(1 + growth, 0.1)))


def _free(shape: tuple[int, ...], boxes: np.ndarray) -> np.ndarray:
    """(H, W) uint8: 255 where there are no people."""
    height, width = shape[:2]
    free = np.full((height, width), 255, np.uint8)
    for left, top, right, bottom in np.asarray(boxes, float).reshape(-1, 4):
        x, y = AROUND * (right - left), AROUND * (bottom - top)
        columns = np.clip([(left - x) * width, (right + x) * width], 0, width).astype(int)
        # What is below somebody's box, where a half-body picture ends, is mostly still them.
        free[max(int((top - y) * height), 0) :, columns[0] : columns[1]] = 0
    return free


__all__ = ["Camera"]
