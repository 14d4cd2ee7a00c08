"""Samples of the branches' trainings: windows of motion tokens, which of them are masked, what is told and heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..models.direction.conditions import FAR, span_edges
from ..models.direction.config import DEFAULT_TEXT, SOUND_STEPS, BranchConfig
from ..models.direction.text import Pieces
from .directed_clips import DirectedClip, Drawn, Saying
from .recipe import sample_rng
from .weighted import WeightedDraw


@dataclass(frozen=True)
class MaskOptions:
    """window: tokens of a sample (0: the config's). texts: most texts in a window, the default one beside them.
    pieces: most pieces of a text. drop_text, drop_sound: how often a condition is left out, for guidance; drop_all: how
    often both are, where there is a sound. carried: how often the window's beginning is given, as the window before
    gives it in sampling. swapped: share of the masked tokens that show a random code instead, and as many their own
    (BERT's 80/10/10). default: how often a saying about nothing but speech becomes the default text."""

    window: int = 0
    texts: int = 4
    pieces: int = 32
    drop_text: float = 0.1
    drop_sound: float = 0.1
    drop_all: float = 0.1
    carried: float = 0.25
    swapped: float = 0.1
    default: float = 0.5

    def __post_init__(self) -> None:
        shares = (self.drop_text, self.drop_sound, self.drop_all, self.carried, self.default)
        if self.window < 0 or self.texts < 1 or self.pieces < 3:
            raise ValueError("window must be 0 or more, texts 1 or more, pieces 3 or more")
        if not all(0 <= share <= 1 for share in shares) or not 0 <= self.swapped <= 0.5:
            raise ValueError("shares must lie between 0 and 1, swapped up to 0.5")

    @classmethod
    def names(cls) -> list[str]:
        return [f.name for f in fields(cls)]


class MaskedWindows(Dataset[dict[str, Tensor]]):
    """Sample i, the same for the same (seed, i). n tokens, Q levels, K = texts + 1 texts of L pieces:

    codes (Q, n), shown (n,) with `codes` (the mask) where one is to be found, masked (n,) bool, valid (n,) bool, level
    () 1..Q-1 (0 without residual levels), pieces (K, L) and piece_mask (K, L), rows (n,), edges (n, 2), keep_text ();
    with `sound`: sound (8 n, L', D) float32 and keep_sound ().
    """

    def __init__(
        self, sources: Sequence[Drawn], config: BranchConfig, pieces: Pieces, options: MaskOptions, seed: int,
        sound: bool = False, speech: Sequence[str] = (),
    ):  # fmt: skip
        """sound: whether samples have one, of the config's sizes. speech: sayings about nothing but speech."""
        self.sources, self.config, self.pieces, self.options = list(sources), config, pieces, options
        self.seed, self.sound, self.speech = seed, sound, frozenset(speech) | {DEFAULT_TEXT}
        self.window = options.window or config.window
        self.draw = WeightedDraw(self.sources)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        place = self.draw(rng)
        clips = self.sources[place].clips
        return self.sample(clips[int(rng.integers(len(clips)))], rng)

    def sample(self, clip: DirectedClip, rng: np.random.Generator) -> dict[str, Tensor]:
        """A window of a clip, all choices from `rng`."""
        o, total, config = self.options, self.window, self.config
        begin = int(rng.integers(max(len(clip) - total, 0) + 1))
        length = min(total, len(clip) - begin)
        codes = np.zeros((config.levels, total), np.int64)
        codes[:, :length] = clip.codes[: config.levels, begin : begin + length]
        valid = np.arange(total) < length
        masked = self._masked(length, rng) & valid
        texts, rows, edges = self._told(clip, begin, length, rng)
        numbers, shown = self.pieces.cut(texts, min(o.pieces, self.pieces.length))
        sample: dict[str, Any] = {
            "codes": codes, "valid": valid, "masked": masked, "shown": self._shown(codes[0], masked, rng),
            "level": np.int64(rng.integers(1, config.levels) if config.levels > 1 else 0),
            "pieces": numbers, "piece_mask": shown, "rows": rows, "edges": edges.astype(np.float32),
            "keep_text": np.bool_(rng.random() >= o.drop_text),
        }  # fmt: skip
        if self.sound:
            heard = np.zeros((total * SOUND_STEPS, config.audio_layers, config.audio_width), np.float32)
            if clip.sound is not None:
                heard[: length * SOUND_STEPS] = clip.sound[begin * SOUND_STEPS : (begin + length) * SOUND_STEPS]
            sample["sound"] = heard
            some = rng.random() >= o.drop_all
            sample["keep_sound"] = np.bool_(some and rng.random() >= o.drop_sound and clip.sound is not None)
            sample["keep_text"] = np.bool_(some and sample["keep_text"])
        return {name: torch.as_tensor(value) for name, value in sample.items()}

    def _masked(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """(window,) bool: a share cos(pi / 2 u) of the tokens, u even in 0..1, at least one (MoMask, equation 4)."""
        order = rng.permutation(length)
        kept = 0
        if rng.random() < self.options.carried and length > 1:
            kept = min(self.config.overlap, length - 1)
            order = order[order >= kept]
        count = max(1, round(np.cos(np.pi / 2 * rng.random()) * len(order)))
        masked = np.zeros(self.window, bool)
        masked[order[:count]] = True
        return masked

    def _shown(self, codes: np.ndarray, masked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What the network sees: the mask, a random code, or the code itself."""
        draw, swapped = rng.random(len(codes)), self.options.swapped
        wrong = rng.integers(0, self.config.codes, len(codes))
        hidden = np.where(draw < swapped, wrong, np.where(draw < 2 * swapped, codes, self.config.codes))
        return np.where(masked, hidden, codes)

    def _told(
        self, clip: DirectedClip, begin: int, length: int, rng: np.random.Generator
    ) -> tuple[list[str], np.ndarray, np.ndarray]:
        """K texts, the default one first, which of them each token follows, and the edges, told from the whole clip."""
        most = self.options.texts
        chosen = [self._choice(saying, rng) for saying in clip.sayings]
        rows = rows_of(clip.sayings, len(clip))
        for number, text in enumerate(chosen):
            if text == DEFAULT_TEXT:
                rows[rows == number + 1] = 0
        edges = span_edges(rows)
        here, edges = rows[begin : begin + length], edges[begin : begin + length]
        used = [int(row) for row in dict.fromkeys(here.tolist()) if row][:most]
        here = np.where(np.isin(here, used), here, 0)
        edges[here == 0] = FAR
        texts = [DEFAULT_TEXT, *(chosen[row - 1] for row in used)]
        numbered = np.zeros(len(chosen) + 1, np.int64)
        numbered[used] = np.arange(1, len(used) + 1)
        rows, full = np.zeros(self.window, np.int64), np.zeros((self.window, 2), np.int64)
        rows[:length], full[:length] = numbered[here], edges
        return texts + [""] * (most + 1 - len(texts)), rows, full

    def _choice(self, saying: Saying, rng: np.random.Generator) -> str:
        text = saying.choices[int(rng.integers(len(saying.choices)))]
        plain = rng.random() < self.options.default
        return DEFAULT_TEXT if plain and text in self.speech else text


def rows_of(told: Sequence[Saying], count: int) -> np.ndarray:
    """(count,) int64: for each token the saying, from 1 on, in whose span its middle lies; 0 for none. Of two, the one
    that began later."""
    middle = np.arange(count) + 0.5
    rows = np.zeros(count, np.int64)
    for number, saying in enumerate(told):
        rows[(middle >= saying.start) & (middle < saying.end)] = number + 1
    return rows
