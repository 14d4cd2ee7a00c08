"""What all parts of an evaluation share: how much is measured, the held-out puppets, the networks, the studio."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Motion
from .networks import Networks
from .studio import Gesture, Shot, Studio

if TYPE_CHECKING:
    from ...training.puppets.world import Puppet

RATE, FPS = 16000, 25
SPLIT = "held-out"
SHORTEST = 1.0
"""Seconds of a performance at least; a clip may show less of it."""
BLOCK = 1_000_000
"""Puppets of one purpose are numbered from a multiple of this on, so that no two purposes meet the same one."""


@dataclass(frozen=True)
class Amounts:
    """How much is measured. clips, frames: videos from true motion; made: with generated motion; alone: with hand maps
    alone; drifts, drift_seconds: long videos; speakers: people for each real voice, voice_seconds of it; pictures: for
    the autoencoder; renders: people that the estimator is judged on beside the clips' own; lively, lively_seconds:
    whole gestures with true and with generated motion. motions, motion_seconds: stage 1; fit: training clips behind
    classifiers; speeds: samples of the speed control; longs, long_seconds: motions with seams; among: how many people,
    or motions, one is picked from; modes: clips in each mode; ablated: clips of each ablation; asked_sharp: of the
    one of hand confidence; spoken: of the one of interaction; framed: clips of each
    framing; moods: clips with emotions; rounds: how often each action is asked for; bodies:
    clips that go through the motion tokenizer.
    """

    clips: int = 50
    frames: int = 48
    made: int = 20
    alone: int = 20
    drifts: int = 3
    drift_seconds: float = 20.0
    speakers: int = 3
    voice_seconds: float = 4.0
    pictures: int = 200
    renders: int = 300
    lively: int = 16
    lively_seconds: float = 6.0
    motions: int = 64
    motion_seconds: float = 8.0
    fit: int = 240
    speeds: int = 40
    longs: int = 5
    long_seconds: float = 40.0
    people: int = 20
    among: int = 32
    modes: int = 24
    ablated: int = 8
    asked_sharp: int = 24
    spoken: int = 24
    framed: int = 16
    moods: int = 32
    rounds: int = 2
    bodies: int = 96

    @classmethod
    def quick(cls) -> Amounts:
        """A first look in a minute or two; intervals are wide."""
        return cls(
            clips=6, frames=24, made=4, alone=4, drifts=1, drift_seconds=4.0, speakers=1, voice_seconds=2.0,
            pictures=24, renders=20, lively=1, lively_seconds=2.0, motions=32, motion_seconds=5.0, fit=60, speeds=12,
            longs=1, long_seconds=26.0, modes=4, ablated=3, asked_sharp=3, spoken=3,
            framed=2, moods=3, rounds=1, bodies=12,
        )  # fmt: skip

    def with_clips(self, clips: int | None) -> Amounts:
        """Another number of videos; what follows from it grows or shrinks alike."""
        if clips is None:
            return self
        if clips < 1:
            raise EMO2Error("--clips", "at least 1", clips, "Give a number of clips; 50 is usual.")
        share = clips / self.clips
        scaled = {name: max(1, round(getattr(self, name) * share)) for name in ("made", "alone", "renders", "lively")}
        return replace(self, clips=clips, **scaled)


class Scene:
    """A held-out puppet and `frames` frames of what it does, painted when asked for."""

    def __init__(
        self, number: int, frames: int, style: str | None = None, framing: str | None = None, emotion: str | None = None
    ):
        self.number, self.frames, self.style, self.framing, self.emotion = number, frames, style, framing, emotion

    @cached_property
    def puppet(self) -> Puppet:
        from ...training.puppets.world import Puppet

        seconds = max(self.frames / FPS, SHORTEST)
        return Puppet.draw(
            self.number, SPLIT, seconds=seconds, style=self.style, framing=self.framing, emotion=self.emotion
        )

    @cached_property
    def motion(self) -> Motion:
        return self.puppet.motion.frames(0, self.frames)

    @property
    def waveform(self) -> np.ndarray:
        return self.puppet.performance.waveform[: round(self.frames / FPS * RATE)]

    @property
    def mouth(self) -> np.ndarray:
        """(F, 2) opening and width that the sound asks for."""
        return self.puppet.performance.mouth[: self.frames]

    @cached_property
    def truth(self) -> np.ndarray:
        """(F, H, W, 3) uint8."""
        return self.puppet.video(count=self.frames)

    def pictures(self, at: np.ndarray) -> np.ndarray:
        """Single frames of the truth, (n, H, W, 3) uint8, without painting the others."""
        return np.concatenate([self.puppet.video(start=int(frame), count=1) for frame in at])

    @cached_property
    def picture(self) -> np.ndarray:
        """The reference, (H, W, 3) uint8."""
        return self.puppet.reference()

    def shot(self, motion: Motion | None = None) -> Shot:
        """What the studio is asked for, with true motion or another."""
        return Shot(
            self.picture, self.waveform, self.frames, motion or self.motion, self.puppet.framing, seed=self.number
        )

    def gesture(self, **wishes: object) -> Gesture:
        """What stage 1 is asked for: the puppet's own sound, style and look."""
        p = self.puppet
        plain = Gesture(self.waveform, p.framing, p.performance.style, None, self.picture, seed=self.number)
        return replace(plain, **wishes)  # type: ignore[arg-type]


