"""The guided prediction of a denoising step: which rows share a batch, and what of an earlier step is used again.

Classifier-free guidance (Ho & Salimans 2022): the unconditional half sees no condition at all, and does not run at
cfg 1. Two things may be kept over the steps, each a choice that changes the result a little: what the network's inner
levels made (DeepCache, Ma, Fang & Wang 2024), and how far guidance moved the prediction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .condition_batch import ConditionBatch, InnerLevels

if TYPE_CHECKING:
    from .conditions import Settings
    from .model import VideoModel


@dataclass(frozen=True)
class Compute:
    """Where and how precisely the network computes.

    fits: how many clips the network may take in one batch; asked after `ready`. Two are both halves of guidance. More
    are halves of several windows. ready: called before each clip, to bring the network onto the device. check: called
    before each use of the network; raises when the user has cancelled.
    """

    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32
    fits: Callable[[], int] = lambda: 1
    ready: Callable[[], None] = lambda: None
    check: Callable[[], None] = lambda: None

    def to(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor of floats, moved to the device and dtype."""
        return value.to(self.device, self.dtype)


CPU = Compute()


@dataclass(frozen=True)
class Task:
    """A clip or window to predict: its number, noisy latents (1, C, F, h, w), and what makes its conditions."""

    place: int
    noisy: torch.Tensor
    conditions: Callable[[], ConditionBatch]


class Predictor:
    """Predictions for the clip or the windows of one video, over all its steps.

    windows: how many there are in all; with several, what is kept for each lies in ordinary memory.
    """

    def __init__(self, model: VideoModel, settings: Settings, compute: Compute, windows: int = 1):
        self.model, self.settings, self.compute = model, settings, compute
        self.rows = max(1, compute.fits())
        self.store = torch.device("cpu") if windows > 1 else torch.device(compute.device)
        self._inner: dict[tuple[int, bool], torch.Tensor] = {}
        self._guided = settings.cfg != 1

    def begin(self, step: int) -> None:
        """A new denoising step, from 0 on."""
        if step % self.settings.inner_every == 0:
            self._inner.clear()
        self._guided = self.settings.cfg != 1 and step % self.settings.guidance_every == 0

    def shift(self, step: int) -> int:
        """How often windows have moved at this step: they keep still while what was made in them is used again."""
        return step // self.settings.inner_every

    def __call__(
        self, timestep: torch.Tensor, tasks: Sequence[Task]
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor | None]]:
        """For each task (place, the conditional prediction, how far it lies from the unconditional one), float32 on
        the CPU, (1, C, F, h, w); None at steps that make no unconditional one.

        As many as fit are made in one batch; a batch that does not fit after all is made in smaller ones.
        """
        time, waiting = timestep.to(self.compute.device), list(tasks)
        while waiting:
            group = waiting[: max(1, self.rows // (2 if self._guided else 1))]
            self.compute.check()
            try:
                told, difference = self._predict(time, group)
            except torch.OutOfMemoryError:
                if self.rows == 1:
                    raise
                self.rows = max(1, min(self.rows, len(group) * (2 if self._guided else 1)) // 2)
                continue
            del waiting[: len(group)]
            for row, task in enumerate(group):
                one = slice(row, row + 1)
                yield task.place, told[one], None if difference is None else difference[one]

    def _predict(self, time: torch.Tensor, group: Sequence[Task]) -> tuple[torch.Tensor, torch.Tensor | None]:
        known = ConditionBatch.together([task.conditions() for task in group])
        noisy = self.compute.to(torch.cat([task.noisy for task in group]))
        places = [task.place for task in group]
        if not self._guided:
            return self._run(noisy, time, known, places, (True,)), None
        if self.rows >= 2 * len(group):
            both = noisy.repeat(2, 1, 1, 1, 1)
            without, told = self._run(both, time, known.with_unconditional(), places, (False, True)).chunk(2)
        else:
            told = self._run(noisy, time, known, places, (True,))
            self.compute.check()
            without = self._run(noisy, time, known.null(), places, (False,))
        return told, told - without

    def _run(
        self,
        noisy: torch.Tensor,
        time: torch.Tensor,
        known: ConditionBatch,
        places: Sequence[int],
        halves: Sequence[bool],
    ) -> torch.Tensor:
        """The network on rows that are `places` for each of `halves` (conditional or not)."""
        if self.settings.inner_every == 1:
            return self.model(noisy, time, conditions=known).float().cpu()
        keys = [(place, half) for half in halves for place in places]
        kept = [self._inner[key] for key in keys if key in self._inner]
        inner = InnerLevels(self.compute.to(torch.cat(kept)) if len(kept) == len(keys) else None)
        out = self.model(noisy, time, conditions=known, inner=inner).float().cpu()
        if len(kept) < len(keys):
            assert inner.features is not None
            parts = inner.features.to(self.store).chunk(len(keys))
            # Copies, so that one window's part does not keep a whole batch in memory.
            self._inner |= {key: part.clone() if len(keys) > 1 else part for key, part in zip(keys, parts)}
        return out


class Guide:
    """Guided predictions of one step from conditional ones and the difference that guidance makes, perhaps an earlier
    step's."""

    def __init__(self, cfg: float):
        self.cfg, self.difference = cfg, torch.zeros(())

    def __call__(self, told: torch.Tensor, difference: torch.Tensor | None) -> torch.Tensor:
        if difference is not None:
            self.difference = difference
        return told if self.cfg == 1 else told + (self.cfg - 1) * self.difference


__all__ = ["CPU", "Compute", "Guide", "Predictor", "Task"]
