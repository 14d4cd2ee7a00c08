"""What the motion tokenizer learns from: whole bodies out of any source of clips, kept in a folder."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..models.body import WholeBody, vector
from ..models.body.files import load_body, save_body
from ..models.errors import EMO2Error
from .recipe import sample_rng

LOG = logging.getLogger("emo2")
SECONDS = (8.0, 14.0)
"""Length of a puppet's clip."""
CLIPS = 800
"""Clips that a folder of puppets gets when the config does not say how many."""


class HasBody(Protocol):
    """What a clip must have to be learned from here."""

    @property
    def body(self) -> WholeBody: ...


class ClipSource(Protocol):
    """Numbered clips: the same clip for the same index."""

    @property
    def count(self) -> int: ...

    def clip(self, index: int) -> HasBody: ...


@dataclass(frozen=True)
class BodyOnly:
    """A clip of which nothing but the body is known."""

    body: WholeBody


@dataclass(frozen=True)
class PuppetBodies:
    """Puppets seed..seed+count-1 of a split; both hands are known, seen or not."""

    count: int
    seed: int = 0
    split: str = "train"

    def clip(self, index: int) -> BodyOnly:
        from .puppets.world import Puppet

        number = self.seed + index
        seconds = np.random.default_rng([number, 78]).uniform(*SECONDS)
        puppet = Puppet.draw(number, self.split, seconds=round(float(seconds) * 25) / 25)
        body = WholeBody.from_motion(puppet.motion, puppet.performance.head)
        return BodyOnly(body.replace(hands=None))


class BodyFolder:
    """The bodies of a source in a folder, one file a clip; those that are missing are made when they are asked for.

    The vectors of the last `keep` clips stay in memory (half a megabyte each). fps: frame rate of the vectors.
    """

    def __init__(self, folder: Path | str, source: ClipSource | None = None, fps: float = 25.0, keep: int = 4096):
        self.folder, self.source, self.fps, self.keep = Path(folder), source, fps, keep
        if source is None:
            self.files = sorted(self.folder.glob("body_*.npz"))
            if not self.files:
                raise EMO2Error(
                    "data folder", "bodies (body_*.npz)", f"none in {self.folder}", "Give count above 0 to make some."
                )
        else:
            self.files = [self.folder / f"body_{index:06d}.npz" for index in range(source.count)]
        self._read: OrderedDict[int, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def body(self, index: int) -> WholeBody:
        """Clip `index` at the folder's frame rate."""
        path = self.files[index]
        if self.source is not None and not path.is_file():
            save_body(self.source.clip(index).body, path)
        return load_body(path, "data folder").resampled(self.fps)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Vectors (F, 384) float32 and which of their numbers are known (F, 384) bool."""
        if index not in self._read:
            body = self.body(index)
            self._read[index] = (vector.to_vector(body), vector.mask(body))
            if len(self._read) > self.keep:
                self._read.popitem(last=False)
        self._read.move_to_end(index)
        return self._read[index]

    def make_all(self, on_clip: Callable[[int, int], None] | None = None) -> None:
        """Make what is missing."""
        for index, path in enumerate(self.files):
            if self.source is not None and not path.is_file():
                save_body(self.source.clip(index).body, path)
                if (index + 1) % 100 == 0:
                    LOG.info("%d of %d bodies made for %s", index + 1, len(self.files), self.folder)
            if on_clip:
                on_clip(index + 1, len(self.files))


@dataclass(frozen=True)
class BodySource:
    """One entry of the config's `data`, opened, and how often it is drawn compared with the others."""

    bodies: BodyFolder
    weight: float = 1.0


SOURCES: dict[str, Callable[[Mapping[str, Any]], ClipSource]] = {
    "puppets": lambda entry: PuppetBodies(int(entry["count"]), int(entry["seed"])),
}
"""Kinds of data by name: what makes a source of an entry that has count and seed."""


def check_data(entries: Any, count: Any = None) -> list[dict[str, Any]]:
    """The config's `data`, checked without opening anything: a folder of puppets' bodies, or a list of
    `{kind: puppets, folder: ..., count: n, seed: 0, weight: 1}`. count 0: the bodies that the folder has, of any kind.
    """
    example = "[{kind: puppets, folder: runs/bodies}]"
    count = CLIPS if count is None else count
    if isinstance(entries, str) and entries:
        entries = [{"kind": "puppets", "folder": entries}]
    if not isinstance(entries, (list, tuple)) or not entries:
        raise EMO2Error("config recipe.data", f"a folder, or {example}", repr(entries), "Name at least one folder.")
    checked = []
    for entry in entries:
        if not isinstance(entry, Mapping) or entry.get("kind") not in SOURCES or not entry.get("folder"):
            kinds = ", ".join(SOURCES)
            raise EMO2Error("config recipe.data", f"kind ({kinds}) and folder: {example}", repr(entry), "Correct it.")
        merged = {"weight": 1.0, "count": count, "seed": 0} | dict(entry)
        if extra := sorted(set(merged) - {"kind", "folder", "weight", "count", "seed"}):
            raise EMO2Error("config recipe.data", "kind, folder, weight, count, seed", ", ".join(extra), "Remove them.")
        for name in ("count", "seed"):
            if isinstance(merged[name], bool) or not isinstance(merged[name], int) or merged[name] < 0:
                wanted = "a whole number from 0 up"
                raise EMO2Error(f"config recipe.data {name}", wanted, repr(merged[name]), "Correct it.")
        weight = merged["weight"]
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e6:
            raise EMO2Error("config recipe.data weight", "a number above 0", repr(weight), "Correct it.")
        checked.append(merged)
    return checked


def open_data(entries: Sequence[Mapping[str, Any]], fps: float) -> list[BodySource]:
    """Sources of `check_data`'s entries; bodies that are missing are made first."""
    opened = []
    for entry in entries:
        source = SOURCES[entry["kind"]](entry) if entry["count"] else None
        bodies = BodyFolder(entry["folder"], source, fps)
        bodies.make_all()
        opened.append(BodySource(bodies, float(entry["weight"])))
    return opened


def statistics(sources: Sequence[BodySource], most: int = 400, mirror: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """(mean, deviation), (384,) each, over the known numbers of up to `most` clips of every source, evenly spread.

    mirror: as if each clip were there a second time, as a mirror shows it.

    Deviations have floors: what hardly moves is not blown up to the size of a gesture.
    """
    total, square, seen = np.zeros(vector.SIZE), np.zeros(vector.SIZE), np.zeros(vector.SIZE)
    for source in sources:
        count = len(source.bodies)
        for index in np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)):
            values, known = source.bodies[int(index)]
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
        weights = np.array([source.weight for source in self.sources])
        self.edges = np.cumsum(weights / weights.sum())
        self.turned = mirror_numbers()

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        place = min(int(np.searchsorted(self.edges, rng.random(), side="right")), len(self.sources) - 1)
        bodies = self.sources[place].bodies
        values, known = bodies[int(rng.integers(len(bodies)))]
        begin = int(rng.integers(max(len(values) - self.window, 0) + 1))
        # A clip that is shorter than the window stands still at its end.
        frames = np.minimum(np.arange(begin, begin + self.window), len(values) - 1)
        values, known = values[frames], known[frames]
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