@dataclass
class Bench:
    """One evaluation. `seed` chooses the held-out puppets."""

    networks: Networks
    studio: Studio
    amounts: Amounts = field(default_factory=Amounts)
    seed: int = 0
    speech: Path | None = None
    ablations: Path | None = None

    def numbers(self, purpose: int, count: int) -> list[int]:
        """Numbers of the puppets of one purpose."""
        first = (self.seed * 100 + purpose) * BLOCK
        return list(range(first, first + count))

    def scenes(self, purpose: int, count: int, frames: int, styles: tuple[str, ...] = ()) -> list[Scene]:
        """Held-out puppets with their styles in turn (none: as drawn)."""
        numbers = self.numbers(purpose, count)
        return [Scene(n, frames, styles[i % len(styles)] if styles else None) for i, n in enumerate(numbers)]

    @cached_property
    def main(self) -> list[Scene]:
        """The clips of the parts video and mouth."""
        return self.scenes(1, self.amounts.clips, self.amounts.frames)

    @cached_property
    def main_videos(self) -> list[np.ndarray]:
        """The main clips as the networks paint them, given true motion."""
        return self.studio.videos([scene.shot() for scene in self.main], "videos from true motion")

    @cached_property
    def main_videos_alone(self) -> list[np.ndarray]:
        """The same without the reference picture's own detail: the networks' work alone."""
        alone = replace(self.studio, keep_still=0.0)
        return alone.videos([scene.shot() for scene in self.main], "videos from true motion")

    @cached_property
    def made_motions(self) -> list[Motion]:
        """What stage 1 makes of the first main clips' sounds."""
        return self.studio.motions([s.gesture() for s in self.main[: self.amounts.made]], "hand motion")

    @cached_property
    def made_videos(self) -> list[np.ndarray]:
        """The first main clips with generated motion."""
        shots = [scene.shot(motion) for scene, motion in zip(self.main, self.made_motions)]
        return self.studio.videos(shots, "videos from generated motion")

    def about(self) -> dict[str, object]:
        """What was asked for, for the report."""
        return {
            "seed": self.seed,
            "steps": self.studio.settings.steps,
            "cfg": self.studio.settings.cfg,
            "scheduler": self.studio.settings.scheduler,
            "motion_steps": self.studio.motion_steps,
            "motion_cfg": self.studio.motion_cfg,
            "motion_smoothing": self.studio.motion_smoothing,
            "precision": self.studio.precision,
            "keep_still": self.studio.keep_still,
            "amounts": {f.name: getattr(self.amounts, f.name) for f in fields(self.amounts)},
        }
