"""What the backbone is told beside the noisy frames, and which rows of a batch are told it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch

KeysValues = tuple[torch.Tensor, torch.Tensor]
Places = Mapping[str, torch.Tensor | KeysValues]
MotionPlaces = Mapping[str, torch.Tensor | Sequence[KeysValues]]
NAMES = ("reference", "motion_frames", "audio", "pose", "face")


@dataclass(frozen=True)
class FrameTokens:
    """What each frame of a clip attends to, its sound or its face's controls: `tokens` (R, F, T, C), and perhaps their
    keys and values at each place.

    keys_values: name of the place -> (keys, values), each (R, F, heads, T, channels of a head); None until prepared.
    strength: factor on what they add; 0 is the same as none.
    """

    tokens: torch.Tensor
    strength: float = 1.0
    keys_values: Mapping[str, KeysValues] | None = None

    @property
    def frames(self) -> int:
        return self.tokens.shape[1]


@dataclass
class InnerLevels:
    """What the backbone's levels below the outermost one hand up to it, (rows F, C, h, w).

    Given to the network without `features`, it gets them there; given with them, those levels do not run.
    """

    features: torch.Tensor | None = None


class Run(NamedTuple):
    """Neighbouring rows start..stop-1 of a batch that all have a condition, or all lack it.

    `first`: where the run's values start among the rows that have the condition; None where it is absent.
    """

    start: int
    stop: int
    first: int | None

    def take(self, values: torch.Tensor) -> torch.Tensor:
        """The run's rows of `values` (rows that have it, ...); one row serves all."""
        count = self.stop - self.start
        if values.shape[0] == 1:
            return values.expand(count, *values.shape[1:])
        assert self.first is not None
        return values[self.first : self.first + count]


