"""One motion set into another at a script's times: what stage 1 made of a text, a recording, a single gesture.

The inserted motion comes in and goes out as each line of the script says, rotations by slerp and positions on lines, so
that nothing jumps; where it is not there the other motion is left bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import EMO2Error
from ..motion.edit_blend import HAND_POSITIONS, follow, frame_at, gather, hand_indices, mix, mix_hands
from ..motion.edit_framing import apply_framing
from ..motion.edit_time import resample
from ..types import Motion
from .script import Beat, Script
from .times import clock

TIMINGS = ("in time", "from its beginning")
"""in time: second t of the inserted motion stays second t. from its beginning: each line starts it anew."""


def splice_by_script(
    base: Motion,
    inserted: Motion,
    script: Script,
    hands: str = "both",
    body: bool = True,
    timing: str = "in time",
) -> Motion:
    """`base` with `inserted` in its place wherever a line of the script stands; frame rate, length and framing stay.

    A line's strength up to 1 is the inserted motion's share. hands: whose hands change; body: trunk, head and face
    change too, otherwise only the arms follow the hands. Where the inserted motion is shorter than a line, the line
    ends with it.
    """
    which = hand_indices(hands)
    if timing not in TIMINGS:
        raise EMO2Error("timing", f"one of {', '.join(TIMINGS)}", repr(timing), "Choose one of them.")
    other = apply_framing(resample(inserted, base.fps), base.framing)
    count = len(base)
    times = (np.arange(count) + 0.5) / base.fps
    weight, index = np.zeros(count), np.minimum(np.arange(count), len(other) - 1)
    for beat in script.lines:
        first = min(frame_at(beat.start, base.fps), count) if timing == TIMINGS[1] else 0
        beat = _fitting(beat, base, first / base.fps + other.duration)
        # A motion that lasts as long as the base has nothing to come back to at its end.
        share = beat.presence(times, base.duration)
        here = share > 0
        weight[here] = share[here] * min(beat.strength, 1.0)
        index[here] = np.clip(np.flatnonzero(here) - first, 0, len(other) - 1)
    return _mixed(base, gather(other, index), weight, which, body)


def insert(
    base: Motion,
    inserted: Motion,
    start: float,
    end: float = 0.0,
    blend_in: float = 0.3,
    blend_out: float = 0.3,
    hands: str = "both",
    body: bool = True,
    timing: str = "from its beginning",
) -> Motion:
    """The same for one stretch from `start` to `end` seconds; 0 is the end of the inserted motion, or of the base."""
    until = end or min(base.duration, (start if timing == TIMINGS[1] else 0) + inserted.duration)
    if not 0 <= start < min(until, base.duration):
        inside = f"The motion lasts {base.duration:.3f} s, the inserted one {inserted.duration:.3f} s."
        if end and end <= start < base.duration:
            raise EMO2Error("end_second", f"a time after start_second ({start:g} s)", f"{end:g} s", inside)
        raise EMO2Error("start_second", "a time within the motions", f"{start:g} s", inside)
    beat = _shortened(Beat(start, until, "", 1.0, blend_in, blend_out), until)
    return splice_by_script(base, inserted, Script((beat,)), hands, body, timing)


def _fitting(beat: Beat, base: Motion, available: float) -> Beat:
    """The beat, ended where either motion ends (the inserted one at `available` seconds)."""
    where = f"script, line {beat.line}" if beat.line else "start_second"
    if beat.start >= base.duration - 0.5 / base.fps:
        wanted = f"a time within the motion, which lasts {clock(base.duration)}"
        raise EMO2Error(where, wanted, f"{clock(beat.start)} ({beat.text[:80]})", "Begin it earlier.")
    if beat.start >= available:
        raise EMO2Error(
            where, f"a time within the inserted motion, which lasts {clock(available)}",
            f"{clock(beat.start)} ({beat.text[:80]})",
            f"Insert a longer motion, or choose '{TIMINGS[1]}'.",
        )  # fmt: skip
    return _shortened(beat, min(base.duration, available))


def _shortened(beat: Beat, end: float) -> Beat:
    """The beat ended at `end` at the latest, its blends no longer than it is."""
    end = min(beat.end, end)
    both = beat.blend_in + beat.blend_out
    squeeze = min(1.0, (end - beat.start) / both) if both > 0 else 1.0
    return replace(beat, end=end, blend_in=beat.blend_in * squeeze, blend_out=beat.blend_out * squeeze)


def _mixed(base: Motion, other: Motion, weight: np.ndarray, which: tuple[int, ...], body: bool) -> Motion:
    if not weight.any():
        return base
    if not body:
        return follow(base, mix_hands(base, other, weight, which))
    full = mix(base, other, weight)
    if len(which) == 2:
        return full
    # The hand that stays is the base's, relative to the body that carries it; its arm bends to it.
    keep = 1 - which[0]
    changes = {}
    for name in ("rotations", "visible", *HAND_POSITIONS):
        values = getattr(full, name).copy()
        values[:, keep] = getattr(base, name)[:, keep]
        changes[name] = values
    return follow(full, full.replace(**changes))
