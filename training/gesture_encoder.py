"""The trainer of the network behind FGD, recipe `gesture-encoder`: it rebuilds windows of motion and names styles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.errors import EMO2Error
from ..models.motion.gesture_encoder import NUMBERS, GestureEncoder, GestureEncoderConfig, held, windows
from .motion_data import Source, check_sources, open_sources, statistics
from .motion_lesson import emphasis
from .options import check_names
from .recipe import Recipe, sample_rng
from .weighted import WeightedDraw

OPTIONS: dict[str, Any] = {
    "data": None, "takes": None, "network": {}, "style_weight": 0.2, "velocity_weight": 0.5, "balance": True,
    "name": "tiny",
}  # fmt: skip
"""data, takes: see `motion_data.check_sources`. network: fields of GestureEncoderConfig. balance: every style is drawn
as often as the others. name: of the exported file."""
VELOCITY = 25.0


class GestureEncoderRecipe(Recipe):
    name: ClassVar[str] = "gesture-encoder"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        check_names(options, OPTIONS)
        merged = OPTIONS | self.options
        self.entries = check_sources(merged["data"], merged["takes"])
        try:
            self.config = GestureEncoderConfig.from_dict(dict(merged["network"]))
        except (ValueError, TypeError) as error:
            raise EMO2Error(
                "config recipe.network", "fields of a gesture encoder's config", error, "Correct it."
            ) from error
        for key in ("style_weight", "velocity_weight"):
            if not isinstance(merged[key], (int, float)) or merged[key] < 0:
                raise EMO2Error(f"config recipe.{key}", "a number from 0 up", repr(merged[key]), "Correct it.")
        self.style_weight, self.velocity_weight = float(merged["style_weight"]), float(merged["velocity_weight"])
        self.balance, self.label = bool(merged["balance"]), str(merged["name"])
        self._sources: list[Source] | None = None

    def sources(self) -> list[Source]:
        """The data, opened once."""
        if self._sources is None:
            self._sources = open_sources(self.entries, self.config.fps)
        return self._sources

    def build(self) -> GestureLesson:
        mean, deviation, _ = statistics(self.sources())
        network = GestureEncoder(self.config)
        network.mean.copy_(torch.tensor(mean[:NUMBERS]))
        network.std.copy_(torch.tensor(deviation[:NUMBERS]))
        return GestureLesson(network, self.style_weight, self.velocity_weight)

    def dataset(self) -> GestureWindows:
        return GestureWindows(self.sources(), self.config, self.seed, self.balance)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        assert isinstance(module, GestureLesson)
        path = folder / f"emo2_gesture_encoder_{self.label}.safetensors"
        what = {"description": "Autoencoder of hand motion for the Frechet gesture distance.", "profile": self.label}
        network = module.network
        return [
            save_checkpoint(
                path,
                "gesture_encoder",
                network.config.to_dict(),
                packed(network.state_dict()),
                notes=dict(notes) | what,
            )
        ]


class GestureWindows(Dataset[dict[str, Tensor]]):
    """Windows of takes: motion (window, 134) not normalised, style () (-1: none of the config's)."""

    def __init__(self, sources: Sequence[Source], config: GestureEncoderConfig, seed: int, balance: bool = True):
        self.sources, self.config, self.seed = list(sources), config, seed
        self.draw = WeightedDraw(self.sources)
        self.by_style: list[dict[str, list[int]]] = []
        for source in self.sources if balance else ():
            groups: dict[str, list[int]] = {}
            for index in range(len(source.takes)):
                groups.setdefault(source.takes[index].style, []).append(index)
            self.by_style.append(groups)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        place = self.draw(rng)
        takes = self.sources[place].takes
        if self.by_style:
            groups = self.by_style[place]
            style = sorted(groups)[int(rng.integers(len(groups)))]
            number = groups[style][int(rng.integers(len(groups[style])))]
        else:
            number = int(rng.integers(len(takes)))
        take, window = takes[number], self.config.window
        begin = int(rng.integers(max(len(take) - window, 0) + 1))
        span = slice(begin, begin + window)
        cut = windows(held(take.motion[span, :NUMBERS], take.visible[span]), window, window)[0]
        names = self.config.styles
        style_index = names.index(take.style) if take.style in names else -1
        return {"motion": torch.from_numpy(cut), "style": torch.tensor(style_index)}


class GestureLesson(nn.Module):
    """`module(batch)` -> (losses (B,), parts): rebuilding, velocity, and the style's name."""

    def __init__(self, network: GestureEncoder, style_weight: float, velocity_weight: float):
        super().__init__()
        self.network, self.style_weight, self.velocity_weight = network, style_weight, velocity_weight
        self.register_buffer("emphasis", emphasis()[:NUMBERS], persistent=False)

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        truth = self.network.normalise(batch["motion"])
        features = self.network.encode(batch["motion"]).float()
        error = self.network.decode(features).float() - truth
        share = self.emphasis / self.emphasis.mean()
        rebuilt = (error.square() * share).mean((1, 2))
        velocity = VELOCITY * (error.diff(dim=1).square() * share).mean((1, 2))
        named = F.cross_entropy(
            self.network.style_logits(features).float(), batch["style"], ignore_index=-1, reduction="none"
        )
        # Features keep about unit size, so that distances of two trainings can be compared at a glance.
        size = (features.square().mean(1) - 1).square()
        losses = rebuilt + self.velocity_weight * velocity + self.style_weight * named + 0.01 * size
        parts = {"rebuilt": rebuilt, "velocity": velocity, "style": named}
        return losses, {name: value.detach() for name, value in parts.items()}
