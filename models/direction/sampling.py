"""Motion tokens from texts and sound: iterative confidence decoding with classifier-free guidance, window by window.

All tokens of a window begin masked. At each step the network says them all at once; the surest stay, the others are
masked again, fewer from step to step along a cosine (MaskGIT, Chang et al. 2022, section 3.2; MoMask, section 3.3).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..errors import EMO2Error
from .branches import MotionBranch, TwoBranch
from .conditions import Conditions, Heard, Told

FREE = -1
"""What stands in `fixed` where a token is to be found."""


@torch.no_grad()
def sample(
    model: MotionBranch | TwoBranch,
    conditions: Conditions,
    n: int,
    *,
    steps: int = 18,
    guidance: float = 3.0,
    audio_guidance: float | None = None,
    temperature: float = 0.6,
    seed: int = 0,
    fixed: np.ndarray | None = None,
    top: float = 0.9,
    codebooks: Tensor | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Codes (levels, n) int64 of a motion that follows `conditions`; the same seed gives the same codes.

    model: in evaluation mode, a text branch alone or both. steps: of each window. guidance: how far from what would be
    made without text and sound, 1 not at all. audio_guidance: the same for the sound alone; as `guidance` by default.
    temperature: of the draws, 0 always takes the likeliest code. fixed (n,) or (levels, n): codes that must stand, -1
    where free (in-painting); only level 0 is looked at. top: draws are among the likeliest codes that are 1 - top of
    all. codebooks (levels, codes, C): the tokenizer's; with them the levels behind level 0 are not drawn: each takes
    the code nearest to the expected vector, the one of least squared error. on_step(done, total) is called after each
    step of each window.

    A motion longer than the config's window is made in windows whose first `overlap` tokens the one before has made.
    """
    if n != len(conditions):
        raise EMO2Error("directions", f"conditions of {n} tokens", len(conditions), "Make them anew.")
    for name, value, low in (("steps", steps, 1), ("guidance", guidance, 0), ("temperature", temperature, 0)):
        if not value >= low or not math.isfinite(value):
            raise EMO2Error(name, f"a number from {low} up", value, "Change it.")
    config = model.config if isinstance(model, MotionBranch) else model.audio.config
    made = np.full((config.levels, n), FREE, np.int64)
    made[0] = _given(fixed, n, config.codes)
    windows = list(spans(n, config.window, config.overlap))
    total = len(windows) * steps
    sound = guidance if audio_guidance is None else audio_guidance
    decoder = _Decoder(model, guidance, sound, temperature, top, codebooks)
    for index, (start, stop) in enumerate(windows):
        generator = torch.Generator().manual_seed((seed * 1_000_003 + index) % 2**63)
        decoder.window(
            conditions.window(start, stop), made[:, start:stop], steps, generator, _tick(on_step, index * steps, total)
        )
    return made


def spans(n: int, window: int, overlap: int) -> Iterator[tuple[int, int]]:
    """The windows (start, stop) of n tokens, each `overlap` tokens into the one before; the last one is as wide as the
    others where that is possible, and then deeper in the one before."""
    start = 0
    while n:
        stop = min(start + window, n)
        yield max(0, min(start, n - window)), stop
        if stop == n:
            return
        start = stop - overlap


def masked_count(step: int, steps: int, count: int) -> int:
    """How many of `count` tokens are masked before step `step` = 0..steps-1: all at first, fewer along a cosine, and
    none after the last (as step = steps)."""
    return 0 if step >= steps else math.floor(count * math.cos(math.pi / 2 * step / steps) + 1e-9)


def _tick(on_step: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int], None]:
    return lambda step: None if on_step is None else on_step(before + step, total)


