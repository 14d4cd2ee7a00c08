"""A speech with things done in it that were asked for: which, when, and in which words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Framing
from ..described import Described
from .actions import ACTIONS, Action, act
from .identity import split_rng
from .legs import on_its_feet
from .performance import Performance, perform
from .phrasings import describe, describe_briefly, describe_speech

LONGEST = 4.9
"""Seconds that no action takes longer than."""
AROUND = 0.35
"""Seconds of plain speech at the least before, after and between actions."""
PLAIN = 0.6
"""Seconds of plain speech that are worth a description."""


def direct(
    seed: int,
    split: str,
    framing: Framing,
    *,
    seconds: float | None = None,
    actions: Sequence[Action] | None = None,
) -> Performance:
    """The speech of puppet `seed` with actions in it; the same for the same arguments.

    actions: one after the other, each at a time of its own (None: one or two are drawn). seconds: of the performance
    (None: as long as the actions leave a moment of speech around them). Voice, words and gestures are those of
    `perform` with the same seed and length in the style "speaking". EMO2Error where the actions do not fit in.
    """
    rng = split_rng(seed, split, 10)
    drawn = [ACTIONS[int(i)] for i in rng.choice(len(ACTIONS), 1 + int(rng.random() < 0.5), replace=False)]
    asked = drawn if actions is None else list(actions)
    least = AROUND + len(asked) * (LONGEST + AROUND)
    length = least + float(rng.uniform(0.3, 2.5)) if seconds is None else seconds
    if length < least:
        wanted = f"at least {least:.1f} s for {len(asked)} actions"
        raise EMO2Error("seconds", wanted, f"{length:.1f} s", "Ask for more seconds or fewer actions.")
    performance = on_its_feet(perform(seed, split, framing, seconds=round(length * 25) / 25, style="speaking"))
    # What the actions do not need of the time is shared out before, between and after them.
    spare = (length - least) * rng.dirichlet(np.ones(len(asked) + 1))
    at = 0.0
    for action, extra in zip(asked, spare):
        performance = act(performance, action, at + AROUND + float(extra), rng)
        at = performance.acted[-1].end
    return performance


def descriptions(performance: Performance, split: str, rng: np.random.Generator, brief: float = 0.0) -> list[Described]:
    """What happens in a directed performance, in order, in words of a split: its actions and the speech between them.

    brief: share of the actions that are told without their place and count.
    """
    told, at, end = [], 0.0, performance.motion.duration
    for acted in sorted(performance.acted, key=lambda acted: acted.start):
        if acted.start - at >= PLAIN:
            told.append(Described(describe_speech(split, rng), at, acted.start))
        say = describe_briefly if rng.random() < brief else describe
        told.append(Described(say(acted.action, split, rng), acted.start, acted.end))
        at = acted.end
    if end - at >= PLAIN or not told:
        told.append(Described(describe_speech(split, rng), at, end))
    return told
