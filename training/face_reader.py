"""The trainer of the face reader: lids and emotions of puppets, in pictures drawn and damaged on the fly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import halved
from ..models.errors import EMO2Error
from ..models.pose.face_reader import KIND, TINY, FaceReader, build
from .beginnings import begin_with, steps_before
from .options import read_options
from .puppets.faces import head_moment, toned
from .recipe import Recipe, sample_rng


@dataclass(frozen=True)
class FaceReaderOptions:
    """split: whose people. pool: how many different pictures there are, each of another person; they stay in memory
    once drawn (7 kB each) and are damaged anew every time. network: its config, as `face_reader.TINY`. begin: a
    checkpoint to begin with."""

    split: str = "train"
    pool: int = 8000
    network: Mapping[str, Any] = field(default_factory=lambda: dict(TINY))
    begin: str | None = None


class FaceReaderRecipe(Recipe):
    """`emo2 train face-reader`."""

    name: ClassVar[str] = "face-reader"
    harmless = frozenset({"begin"})

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.chosen = read_options(FaceReaderOptions, options)
        if self.chosen.pool < 1:
            raise EMO2Error("recipe.pool", "at least 1 picture", self.chosen.pool, "8000 is plenty.")

    def build(self) -> nn.Module:
        network = build(self.chosen.network)
        if self.chosen.begin:
            begin_with(network, self.chosen.begin, KIND)
        return _Lesson(network)

    def dataset(self) -> Dataset[Any]:
        return Faces(self.seed, self.chosen)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        tensors = halved(module.network)  # type: ignore[arg-type]
        path = Path(folder) / "emo2_face_reader_tiny.safetensors"
        before = steps_before(self.chosen.begin, KIND) if self.chosen.begin else {}
        return [save_checkpoint(path, KIND, self.chosen.network, tensors, notes={**notes, **before})]


class Faces(Dataset[Any]):
    """Sample i: {"head": (3, side, side) 0..1, "blink": (), "emotion": (8,)}."""

    def __init__(self, seed: int, options: FaceReaderOptions):
        self.seed, self.options = seed, options
        self.side = int(options.network["side"])
        self._drawn: dict[int, tuple[np.ndarray, float, np.ndarray]] = {}

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        number = index % self.options.pool
        if number not in self._drawn:
            # Other people than the face encoder's, which are counted from 0.
            drawn = head_moment(1_000_000 + number, self.options.split, 0, self.side, acted=True)
            self._drawn[number] = drawn
        head, blink, emotion = self._drawn[number]
        damaged = toned(head, sample_rng(self.seed, index))
        return {
            "head": torch.from_numpy(np.ascontiguousarray(damaged)).permute(2, 0, 1).float() / 255,
            "blink": torch.tensor(blink, dtype=torch.float32),
            "emotion": torch.from_numpy(emotion.astype(np.float32)),
        }


class _Lesson(nn.Module):
    """The network with its loss, as the training loop calls it."""

    def __init__(self, network: FaceReader):
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        lids, emotions = self.network(batch["head"])
        wanted = batch["emotion"]
        # What is left of a mixture's cross entropy when it is hit exactly is no error.
        least = -(wanted * wanted.clamp_min(1e-9).log()).sum(1)
        emotion = -(wanted * emotions.float().log_softmax(1)).sum(1) - least
        blink = F.smooth_l1_loss(lids.float().sigmoid(), batch["blink"], beta=0.1, reduction="none")
        right = (emotions.argmax(1) == wanted.argmax(1)).float()
        return emotion + 4 * blink, {"emotion": emotion.detach(), "blink": blink.detach(), "right": right}
