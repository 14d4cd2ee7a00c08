"""Where a clip is cut out of its video: one box for the whole clip, with room for every gesture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...models.pose.keypoint_motion import Points
from ...models.types import Framing

NECK, SHOULDERS = (0.5, 0.41), 0.38
"""Where the neck is placed in the picture and how wide the shoulders are: the middle of what puppets have."""
FARTHEST = 0.28
"""Shoulders may become this narrow to keep hands in the picture that reach far out."""
SIDEWAYS, LOWEST = (0.36, 0.64), 0.5
"""Where the neck may move to keep hands in the picture."""
HEADROOM, HEAD = 0.9, 0.7
"""Shoulder widths above the neck that a box keeps for the head with its hair, and those that a head surely needs."""
STAYS = (0.25, 0.75)
"""Where the neck must be from side to side in the end, or the person is cut off by the video's edge."""
EVEN = 0.02
"""Share of the hand points that may stay outside on either side of a box that fits."""


@dataclass(frozen=True)
class Crop:
    """A box (left, top, width, height) in pixels of the video, upright, that becomes a picture of `size` (H, W)."""

    box: tuple[float, float, float, float]
    source: tuple[int, int]
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """How many pixels of the picture a pixel of the video becomes."""
        return self.size[1] / self.box[2]

    @property
    def reading_side(self) -> int:
        """Longest side at which the video need be read: twice as fine as the picture, or as it is."""
        return int(np.ceil(max(self.source) * min(1.0, 2 * self.scale)))

    def place(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) normalised to the video as they are in the picture."""
        pixels = np.asarray(points, np.float64) * np.array([self.source[1], self.source[0]])
        return (pixels - np.array(self.box[:2])) / np.array(self.box[2:])

    def points(self, found: Points) -> Points:
        """A person's points in the picture; unknown ones stay at 0. Those outside it keep their scores."""
        kept = [
            np.where(scores[..., None] > 0, self.place(places), 0.0)
            for places, scores in ((found.body, found.body_scores), (found.hands, found.hand_scores),
                                   (found.face, found.face_scores))
        ]  # fmt: skip
        return Points(kept[0], found.body_scores, kept[1], found.hand_scores, kept[2], found.face_scores)

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3) uint8 of a frame of the video (h, w, 3), whatever size that was read at."""
        factor = np.array([picture.shape[1] / self.source[1], picture.shape[0] / self.source[0]])
        low = np.array(self.box[:2]) * factor
        high = low + np.array(self.box[2:]) * factor
        # A rounding error outside is still inside.
        low, high = np.maximum(low, 0), np.minimum(high, [picture.shape[1], picture.shape[0]])
        box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return np.asarray(Image.fromarray(picture).resize(self.size[::-1], Image.Resampling.LANCZOS, box=box))


def crop_for(framing: Framing, hands: np.ndarray, size: tuple[int, int]) -> Crop:
    """The box for a person of `framing`, whose size is the video's, and hand points (N, 2) normalised to the video.

    Neck and shoulders stand as in puppets. Where hands reach beyond, the box moves or grows within limits; it never
    leaves the video, so somebody near its edge or very near the camera is shown off the middle or larger.
    """
    source = np.array([framing.size[1], framing.size[0]], np.float64)
    neck = np.array(framing.neck) * source
    shoulder = framing.shoulder_width * framing.size[1]
    aspect = size[0] / size[1]
    most = min(source[0], source[1] / aspect)
    reach = np.asarray(hands, np.float64).reshape(-1, 2) * source
    low, high = np.percentile(reach, [100 * EVEN, 100 - 100 * EVEN], axis=0) if len(reach) else (neck, neck)
    best, missed = None, np.inf
    for share in np.linspace(SHOULDERS, FARTHEST, 11):
        width = min(shoulder / share, most)
        extent = np.array([width, width * aspect])
        place = neck - np.array(NECK) * extent
        nearest = neck - np.array([SIDEWAYS[1], LOWEST]) * extent
        farthest = neck - np.array([SIDEWAYS[0] * width, HEADROOM * shoulder])
        nearest = np.minimum(nearest, farthest)  # the head goes before the hands
        # As little to the side as brings the hands in; where both sides stick out, in between.
        place = np.where(high - low > extent, (low + high - extent) / 2, np.clip(place, high - extent, low))
        place = np.clip(np.clip(place, nearest, farthest), 0, source - extent)
        out = float((np.maximum(place - low, 0) + np.maximum(high - place - extent, 0)).sum())
        if out < missed - 1e-6 * shoulder:
            best, missed = (place, extent), out
    assert best is not None
    (left, top), (width, height) = best
    return Crop((float(left), float(top), float(width), float(height)), framing.size, size)


def cut_off(crop: Crop, framing: Framing) -> bool:
    """Whether the neck ends up where head or shoulders are cut off by the picture's edge."""
    x, y = crop.place(np.array(framing.neck))
    head = HEAD * framing.shoulder_width * framing.size[1] / crop.box[3]
    return not (STAYS[0] <= x <= STAYS[1] and head <= y <= LOWEST + head)


__all__ = ["NECK", "SHOULDERS", "Crop", "crop_for", "cut_off"]
