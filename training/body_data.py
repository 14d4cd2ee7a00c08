"""What the motion tokenizer learns from: windows of kept clips of whole bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..models.body import vector
from .kept_clips import KeptClips, open_kept
from .recipe import sample_rng
from .weighted import WeightedDraw


class Bodies(Protocol):
    """Numbered bodies: vectors (F, 384), not normalised, and which of their hands are known (F, 2) bool."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class KeptBodies:
    """The bodies of kept clips."""

    clips: KeptClips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        clip = self.clips[index]
        return clip.vectors, clip.known


@dataclass(frozen=True)
class BodySource:
    """One entry of the config's `data`, opened, and how often it is drawn compared with the others."""

    bodies: Bodies
    weight: float = 1.0


def open_data(entries: Sequence[Mapping[str, Any]], fps: float) -> list[BodySource]:
    """Sources of `kept_clips.check_clips`' entries; clips that are missing are made first."""
    return [
        BodySource(KeptBodies(kept), float(entry["weight"])) for entry, kept in zip(entries, open_kept(entries, fps))
    ]


def statistics(sources: Sequence[BodySource], most: int = 400, mirror: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(mean, deviation), (384,) each, over the known numbers of up to `most` clips of every source, evenly spread.

    mirror: as if each clip were there a second time, as a mirror shows it.

    Deviations have floors: what hardly moves is not blown up to the size of a gesture.
    """
    total, square, seen = np.zeros(vector.SIZE), np.zeros(vector.SIZE), np.zeros(vector.SIZE)
    for source in sources:
        count = len(source.bodies)
        for index in np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)):
            values, hands = source.bodies[int(index)]
            known = vector.known_numbers(hands)
            values = np.where(known, values, 0).astype(np.float64)
            total += values.sum(0) * source.weight
            square += np.square(values).sum(0) * source.weight
            seen += known.sum(0) * source.weight
    if mirror:
        order, signs = mirror_numbers()
        total = total + total[order] * signs
        square, seen = square + square[order], seen + seen[order]
    mean = total / np.maximum(seen, 1)
    deviation = np.sqrt(np.maximum(square / np.maximum(seen, 1) - mean**2, 0))
    return mean, np.maximum(deviation, FLOOR)


FLOOR = np.full(vector.SIZE, 0.02)
FLOOR[vector.ROOT] = 0.01
FLOOR[vector.ROOT_VELOCITY] = 0.05
FLOOR[vector.VELOCITIES] = 0.05


class BodyWindows(Dataset[dict[str, Tensor]]):
    """Windows of bodies: motion (window, 384) not normalised, known (window, 384) bool, levels (): how many codebooks
    the sample is told in. The same for the same (seed, index)."""

    def __init__(
        self, sources: Sequence[BodySource], window: int, levels: int, seed: int, drop: float = 0.0, mirror: bool = True
    ):
        self.sources, self.window, self.levels, self.seed = list(sources), window, levels, seed
        self.drop, self.mirror = drop, mirror
        self.draw = WeightedDraw(self.sources)
        self.turned = mirror_numbers()

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        place = self.draw(rng)
        bodies = self.sources[place].bodies
        values, hands = bodies[int(rng.integers(len(bodies)))]
        begin = int(rng.integers(max(len(values) - self.window, 0) + 1))
        # A clip that is shorter than the window stands still at its end.
        frames = np.minimum(np.arange(begin, begin + self.window), len(values) - 1)
        values, known = values[frames].astype(np.float32), vector.known_numbers(hands[frames])
        if self.mirror and rng.random() < 0.5:
            order, signs = self.turned
            values, known = values[:, order] * signs, known[:, order]
        dropped = self.levels > 1 and rng.random() < self.drop
        levels = int(rng.integers(1, self.levels)) if dropped else self.levels
        return {
            "motion": torch.from_numpy(np.ascontiguousarray(values)),
            "known": torch.from_numpy(np.ascontiguousarray(known)),
            "levels": torch.tensor(levels),
        }


def mirror_numbers() -> tuple[np.ndarray, np.ndarray]:
    """(order, signs), (384,) each: `values[:, order] * signs` is the vector of the body that a mirror shows."""
    from ..models.body.skeleton import BODY_JOINTS, MIRRORED

    order, signs = np.arange(vector.SIZE), np.ones(vector.SIZE, np.float32)
    # A mirrored matrix is M R M with M = diag(-1, 1, 1): entry (i, j) changes sign by m_i m_j.
    six = np.array([1, -1, -1, -1, 1, 1], np.float32)
    for joint, other in enumerate(MIRRORED):
        order[vector.joint(joint)] = np.arange(vector.SIZE)[vector.joint(other)]
        signs[vector.joint(joint)] = six
    flip = np.array([-1, 1, 1], np.float32)
    signs[vector.ROOT] = signs[vector.ROOT_VELOCITY] = flip
    for joint in range(BODY_JOINTS):
        start = vector.VELOCITIES.start + 3 * joint
        order[start : start + 3] = vector.VELOCITIES.start + 3 * MIRRORED[joint] + np.arange(3)
        signs[start : start + 3] = flip
    return order, signs
