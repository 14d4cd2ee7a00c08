"""The tiny autoencoder's trainer: pictures of puppets through a small AutoencoderKL and back.

The paper uses Stable Diffusion's autoencoder (section 3.4); this one serves the tiny profile, whose networks work at
128 x 96 on a CPU.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import halved
from ..models.errors import EMO2Error
from ..models.video import vae
from ..models.whole_files import whole_file
from .autoencoder_data import Pictures, Sampled, held_out_pictures
from .beginnings import begin_with, steps_before
from .options import read_options
from .recipe import Recipe


@dataclass(frozen=True)
class AutoencoderOptions:
    """data: folder of a puppet cache; without one, or with `fresh`, puppets are drawn as they are needed. more:
    further caches, such as close-ups, as often as the first. held_out: the cache that sample pictures and the measured
    PSNR come from (without: fresh held-out puppets). size: (H, W) of fresh puppets. widths, layers, channels, groups,
    mid_attention: the network (`models.video.vae.TINY`). hands, edges: extra weight of pixels with hands, and of
    pixels on edges; faces: of eyes, brows and mouths, which needs `data`. squared, slopes: weight of the squared error
    and of the difference of gradients beside the absolute error. kl: weight of the divergence from a standard normal,
    a mean over latents. keep: weight of how far the latents of `data`'s pictures move from what they were in `begin`
    (squared), so that a video network still knows them. augment: mirror pictures and swap their colours. previews: how
    many held-out pictures. begin: a checkpoint to begin with. sampled: share of pictures that the decoder makes from
    latents as a video network sampled them; the rest are from encoded ones, both of `data`. The encoder then stays as
    it is in `begin`, so that latents keep their meaning (0: all learns, from pictures). mix: share of what was learned
    in the exported weights, the rest is what `begin` knew: between the two, little is forgotten (Wortsman et al. 2022,
    arXiv 2109.01903)."""

    data: str | None = None
    more: tuple[str, ...] = ()
    held_out: str | None = None
    fresh: bool = False
    size: tuple[int, int] = (128, 96)
    widths: tuple[int, ...] = tuple(vae.TINY["block_out_channels"])
    layers: int = vae.TINY["layers_per_block"]
    channels: int = vae.TINY["latent_channels"]
    groups: int = vae.TINY["norm_num_groups"]
    mid_attention: bool = vae.TINY["mid_block_add_attention"]
    hands: float = 2.0
    edges: float = 1.0
    faces: float = 0.0
    squared: float = 2.0
    slopes: float = 0.5
    kl: float = 1e-4
    keep: float = 0.0
    augment: bool = True
    previews: int = 8
    begin: str | None = None
    sampled: float = 0.0
    mix: float = 1.0

    def config(self) -> dict[str, Any]:
        """The network's config, as its checkpoint says it."""
        return {
            "block_out_channels": list(self.widths), "layers_per_block": self.layers,
            "latent_channels": self.channels, "norm_num_groups": self.groups,
            "mid_block_add_attention": self.mid_attention,
        }  # fmt: skip


