"""Small networks in the file formats that the video metrics read, and small clips."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from emo2.training.puppets.world import Puppet
from torch import nn


class Pool(nn.Module):
    """Stands where an Inception or I3D would: 48 averages of the picture, called as those are."""

    def forward(self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = True):
        x = x.float()
        x = x.mean(2) if x.dim() == 5 else x
        return torch.nn.functional.adaptive_avg_pool2d(x, 4).flatten(1)


def write_torchscript(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.jit.script(Pool()).save(str(path))
    return path


def write_onnx(path: Path, side: int) -> Path:
    """A network of one Flatten: pictures (N, 3, side, side) to their pixels (N, 3 side side)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    node = _text(1, "x") + _text(2, "y") + _text(4, "Flatten")
    dims = _bytes(1, _text(2, "N")) + b"".join(_bytes(1, _number(1, n)) for n in (3, side, side))
    value = lambda name, shape: _text(1, name) + _bytes(2, _bytes(1, _number(1, 1) + _bytes(2, shape)))
    out = _bytes(1, _text(2, "N")) + _bytes(1, _number(1, 3 * side * side))
    graph = _bytes(1, node) + _text(2, "g") + _bytes(11, value("x", dims)) + _bytes(12, value("y", out))
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 13)))
    return path


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + struct.pack("B", value & 127 | 128), value >> 7
    return out + struct.pack("B", value)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def noise(seed: int, *shape: int) -> np.ndarray:
    """Random pictures (..., 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def puppet(number: int, seconds: float = 1.0) -> Puppet:
    return Puppet.draw(number, "held-out", seconds=seconds)
