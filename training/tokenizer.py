"""The trainer of the motion tokenizer (VersaAnimator section 3.1), recipe `tokenizer`: whole bodies to codes and back.

Losses after T2M-GPT (Zhang et al. 2023, section 3.1): smooth L1 of the vector and of its change from frame to frame,
and commitment. Unknown hands are in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.body import skeleton, vector
from ..models.body.config import DOWNSAMPLING, TokenizerConfig
from ..models.body.tokenizer import MotionTokenizer
from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.errors import EMO2Error
from .body_data import BodySource, BodyWindows, open_data, statistics
from .body_points import in_space
from .kept_clips import check_clips
from .options import check_names
from .recipe import Recipe

WEIGHTS = {"velocity": 0.5, "commitment": 0.02, "arms": 4.0, "space": 1.0, "space_velocity": 0.5}
"""What the parts beside the reconstruction count (T2M-GPT's values), and within it the turns of shoulders, elbows and
wrists: a finger's turn counts 1. space: where the body is in space (see `body_points`), and
space_velocity: how that changes from frame to frame, in units of `SCALES`."""
SCALES = {"wrists": (0.1, 0.02), "hands": (0.05, 0.01), "head": (0.03, 0.005), "legs": (0.1, 0.02),
          "pelvis": (0.05, 0.01)}  # fmt: skip
"""Of each part of `InSpace`: metres that count as one, and metres from frame to frame; a nod is smaller than a wave."""

OPTIONS: dict[str, Any] = {
    "data": None, "clips": None, "profile": "tiny", "network": {}, "window": 64, "level_dropout": 0.2, "mirror": True,
    "weights": {}, "name": "tiny",
}  # fmt: skip
"""data, clips (how many a folder of puppets gets): see `kept_clips.check_clips`. profile: TokenizerConfig's paper or
tiny, and network: fields of it to change. window: frames of a sample. level_dropout: how often a sample gets fewer
codebooks than there are (MoMask's quantisation dropout), so that the first ones say most. mirror: half of the samples
are shown in a mirror. weights: `WEIGHTS`. name: of the exported file."""


class TokenizerRecipe(Recipe):
    name: ClassVar[str] = "tokenizer"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        check_names(options, OPTIONS)
        merged = OPTIONS | self.options
        self.entries = check_clips(merged["data"], merged["clips"])
        self.config = _config(merged["profile"], merged["network"])
        self.weights = _weights(merged["weights"])
        self.window = merged["window"]
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < DOWNSAMPLING:
            raise EMO2Error("config recipe.window", "a number of frames", repr(self.window), "Correct it.")
        if self.window % DOWNSAMPLING:
            wanted = f"a multiple of {DOWNSAMPLING} frames"
            raise EMO2Error("config recipe.window", wanted, self.window, "Correct it.")
        self.dropout = merged["level_dropout"]
        if isinstance(self.dropout, bool) or not isinstance(self.dropout, (int, float)) or not 0 <= self.dropout < 1:
            raise EMO2Error("config recipe.level_dropout", "a share from 0 to below 1", self.dropout, "Correct it.")
        self.mirror, self.label = bool(merged["mirror"]), str(merged["name"])
        self._sources: list[BodySource] | None = None

    def sources(self) -> list[BodySource]:
        """The data, opened once."""
        if self._sources is None:
            self._sources = open_data(self.entries, self.config.fps)
        return self._sources

    def build(self) -> TokenizerLesson:
        mean, deviation = statistics(self.sources(), mirror=self.mirror)
        network = MotionTokenizer(self.config)
        network.set_normalisation(torch.tensor(mean), torch.tensor(deviation))
        return TokenizerLesson(network, self.weights)

    def dataset(self) -> BodyWindows:
        return BodyWindows(
            self.sources(), self.window, self.config.levels, self.seed, float(self.dropout), self.mirror
        )  # fmt: skip

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        assert isinstance(module, TokenizerLesson)
        network = module.network
        what = {
            "description": "Whole-body motion as codes, trained with `emo2 train tokenizer`.",
            "profile": self.label,
        }
        # Which code is nearest may hang on little: the codes themselves stay exact.
        tensors = packed(network.state_dict(), exact=("codes",))
        path = folder / f"emo2_tokenizer_{self.label}.safetensors"
        return [save_checkpoint(path, "tokenizer", network.config.to_dict(), tensors, notes=dict(notes) | what)]


class TokenizerLesson(nn.Module):
    """`module(batch)` -> (losses (B,), parts): the vector, its change from frame to frame, commitment; codes in use."""

    emphasis: Tensor

    def __init__(self, network: MotionTokenizer, weights: Mapping[str, float]):
        super().__init__()
        self.network, self.weights = network, dict(weights)
        self.register_buffer(
            "emphasis", torch.tensor(emphasis(self.weights["arms"]), dtype=torch.float32), persistent=False
        )

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        known = batch["known"]
        result = self.network(batch["motion"], known, batch["levels"])
        truth = self.network.normalise(batch["motion"]).float()
        made = self.network.normalise(result.reconstruction).float()
        share = known * self.emphasis
        rebuilt = _mean(F.smooth_l1_loss(made, truth, reduction="none"), share)
        both = share[:, 1:] * known[:, :-1]
        change = _mean(F.smooth_l1_loss(made.diff(dim=1), truth.diff(dim=1), reduction="none"), both)
        losses = rebuilt + self.weights["velocity"] * change + self.weights["commitment"] * result.commitment
        parts = {"rebuilt": rebuilt, "velocity": change, "commitment": result.commitment}
        if self.weights["space"] or self.weights["space_velocity"]:
            place, speed, off = space_losses(result.reconstruction.float(), batch["motion"].float(), known)
            losses = losses + self.weights["space"] * place + self.weights["space_velocity"] * speed
            parts |= {"space": place, "space_velocity": speed, "hands_mm": 1000 * off}
        parts |= {"in_use": result.perplexity.mean().expand(len(losses))}
        return losses, {name: value.detach() for name, value in parts.items()}


def space_losses(made: Tensor, true: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(B,) smooth L1 of a body's places and of how they change from frame to frame, and (B,) metres that the points of
    the hands are off, of vectors (B, T, 384) not normalised; hands that are not known count nothing.

    Of each token two neighbouring frames are looked at, from a random one on: the others are much the same.
    """
    last = made.shape[1] - 1
    pick = torch.randint(min(DOWNSAMPLING, last), (), device=made.device)
    first = torch.arange(pick, last, DOWNSAMPLING, device=made.device)
    frames = torch.cat([first, first + 1])
    shown = in_space(made[:, frames])
    with torch.no_grad():
        truth = in_space(true[:, frames])
    hands = known[:, frames][..., [int(vector.hand_numbers(hand)[0]) for hand in (0, 1)]].to(made.dtype)
    place, speed = made.new_zeros(len(made)), made.new_zeros(len(made))
    for name, (scale, speed_scale) in SCALES.items():
        a, b = getattr(shown, name), getattr(truth, name)
        seen = hands if name in ("wrists", "hands") else torch.ones_like(hands[..., :1])
        if name == "hands":
            off = _mean((a - b).detach().norm(dim=-1).mean(-1), seen)
        away = (a - b).flatten(3) if name in ("wrists", "hands") else (a - b).flatten(2)[:, :, None]
        before, after = away.chunk(2, dim=1)
        place = place + _mean(_smooth(away / scale).mean(-1), seen)
        speed = speed + _mean(_smooth((after - before) / speed_scale).mean(-1), seen[:, : len(first)])
    return place, speed, off


def _smooth(value: Tensor) -> Tensor:
    """Huber's smooth L1 of what something is off."""
    return F.smooth_l1_loss(value, torch.zeros_like(value), reduction="none")


def emphasis(arms: float = WEIGHTS["arms"]) -> np.ndarray:
    """(384,): what an error of each number counts. An arm's turns carry the hand, a head's are small and say much;
    velocities follow from turns."""
    share = np.ones(vector.SIZE)
    for joint in (skeleton.PELVIS, *skeleton.SPINE, *skeleton.HIPS, *skeleton.KNEES):
        share[vector.joint(joint)] = 2.0
    for joint in (skeleton.NECK, skeleton.HEAD):
        share[vector.joint(joint)] = 4.0
    for joint in (*skeleton.SHOULDERS, *skeleton.ELBOWS, *skeleton.WRISTS):
        share[vector.joint(joint)] = arms
    share[vector.ROOT] = 4.0
    share[vector.ROOT_VELOCITY] = share[vector.VELOCITIES] = 0.25
    return share / share.mean()


def _mean(values: Tensor, share: Tensor) -> Tensor:
    """Means (B,) of values (B, T, D), each counting as much as `share` (B, T, D) says."""
    return (values * share).sum((1, 2)) / share.sum((1, 2)).clamp(min=1e-6)


def _config(profile: Any, changes: Any) -> TokenizerConfig:
    profiles = {"paper": TokenizerConfig.paper, "tiny": TokenizerConfig.tiny}
    if profile not in profiles:
        raise EMO2Error("config recipe.profile", "paper or tiny", repr(profile), "Choose one of them.")
    try:
        return TokenizerConfig.from_dict(profiles[profile]().to_dict() | dict(changes))
    except (ValueError, TypeError) as error:
        raise EMO2Error("config recipe.network", "fields of a tokenizer's config", error, "Correct it.") from error


def _weights(values: Any) -> dict[str, float]:
    fits = isinstance(values, Mapping) and not set(values) - set(WEIGHTS)
    if not fits or any(not isinstance(v, (int, float)) or v < 0 for v in values.values()):
        raise EMO2Error(
            "config recipe.weights", f"numbers from 0 up for {', '.join(WEIGHTS)}", repr(values), "Correct it."
        )
    return WEIGHTS | {name: float(value) for name, value in values.items()}
