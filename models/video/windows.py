"""Overlapping context windows, the second way to make a long video: every step denoises all frames, window by window.

Where windows overlap their predictions are averaged, and the windows move on from step to step, so that no seam stays
in one place (AnimateDiff's context scheduler; EchoMimicV2 uses windows of 12, overlap 3, closed, shifted by 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import EMO2Error

if TYPE_CHECKING:
    from .config import VideoConfig

WEIGHTS = ("uniform", "pyramid")


@dataclass(frozen=True)
class WindowOptions:
    """How windows lie (wire EMO2_WINDOWS).

    length: frames a window. overlap: frames two neighbouring windows share. closed_loop: the last window runs on into
    the first frames, so that the video can be played as a loop. shift: frames by which all windows move each step.
    weights: "uniform" averages overlapping predictions; "pyramid" trusts a window's middle more than its ends.
    """

    length: int = 12
    overlap: int = 3
    closed_loop: bool = True
    shift: int = 3
    weights: str = "uniform"

    def __post_init__(self) -> None:
        if self.length < 1:
            raise EMO2Error("length", "a window of at least 1 frame", self.length, "Give a longer window.")
        if not 0 <= self.overlap < self.length:
            raise EMO2Error(
                "overlap",
                f"0 to {self.length - 1} frames (less than the length)",
                self.overlap,
                "Give a smaller overlap.",
            )
        if self.shift < 0:
            raise EMO2Error("shift", "0 or more frames", self.shift, "Give 0 to keep the windows in place.")
        if self.weights not in WEIGHTS:
            raise EMO2Error("weights", " or ".join(WEIGHTS), self.weights, "Choose one of them.")


def windows_for(config: VideoConfig) -> WindowOptions | None:
    """How a model that knows no motion frames makes a video unless told otherwise; None for one that does."""
    if config.motion_frames:
        return None
    return WindowOptions(config.clip_frames, min(3, config.clip_frames - 1))


def context_windows(count: int, options: WindowOptions, step: int = 0) -> list[np.ndarray]:
    """The windows of denoising step `step` over `count` frames: arrays of frame numbers, each `length` long.

    Together they hold every frame. A video no longer than one window is one window. With a closed loop, windows start
    every length - overlap frames from shift * step on and wrap around the end; without one they stay inside the video,
    the outermost ones moved in so that they keep their full length.
    """
    if count < 1:
        raise EMO2Error("frame_count", "at least 1 frame", count, "Give a longer sound, motion or range.")
    if count <= options.length:
        return [np.arange(count)]
    stride = options.length - options.overlap
    inside = np.arange(options.length)
    if options.closed_loop:
        return [(first + options.shift * step + inside) % count for first in range(0, count, stride)]
    offset = (options.shift * step) % stride
    last = count - options.length
    starts = {min(max(first, 0), last) for first in range(-offset, last + stride, stride)}
    return [first + inside for first in sorted(starts)]


def window_weights(length: int, kind: str = "uniform") -> np.ndarray:
    """Weights (length,) of a window's predictions in the average, all above zero."""
    if kind == "uniform":
        return np.ones(length, np.float32)
    return np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)).astype(np.float32)
