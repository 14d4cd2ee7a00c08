"""Samples for the relation bank: whole bodies with their tokens, and their 2D poses, seen or projected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..models.body import WholeBody
from ..models.body.tokenizer import MotionTokenizer
from ..models.direction.bank import FPS, NORMAL, BankClip
from ..models.errors import EMO2Error
from .body_clips import beat2, puppet_body


def puppet_clips(
    tokenizer: MotionTokenizer, count: int, seed: int = 0, split: str = "train", speech: float = 0.3
) -> Iterator[BankClip]:
    """Clips of `count` puppets: what they do, and their 2D poses as they stand in their pictures.

    speech: about the share of puppets that only talk; the others also do one or two actions.
    """
    from .puppets.directed import direct
    from .puppets.legs import on_its_feet
    from .puppets.performance import perform
    from .puppets.world import draw_framing

    for number in range(seed, seed + count):
        framing = draw_framing(number, split, "full")
        # Evenly spread, whatever the count.
        plain = int((number + 1) * speech) > int(number * speech)
        made = (
            on_its_feet(perform(number, split, framing, style="speaking")) if plain else direct(number, split, framing)
        )
        # What a detector would miss would be missing from every motion that is made of it.
        motion = made.motion.replace(visible=None, confidence=None)
        yield BankClip(motion, codes_of(tokenizer, puppet_body(made)))


def beat2_clips(tokenizer: MotionTokenizer, folder: Path | str) -> Iterator[BankClip]:
    """Clips of BEAT2's recordings, whose 2D poses are projected: no picture of them is published."""
    source = beat2(folder, fps=FPS)
    for index in range(source.count):
        body = source.clip(index).body
        yield BankClip(body.to_motion(NORMAL), codes_of(tokenizer, body), projected=True)


def codes_of(tokenizer: MotionTokenizer, body: WholeBody) -> np.ndarray:
    """The first codebook's tokens (n,) of a body."""
    return tokenizer.tokens(body)[0]


def check_rate(tokenizer: MotionTokenizer, where: str) -> None:
    """A bank's frames and the tokenizer's must be the same."""
    if tokenizer.config.fps != FPS:
        given = f"{tokenizer.config.fps:g}"
        raise EMO2Error(where, f"a tokenizer of {FPS:g} frames a second", given, "Choose another one.")
