"""What is known of a puppet's clip: where its parts are, what it says, and the pictures it should be like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...models.errors import EMO2Error
from ...models.motion.edit_blend import gather
from ...models.types import Motion
from ...training.puppet_samples import places
from ...training.puppets.identity import Identity, Scene
from ...training.puppets.painter import paint
from ...training.puppets.scenery import paint_scene
from ...training.puppets.world import SIZE, Puppet


@dataclass(frozen=True)
class Truth:
    """One clip's truth: F frames of a person moving by `motion` before its own scene.

    head (F, 3), mouth (F, 2), blink (F,): as `paint` takes them; for made motion, whose head nobody knows, zeros.
    performed: the head and the mouth are those of a performance, so that `mouth` and the mouth's place are true.
    """

    identity: Identity
    motion: Motion
    head: np.ndarray
    mouth: np.ndarray
    blink: np.ndarray
    size: tuple[int, int] = SIZE
    performed: bool = True

    @classmethod
    def of(
        cls, puppet: Puppet, start: int = 0, count: int | None = None, size: tuple[int, int] = SIZE,
        motion: Motion | None = None,
    ) -> Truth:  # fmt: skip
        """Frames start..start+count-1 of a puppet's performance, or (count frames of) another `motion` for it, whose
        frame 0 belongs to the performance's frame `start`; the sound's mouth stays true."""
        p = puppet.performance
        count = (len(p.motion) - start if motion is None else len(motion)) if count is None else count
        cut = slice(start, start + count)
        mouth = p.mouth[cut]
        if len(mouth) < count:
            raise EMO2Error("puppet", f"{start + count} frames", f"{len(p.mouth)}", "Ask for a longer performance.")
        if motion is None:
            return cls(puppet.identity, p.motion.frames(start, start + count), p.head[cut], mouth, p.blink[cut], size)
        still = np.zeros(count)
        return cls(puppet.identity, motion.frames(0, count), np.zeros((count, 3)), mouth, still, size, False)

    def __len__(self) -> int:
        return len(self.motion)

    def at(self, frames: np.ndarray) -> Truth:
        """The truth of single frames, at places (n,) that rise."""
        pick = np.asarray(frames, int)
        kept = (self.head[pick], self.mouth[pick], self.blink[pick])
        return Truth(self.identity, gather(self.motion, pick), *kept, self.size, self.performed)

    @cached_property
    def _places(self):  # type: ignore[no-untyped-def]
        return places(self.identity, self.motion, self.head, self.mouth, self.size)

    @property
    def points(self) -> np.ndarray:
        """(F, 9, 2) pixels, in the order of `puppet_estimator.POINTS`."""
        return self._places.points

    @cached_property
    def counts(self) -> np.ndarray:
        """(F, 9): which points are to be found. Hands: marked visible, inside the picture, not hidden by the other."""
        there = self._places.there.copy()
        there[:, :2] &= self.motion.visible
        return there

    def render(
        self, identity: Identity | None = None, frames: np.ndarray | list[int] | None = None, scene: Scene | None = None
    ) -> np.ndarray:
        """The true pictures (n, H, W, 3) uint8 of the chosen frames, or those of another person in the same place."""
        at = np.arange(len(self)) if frames is None else np.asarray(frames)
        motion = self.motion
        parts = [
            paint(
                identity or self.identity, motion.frames(i, i + 1), mouth=self.mouth[i : i + 1],
                blink=self.blink[i : i + 1], head=self.head[i : i + 1], size=self.size,
                scene=scene or self.identity.scene,
            )
            for i in at
        ]  # fmt: skip
        return np.concatenate(parts) if parts else np.zeros((0, *self.size, 3), np.uint8)

    @cached_property
    def empty(self) -> np.ndarray:
        """The scene without the person, (H, W, 3) uint8."""
        import cv2

        large = (self.size[0] * 2, self.size[1] * 2)
        picture = paint_scene(self.identity.scene, large)
        return cv2.resize(picture, self.size[::-1], interpolation=cv2.INTER_AREA)

    def check(self, video: np.ndarray) -> None:
        """EMO2Error when a made clip is not of this truth's length and size."""
        if video.shape != (len(self), *self.size, 3) or video.dtype != np.uint8:
            expected = f"a clip of shape ({len(self)}, {self.size[0]}, {self.size[1]}, 3) uint8"
            raise EMO2Error("made clip", expected, f"{video.dtype} {video.shape}", "Make as many frames of that size.")


def person_mask(pictures: np.ndarray, empty: np.ndarray, above: float = 24.0) -> np.ndarray:
    """Where pictures (..., H, W, 3) differ from the empty scene (H, W, 3): (..., H, W) bool."""
    return np.abs(pictures.astype(np.float32) - empty.astype(np.float32)).sum(-1) > above
