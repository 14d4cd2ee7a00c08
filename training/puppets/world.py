"""The world to learn from: puppet number n of a split, who it is, where it stands and what it does to its own voice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Framing, Motion
from .emotions import emotion_track
from .identity import Identity, Scene, split_rng
from .legs import on_its_feet
from .painter import face_points, mouth_places, paint
from .performance import Performance, perform

SIZE = (128, 96)
"""(H, W) of the tiny profile's pictures, and of every puppet's framing."""


@dataclass(frozen=True)
class Puppet:
    """One sample: looks, framing and performance. Pictures are painted when they are asked for."""

    identity: Identity
    framing: Framing
    performance: Performance

    @classmethod
    def draw(
        cls,
        seed: int,
        split: str = "train",
        *,
        seconds: float | None = None,
        style: str | None = None,
        speed: tuple[float, float] | None = None,
        framing: str | None = None,
        emotion: str | None = None,
    ) -> Puppet:
        """Puppet `seed` of "train" or "held-out", the same on every machine.

        seconds: length of the performance (None: 4 to 15). style, speed: as `perform` takes them, drawn when None.
        framing: one of FRAMINGS (None: mostly half bodies). emotion: one of EMOTIONS, which it shows throughout, or
        "any": some that follow each other (None: the face that it has always had).
        """
        where = draw_framing(seed, split, framing)
        performance = perform(seed, split, where, seconds=seconds, style=style, speed=speed)
        if framing == "full":
            performance = on_its_feet(performance)
        if emotion is not None:
            rng, name = split_rng(seed, split, 8), None if emotion == "any" else emotion
            shown = emotion_track(rng, len(performance.motion), name, performance.motion.fps)
            performance = replace(performance, emotion=shown)
        return cls(Identity.draw(seed, split), where, performance)

    @property
    def motion(self) -> Motion:
        return self.performance.motion

    def video(
        self,
        size: tuple[int, int] = SIZE,
        start: int = 0,
        count: int | None = None,
        scene: Scene | None = None,
        identity: Identity | None = None,
        motion: Motion | None = None,
    ) -> np.ndarray:
        """Frames (F, H, W, 3) uint8 of the performance; other looks, another scene or other hands on demand."""
        p = self.performance
        return paint(
            identity or self.identity, motion or p.motion, mouth=p.mouth, blink=p.blink, head=p.head,
            blur=p.blur if motion is None else None, feet=p.feet, emotion=p.emotion, size=size,
            start=start, count=count, scene=scene,
        )  # fmt: skip

    def mouth_places(self, size: tuple[int, int] = SIZE) -> np.ndarray:
        """Centre of the mouth in every frame, (F, 2) pixels of `size`."""
        return mouth_places(self.identity, self.motion, self.performance.head, size)

    def with_face(self, motion: Motion) -> Motion:
        """`motion`, one of this puppet's whole performance, with its face's 70 points as a detector finds them."""
        p = self.performance
        extent = np.array(motion.framing.size[::-1], np.float32)
        points = face_points(self.identity, p.motion, p.mouth, p.blink, p.head, motion.framing.size, p.emotion)
        points = points / extent
        return motion.replace(face=points, face_scores=np.ones(points.shape[:2], np.float32))

    def reference(self, size: tuple[int, int] = SIZE, scene: Scene | None = None) -> np.ndarray:
        """The reference picture (H, W, 3) uint8: the same person and framing, another pose, mouth closed, eyes open."""
        return paint(
            self.identity, self.reference_motion, mouth=np.zeros((1, 2)), blink=np.zeros(1), head=self._still_head,
            size=size, scene=scene,
        )[0]  # fmt: skip

    @cached_property
    def reference_motion(self) -> Motion:
        """The one frame of motion that the reference shows: a moment of another performance, body at the framing's."""
        rng = split_rng(self.identity.seed, self.identity.split, 3)
        other = perform(int(rng.integers(2**31)), self.identity.split, self.framing, seconds=3.0).motion
        at = int(rng.integers(len(other)))
        moment = other.frames(at, at + 1)
        return replace(
            moment, body_offset=None, body_rotation=None, keypoint_scores=None, keypoints=None,
            visible=np.ones((1, 2), bool), confidence=np.ones((1, 2), np.float32),
        )  # fmt: skip

    @property
    def _still_head(self) -> np.ndarray:
        return split_rng(self.identity.seed, self.identity.split, 4).normal(0, 0.06, (1, 3))


FRAMINGS = ("head", "half", "full")
"""What a picture shows: head and shoulders, down to the hips, or the whole figure from head to feet."""


def draw_framing(seed: int, split: str, kind: str | None = None) -> Framing:
    """Where puppet `seed` stands. kind: one of FRAMINGS; None: mostly half-body, now and then further away with its
    legs in the picture."""
    if kind is not None and kind not in FRAMINGS:
        raise EMO2Error("framing", ", ".join(FRAMINGS), repr(kind), "Give one of these.")
    if kind in ("head", "full"):
        rng = split_rng(seed, split, 7)
        if kind == "head":
            return Framing((rng.uniform(0.44, 0.56), rng.uniform(0.74, 0.82)), rng.uniform(0.66, 0.8), SIZE)
        return Framing((rng.uniform(0.46, 0.54), rng.uniform(0.27, 0.3)), rng.uniform(0.195, 0.22), SIZE)
    rng = split_rng(seed, split, 9 if kind == "half" else 2)
    if kind == "half":
        return Framing((rng.uniform(0.45, 0.55), rng.uniform(0.38, 0.44)), rng.uniform(0.34, 0.42), SIZE)
    if rng.random() < 0.06:
        return Framing((rng.uniform(0.42, 0.58), rng.uniform(0.26, 0.31)), rng.uniform(0.22, 0.27), SIZE)
    width = rng.uniform(0.34, 0.42)
    return Framing((rng.uniform(0.45, 0.55), rng.uniform(0.38, 0.44)), width, SIZE)
