"""What preparation is asked for: pictures, records, and the limits beyond which a clip is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ...models.errors import EMO2Error


@dataclass(frozen=True)
class Limits:
    """When a clip is left out.

    shortest, longest: seconds of a clip; longer shots are divided. least_fps: frames a second of the video itself.
    present: share of the frames in which the person must be found. enlarge: how many times larger than filmed they may
    be shown. closest: the widest shoulders, as a share of the picture. hands: share of the frames in which a hand must
    be seen. face: the same for the lips. sharpness: the least, as `judging.sharpness` measures it. overlap: share of
    the person's box that others may cover, in at most a tenth of the frames. leap: shoulder widths that head and neck
    may jump from one frame to the next. wander: shoulder widths that the background may move; zoom: how much it may
    grow. silent_ok: keep clips without sound.
    """

    shortest: float = 2.0
    longest: float = 20.0
    least_fps: float = 15.0
    present: float = 0.8
    enlarge: float = 2.0
    closest: float = 0.65
    hands: float = 0.1
    face: float = 0.5
    sharpness: float = 0.02
    overlap: float = 0.15
    leap: float = 0.25
    wander: float = 0.2
    zoom: float = 0.08
    silent_ok: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            share = item.name in ("present", "hands", "face", "overlap")
            if item.name != "silent_ok" and not 0 <= value <= (1 if share else 1e6):
                wanted = "a share from 0 to 1" if share else "a number from 0 up"
                raise EMO2Error(f"--{item.name.replace('_', '-')}", wanted, value, "Give another.")
        if self.longest < max(self.shortest, 0.1):
            given = f"{self.longest:g} with --shortest {self.shortest:g}"
            raise EMO2Error("--longest", "at least the shortest clip's length", given, "Give a larger one.")


@dataclass(frozen=True)
class Settings:
    """size (H, W) and fps: of the pictures. frames: of a record. style: what the motion model is told of how people
    move. quality: of the pictures, JPEG's, 100 without loss (PNG). limits: as above."""

    size: tuple[int, int] = (704, 512)
    fps: float = 25.0
    frames: int = 48
    style: str = "speaking"
    quality: int = 95
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", tuple(int(side) for side in self.size))
        ranges = {"fps": (1, 120), "frames": (2, 1000), "quality": (50, 100)}
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise EMO2Error(f"--{name}", f"{least} to {most}", getattr(self, name), "Give another.")
        if any(side < 32 or side > 4096 or side % 8 for side in self.size):
            given = f"{self.size[0]}x{self.size[1]}"
            raise EMO2Error("--size", "height x width, each from 32 to 4096 and divisible by 8", given, "Give another.")
        if self.limits.longest * self.fps < self.frames:
            given = f"{self.limits.longest:g} s"
            raise EMO2Error("--longest", f"room for {self.frames} frames", given, "Give a larger one.")

    @property
    def shortest(self) -> int:
        """Frames of the shortest clip: a record must fit."""
        return max(round(self.limits.shortest * self.fps), self.frames)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for plan.json."""
        return asdict(self) | {"size": list(self.size)}

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> Settings:
        """What `as_json` gave."""
        return cls(**{**values, "limits": Limits(**values["limits"])})


__all__ = ["Limits", "Settings"]
