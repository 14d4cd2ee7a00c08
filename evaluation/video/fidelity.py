"""SSIM and PSNR against the true video, frame by frame, through scikit-image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.errors import EMO2Error
from .measured import Measured
from .registry import locate, missing, named

PERFECT = 100.0
"""PSNR of identical frames, dB: a mean over frames must stay finite."""


def psnr(made: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> Measured:
    """PSNR in dB, one value a clip: the mean over its frames. Clips: pairs of (F, H, W, 3) uint8. Higher is better."""
    lack = locate("PSNR", ()).missing
    if lack:
        return missing("PSNR", lack)
    return named("PSNR", clips=[float(frame_psnr(a, b).mean()) for a, b in _pairs(made, true)])


def ssim(made: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> Measured:
    """SSIM (Wang 2004: Gaussian window, sigma 1.5), one value a clip: the mean over frames and colours."""
    lack = locate("SSIM", ()).missing
    if lack:
        return missing("SSIM", lack)
    return named("SSIM", clips=[float(frame_ssim(a, b).mean()) for a, b in _pairs(made, true)])


def frame_psnr(made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """PSNR (F,) in dB of frames (F, H, W, 3) uint8; identical frames count as 100 dB."""
    from skimage.metrics import peak_signal_noise_ratio

    with np.errstate(divide="ignore"):
        values = [peak_signal_noise_ratio(b, a, data_range=255) for a, b in zip(made, true)]
    return np.minimum(np.array(values, np.float64), PERFECT)


def frame_ssim(made: np.ndarray, true: np.ndarray) -> np.ndarray:
    """SSIM (F,) of frames (F, H, W, 3) uint8."""
    from skimage.metrics import structural_similarity

    options = {"channel_axis": -1, "data_range": 255, "gaussian_weights": True, "sigma": 1.5,
               "use_sample_covariance": False}  # fmt: skip
    return np.array([structural_similarity(b, a, **options) for a, b in zip(made, true)], np.float64)


def _pairs(made: Sequence[np.ndarray], true: Sequence[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clips side by side, checked: as many, of the same shape, uint8."""
    if len(made) != len(true):
        raise EMO2Error("video metrics", f"{len(true)} made clips", f"{len(made)}", "Give one made clip per true one.")
    for a, b in zip(made, true):
        for clip in (a, b):
            if clip.dtype != np.uint8 or clip.ndim != 4 or clip.shape[-1] != 3 or not len(clip):
                given = f"{clip.dtype} {clip.shape}"
                raise EMO2Error("video metrics", "clips (F, H, W, 3) uint8", given, "Convert the frames.")
        if a.shape != b.shape:
            raise EMO2Error("video metrics", f"a clip of shape {b.shape}", f"shape {a.shape}", "Use the same size.")
    return list(zip(made, true))
