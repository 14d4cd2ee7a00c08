"""What directs the masked transformer: texts that change over time with their strengths, and the sound."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import EMO2Error
from ..types import AudioFeatures
from .config import DEFAULT_TEXT, SOUND_STEPS
from .text import TextEncoder, TextFeatures


@dataclass(frozen=True)
class Told:
    """The texts of a batch: of each of B samples K texts of L pieces, and which of them each of n tokens follows.

    tokens (B, K, L, C), mask (B, K, L) bool, pooled (B, K, C): as `TextFeatures`. rows (B, n) int: 0..K-1.
    edges (B, n, 2): tokens since the text's beginning and until its end. keep (B,) bool: False where no text is given.
    """

    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    rows: Tensor
    edges: Tensor
    keep: Tensor


@dataclass(frozen=True)
class Heard:
    """The sound of a batch: hidden states (B, 8 n, L, D) of a voice encoder, eight a token; keep (B,) bool: False where
    no sound is given."""

    states: Tensor
    keep: Tensor


@dataclass(frozen=True)
class Conditions:
    """What `sample` is asked for, of a motion of n tokens.

    encoded: the features of K texts, of which row 0 is the default text. texts (n,) int: which row each token follows;
    a line of a script has a row of its own, so that its beginning and end are known. strength (n,) from 0 up: 0 is the
    default text alone, 1 the token's own, more goes beyond it. sound (8 n, L, D): hidden states, or None for silence.
    edges (n, 2): see `Told`; from the rows where it is not given.
    """

    encoded: TextFeatures
    texts: np.ndarray
    strength: np.ndarray | None = None
    sound: Tensor | None = None
    edges: np.ndarray | None = None

    def __post_init__(self) -> None:
        texts = np.asarray(self.texts)
        count, rows = len(texts), len(self.encoded)
        if texts.ndim != 1 or not np.issubdtype(texts.dtype, np.integer) or (count and not texts.min() >= 0):
            raise EMO2Error("directions.texts", "one row a token (n,)", f"shape {texts.shape}", "Give whole numbers.")
        if count and texts.max() >= rows:
            raise EMO2Error("directions.texts", f"rows below {rows}", int(texts.max()), "Give a text for each row.")
        strength = np.ones(count) if self.strength is None else np.asarray(self.strength, np.float64)
        if strength.shape != (count,) or not np.isfinite(strength).all() or (count and strength.min() < 0):
            raise EMO2Error("directions.strength", f"{count} numbers from 0 up", strength, "Give one for each token.")
        if self.sound is not None and (self.sound.ndim != 3 or len(self.sound) != count * SOUND_STEPS):
            given = f"shape {tuple(self.sound.shape)}"
            raise EMO2Error("directions.sound", f"shape ({count * SOUND_STEPS}, L, D)", given, "Use `listen`.")
        edges = span_edges(texts) if self.edges is None else np.asarray(self.edges)
        if edges.shape != (count, 2):
            raise EMO2Error("directions.edges", f"shape ({count}, 2)", edges.shape, "Leave it out.")
        for name, value in (("texts", texts), ("strength", strength.astype(np.float32)), ("edges", edges)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.texts)

    def window(self, start: int, stop: int) -> Conditions:
        """The part from token `start` to `stop`, with the texts that are used there and the default one."""
        texts = self.texts[start:stop]
        used = np.unique(np.concatenate([[0], texts]))
        strength, edges = self._known()
        sound = None if self.sound is None else self.sound[start * SOUND_STEPS : stop * SOUND_STEPS]
        return Conditions(
            self.encoded.rows(torch.from_numpy(used)), np.searchsorted(used, texts), strength[start:stop], sound,
            edges[start:stop],
        )  # fmt: skip

    def told(self, like: Tensor, default: bool = False) -> Told:
        """The texts as a batch of one; `default`: as if every token followed the default text."""
        encoded = self.encoded.to(like)
        rows, edges = self.texts, self._known()[1]
        if default:
            rows, edges = np.zeros_like(rows), span_edges(np.zeros_like(rows))
        return Told(
            encoded.tokens[None], encoded.mask[None], encoded.pooled[None],
            torch.from_numpy(rows.astype(np.int64)).to(like.device)[None],
            torch.from_numpy(edges.astype(np.float32)).to(like)[None],
            torch.ones(1, dtype=torch.bool, device=like.device),
        )  # fmt: skip

    def heard(self, like: Tensor) -> Heard | None:
        """The sound as a batch of one."""
        if self.sound is None:
            return None
        return Heard(self.sound.to(like)[None], torch.ones(1, dtype=torch.bool, device=like.device))

    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Strength and edges, which are always there after the checks."""
        assert self.strength is not None and self.edges is not None
        return self.strength, self.edges


FAR = 10_000
"""Tokens from the default text to its beginning and end: it has neither."""


def span_edges(rows: np.ndarray) -> np.ndarray:
    """(n, 2) int: of rows (n,), tokens since the run of the same row began and until it ends (0 at its first and last
    token); FAR both for row 0, the default text."""
    rows = np.asarray(rows)
    count = len(rows)
    if not count:
        return np.zeros((0, 2), np.int64)
    change = np.flatnonzero(np.diff(rows)) + 1
    begins, ends = np.concatenate([[0], change]), np.concatenate([change, [count]]) - 1
    run = np.searchsorted(begins, np.arange(count), side="right") - 1
    at = np.arange(count)
    edges = np.stack([at - begins[run], ends[run] - at], axis=1)
    edges[rows == 0] = FAR
    return edges


def listen(features: AudioFeatures, rate: float, count: int, start: int = 0) -> Tensor:
    """Hidden states (8 count, L, D) float32 for tokens start..start+count-1 at `rate` tokens a second; 0 past the end.

    Half-precision on a disk stays there but for what is asked.
    """
    states = features.at_frames(rate * SOUND_STEPS, start * SOUND_STEPS, count * SOUND_STEPS)
    return torch.from_numpy(np.ascontiguousarray(states[:, 0]))


def conditions(
    encoder: TextEncoder,
    lines: list[str],
    texts: Any,
    strength: Any = None,
    features: AudioFeatures | None = None,
    rate: float = 6.25,
) -> Conditions:
    """Conditions from plain texts: `texts` (n,) is 0 where the default text holds, and i for the line i - 1."""
    made = Conditions(encoder.encode([DEFAULT_TEXT, *lines]), np.asarray(texts), strength)
    return made if features is None else replace(made, sound=listen(features, rate, len(made)))
