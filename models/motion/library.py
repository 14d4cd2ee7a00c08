"""Motion from a library of real gestures: stretches of recorded motions, joined where they fit and led by the voice.

A motion graph (Kovar, Gleicher & Pighin 2002) walked along the sound, as gesture retrieval does it: a stretch is left
after a while for another one that begins in a similar pose, moving alike, and whose hands are as lively in the coming
seconds as the voice is loud.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import EMO2Error
from ..hands.quaternions import angle
from ..ranks import mean_ranks
from ..types import FRAME_FIELDS, Framing, Motion
from .edit_blend import fade_in
from .edit_framing import apply_framing
from .edit_time import resample

SHORTEST = 1.0
"""Seconds: shorter motions are left out of a library."""
AHEAD = 1.5
"""Seconds of voice and of gesture that are compared."""
SCALE = 0.1
"""Metres: a joint between wrists this far apart costs as much as a wholly wrong liveliness."""
AGAIN, AGAIN_SECONDS = 1.0, 8.0
"""What it costs to show again what was shown within these seconds."""
BEST = 4
"""One of so many best joints is taken, by the seed."""
LIVELY = 0.25
"""Seconds over which liveliness is averaged."""


@dataclass(frozen=True)
class Joint:
    """Frames first..first+count-1 of motion `source`."""

    source: int
    first: int
    count: int


def from_library(
    motions: Sequence[Motion],
    count: int,
    fps: float,
    framing: Framing | None = None,
    loudness: np.ndarray | None = None,
    seed: int = 0,
    follow: float = 1.0,
    stretch_seconds: float = 3.0,
    blend_seconds: float = 0.3,
) -> Motion:
    """A motion of `count` frames at `fps`, made of the library's `motions`.

    framing: None takes that of the first motion. loudness (count,): 0..1 of every frame; None or `follow` 0 pays no
    heed to the voice. stretch_seconds: how long one recording plays on the average. During blend_seconds after a joint
    the recording that was left plays on and fades. The same seed gives the same motion.
    """
    usable = [motion for motion in motions if motion.duration >= SHORTEST]
    if not usable:
        given = f"{len(motions)} shorter ones" if motions else "none"
        raise EMO2Error("library", f"motions of at least {SHORTEST:g} s", given, "Put longer motions into the folder.")
    if count < 1:
        raise EMO2Error("library", "at least one frame to make", count, "Give a longer sound.")
    framing = framing or usable[0].framing
    ready = [apply_framing(resample(motion, fps), framing) for motion in usable]
    walk = _Walk(ready, fps, loudness if follow else None, seed, follow, stretch_seconds)
    return _joined(ready, walk.joints(count), max(0, round(blend_seconds * fps)))


class _Walk:
    def __init__(
        self, motions: Sequence[Motion], fps: float, loudness: np.ndarray | None, seed: int, follow: float,
        stretch_seconds: float,
    ):  # fmt: skip
        self.fps, self.follow, self.stretch = fps, follow, stretch_seconds
        self.random = np.random.default_rng(seed)
        self.ahead = max(1, round(AHEAD * fps))
        self.source = np.concatenate([np.full(len(motion), n) for n, motion in enumerate(motions)])
        self.frame = np.concatenate([np.arange(len(motion)) for motion in motions])
        self.left = np.concatenate([len(motion) - np.arange(len(motion)) for motion in motions])
        self.ending = np.where(self.left < min(self.ahead, self.left.max()), 10.0, 0.0)  # cost of where little is left
        self.places = np.concatenate([motion.translations.reshape(-1, 6) for motion in motions]).astype(np.float64)
        moved = [np.gradient(motion.translations.reshape(-1, 6).astype(np.float64), axis=0) for motion in motions]
        self.moving = np.concatenate(moved) * fps
        self.turned = np.concatenate([motion.rotations[:, :, 0] for motion in motions]).astype(np.float64)
        self.seen = np.concatenate([motion.visible for motion in motions])
        self.lively = _lively(motions, fps)
        self.voice = None if loudness is None else _ranks(np.asarray(loudness, np.float64))
        self.shown = np.full(len(self.source), -np.inf)

    def joints(self, count: int) -> list[Joint]:
        """Stretches that fill `count` frames."""
        made: list[Joint] = []
        at, now = 0, self._begin()
        while at < count:
            wanted = self.random.uniform(0.6, 1.4) * self.stretch * self.fps
            most = int(min(self.left[now], count - at))
            if at + most >= count and most <= 1.4 * self.stretch * self.fps:
                length, then = most, now
            else:
                length, then = self._leave(now, at, min(most, max(1, round(wanted))), most)
            made.append(Joint(int(self.source[now]), int(self.frame[now]), length))
            self.shown[now : now + length] = at + np.arange(length)
            at, now = at + length, then
        return made

    def _begin(self) -> int:
        """Where the first stretch starts: as lively as the voice begins, with some way to go."""
        return self._one_of_the_best(self._voice_cost(0) + self.ending)

    def _leave(self, now: int, at: int, wanted: int, most: int) -> tuple[int, int]:
        """(after how many frames, for which frame) the stretch that began at `now` is left, near `wanted` frames and
        after `most` at the latest."""
        reach = max(1, round(0.4 * self.fps))
        low, high = max(1, wanted - reach), min(wanted + reach, most)
        best: tuple[float, int, int] | None = None
        for length in sorted({*range(low, high + 1, 3), high}):
            last = now + min(length, self.left[now] - 1)
            cost = self._joint_cost(last) + self._voice_cost(at + length)
            cost += AGAIN * (at - self.shown < AGAIN_SECONDS * self.fps)
            own = (self.source == self.source[now]) & (np.abs(self.frame - self.frame[last]) < self.fps / 2)
            cost[own] += 100.0  # to where it is already
            then = self._one_of_the_best(cost)
            if best is None or cost[then] < best[0]:
                best = (float(cost[then]), length, then)
        assert best is not None
        return best[1], best[2]

    def _one_of_the_best(self, cost: np.ndarray) -> int:
        order = np.argsort(cost, kind="stable")[: min(BEST, len(cost))]
        return int(self.random.choice(order))

    def _joint_cost(self, last: int) -> np.ndarray:
        """How badly each frame goes on from frame `last`: places, speeds over a tenth of a second, turns of the palms,
        hands that would appear or vanish; and how little is left after it."""
        apart = np.linalg.norm((self.places - self.places[last]).reshape(-1, 2, 3), axis=-1).mean(1) / SCALE
        apart += np.linalg.norm((self.moving - self.moving[last]).reshape(-1, 2, 3), axis=-1).mean(1) * 0.1 / SCALE
        apart += 0.5 * angle(self.turned, np.broadcast_to(self.turned[last], self.turned.shape)).mean(1)
        apart += (self.seen != self.seen[last]).sum(1)
        return apart + self.ending

    def _voice_cost(self, at: int) -> np.ndarray:
        """How far the liveliness after each frame lies from the voice's after frame `at`, 0..2 times `follow`."""
        if self.voice is None or at >= len(self.voice):
            return np.zeros(len(self.source))
        coming = self.voice[at : at + self.ahead]
        steps = np.arange(0, len(coming), max(1, round(self.fps / 10)))
        places = np.arange(len(self.source))[:, None] + np.minimum(steps, self.left[:, None] - 1)
        return 2 * self.follow * np.abs(self.lively[places] - coming[steps]).mean(1)


