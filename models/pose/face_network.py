"""A small network that tells puppets apart by their heads: the tiny profile's face recognition.

It is to a tiny video model what ArcFace's networks are to a large one: a head cut out of a picture becomes a direction,
and the same person's directions lie close together.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoints.format import load_checkpoint

KIND = "face_encoder"
"""The kind of its checkpoints."""
TINY: dict[str, Any] = {"widths": [16, 32, 64, 96], "groups": 8, "side": 48, "embedding": 128}
"""About 0.14 M parameters. widths: channels at 1/2, 1/4, 1/8 and 1/16 of `side`; embedding: numbers of a direction."""


class FaceNetwork(nn.Module):
    """Heads to unit vectors."""

    def __init__(self, widths: tuple[int, ...], groups: int, side: int, embedding: int):
        super().__init__()
        self.side, self.embedding = side, embedding
        self.trunk = trunk(widths, groups, side)
        self.out = nn.Linear(widths[-1], embedding)

    def forward(self, heads: Tensor) -> Tensor:
        """Heads (B, 3, side, side) 0..1 to directions (B, embedding) of length 1."""
        return F.normalize(self.out(self.trunk(heads * 2 - 1)), dim=1)


def trunk(widths: tuple[int, ...], groups: int, side: int) -> nn.Sequential:
    """Convolutions from heads (B, 3, side, side) -1..1 to features (B, widths[-1]); each width halves the picture."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, stride=2, padding=1)]
    for before, after in pairwise(widths):
        layers += [nn.GroupNorm(groups, before), nn.SiLU(), nn.Conv2d(before, after, 3, stride=2, padding=1)]
        if after < widths[-1]:
            layers.append(_Residual(after, groups))
    last = widths[-1]
    # One weight for each place and channel: where something is matters, unlike in a mean (MobileFaceNet).
    gather = nn.Conv2d(last, last, side // 2 ** len(widths), groups=last)
    return nn.Sequential(*layers, nn.GroupNorm(groups, last), nn.SiLU(), gather, nn.Flatten())


class _Residual(nn.Module):
    def __init__(self, width: int, groups: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width // 2, 3, padding=1),
            nn.GroupNorm(groups, width // 2), nn.SiLU(), nn.Conv2d(width // 2, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def build(config: Mapping[str, Any]) -> FaceNetwork:
    """The network that `config` (as TINY) describes."""
    return FaceNetwork(tuple(config["widths"]), config["groups"], config["side"], config["embedding"])


def load_face_network(path: Path | str, where: str = "face encoder") -> FaceNetwork:
    """The network of a checkpoint of kind KIND, in float32. An EMO2Error when it is something else."""
    module, _ = load_checkpoint(path, KIND, build, where)
    return module.float().eval()  # type: ignore[return-value]


__all__ = ["KIND", "TINY", "FaceNetwork", "build", "load_face_network", "trunk"]
