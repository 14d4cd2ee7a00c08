"""SyncNet (Chung and Zisserman 2016, "Out of time"): lips and sound in one space, laid out as its public weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...models.errors import EMO2Error

LIP_FRAMES, FACE = 5, 224
"""Frames a lip window has, and the side of its face crops."""
SOUND_STEPS, CEPSTRA = 20, 13
"""MFCC steps (100 a second) a sound window has, and coefficients a step."""
EMBEDDING = 1024


class SyncNet(nn.Module):
    """Two towers. The names of its parts are those of `syncnet_v2.model`."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_layer2d(1, 64, 3, 1), nn.MaxPool2d(1, 1),
            *_layer2d(64, 192, 3, 1), nn.MaxPool2d(3, (1, 2)),
            *_layer2d(192, 384, 3, 1), *_layer2d(384, 256, 3, 1),
            *_layer2d(256, 256, 3, 1), nn.MaxPool2d(3, 2),
            *_layer2d(256, 512, (5, 4), 0),
        )  # fmt: skip
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_layer3d(3, 96, (5, 7, 7), (1, 2, 2), 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_layer3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_layer3d(256, 256, (1, 3, 3), 1, (0, 1, 1)), *_layer3d(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_layer3d(256, 256, (1, 3, 3), 1, (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_layer3d(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip

    def hear(self, sound: Tensor) -> Tensor:
        """MFCC windows (B, 1, 13, 20) to embeddings (B, 1024)."""
        return self.netfcaud(self.netcnnaud(sound).flatten(1))

    def see(self, lips: Tensor) -> Tensor:
        """Face windows (B, 3, 5, 224, 224), BGR 0..255, to embeddings (B, 1024)."""
        return self.netfclip(self.netcnnlip(lips).flatten(1))


def load_syncnet(path: Path) -> SyncNet:
    """The network with the public weights, read without running anything of the file; strict."""
    import pickle

    remedy = "Get syncnet_v2.model again."
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EMO2Error("evaluation file", f"SyncNet's weights ({path.name})", reason, remedy) from error
    network = SyncNet()
    try:
        network.load_state_dict(state, strict=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise EMO2Error("evaluation file", f"SyncNet's weights ({path.name})", reason, remedy) from error
    return network.eval().requires_grad_(False)


def _layer2d(into: int, out: int, kernel: int | tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(into, out, kernel, padding=padding), nn.BatchNorm2d(out), nn.ReLU()]


def _layer3d(into: int, out: int, kernel: tuple, stride: int | tuple, padding: int | tuple) -> list[nn.Module]:
    return [nn.Conv3d(into, out, kernel, stride, padding), nn.BatchNorm3d(out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))
