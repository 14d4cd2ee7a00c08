"""From frames that come whenever they like to a constant rate: which frame is on the screen at each instant.

Output frame i shows the instant (i + 0.5) / fps, counted from the first frame, as everywhere in the pack. A frame is on
the screen from its own time until the next one's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TypeVar

from ..audio.timing import frame_count
from ..errors import EMO2Error

T = TypeVar("T")


def check_seconds(start_second: float, end_second: float) -> None:
    """Refuse what are no times."""
    for name, value in (("start_second", start_second), ("end_second", end_second)):
        if not (math.isfinite(value) and value >= 0):
            raise EMO2Error(name, "seconds from 0 on", value, "Give a time inside the video.")


def check_range(start_second: float, end_second: float) -> None:
    """Refuse a stretch of time that cannot be; an end of 0 means the video's."""
    check_seconds(start_second, end_second)
    if 0 < end_second <= start_second:
        raise EMO2Error("end_second", f"0, or a time after {start_second:g} s", end_second, "End later.")


def first_frame(start_second: float, fps: float | Fraction) -> int:
    """The first output frame whose time i / fps is not before `start_second`."""
    return frame_count(start_second, fps) if start_second > 0 else 0


def sampled(
    frames: Iterator[tuple[Fraction, Fraction, T]], fps: Fraction, start_second: float = 0.0, end_second: float = 0.0
) -> Iterator[tuple[Fraction, T, int]]:
    """(time, frame, n) for every frame that is shown: it fills the next n output frames, n at least 1.

    frames: (time, duration, frame) in order of time, seconds since the video's first frame; a time that does not move
    on replaces the frame before. Output frames are those whose i / fps lies in [start_second, end_second); there are
    ceil(duration fps) of them to the end of the last frame. Nothing is read beyond what is needed. EMO2Error: the
    stretch lies behind the end.
    """
    check_range(start_second, end_second)
    at = first_frame(start_second, fps)
    stop = first_frame(end_second, fps) if end_second else None
    if stop is not None and stop <= at:
        given = f"{start_second:g} to {end_second:g} s, between two frames"
        raise EMO2Error("end_second", "a stretch with at least one frame in it", given, "End later.")
    held: tuple[Fraction, Fraction, T] | None = None
    for time, duration, frame in frames:
        if held is not None and time > held[0]:
            upto = _instants_before(time, fps) if stop is None else min(_instants_before(time, fps), stop)
            if upto > at:
                yield held[0], held[2], upto - at
                at = upto
                if at == stop:
                    return
        held = (time if held is None else max(time, held[0]), duration, frame)
    if held is None:
        return
    total = frame_count(held[0] + max(held[1], Fraction(1, 100000)), fps)
    end = total if stop is None else min(total, stop)
    if end > at:
        yield held[0], held[2], end - at
    elif at == first_frame(start_second, fps) and total <= at:
        length = f"{float(held[0] + held[1]):.2f} s"
        raise EMO2Error("start_second", f"a time before the video's end at {length}", start_second, "Start earlier.")


def _instants_before(time: Fraction, fps: Fraction) -> int:
    """How many output frames i have (i + 0.5) / fps < time."""
    return max(math.ceil(time * fps - Fraction(1, 2)), 0)
