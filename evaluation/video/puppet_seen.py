"""What the estimator sees in a made clip of a puppet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from ...models.errors import EMO2Error
from ...models.pose.puppet_estimator import HANDS, WRISTS, PuppetEstimator, load_puppet_estimator
from .hands import HandPoints

FILE = "emo2_puppet_estimator_tiny.safetensors"
BATCH = 32
SURE = 0.3
"""The share of a heatmap that must lie about a point for it to count as found."""


@dataclass(frozen=True)
class Seen:
    """One clip: points (F, 9, 2) in the clip's pixels, in the order of `puppet_estimator.POINTS`; confidence (F, 9)
    0..1; mouth (F, 2): opening and width."""

    points: np.ndarray
    confidence: np.ndarray
    mouth: np.ndarray


def find_estimator(folders: Sequence[Path | str]) -> PuppetEstimator:
    """The shipped estimator, from the first of the model folders that has it; EMO2Error where none has."""
    for folder in folders:
        path = Path(folder) / FILE
        if path.is_file():
            return load_puppet_estimator(path)
    given = f"none in {', '.join(str(folder) for folder in folders) or 'no folder'}"
    raise EMO2Error("puppet estimator", FILE, given, "Train it: emo2 train puppet-estimator --config tiny.")


def see(video: np.ndarray, estimator: PuppetEstimator) -> Seen:
    """What is where in frames (F, H, W, 3) uint8. Pictures of another size are scaled to the network's."""
    height, width = estimator.size
    frames, rows, columns = len(video), *video.shape[1:3]
    parts = []
    for start in range(0, frames, BATCH):
        block = video[start : start + BATCH]
        if (rows, columns) != (height, width):
            block = np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in block])
        pictures = torch.from_numpy(np.ascontiguousarray(block)).permute(0, 3, 1, 2).float() / 255
        parts.append(estimator.estimate(pictures))
    points, confidence, mouth = (torch.cat(values).cpu().numpy().astype(np.float64) for values in zip(*parts))
    return Seen(points * np.array([columns / width, rows / height]), confidence, mouth)


def puppet_hand_points(video: np.ndarray, estimator: PuppetEstimator) -> HandPoints:
    """A detector for HKC, HKV and jerk on puppets: two points a hand, its middle and its wrist."""
    seen = see(video, estimator)
    order = np.array([[hand, wrist] for hand, wrist in zip(HANDS, WRISTS)])
    confidence = seen.confidence[:, order]
    confidence = np.where(confidence[:, :, :1] < SURE, 0, confidence)
    return HandPoints(seen.points[:, order] / video.shape[2], confidence, "puppet estimator, 2 points a hand")
