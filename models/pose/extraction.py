"""Watching a video with a detector of people: who is seen when, followed over time, and the points of a chosen one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from ..errors import EMO2Error
from ..video.mp4 import exact_fps
from ..video.read_frames import Frames, scaled_size
from ..video.sampling import first_frame
from .appearance import colours_of
from .detection import Detector, Seen
from .keypoint_motion import Points
from .sides import repair_sides
from .tracking import Tracks, by_index, by_place, raw_points, track

KEPT, KEPT_SIDE = 12, 512
"""Pictures that are kept to be looked at, at most twice as many, and their longest side."""


@dataclass(frozen=True)
class Watched:
    """What a detector saw in a stretch of video.

    people: whoever is in each of D distinct pictures; times (D,) seconds from the video's first frame; looks: the
    colours of everybody. shown (F,): the picture on the screen in each frame of the constant rate `fps`. size (H, W) of
    the video. start: seconds at which frame 0 begins. kept: some of the pictures (h, w, 3)
    uint8 by their place among the D.
    """

    people: list[list[Seen]]
    times: np.ndarray
    looks: list[list[np.ndarray]]
    shown: np.ndarray
    fps: Fraction
    size: tuple[int, int]
    start: Fraction
    kept: dict[int, np.ndarray]

    @property
    def aspect(self) -> float:
        return self.size[1] / self.size[0]

    @property
    def seconds(self) -> Fraction:
        """How long the stretch lasts."""
        return len(self.shown) / self.fps


def watch(
    frames: Frames,
    detector: Detector,
    fps: float = 0.0,
    start_second: float = 0.0,
    end_second: float = 0.0,
    longest_side: int = 0,
    on_frames: Callable[[int], None] | None = None,
) -> Watched:
    """Show a detector every distinct picture of a stretch of video once, block by block.

    fps: frames a second of the result, 0 the video's own. longest_side: pictures are no larger for the detector.
    on_frames(n) is called after every block of n frames and may raise to stop.
    """
    people: list[list[Seen]] = []
    looks: list[list[np.ndarray]] = []
    times: list[np.ndarray] = []
    repeats: list[np.ndarray] = []
    kept: dict[int, np.ndarray] = {}
    stride = 1
    detector.reset()
    for block in frames.blocks(fps, start_second, end_second, longest_side):
        seen = detector.detect(block.pictures)
        if len(seen) != len(block.pictures):
            given = f"{len(seen)} from {detector.name}"
            raise EMO2Error("detector", f"people of {len(block.pictures)} pictures", given, "Use another detector.")
        looks += colours_of(block.pictures, seen)
        for i, picture in enumerate(block.pictures):
            if (len(people) + i) % stride == 0:
                kept[len(people) + i] = _small(picture)
        people += seen
        times.append(block.times)
        repeats.append(block.repeats)
        while len(kept) > 2 * KEPT:
            stride *= 2
            kept = {place: picture for place, picture in kept.items() if place % stride == 0}
        if on_frames:
            on_frames(int(block.repeats.sum()))
    rate = exact_fps(fps) if fps else frames.rate
    if not people:
        raise EMO2Error("end_second", "a stretch with at least one frame in it", "none", "End later.")
    shown = np.repeat(np.arange(len(people)), np.concatenate(repeats))
    start = first_frame(start_second, rate) / rate
    return Watched(people, np.concatenate(times), looks, shown, rate, frames.size, start, kept)


def _small(picture: np.ndarray) -> np.ndarray:
    import cv2

    size = scaled_size((picture.shape[0], picture.shape[1]), KEPT_SIDE)
    return (
        picture.copy() if picture.shape[:2] == size else cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
    )


def identities(watched: Watched) -> Tracks:
    """Everybody in the stretch, followed over time, the most prominent first."""
    return track(watched.people, watched.times, watched.aspect, watched.looks)


def choose(
    watched: Watched, tracks: Tracks, person: int, place: tuple[float, float] | None = None, second: float = 0.0
) -> int:
    """The person at a place of the picture at a time (seconds from the video's first frame), or of that number."""
    if place is None:
        return by_index(tracks, person)
    return by_place(tracks, watched.people, watched.times, place, second, watched.aspect)


def points_of(watched: Watched, tracks: Tracks, person: int) -> Points:
    """A person's points in each of the F frames of the constant rate, with their scores as the detector gave them.

    Sides that were exchanged for some frames are put right; frames without the person are zeros.
    """
    found = repair_sides(raw_points(watched.people, tracks.seats[:, person]), watched.times, watched.aspect)
    return Points(*(array[watched.shown] for array in found))
