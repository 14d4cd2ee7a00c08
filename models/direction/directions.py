"""A script as a model takes it: for every motion token, which text it follows and how strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import EMO2Error
from .config import DEFAULT_TEXT
from .script import Script

TOKEN_RATE = 25 / 4
"""Motion tokens a second: 25 frames a second, four of them a token."""


@dataclass(frozen=True)
class Directions:
    """texts: the one of unscripted stretches, then one for each line of the script, in the order of time.

    rows (n,) int64: which of them token i follows; every line has a row of its own, so that it is known where it begins
    and ends. strength (n,) float32: how strongly, above 0; 1 as usual, and 1 where the script says nothing.
    """

    texts: tuple[str, ...]
    rows: np.ndarray
    strength: np.ndarray

    @classmethod
    def at_tokens(
        cls, script: Script | None, count: int, rate: float = TOKEN_RATE, default: str = DEFAULT_TEXT
    ) -> Directions:
        """Directions for `count` tokens at `rate` tokens a second; token i lasts from i / rate to (i + 1) / rate s.

        A token follows the beat that covers most of it, and a beat shorter than a token the token in which most of it
        lies; a token of which less than half is covered otherwise follows the default text. Its strength is the
        beat's, eased in and out as the script says.
        """
        if count < 1 or not rate > 0:
            raise EMO2Error("tokens", "at least one token and a rate above zero", f"{count} at {rate:g}", "Correct it.")
        lines = () if script is None else script.lines
        rows, strength = np.zeros(count, np.int64), np.ones(count, np.float32)
        edges = np.arange(count + 1) / rate
        covered = np.full(count, 0.5 - 1e-9)
        whole = count / rate if script is None or script.duration is None else script.duration
        for row, beat in enumerate(lines, 1):
            share = (np.minimum(edges[1:], beat.end) - np.maximum(edges[:-1], beat.start)) * rate
            mine = share > covered
            best = int(share.argmax())
            if not mine.any() and share[best] > 0 and covered[best] < 0.5:
                mine[best] = True
            if not mine.any():
                continue
            rows[mine], covered[mine] = row, np.maximum(share[mine], 0.5)
            # The mean over the token: a ramp shorter than a token still counts.
            fine = (edges[:-1][mine, None] + edges[1:][mine, None]) / 2 + (np.arange(8) - 3.5) / (8 * rate)
            inside = (fine >= beat.start) & (fine < beat.end)
            presence = (beat.presence(fine, whole) * inside).sum(1) / np.maximum(inside.sum(1), 1)
            strength[mine] = beat.strength * presence
        # A beat that is not there at all must not be heard of by the tokens beside it either.
        rows[strength == 0], strength[strength == 0] = 0, 1
        return cls((default, *(beat.text for beat in lines)), rows, strength)