def _lively(motions: Sequence[Motion], fps: float) -> np.ndarray:
    """How fast the hands of every frame of the library move, as ranks 0..1."""
    width = max(1, round(LIVELY * fps))
    speeds = []
    for motion in motions:
        steps = np.diff(motion.translations.astype(np.float64), axis=0, prepend=motion.translations[:1])
        speed = np.linalg.norm(steps, axis=-1).mean(1)
        padded = np.pad(speed, (width // 2, width - 1 - width // 2), mode="edge")
        speeds.append(np.convolve(padded, np.full(width, 1 / width), mode="valid"))
    return _ranks(np.concatenate(speeds))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks 0..1, equal values with equal ranks: speed and loudness become comparable."""
    if len(values) < 2:
        return np.full(len(values), 0.5)
    return (mean_ranks(values) - 1) / (len(values) - 1)


def _joined(motions: Sequence[Motion], joints: Sequence[Joint], blend: int) -> Motion:
    """The stretches one after the other, each faded in from what the one before would have gone on with."""
    parts: list[Motion] = []
    before: Joint | None = None
    for joint in joints:
        part = motions[joint.source].frames(joint.first, joint.first + joint.count)
        if before is not None:
            part = fade_in(motions[before.source], before.first + before.count, part, blend)
        parts.append(part)
        before = joint
    return parts[0].replace(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in FRAME_FIELDS})


__all__ = ["from_library"]
