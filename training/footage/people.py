"""Who is in a clip, and whom it is kept for: whoever speaks, else the largest and most central one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...models.maps.face import LIPS
from ...models.pose.appearance import colours_of
from ...models.pose.body import SHOULDERS
from ...models.pose.cleaning import Cleaning, clean_points, shoulder_unit
from ...models.pose.detection import Detector, Seen
from ...models.pose.keypoint_motion import Points
from ...models.pose.sides import repair_sides
from ...models.pose.tracking import Tracks, known_points, raw_points, track
from .camera import Camera
from .face import INNER_GAP, SIDES
from .reading import Footage

DETECT_SIDE = 1280
"""Longest side of the pictures that a detector sees."""
CLEANING = Cleaning(limb_lengths=False, smooth_hz=0, longest_gap=0.2)
"""Swaps, outliers and the shortest gaps: what is wrong goes, and what moves is not smoothed away."""
LIVELY = 2.0
"""How much more somebody counts whose lips go with the sound wholly."""


@dataclass(frozen=True)
class Watched:
    """What was seen in F frames: people in each, their colours, the camera's way, the picture's size (H, W)."""

    people: list[list[Seen]]
    looks: list[list[np.ndarray]]
    camera: Camera
    size: tuple[int, int]

    @property
    def aspect(self) -> float:
        return self.size[1] / self.size[0]


def watch(
    footage: Footage, first: int, stop: int, detector: Detector, on_frame: Callable[[int], None] = lambda count: None
) -> Watched:
    """Detect people in frames first..stop-1. A picture that fills several frames is looked at once."""
    detector.reset()
    people: list[list[Seen]] = []
    looks: list[list[np.ndarray]] = []
    camera = Camera(footage.fps)
    for pictures, repeats in footage.blocks(first, stop, DETECT_SIDE):
        found = detector.detect(pictures)
        colours = colours_of(pictures, found)
        for picture, crowd, colour, times in zip(pictures, found, colours, repeats):
            for _ in range(times):
                camera.take(len(people), picture, np.array([seen.box for seen in crowd]))
                people.append(crowd)
                looks.append(colour)
        on_frame(int(repeats.sum()))
    return Watched(people, looks, camera, footage.size)


def follow(watched: Watched, fps: float) -> Tracks:
    """Everybody in the clip, the most prominent first."""
    times = np.arange(len(watched.people)) / fps
    return track(watched.people, times, watched.aspect, watched.looks)


def choose(watched: Watched, tracks: Tracks, waveform: np.ndarray | None, fps: float) -> int:
    """The person whom the clip is kept for: the most prominent one, lips that go with the sound counting for more."""
    if len(tracks) < 2 or waveform is None:
        return 0
    heard = _loudness(waveform, len(watched.people), fps)
    worth = []
    for person in range(len(tracks)):
        points = raw_points(watched.people, tracks.seats[:, person])
        worth.append(tracks.weight[person] * (1 + LIVELY * _speaks(points, heard, fps)))
    return int(np.argmax(worth))


def points_of(watched: Watched, tracks: Tracks, person: int, fps: float) -> Points:
    """The chosen person's points, normalised to the picture, cleaned of errors; what is not known has score 0."""
    found = known_points(raw_points(watched.people, tracks.seats[:, person]))
    found = repair_sides(found, np.arange(len(watched.people)) / fps, watched.aspect)
    return clean_points(found, fps, watched.size, CLEANING)[0]


def boxes_of(watched: Watched, tracks: Tracks, person: int) -> np.ndarray:
    """(F, 4) the person's boxes, NaN where they are missing."""
    boxes = np.full((len(watched.people), 4), np.nan)
    for frame, seat in enumerate(tracks.seats[:, person]):
        if seat >= 0:
            boxes[frame] = watched.people[frame][seat].box
    return boxes


def overlapped(watched: Watched, tracks: Tracks, person: int) -> np.ndarray:
    """(F,) the share of the person's box that lies in somebody else's, 0 where they are missing."""
    own = boxes_of(watched, tracks, person)
    share = np.zeros(len(own))
    for other in range(len(tracks)):
        if other == person:
            continue
        theirs = boxes_of(watched, tracks, other)
        low, high = np.maximum(own[:, :2], theirs[:, :2]), np.minimum(own[:, 2:], theirs[:, 2:])
        both = np.prod(np.maximum(high - low, 0), axis=1)
        area = np.prod(np.maximum(own[:, 2:] - own[:, :2], 1e-6), axis=1)
        share = np.fmax(share, both / area)
    return np.nan_to_num(share)


def leaps(points: Points, size: tuple[int, int]) -> np.ndarray:
    """(F - 1,) how far neck and nose jump between two frames, in shoulder widths; 0 where they are not known."""
    both = (points.body_scores[:, SHOULDERS] > 0).all(1)
    if not both.any():
        return np.zeros(len(points.body) - 1)
    moved = np.linalg.norm(np.diff(points.body[:, [0, 1]], axis=0) * shoulder_unit(points, size), axis=-1)
    known = (points.body_scores[1:, [0, 1]] > 0) & (points.body_scores[:-1, [0, 1]] > 0)
    return np.where(known.all(1), np.min(moved, axis=1), 0.0)


def _loudness(waveform: np.ndarray, count: int, fps: float) -> np.ndarray:
    from ..puppets.mouth import mouth_shapes

    opening = mouth_shapes(waveform, fps)[:, 0]
    return np.pad(opening, (0, max(count - len(opening), 0)))[:count]


def _speaks(points: Points, heard: np.ndarray, fps: float) -> float:
    """How well lips go with the sound, 0..1: the correlation of openings within a fifth of a second."""
    known = (points.face_scores[:, LIPS] > 0).all(1) & (points.face_scores[:, SIDES] > 0).all(1)
    if known.sum() < fps or heard[known].std() < 1e-6:
        return 0.0
    gap = np.max([np.linalg.norm(points.face[:, a] - points.face[:, b], axis=-1) for a, b in INNER_GAP], axis=0)
    times = np.arange(len(gap))
    gap = np.interp(times, times[known], gap[known])
    best = 0.0
    for shift in range(-round(0.2 * fps), round(0.2 * fps) + 1):
        a, b = gap[max(shift, 0) : len(gap) + min(shift, 0)], heard[max(-shift, 0) : len(gap) + min(-shift, 0)]
        if len(a) > 2 and a.std() > 1e-9 and b.std() > 1e-9:
            best = max(best, float(np.corrcoef(a, b)[0, 1]))
    return best


__all__ = ["Watched", "boxes_of", "choose", "follow", "leaps", "overlapped", "points_of", "watch"]
