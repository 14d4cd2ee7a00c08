"""Clip by clip, the first way to make a long video: each clip continues from the latents of the frames before it.

A clip is always denoised at full length, also the last one, whose surplus frames are cut: the network sees the length
that it was trained on, and frame i of a video does not depend on where the video ends.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch

from ..errors import EMO2Error


@dataclass(frozen=True)
class ClipPlan:
    """One clip: its `index`, the video frame it begins at, how many new frames are kept, how many stand before it."""

    index: int
    start: int
    count: int
    carried: int

    @property
    def stop(self) -> int:
        return self.start + self.count


def plan_clips(start: int, count: int, clip_frames: int, motion_frames: int, previous: int = 0) -> list[ClipPlan]:
    """Cut frames start..start+count-1 into clips of `clip_frames`; the last may keep fewer.

    Each clip is preceded by the `motion_frames` frames made last, or by as many as there are: the first one by at most
    `previous` frames of an earlier video.
    """
    if count < 1:
        raise EMO2Error("frame_count", "at least 1 frame", count, "Give a longer sound, motion or range.")
    return [
        ClipPlan(index, start + first, min(clip_frames, count - first), min(motion_frames, previous + first))
        for index, first in enumerate(range(0, count, clip_frames))
    ]


def carry(before: torch.Tensor | None, made: torch.Tensor, motion_frames: int) -> torch.Tensor:
    """What the next clip continues: the last `motion_frames` of `before` (M, C, h, w) and `made` (n, C, h, w)."""
    joined = made if before is None else torch.cat([before, made])
    return joined[max(0, len(joined) - motion_frames) :]


def generator(seed: int, purpose: str, number: int) -> torch.Generator:
    """A CPU random generator that depends on nothing but its arguments: the same noise on every device and machine."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{number}".encode()).digest()
    return torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def frame_noise(seed: int, start: int, count: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """Starting noise (count, C, h, w) of video frames start..start+count-1.

    It belongs to the frame, not to the clip, so a range, a window or a resumed job meets the same noise.
    """
    return torch.stack([torch.randn(shape, generator=generator(seed, "frame", start + i)) for i in range(count)])
