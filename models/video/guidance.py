"""What of a motion guides the painting: the maps of its hands and, smoothed over time, of its body."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..types import Motion

if TYPE_CHECKING:
    from ..hands import HandModel
    from .config import VideoConfig


def guidance_maps(
    motion: Motion, hands: HandModel, config: VideoConfig, start: int = 0, count: int | None = None
) -> np.ndarray:
    """MANO and keypoint maps side by side, (F, H, W, 6) uint8, of frames start..start+count-1 (EMO2 section 3.4).

    `motion` has been through `steadied` already. Keypoint maps are black where the config shows none. A model that
    learned from EchoMimicV2's drawing of the hands gets that, (F, H, W, 3).
    """
    from ..maps import echomimic_maps, mano_maps

    if config.map_drawing == "echomimic_v2":
        return echomimic_maps(motion, hands, config.size, start=start, count=count)

    drawn = mano_maps(motion, hands, config.size, start=start, count=count)
    return np.concatenate([drawn, body_maps(motion, config, start, count)], axis=-1)


def body_maps(motion: Motion, config: VideoConfig, start: int = 0, count: int | None = None) -> np.ndarray:
    """The keypoint maps of `guidance_maps` alone, (F, H, W, 3) uint8."""
    from ..maps import keypoint_maps

    if config.keypoint_maps:
        return keypoint_maps(
            motion, config.size, start=start, count=count, face=config.face_maps, head_mask=config.head_mask
        )
    return np.zeros((len(motion) - start if count is None else count, *config.size, 3), np.uint8)


def steadied(motion: Motion, window: int) -> Motion:
    """`motion` with each known body point replaced by the median of its known positions in `window` frames around it.

    Detected keypoints jump; a wide median keeps where the body is and drops the jumps (EMO2 section 3.4). Hands stay
    exact, and arms that are bent to them because nobody detected them too. window: odd; 1 changes nothing. At the ends
    the window is cut.
    """
    known = motion.keypoint_scores > 0
    if window <= 1 or not known.any():
        return motion
    half = window // 2
    points = np.where(known[..., None], motion.keypoints, np.nan).astype(np.float32)
    padded = np.pad(points, ((half, half), (0, 0), (0, 0)), constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)
    middle = np.zeros_like(points)
    middle[known] = np.nanmedian(around[known], axis=-1)
    return motion.replace(keypoints=middle)


__all__ = ["body_maps", "guidance_maps", "steadied"]