class AutoencoderRecipe(Recipe):
    """Recipe `autoencoder`; options as AutoencoderOptions says."""

    name = "autoencoder"
    harmless = frozenset({"data", "more", "held_out", "previews", "begin", "mix"})

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        self.own = own = read_options(AutoencoderOptions, options)
        if not own.widths or any(not isinstance(w, int) or w < 1 or w % own.groups for w in own.widths):
            wanted = f"widths that are multiples of groups ({own.groups})"
            raise EMO2Error("config recipe.widths", wanted, list(own.widths), "Change one of the two.")
        if len(own.size) != 2 or any(not isinstance(n, int) or n < 1 for n in own.size):
            raise EMO2Error("config recipe.size", "[HEIGHT, WIDTH] in pixels", list(own.size), "Change it.")
        if not 0 <= own.sampled <= 1:
            raise EMO2Error("config recipe.sampled", "a share from 0 to 1", own.sampled, "Half of them is usual.")
        if own.sampled and not (own.data and own.begin):
            lacking = " and ".join(name for name in ("data", "begin") if not getattr(own, name))
            todo = "Give the cache with sampled latents, and the autoencoder that the video network was taught with."
            raise EMO2Error("config recipe.sampled", "data and begin beside it", f"no {lacking}", todo)
        if not 0 < own.mix <= 1 or (own.mix < 1 and not own.begin):
            given = own.mix if own.begin else f"{own.mix} and nothing to begin with"
            todo = "Give 0.7, or 1 for all of it." if own.begin else "Give recipe.begin as well, or 1."
            raise EMO2Error("config recipe.mix", "a share of what is learned, above 0, up to 1", given, todo)
        for name, given, needed in (
            ("faces", own.faces, own.data and not own.fresh), ("more", own.more, own.data and not own.fresh),
            ("keep", own.keep, own.begin and own.data and not own.sampled),
        ):  # fmt: skip
            if given and not needed:
                wanted = "data and begin, without sampled" if name == "keep" else "data"
                raise EMO2Error(f"config recipe.{name}", f"{wanted} beside it", given, "Give them, or leave it out.")
        self._held_out: Tensor | None = None

    def build(self) -> nn.Module:
        lesson = AutoencoderLesson(self.own)
        if self.own.begin:
            begin_with(lesson.vae, self.own.begin, "vae")
            if self.own.keep:
                lesson.remember()
        if self.own.sampled:
            lesson.vae.encoder.requires_grad_(False)
            lesson.vae.quant_conv.requires_grad_(False)
        return lesson

    def dataset(self) -> Dataset[Any]:
        own = self.own
        if own.sampled:
            assert own.data is not None
            return Sampled(self.seed, own.data, own.sampled)
        factor = vae.factor(own.config())
        folders = () if own.fresh or own.data is None else (own.data, *own.more)
        faces = bool(own.faces or own.keep)
        return Pictures(self.seed, folders, own.size, own.augment, own.channels, factor, faces)

    def held_out(self) -> Tensor:
        """(N, H, W, 3) uint8 pictures that are never trained on."""
        if self._held_out is None:
            self._held_out = held_out_pictures(self.own.held_out, self.own.previews, self.own.size)
        return self._held_out

    def measure(self, module: nn.Module) -> dict[str, float]:
        """PSNR of held-out pictures, dB: the mean over pictures, in 8 bits."""
        return {"psnr": float(_psnr(self.held_out(), self._reconstruct(module)).mean())}

    def preview(self, module: nn.Module, folder: Path, step: int) -> list[Path]:
        """Held-out pictures above what becomes of them."""
        import cv2

        rows = [torch.cat(list(pictures), dim=1) for pictures in (self.held_out(), self._reconstruct(module))]
        sheet = torch.cat(rows).numpy()[..., ::-1]
        target = folder / "reconstruction.png"
        with whole_file(target) as temporary:
            temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
        return [target]

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        """The autoencoder, as float16; with latents of unit scale, unless they were to stay as they are."""
        pictures = self.held_out()
        module = self._mixed(module)
        stays = self.own.sampled or self.own.keep
        network = module.vae if stays else unit_latents(module.vae, self._latents(module))
        tensors = halved(network)
        check = copy.deepcopy(network)
        check.load_state_dict({name: value.float() for name, value in tensors.items()})
        made = _reconstruct(check, pictures)
        notes = {**notes, "held_out_psnr_db": f"{float(_psnr(pictures, made).mean()):.2f}",
                 "held_out_pictures": str(len(pictures)), "data": notes.get("data") or "puppets"}  # fmt: skip
        if stays:
            notes["stage"] = "decoder" if self.own.sampled else "faces"
        if self.own.begin:
            notes |= steps_before(self.own.begin, "vae")
        path = folder / "emo2_vae_tiny.safetensors"
        return [save_checkpoint(path, "vae", self.own.config(), tensors, notes=notes)]

    def _mixed(self, module: nn.Module) -> nn.Module:
        """The lesson with weights between those of `begin` (0) and its own (1), at `mix`."""
        if self.own.mix == 1:
            return module
        mixed = copy.deepcopy(module)
        before = begin_with(copy.deepcopy(module.vae), str(self.own.begin), "vae")
        for now, old in zip(mixed.vae.parameters(), before.parameters()):  # type: ignore[union-attr]
            now.data.lerp_(old.data.to(now), 1 - self.own.mix)
        return mixed

    def _latents(self, module: nn.Module, count: int = 64) -> Tensor:
        """Latents (N, C, h, w) of training pictures, for their scale."""
        data = self.dataset()
        pictures = torch.stack([data[index]["picture"].movedim(0, -1) for index in range(count)])
        return vae.encode(module.vae, pictures.float() / 255, device=_device(module))

    def _reconstruct(self, module: nn.Module) -> Tensor:
        return _reconstruct(module.vae, self.held_out())


