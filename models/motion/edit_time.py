"""Edits in time: frame rate, length, holding a pose, playing a stretch slower or faster, joining two motions."""

from __future__ import annotations

import math

import numpy as np

from ..audio.timing import frame_count
from ..errors import EMO2Error
from ..types import FRAME_FIELDS, Motion
from .edit_blend import (
    at_places,
    envelope,
    fade_in,
    follow,
    frame_at,
    gather,
    hand_indices,
    hands_at_places,
    mix,
    mix_hands,
    number,
    stretch,
)
from .edit_framing import apply_framing


def resample(motion: Motion, fps: float) -> Motion:
    """The motion at another frame rate, as long as before: ceil(duration x fps) frames.

    Rotations by slerp, positions on lines, visibility from the nearest frame. Frame j of the result shows the instant
    (j + 0.5) / fps, so that it stays with the sound.
    """
    fps = number("fps", fps, 1, 1000, "frames a second")
    if fps == motion.fps:
        return motion
    count = frame_count(motion.duration, fps)
    places = (np.arange(count) + 0.5) * (motion.fps / fps) - 0.5
    return at_places(motion, places).replace(fps=fps)


def pad_to(motion: Motion, count: int) -> Motion:
    """The motion with exactly `count` frames: cut at its end, or its last frame held."""
    count = int(number("frame_count", count, 1, math.inf, "frames"))
    if count == len(motion):
        return motion
    return gather(motion, np.minimum(np.arange(count), len(motion) - 1))


def change_speed(motion: Motion, left: float = 1.0, right: float = 1.0, ending: str = "there and back") -> Motion:
    """Each hand played at its own speed (1 as it is, 2 twice as fast), from the first frame; the length stays.

    A hand that is faster than the clip runs out of motion: with `ending` "there and back" it turns round and plays
    backwards, and so on; with "hold" it keeps its last pose. A slower hand shows only the first part of its motion.
    """
    speeds = np.array([number("speed_left", left, 0, 100), number("speed_right", right, 0, 100)])
    if ending not in ENDINGS:
        raise EMO2Error("ending", f"one of {', '.join(ENDINGS)}", repr(ending), "Choose one of them.")
    if (speeds == 1).all():
        return motion
    places = np.arange(len(motion))[:, None] * speeds
    last = len(motion) - 1
    if ending == "there and back" and last:
        places = last - np.abs(places % (2 * last) - last)
    return hands_at_places(motion, places)


ENDINGS = ("there and back", "hold")


def hold(
    motion: Motion,
    start_second: float,
    end_second: float = 0.0,
    hands: str = "both",
    blend_seconds: float = 0.2,
    body: bool = False,
) -> Motion:
    """Freeze the pose of the stretch's first frame until its end, easing back into the motion in its last
    `blend_seconds`. Frames outside the stretch are untouched. `body`: the body, its points and the face are held too.
    """
    first, stop = stretch(motion, start_second, end_second)
    blend = frame_at(number("blend_seconds", blend_seconds, 0, 60, "seconds"), motion.fps)
    index = np.arange(len(motion))
    index[first:stop] = first
    still = gather(motion, index)
    weight = envelope(len(motion), first, stop, blend, rise=False)
    if body and hands == "both":
        return mix(motion, still, weight)
    return follow(motion, mix_hands(motion, still, weight, hand_indices(hands)))


def retime(
    motion: Motion,
    start_second: float,
    end_second: float,
    new_seconds: float,
    keep_length: bool = True,
    blend_seconds: float = 0.2,
) -> Motion:
    """Play a stretch in `new_seconds` instead of its own length. Order is kept: nothing is skipped or run backwards.

    `keep_length`: the whole motion keeps its frame count, what follows the stretch is played so much faster or slower;
    otherwise what follows keeps its speed and the motion becomes longer or shorter. `blend_seconds` eases the change of
    speed. Frames before the stretch are untouched.
    """
    first, stop = stretch(motion, start_second, end_second)
    new = frame_at(number("new_seconds", new_seconds, 0, 3600, "seconds"), motion.fps)
    number("new_seconds", new, 1, math.inf, "frames")
    after = len(motion) - stop
    rest = after
    if keep_length:
        rest = len(motion) - first - new
        room = (len(motion) - first - bool(after)) / motion.fps
        number("new_seconds", new / motion.fps, 0, room, "seconds (what is left of the motion when keep_length is on)")
        if after == 0 and rest:
            # Nothing follows that could make up for the difference: the last pose stands.
            return pad_to(retime(motion, start_second, end_second, new_seconds, False, blend_seconds), len(motion))
    speed = np.concatenate([np.full(new, (stop - first) / new), np.full(rest, after / rest if rest else 1.0)])
    blend = frame_at(number("blend_seconds", blend_seconds, 0, 60, "seconds"), motion.fps)
    width = 2 * min(blend // 2, max(new // 2, 1), max(rest // 2, 1) if rest else new) + 1
    padded = np.pad(speed, width // 2, mode="edge")
    speed = np.convolve(padded, np.full(width, 1 / width), mode="valid")
    # Frame j stands half a frame into its own step; the sum of all steps is exactly what there is to play.
    speed *= (len(motion) - first) / speed.sum()
    places = first - 0.5 + np.cumsum(speed) - speed / 2
    if np.allclose(speed, 1, atol=1e-9):
        return motion
    return at_places(motion, np.concatenate([np.arange(first), places]))


def splice(
    first: Motion,
    second: Motion,
    at_second: float = 0.0,
    from_second: float = 0.0,
    blend_seconds: float = 0.2,
) -> Motion:
    """`first` up to `at_second` (0: all of it), then `second` from its `from_second` on.

    During `blend_seconds` after the cut the first one plays on (or stands, past its end) and fades into the second.
    The second motion takes on the first one's frame rate and framing.
    """
    second = apply_framing(resample(second, first.fps), first.framing)
    whole = first.duration
    cut = frame_at(number("at_second", at_second, 0, whole, "seconds") or whole, first.fps)
    skip = frame_at(number("from_second", from_second, 0, second.duration, "seconds"), first.fps)
    number("at_second", cut / first.fps, 1 / first.fps, whole, "seconds (at least one frame)")
    number("from_second", skip / first.fps, 0, (len(second) - 1) / first.fps, "seconds (before the second one's end)")
    tail = second.frames(skip, len(second))
    blend = frame_at(number("blend_seconds", blend_seconds, 0, 60, "seconds"), first.fps)
    return join(first.frames(0, cut), fade_in(first, cut, tail, blend))


def join(first: Motion, second: Motion) -> Motion:
    """One motion after the other, frame for frame; both have one frame rate and framing."""
    return first.replace(**{n: np.concatenate([getattr(first, n), getattr(second, n)]) for n in FRAME_FIELDS})