@dataclass(frozen=True)
class ConditionBatch:
    """All conditions of one call of the backbone on `rows` noisy clips. None: no row has the condition.

    reference: name of a spatial attention -> the reference network's tensor (R, tokens, C), or its keys and values,
      each (R, heads, tokens, channels of a head). "conv_in" -> (R, C0, h, w), added to the first features.
    motion_frames: name of a temporal module -> the reference network's tensor (R, M, C, h, w), or keys and values of
      each of its attentions, each (R, h w, heads, M, channels of a head).
    audio: FrameTokens of the sound. pose: (R, C0, F, h, w), added to the first features; its strength is in it already.
    face: FrameTokens of emotion, blink, identity and voice (`face_control`).
    reference_strength: weight of the reference's keys against the frame's own: 1 as trained, 0 as if there were none.
    present: for each of NAMES, which rows have the condition; a name that is missing stands for all rows.
    pictures: the frames are pictures that have nothing to do with each other, as when training on single frames: the
      temporal modules are passed over.
    prior: (rows, F, P, C0), the pose as tokens, which the backbone makes where its audio layers interact with it.
    R, the leading axis of the values, is the number of rows that have the condition, or 1 to serve them all.
    """

    rows: int = 1
    reference: Places | None = None
    motion_frames: MotionPlaces | None = None
    audio: FrameTokens | None = None
    pose: torch.Tensor | None = None
    reference_strength: float = 1.0
    present: Mapping[str, tuple[bool, ...]] | None = None
    pictures: bool = False
    prior: torch.Tensor | None = None
    face: FrameTokens | None = None

    def null(self) -> ConditionBatch:
        """The unconditional branch: as many rows, nothing known."""
        return ConditionBatch(rows=self.rows, pictures=self.pictures)

    @staticmethod
    def together(batches: Sequence[ConditionBatch]) -> ConditionBatch:
        """Several clips as one batch. They share their reference and know the same things, but no motion frames."""
        first = batches[0]
        if len(batches) == 1:
            return first
        assert all(batch.motion_frames is None and batch.reference_strength == first.reference_strength
                   and batch.mask(name) == first.mask(name) for batch in batches for name in NAMES)  # fmt: skip
        audio = None if first.audio is None else _beside([batch.audio for batch in batches])
        pose = None if first.pose is None else _beside([batch.pose for batch in batches])
        face = None if first.face is None else _beside([batch.face for batch in batches])
        return replace(first, rows=sum(batch.rows for batch in batches), audio=audio, pose=pose, face=face)

    def mask(self, name: str) -> tuple[bool, ...]:
        """Which rows have the condition `name`."""
        if getattr(self, name) is None:
            return (False,) * self.rows
        return (self.present or {}).get(name, (True,) * self.rows)

    def runs(self, name: str) -> list[Run]:
        """The rows of the batch in runs of equal presence of `name`."""
        mask, found, start, taken = self.mask(name), [], 0, 0
        for row in range(1, self.rows + 1):
            if row == self.rows or mask[row] != mask[start]:
                found.append(Run(start, row, taken if mask[start] else None))
                taken += (row - start) * mask[start]
                start = row
        return found

    def with_unconditional(self) -> ConditionBatch:
        """Twice the rows for guidance in one batch: first the unconditional ones, then these."""
        masks = {name: (False,) * self.rows + self.mask(name) for name in NAMES}
        return replace(self, rows=2 * self.rows, present=masks)

    def keep(self, **rows: Sequence[bool]) -> ConditionBatch:
        """Take conditions away from single rows, as training does: `keep(audio=(True, False))` leaves sound to row 0.

        A row that lacks the condition already does not get it.
        """
        changes: dict[str, Any] = {}
        present = dict(self.present or {})
        for name, wanted in rows.items():
            had = self.mask(name)
            mask = tuple(bool(want) and there for want, there in zip(wanted, had, strict=True))
            index = [place for place, row in enumerate(r for r in range(self.rows) if had[r]) if mask[row]]
            present[name] = mask
            changes[name] = _map(getattr(self, name), _Select(index)) if any(mask) else None
        return replace(self, present=present, **changes)

    def at_frames(self, index: Sequence[int] | torch.Tensor) -> ConditionBatch:
        """The conditions of some of the frames, in that order, for windows over a longer stretch.

        Only sound, pose and face belong to frames; the reference stays, and so do the motion frames.
        """
        where = torch.as_tensor(index)
        taken = lambda t: t.index_select(1, where.to(t.device))
        audio, face = _map(self.audio, taken), _map(self.face, taken)
        pose = _map(self.pose, lambda t: t.index_select(2, where.to(t.device)))
        return replace(self, audio=audio, pose=pose, face=face)

    def to(self, *args: Any, **kwargs: Any) -> ConditionBatch:
        """All tensors moved or converted as by `Tensor.to`."""
        changes = {name: _map(getattr(self, name), lambda t: t.to(*args, **kwargs)) for name in NAMES}
        return replace(self, **changes)


class _Select:
    """Some of the rows of a tensor that has one for each; one row that serves all stays."""

    def __init__(self, index: list[int]):
        self.index = index

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor if tensor.shape[0] == 1 else tensor[self.index]


def _beside(values: Sequence[Any]) -> Any:
    """The tensors in one condition of several clips, row by row in one batch."""
    first = values[0]
    if isinstance(first, torch.Tensor):
        return torch.cat(list(values))
    if isinstance(first, FrameTokens):
        pairs = None if first.keys_values is None else _beside([value.keys_values for value in values])
        return replace(first, tokens=torch.cat([value.tokens for value in values]), keys_values=pairs)
    if isinstance(first, Mapping):
        return {key: _beside([value[key] for value in values]) for key in first}
    return tuple(_beside(parts) for parts in zip(*values))


def _map(value: Any, function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    """`function` on every tensor in a condition's value."""
    if value is None:
        return None
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, FrameTokens):
        return replace(value, tokens=function(value.tokens), keys_values=_map(value.keys_values, function))
    if isinstance(value, Mapping):
        return {key: _map(entry, function) for key, entry in value.items()}
    return tuple(_map(entry, function) for entry in value)