class AutoencoderLesson(nn.Module):
    """The autoencoder with its loss: batch {"picture" (B, 3, H, W) uint8, "hands" (B, 1, H, W) bool, "noise"}, with
    "faces" and "first" as `Pictures` has them; or "latents" (B, C, h, w) instead of noise, which the decoder alone
    has to make the pictures of."""

    def __init__(self, options: AutoencoderOptions):
        super().__init__()
        self.options = options
        self.vae: Any = vae.build(options.config())
        self._before: list[Any] = []  # in a list, so that it is no part of what is trained and saved

    def remember(self) -> None:
        """Keep a copy of the network as it is, for `keep`."""
        self._before = [copy.deepcopy(self.vae).eval().requires_grad_(False)]

    def _moved(self, target: Tensor, mean: Tensor, first: Tensor) -> Tensor:
        """(B,): squared distance of latents to those that the network gave before it learned; 0 but for `first`."""
        self._before = [network.to(target.device) for network in self._before]
        moved = mean.new_zeros(len(mean))
        if first.any():
            with torch.no_grad():
                old = self._before[0].encode(target[first]).latent_dist.mean.float()
            moved[first] = (mean[first] - old).square().mean(dim=(1, 2, 3))
        return moved

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        own = self.options
        target = batch["picture"].float() / 127.5 - 1
        parts: dict[str, Tensor] = {}
        divergence: Tensor | float = 0.0
        moved: Tensor | float = 0.0
        if "latents" in batch:
            latents = batch["latents"]
        else:
            posterior = self.vae.encode(target).latent_dist
            mean, spread = posterior.mean.float(), posterior.std.float()
            latents = mean + spread * batch["noise"]
            divergence = 0.5 * (mean.square() + spread.square() - 1 - 2 * spread.log()).mean(dim=(1, 2, 3))
            parts = {"kl": divergence, "latent_std": mean.flatten(1).std(dim=1),
                     "posterior_std": spread.flatten(1).mean(dim=1)}  # fmt: skip
            if self._before:
                moved = self._moved(target, mean, batch["first"])
                parts["moved"] = moved
        made = self.vae.decode(latents).sample.float()
        weight = 1 + own.hands * batch["hands"].float() + own.edges * _edges(target)
        if own.faces:
            weight = weight + own.faces * batch["faces"].float()
        weight = weight / weight.mean(dim=(1, 2, 3), keepdim=True)
        error = made - target
        absolute = (weight * (error.square() + 1e-6).sqrt()).mean(dim=(1, 2, 3))
        squared = (weight * error.square()).mean(dim=(1, 2, 3))
        slopes = _slopes(error)
        losses = absolute + own.squared * squared + own.slopes * slopes + own.kl * divergence
        losses = losses + own.keep * moved
        parts["psnr"] = -10 * torch.log10(error.clamp(-2, 2).square().mean(dim=(1, 2, 3)) / 4 + 1e-10)
        return losses, {name: value.detach() for name, value in parts.items()}


@torch.no_grad()
def unit_latents(network: Any, latents: Tensor) -> Any:
    """A copy of an AutoencoderKL whose latents have mean 0 and deviation 1 in each channel where `latents` (N, C, h, w)
    are the original's. The factors go into the two 1x1 convolutions beside the latents, so nothing else changes."""
    mean = latents.mean(dim=(0, 2, 3))
    deviation = latents.std(dim=(0, 2, 3)).clamp(min=1e-6)
    scaled = copy.deepcopy(network)
    mean, deviation = mean.to(scaled.quant_conv.weight), deviation.to(scaled.quant_conv.weight)
    channels = len(mean)
    entry, leave = scaled.quant_conv, scaled.post_quant_conv
    leave.bias += leave.weight[:, :, 0, 0] @ mean
    leave.weight *= deviation[None, :, None, None]
    entry.weight[:channels] /= deviation[:, None, None, None]
    entry.bias[:channels] = (entry.bias[:channels] - mean) / deviation
    entry.bias[channels:] -= 2 * deviation.log()  # the other half is the logarithm of the variance
    return scaled


def _slopes(error: Tensor) -> Tensor:
    """(B,): mean absolute difference of neighbouring errors, at three scales."""
    total = torch.zeros(len(error), device=error.device)
    for scale in range(3):
        total = total + (error[..., 1:] - error[..., :-1]).abs().mean(dim=(1, 2, 3))
        total = total + (error[..., 1:, :] - error[..., :-1, :]).abs().mean(dim=(1, 2, 3))
        if scale < 2:
            error = functional.avg_pool2d(error, 2)
    return total / 6


def _edges(picture: Tensor) -> Tensor:
    """(B, 1, H, W) 0..1: how much the picture changes around each pixel."""
    local = functional.avg_pool2d(picture, 5, 1, 2, count_include_pad=False)
    spread = (picture - local).abs().amax(dim=1, keepdim=True)
    return functional.max_pool2d(spread * 4, 3, 1, 1).clamp(max=1)


def _psnr(truth: Tensor, made: Tensor) -> Tensor:
    """(N,) dB of pictures (N, H, W, 3) uint8."""
    error = (truth.double() - made.double()).square().mean(dim=(1, 2, 3))
    return 10 * torch.log10(255**2 / error.clamp(min=1e-6))


def _reconstruct(network: Any, pictures: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 through the autoencoder, the way the nodes do it."""
    device = next(network.parameters()).device
    latents = vae.encode(network, pictures.float() / 255, device)
    return (vae.decode(network, latents, device) * 255).round().to(torch.uint8)


def _device(module: nn.Module) -> torch.device:
    return next(module.parameters()).device
