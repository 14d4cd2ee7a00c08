"""Samples of stage 1: a window of a take, what is heard in it, which conditions are dropped, and the noise (EMO2 3.3).

Everything random comes from (seed, index), see training/recipe.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..models.audio.waveform import RATE
from ..models.motion import MotionConfig, vector
from ..models.motion.conditions import NAMES
from ..models.types import SHOULDER_METRES
from .motion_data import Source, Take, variances
from .motion_sound import BANDS, STEP, log_mel, recorded_anew, sound_crop
from .recipe import normal, sample_rng
from .weighted import WeightedDraw

DROPS = {"audio": 0.1, "style": 0.25, "speed": 0.25, "image": 0.3, "mask": 0.1, "offset": 0.4, "all": 0.08}
"""How often a condition is not given. `all`: none is, which is the unconditional branch of guidance. Speed, picture and
offset are often missing when the pack is used, so the network knows that case well."""


@dataclass(frozen=True)
class WindowOptions:
    """How windows are cut and what is done to them.

    frames: length, carried frames included. draws: noise levels that share one window (and its encoded sound).
    first: share of windows without carried frames. short: share cut short, so that padding is seen. context: states of
    sound on either side beyond the frames. sound_change: strength of the waveforms' augmentation. shift: deviation of a
    constant displacement of the body, metres. carried_noise: deviation added to carried frames, in normalised units,
    because at run time they are samples. one_hand: how often one hand's speed alone is not given.
    """

    frames: int = 312
    draws: int = 1
    first: float = 0.3
    short: float = 0.1
    context: int = 20
    sound_change: float = 1.0
    shift: float = 0.03
    carried_noise: float = 0.0
    one_hand: float = 0.15
    drop: dict[str, float] = field(default_factory=lambda: dict(DROPS))

    def __post_init__(self) -> None:
        if unknown := sorted(self.drop.keys() - DROPS.keys()):
            raise ValueError(f"unknown conditions {', '.join(unknown)} in drop")
        object.__setattr__(self, "drop", DROPS | dict(self.drop))
        if self.frames < 2 or self.draws < 1 or self.context < 0:
            raise ValueError("frames must be at least 2, draws at least 1 and context at least 0")
        shares = {"first": self.first, "short": self.short, "one_hand": self.one_hand, **self.drop}
        if bad := [name for name, value in shares.items() if not 0 <= value <= 1]:
            raise ValueError(f"{', '.join(bad)} must lie between 0 and 1")

    @classmethod
    def names(cls) -> list[str]:
        return [f.name for f in fields(cls)]


class MotionWindows(Dataset[dict[str, Tensor]]):
    """Windows of takes for a network of `config`. `lead` and `field`: how an encoder cuts a waveform (VoiceEncoder).

    A sample, T frames, S states, D draws: waveform (samples,), mel (S, 40), loudness (S,), sounding (S,) bool,
    mouth (T, 2), place (T,) (where a frame lies among the states), heard (T,) bool, motion (T, 170) not normalised,
    known (T, 170), mask (T, 2), clean (T,), valid (T,) bool, offset (T, 7), style (), speed (D, 2), picture
    (3, 64, 64) normalised, has_picture () bool, noise (D, T, 170), jitter (carried, 170), timestep (D,), and keep_NAME
    (D,) bool for every condition.
    """

    def __init__(
        self, sources: Sequence[Source], config: MotionConfig, options: WindowOptions, seed: int,
        lead: int = 40, field: int = 400,
        hear: Callable[[np.ndarray], np.ndarray] | None = None,
    ):  # fmt: skip
        """hear: states (N, L, D) of a waveform from an encoder that no longer learns; then samples hold `hidden`
        (S, L, D) instead of waveform, mel, loudness, sounding and mouth, and each take is heard once."""
        self.hear, self._heard = hear, {}
        self.sources, self.config, self.options, self.seed = list(sources), config, options, seed
        self.lead, self.field = lead, field
        self.draw = WeightedDraw(self.sources)
        self.states = ceil(options.frames * 50 / config.fps) + 2 * options.context
        if options.frames <= config.carried:
            raise ValueError(f"frames must be more than the {config.carried} carried ones")

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        source = self.draw(rng)
        takes = self.sources[source].takes
        number = int(rng.integers(len(takes)))
        return self.window(takes[number], rng, key=(source, number))

    def window(
        self, take: Take, rng: np.random.Generator, start: int | None = None, key: tuple[int, int] | None = None
    ) -> dict[str, Tensor]:
        """One sample of a take, all choices from `rng`; `start` fixes the window's first frame. key: under which the
        states of the take's sound are kept."""
        o, total = self.options, self.options.frames
        begin = int(rng.integers(max(len(take) - total, 0) + 1)) if start is None else start
        carried = 0 if rng.random() < o.first else self.config.carried
        length = min(total, len(take) - begin)
        if rng.random() < o.short:
            length = min(length, int(rng.integers(max(total // 3, carried + 2), total + 1)))
        carried = min(carried, length - 1)
        span = slice(begin, begin + length)
        frames = np.arange(total)
        offset, motion = take.offset[span].copy(), take.motion[span].copy()
        known = take.known[span]
        self._displace(offset, motion, known, rng)
        speed = variances(motion[carried:], take.visible[span][carried:])
        sample: dict[str, Any] = {
            "motion": _padded(motion, total), "known": _padded(known, total), "offset": _padded(offset, total),
            "mask": _padded(take.visible[span], total), "clean": frames < carried, "valid": frames < length,
            "style": np.int64(self._style(take.style)),
        }  # fmt: skip
        sample |= self._sound(take, begin, rng) if self.hear is None else self._states(take, begin, key)
        sample |= _picture(take)
        sample |= self._dropped(rng)
        sample["speed"] = np.where(rng.random((o.draws, 2)) < o.one_hand, -1, speed).astype(np.float32)
        strata = (rng.random() + np.arange(o.draws) / o.draws) % 1
        sample["timestep"] = np.minimum(strata * self.config.diffusion_steps, self.config.diffusion_steps - 1).astype(
            np.int64
        )
        tensors = {name: torch.as_tensor(value) for name, value in sample.items()}
        tensors["noise"] = normal(rng, o.draws, total, vector.SIZE)
        tensors["jitter"] = normal(rng, self.config.carried, vector.SIZE) * o.carried_noise
        return tensors

    def _style(self, name: str) -> int:
        return self.config.styles.index(name) if name in self.config.styles else -1

    def _displace(self, offset: np.ndarray, motion: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> None:
        """Move the body aside and its points with it; the hands are measured from the body and stay."""
        away = rng.normal(0, self.options.shift, 2) * (rng.random() < 0.5)
        offset[:, :2] += away
        points = motion[:, vector.KEYPOINTS]
        points += np.tile(away / SHOULDER_METRES, points.shape[1] // 2) * known[:, vector.KEYPOINTS]

    def _dropped(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Which conditions each draw is given, each by its own chance, and none at all now and then."""
        drop, draws = self.options.drop, self.options.draws
        some = rng.random(draws) >= drop["all"]
        return {f"keep_{name}": some & (rng.random(draws) >= drop[name]) for name in NAMES}

    def _states(self, take: Take, begin: int, key: tuple[int, int] | None) -> dict[str, Any]:
        """The states that are heard around the window, and where frames lie among them."""
        assert self.hear is not None
        hidden = self._heard.get(key)
        if hidden is None:
            hidden = self.hear(take.waveform)
            if key is not None:
                self._heard[key] = hidden
        first, times, place = self._places(begin, len(hidden))
        return {
            "hidden": _padded(hidden[first : first + self.states], self.states),
            "place": place.clip(0, self.states - 1).astype(np.float32),
            "heard": times <= len(take.waveform) / RATE,
        }

    def _places(self, begin: int, available: int) -> tuple[int, np.ndarray, np.ndarray]:
        """The first state of a window, the frames' times, and where they lie after that state."""
        fps, count = self.config.fps, self.states
        first = int(np.floor(begin * 50 / fps)) - self.options.context
        first = max(0, min(first, available - count))
        times = (np.arange(begin, begin + self.options.frames) + 0.5) / fps
        return first, times, np.clip(times * 50 - 0.5, 0, available - 1) - first

    def _sound(self, take: Take, begin: int, rng: np.random.Generator) -> dict[str, Any]:
        """What is heard: the states' samples, where frames lie among them, and what the sound heads must say."""
        total, count = self.options.frames, self.states
        available = len(take.loudness)
        first, times, place = self._places(begin, available)
        inside = np.arange(first, first + count) < available
        wave = sound_crop(take.waveform, first, count, self.lead, self.field)
        level = take.waveform if rng.random() < 0.5 else wave
        mean, deviation = level.mean(), np.sqrt(level.var() + 1e-7)
        clean = (sound_crop(take.waveform, first, count, STEP // 2, 2 * STEP) - mean) / deviation
        changed = recorded_anew((wave - mean) / deviation, rng, self.options.sound_change)
        if self.options.sound_change > 0:
            changed = (changed - changed.mean()) / np.sqrt(changed.var() + 1e-7)
        ends = np.arange(len(wave)) + first * STEP - self.lead
        changed = np.where((ends >= 0) & (ends < len(take.waveform)), changed, 0)
        mouth = take.mouth[begin : begin + total]
        return {
            "waveform": changed.astype(np.float32),
            "mel": log_mel(clean, count),
            "loudness": _padded(take.loudness[first : first + count], count),
            "sounding": inside,
            "mouth": _padded(mouth, total),
            "place": place.clip(0, count - 1).astype(np.float32),
            "heard": times <= len(take.waveform) / RATE,
        }


def _padded(values: np.ndarray, count: int) -> np.ndarray:
    """Zeros (False) behind, up to `count` rows."""
    return np.pad(values, ((0, count - len(values)), *[(0, 0)] * (values.ndim - 1)))


def _picture(take: Take) -> dict[str, Any]:
    from ..models.video.clip_vision import MEAN, STD
    from .motion_data import PICTURE

    if take.picture is None:
        return {"picture": np.zeros((3, PICTURE, PICTURE), np.float32), "has_picture": np.bool_(False)}
    pixels = (take.picture.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return {"picture": np.ascontiguousarray(pixels.transpose(2, 0, 1)), "has_picture": np.bool_(True)}


__all__ = ["BANDS", "DROPS", "MotionWindows", "WindowOptions"]
