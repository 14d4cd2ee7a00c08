"""The trainer of the small face encoder: one person's heads close together, other people's apart."""

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
from ..models.pose.face_network import KIND, TINY, FaceNetwork, build
from .beginnings import begin_with, steps_before
from .options import read_options
from .puppets.faces import head_picture, toned
from .recipe import Recipe, sample_rng


@dataclass(frozen=True)
class FaceIdentityOptions:
    """split: whose people. people, views: how many puppets there are and pictures of each; they stay in memory once
    drawn (7 kB each). temperature: of the softmax over a batch's people (Chen et al. 2020). network: its config, as
    `face_network.TINY`. begin: a checkpoint to begin with."""

    split: str = "train"
    people: int = 1500
    views: int = 6
    temperature: float = 0.1
    network: Mapping[str, Any] = field(default_factory=lambda: dict(TINY))
    begin: str | None = None


class FaceIdentityRecipe(Recipe):
    """`emo2 train face-identity`."""

    name: ClassVar[str] = "face-identity"
    harmless = frozenset({"begin"})

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.chosen = read_options(FaceIdentityOptions, options)
        if self.chosen.people < 2 or self.chosen.views < 2:
            given = f"{self.chosen.people} people, {self.chosen.views} views"
            raise EMO2Error("recipe.people and recipe.views", "at least 2 of each", given, "Ask for more.")
        if not 0 < self.chosen.temperature < float("inf"):
            raise EMO2Error("recipe.temperature", "a number above 0", self.chosen.temperature, "0.1 is usual.")

    def build(self) -> nn.Module:
        network = build(self.chosen.network)
        if self.chosen.begin:
            begin_with(network, self.chosen.begin, KIND)
        return _Lesson(network, self.chosen.temperature)

    def dataset(self) -> Dataset[Any]:
        return HeadPairs(self.seed, self.chosen)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        tensors = halved(module.network)  # type: ignore[arg-type]
        path = Path(folder) / "emo2_face_encoder_tiny.safetensors"
        before = steps_before(self.chosen.begin, KIND) if self.chosen.begin else {}
        return [save_checkpoint(path, KIND, self.chosen.network, tensors, notes={**notes, **before})]


class HeadPairs(Dataset[Any]):
    """Sample i: two heads of one person, {"heads": (2, 3, side, side) 0..1, "person": ()}."""

    def __init__(self, seed: int, options: FaceIdentityOptions):
        self.seed, self.options = seed, options
        self.side = int(options.network["side"])
        self._drawn: dict[tuple[int, int], np.ndarray] = {}

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng, own = sample_rng(self.seed, index), self.options
        # A stride that shares no factor with the count visits everyone before anybody comes again.
        person = index * _stride(own.people) % own.people
        views = rng.choice(own.views, 2, replace=False)
        heads = [toned(self._head(person, int(view)), rng) for view in views]
        heads = [head[:, ::-1] if rng.random() < 0.5 else head for head in heads]
        pixels = torch.from_numpy(np.stack(heads)).permute(0, 3, 1, 2).float() / 255
        return {"heads": pixels, "person": torch.tensor(person)}

    def _head(self, person: int, view: int) -> np.ndarray:
        if (person, view) not in self._drawn:
            self._drawn[person, view] = head_picture(person, self.options.split, view, self.side)
        return self._drawn[person, view]


def _stride(count: int) -> int:
    stride = max(1, round(count * 0.6180339887498949))
    while np.gcd(stride, count) > 1:
        stride += 1
    return stride


class _Lesson(nn.Module):
    """The network with its loss, as the training loop calls it."""

    def __init__(self, network: FaceNetwork, temperature: float):
        super().__init__()
        self.network, self.temperature = network, temperature

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        heads, person = batch["heads"], batch["person"]
        found = self.network(heads.flatten(0, 1)).float().unflatten(0, heads.shape[:2])
        return contrast(found, person, self.temperature)


def contrast(found: Tensor, person: Tensor, temperature: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Each row's two directions (B, 2, D) against all of the batch: cross entropy of finding its pair (B,), and the
    share that is found (B,). The same person in another row counts neither way."""
    first, second = found.unbind(1)
    logits = first @ second.T / temperature
    twice = (person[:, None] == person) & ~torch.eye(len(person), dtype=torch.bool, device=person.device)
    logits = logits.masked_fill(twice, float("-inf"))
    target = torch.arange(len(person), device=person.device)
    losses = [F.cross_entropy(matrix, target, reduction="none") for matrix in (logits, logits.T)]
    right = (logits.argmax(1) == target).float()
    return (losses[0] + losses[1]) / 2, {"found": right.detach()}
