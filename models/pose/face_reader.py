"""A small network that reads a puppet's face: how far its eyes are closed, and which emotion it shows.

It serves the evaluation of facial controls: what was asked for is compared with what it finds in the made pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.format import load_checkpoint
from ..types import Framing
from ..video.face_track import EMOTIONS
from .face_crop import head_cut
from .face_network import trunk

KIND = "face_reader"
"""The kind of its checkpoints."""
TINY: dict[str, Any] = {"widths": [16, 32, 64, 96], "groups": 8, "side": 48}
"""About 0.13 M parameters; as `face_network.TINY`."""


class FaceReader(nn.Module):
    """Heads to lids and emotions."""

    def __init__(self, widths: tuple[int, ...], groups: int, side: int):
        super().__init__()
        self.side = side
        self.trunk = trunk(widths, groups, side)
        self.lids = nn.Linear(widths[-1], 1)
        self.emotions = nn.Linear(widths[-1], len(EMOTIONS))

    def forward(self, heads: Tensor) -> tuple[Tensor, Tensor]:
        """Heads (B, 3, side, side) 0..1 to log-odds of closed eyes (B,) and of the emotions (B, 8)."""
        features = self.trunk(heads * 2 - 1)
        return self.lids(features)[:, 0], self.emotions(features)

    @torch.no_grad()
    def read(self, frames: np.ndarray, framings: Framing | list[Framing]) -> tuple[np.ndarray, np.ndarray]:
        """How far eyes are closed (F,) 0..1 and shares of EMOTIONS (F, 8) in frames (F, H, W, 3) uint8.

        framings: where the person stands, in all frames or in each.
        """
        each = [framings] * len(frames) if isinstance(framings, Framing) else framings
        heads = np.stack([head_cut(frame, framing, self.side) for frame, framing in zip(frames, each, strict=True)])
        pixels = torch.from_numpy(heads).permute(0, 3, 1, 2).float() / 255
        lids, emotions = self(pixels.to(next(self.parameters()).device))
        return lids.float().sigmoid().cpu().numpy(), emotions.float().softmax(1).cpu().numpy()


def build(config: Mapping[str, Any]) -> FaceReader:
    """The network that `config` (as TINY) describes."""
    return FaceReader(tuple(config["widths"]), config["groups"], config["side"])


def load_face_reader(path: Path | str, where: str = "face reader") -> FaceReader:
    """The network of a checkpoint of kind KIND, in float32. An EMO2Error when it is something else."""
    module, _ = load_checkpoint(path, KIND, build, where)
    return module.float().eval()  # type: ignore[return-value]


__all__ = ["KIND", "TINY", "FaceReader", "build", "load_face_reader"]