class _Decoder:
    """Fills windows."""

    def __init__(self, model: MotionBranch | TwoBranch, text: float, sound: float, temperature: float, top: float,
                 codebooks: Tensor | None = None):  # fmt: skip
        self.model, self.text, self.sound, self.temperature = model, text, sound, temperature
        self.codebooks = None if codebooks is None else codebooks.detach().float().cpu()
        codes = (model.config if isinstance(model, MotionBranch) else model.audio.config).codes
        self.among = max(1, min(codes, math.ceil((1 - top) * codes)))

    def window(
        self, asked: Conditions, made: np.ndarray, steps: int, generator: torch.Generator, tick: Callable[[int], None]
    ) -> None:
        """Fill the masked tokens (level 0) and the further levels of `made` (levels, m) in place.

        What is fixed or was made by the window before stays: level 0 of it, and where it is there, the rest.
        """
        device = next(self.model.parameters()).device
        guided = _Guided(self.model, asked, self.text, self.sound)
        codes = torch.from_numpy(made[0]).to(device)
        count = int((codes == FREE).sum())
        for step in range(steps):
            now = codes == FREE
            again = masked_count(step + 1, steps, count)
            if again < int(now.sum()):
                logits = guided.logits(torch.where(now, self.model.mask, codes)).float().cpu()
                drawn, sure = self._draw(logits, generator)
                codes = torch.where(now, drawn.to(device), codes)
                # What earlier steps found stays; of what this one found, the least sure goes.
                noise = _gumbel(sure.shape, generator) * self.temperature * (1 - (step + 1) / steps)
                score = torch.where(now.cpu(), sure + noise, math.inf)
                codes[score.argsort()[:again].to(device)] = FREE
            tick(step + 1)
        made[0] = codes.cpu().numpy()
        self._further(guided, made, generator)

    def _draw(self, logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Codes (m,) drawn from logits (m, codes), and how sure each is: its log probability."""
        chances = logits.log_softmax(-1)
        if self.temperature == 0:
            sure, drawn = chances.max(-1)
            return drawn, sure
        best, index = logits.topk(self.among, dim=-1)
        noisy = best / self.temperature + _gumbel(best.shape, generator)
        drawn = index.gather(-1, noisy.argmax(-1, keepdim=True))
        return drawn[:, 0], chances.gather(-1, drawn)[:, 0]

    def _expected(self, logits: Tensor, level: int) -> Tensor:
        """The codes (m,) of a further level whose vectors are nearest to what logits (m, codes) expect."""
        assert self.codebooks is not None
        book = self.codebooks[level]
        return torch.cdist(logits.softmax(-1) @ book, book).argmin(-1)

    def _further(self, guided: _Guided, made: np.ndarray, generator: torch.Generator) -> None:
        """The residual levels, one after the other."""
        head = self.model.residual
        if head is None:
            return
        device = next(self.model.parameters()).device
        codes = torch.from_numpy(made).to(device)
        state = guided.state(codes[0])
        for level in range(1, len(made)):
            logits = head(state, codes[None].clamp_min(0), torch.tensor([level], device=device))[0].float().cpu()
            drawn = self._expected(logits, level) if self.codebooks is not None else self._draw(logits, generator)[0]
            codes[level] = torch.where(codes[level] == FREE, drawn.to(device), codes[level])
        made[:] = codes.cpu().numpy()


class _Guided:
    """A window's conditions in one batch, and their logits combined.

    With l(t, s) the logits with text t and sound s, d the default text, w a token's strength and g, h the guidance:
    c = l(d, s) + w (l(t, s) - l(d, s)), and the sum is l(0, 0) + h (l(0, s) - l(0, 0)) + g (c - l(0, s)).
    What has no weight is not computed.
    """

    def __init__(self, model: MotionBranch | TwoBranch, asked: Conditions, text: float, sound: float):
        self.model = model
        like = next(model.parameters())
        listens = isinstance(model, TwoBranch)
        strength = cast(np.ndarray, asked.strength)
        directed = asked.texts != 0
        own = torch.from_numpy(np.where(directed, strength, 1.0)).to(like)[:, None]
        heard = asked.heard(like) if listens else None
        told, default = asked.told(like), asked.told(like, default=True)
        wanted: list[tuple[Told, bool, bool, Tensor | float]] = []  # text, whether it is given, sound?, weight
        sound_weight = sound if heard is not None else text
        wanted.append((told, True, True, text * own))
        # How much of the text there is in the states that further levels are told from.
        self.share = own.clamp(0, 1) if bool((own != 1).any()) else None
        if self.share is not None:
            wanted.append((default, True, True, text * (1 - own)))
        if heard is not None and sound_weight != text:
            wanted.append((told, False, True, sound_weight - text))
        if sound_weight != 1:
            wanted.append((told, False, False, 1 - sound_weight))
        self.weights = [weight for *_, weight in wanted]
        batch, count = len(wanted), len(asked)
        texts = _stack([replace(t, keep=t.keep & given) for t, given, _, _ in wanted])
        if isinstance(model, TwoBranch):
            sounds = None
            if heard is not None:
                keep = torch.tensor([used for *_, used, _ in wanted], device=like.device)
                sounds = Heard(heard.states.expand(batch, -1, -1, -1), keep)
            both = model.prepare(batch, count, texts, sounds)
            self._hidden = lambda codes: model.hidden(codes, both)
        else:
            alone = model.prepare(batch, count, texts)
            self._hidden = lambda codes: model.hidden(codes, alone)[-1]

    def logits(self, codes: Tensor) -> Tensor:
        """(m, codes) of masked codes (m,)."""
        every = self.model.logits(self._hidden(codes.expand(len(self.weights), -1)))
        return torch.stack([weight * each for weight, each in zip(self.weights, every)]).sum(0)

    def state(self, codes: Tensor) -> Tensor:
        """The last hidden state (1, m, W) of codes (m,) under the conditions as they are asked for, without guidance;
        where a text is to be followed in part, between its own and the default text's."""
        states = self._hidden(codes.expand(len(self.weights), -1))
        return states[:1] if self.share is None else torch.lerp(states[1:2], states[:1], self.share)


def _stack(each: list[Told]) -> Told:
    join = lambda name: torch.cat([getattr(told, name) for told in each])
    return Told(*(join(name) for name in ("tokens", "mask", "pooled", "rows", "edges", "keep")))


def _gumbel(shape: torch.Size, generator: torch.Generator) -> Tensor:
    noise = torch.rand(shape, generator=generator).clamp(1e-9, 1 - 1e-7)
    return -(-noise.log()).log()


def _given(fixed: np.ndarray | None, n: int, codes: int) -> np.ndarray:
    """Level 0 of the fixed tokens (n,), checked."""
    if fixed is None:
        return np.full(n, FREE, np.int64)
    fixed = np.asarray(fixed)
    fixed = fixed[0] if fixed.ndim == 2 and len(fixed) else fixed
    if fixed.shape != (n,) or not np.issubdtype(fixed.dtype, np.integer):
        raise EMO2Error("fixed", f"whole numbers ({n},)", f"shape {fixed.shape}, {fixed.dtype}", "Give one a token.")
    if n and not (fixed.min() >= FREE and fixed.max() < codes):
        raise EMO2Error(
            "fixed", f"codes from 0 to {codes - 1}, or -1", f"{fixed.min()} to {fixed.max()}", "Correct it."
        )
    return fixed.astype(np.int64)
