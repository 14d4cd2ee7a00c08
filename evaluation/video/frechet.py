"""Frechet distances between two sets of pictures or clips: FID, FVD, and their stand-in on the pack's own encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ...models.errors import EMO2Error
from .measured import Measured
from .registry import locate, missing, named

BATCH = 16
FVD_FRAMES = 16
"""Length of the clips that FVD compares, and the step between their starts."""


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Squared Frechet distance of two sets of features (n, D), (m, D), as Gaussians of their means and covariances.

    |mu1 - mu2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) (Heusel 2017, equation 6). Never negative. The trace of the root is
    the sum of singular values of A B^T, where A^T A = S1 and B^T B = S2: exact also with fewer samples than features.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if min(len(first), len(second)) < 2 or first.shape[1:] != second.shape[1:]:
        given = f"{first.shape} and {second.shape}"
        raise EMO2Error("Frechet distance", "two sets (n, D) with n > 1", given, "Give at least two clips or frames.")
    centres = first.mean(0), second.mean(0)
    roots = [(x - c) / np.sqrt(len(x) - 1) for x, c in zip((first, second), centres)]
    spread = (roots[0] ** 2).sum() + (roots[1] ** 2).sum()
    # Turning a root changes neither its covariance nor the singular values: no more rows than features are needed.
    roots = [np.linalg.qr(root, mode="r") if len(root) > root.shape[1] else root for root in roots]
    spread -= 2 * np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    return max(float(((centres[0] - centres[1]) ** 2).sum() + spread), 0.0)


def frechet(name: str, made: Sequence[np.ndarray], true: Sequence[np.ndarray], note: str = "") -> Measured:
    """Metric `name` from features of each clip, lists of (n, D). A resampling draws made and true clips together."""

    def over(indices: np.ndarray) -> float:
        return frechet_distance(np.concatenate([made[i] for i in indices]), np.concatenate([true[i] for i in indices]))

    frames = sum(len(part) for part in made)
    dims = made[0].shape[1] if made else 0
    if frames <= dims:
        note = f"{note} {frames} samples for {dims} features: too few for a stable value".strip()
    return named(name, over=over, count=len(made), note=note)


def fid(made: Sequence[np.ndarray], true: Sequence[np.ndarray], folders: Sequence[Path | str] = ()) -> Measured:
    """FID of the frames of clips (F, H, W, 3) uint8 on Inception-V3 (2048 pool features). Lower is better."""
    found = locate("FID", folders)
    if found.path is None:
        return missing("FID", found.missing)
    network = _torchscript(found.path)

    def features(pictures: torch.Tensor) -> torch.Tensor:
        return network(pictures, return_features=True)  # it resizes and scales 0..255 itself

    return frechet("FID", _by_picture(made, features), _by_picture(true, features))


def fvd(made: Sequence[np.ndarray], true: Sequence[np.ndarray], folders: Sequence[Path | str] = ()) -> Measured:
    """FVD of pieces of 16 frames of clips (F, H, W, 3) uint8 on I3D (400 logits). Lower is better."""
    found = locate("FVD", folders)
    if found.path is None:
        return missing("FVD", found.missing)
    short = min((len(clip) for clip in [*made, *true]), default=0)
    if short < FVD_FRAMES:
        return missing("FVD", f"clips of at least {FVD_FRAMES} frames (one has {short})")
    network = _torchscript(found.path)

    def clip_features(clip: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(clip) - FVD_FRAMES + 1, FVD_FRAMES):
            piece = torch.from_numpy(np.ascontiguousarray(clip[start : start + FVD_FRAMES])).permute(3, 0, 1, 2)[None]
            with torch.no_grad():
                parts.append(network(piece, rescale=True, resize=True, return_features=True).float().numpy())
        return np.concatenate(parts).reshape(len(parts), -1)

    return frechet("FVD", [clip_features(clip) for clip in made], [clip_features(clip) for clip in true])


def fid_tiny_clip(
    made: Sequence[np.ndarray], true: Sequence[np.ndarray], encode: Callable[[torch.Tensor], torch.Tensor]
) -> Measured:
    """The stand-in for FID on puppets. encode: pictures (n, 3, H, W) float 0..1 to features (n, D), the tiny CLIP's.

    Its numbers compare runs of this pack with one another and with nothing else.
    """
    features = lambda pictures: encode(pictures.float() / 255)
    note = "a stand-in, not comparable with any published FID;"
    return frechet("FID-tinyCLIP", _by_picture(made, features), _by_picture(true, features), note)


def _by_picture(clips: Sequence[np.ndarray], features: Callable[[torch.Tensor], torch.Tensor]) -> list[np.ndarray]:
    """Features (F, D) float32 of each clip's frames."""
    out = []
    for clip in clips:
        parts = []
        for start in range(0, len(clip), BATCH):
            pictures = torch.from_numpy(np.ascontiguousarray(clip[start : start + BATCH])).permute(0, 3, 1, 2)
            with torch.no_grad():
                parts.append(features(pictures).float().flatten(1).cpu().numpy())
        out.append(np.concatenate(parts))
    return out


def _torchscript(path: Path) -> torch.jit.ScriptModule:
    """A TorchScript network: it runs in its own restricted language, so that the file cannot run Python code."""
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, OSError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EMO2Error(
            "evaluation file", f"a TorchScript network ({path.name})", reason, "Get the file again."
        ) from error
