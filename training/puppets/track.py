"""Where a hand is over time: key poses joined by minimum-jerk movements."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from ...models.hands.poses import finger_pose
from ...models.hands.quaternions import slerp
from ...models.hands.rest import wrist_rotation
from .curve import minimum_jerk

SHORTEST = 0.03
"""Seconds that must lie between two keys."""


@dataclass(frozen=True)
class Pose:
    """A hand in space: wrist (3,) metres relative to the neck root, rotations (16, 4)."""

    wrist: np.ndarray
    rotations: np.ndarray

    def at(self, wrist: np.ndarray) -> Pose:
        """The same hand elsewhere."""
        return Pose(np.asarray(wrist, float), self.rotations)

    def towards(self, other: Pose, amount: float) -> Pose:
        """This pose moved towards another: 0 this one, 1 the other; positions go on beyond 1, rotations do not."""
        turn = slerp(self.rotations, other.rotations, min(max(1.15 * amount, 0.0), 1.0))
        return Pose(self.wrist + amount * (other.wrist - self.wrist), turn)


def make_pose(
    wrist: tuple[float, float, float] | np.ndarray,
    fingers: tuple[float, ...],
    palm: tuple[float, ...],
    hand: int,
    bend: str | tuple[float, ...] = "relaxed",
    spread: float = 0.05,
) -> Pose:
    """A pose given for the right hand; the left one is its mirror image. Directions as in `wrist_rotation`."""
    flip = np.array([1.0, 1.0, 1.0]) if hand else np.array([-1.0, 1.0, 1.0])
    return Pose(np.asarray(wrist, float) * flip, _rotations(tuple(fingers), tuple(palm), hand, bend, spread))


@lru_cache(maxsize=256)
def _rotations(
    fingers: tuple[float, ...], palm: tuple[float, ...], hand: int, bend: str | tuple[float, ...], spread: float
) -> np.ndarray:
    flip = np.array([1.0, 1.0, 1.0]) if hand else np.array([-1.0, 1.0, 1.0])
    rotations = finger_pose(bend, hand, spread)
    rotations[0] = wrist_rotation(np.array(fingers) * flip, np.array(palm) * flip, hand)
    rotations.setflags(write=False)
    return rotations


@dataclass
class Track:
    """Keys of one hand in order of time. `key` drops keys that a new one overtakes, so plans may overlap."""

    times: list[float] = field(default_factory=list)
    poses: list[Pose] = field(default_factory=list)

    def key(self, time: float, pose: Pose) -> None:
        """The hand is at `pose` at `time` (s)."""
        while self.times and self.times[-1] > time - SHORTEST:
            self.drop()
        self.times.append(time)
        self.poses.append(pose)

    def drop(self) -> None:
        """Forget the last key."""
        self.times.pop()
        self.poses.pop()

    def hold(self, time: float) -> None:
        """The hand stays where it last was until `time`."""
        if self.times and time > self.times[-1] + SHORTEST:
            self.key(time, self.poses[-1])

    def sample(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Wrists (F, 3) and rotations (F, 16, 4) at `times` (F,)."""
        keys = np.array(self.times)
        wrists = np.stack([p.wrist for p in self.poses])
        rotations = np.stack([p.rotations for p in self.poses])
        before = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 1)
        after = np.minimum(before + 1, len(keys) - 1)
        span = np.maximum(keys[after] - keys[before], 1e-9)
        u = minimum_jerk((times - keys[before]) / span)
        places = wrists[before] + u[:, None] * (wrists[after] - wrists[before])
        return places, slerp(rotations[before], rotations[after], u[:, None])
