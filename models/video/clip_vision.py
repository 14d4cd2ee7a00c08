"""A CLIP image encoder built from a config alone, with the interface of ComfyUI's CLIP_VISION."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from ..checkpoints.format import save_checkpoint
from ..errors import EMO2Error

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
TINY = {
    "hidden_size": 64,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "image_size": 64,
    "patch_size": 8,
    "projection_dim": 64,
    "hidden_act": "quick_gelu",
}


@dataclass
class CLIPVisionOutput:
    """What the encoder says of B pictures (wire CLIP_VISION_OUTPUT); fields are read by attribute or in brackets.

    image_embeds (B, D): the projected class token. last_hidden_state and penultimate_hidden_states: (B, 1 + patches,
    width).
    """

    image_embeds: torch.Tensor
    last_hidden_state: torch.Tensor
    penultimate_hidden_states: torch.Tensor
    mm_projected: None = None

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


class CLIPVision(nn.Module):
    """transformers' CLIP image encoder; `config` holds the fields of its CLIPVisionConfig."""

    def __init__(self, config: Mapping[str, Any]):
        super().__init__()
        known = set(CLIPVisionConfig().to_dict())
        unknown = sorted(set(config) - known)
        if unknown:
            raise ValueError(f"unknown config fields: {', '.join(unknown)}")
        self.size = int(config.get("image_size", 224))
        self.model = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))

    @torch.no_grad()
    def encode_image(self, image: torch.Tensor, crop: bool = True) -> CLIPVisionOutput:
        """image: (B, H, W, 1, 3 or 4) in 0..1; its middle square is seen, or all of it squeezed when `crop` is off.

        The answer lies on the image's device, in float32.
        """
        out = self(prepare_pixels(image, self.size, crop))
        return CLIPVisionOutput(*(tensor.float().to(image.device) for tensor in out))

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Normalised pixels (B, 3, size, size) -> image_embeds, last_hidden_state, penultimate_hidden_states."""
        # A VRAM manager may keep the layers' own weights elsewhere; this one is always where the work is done.
        like = self.model.vision_model.embeddings.class_embedding
        out = self.model(pixel_values=pixels.to(like.device, like.dtype), output_hidden_states=True)
        return out.image_embeds, out.last_hidden_state, out.hidden_states[-2]


def prepare_pixels(image: torch.Tensor, size: int, crop: bool = True) -> torch.Tensor:
    """Pictures (B, H, W, 1, 3 or 4) in 0..1 as CLIP wants them: bicubic, in 8-bit steps, normalised (B, 3, size, size).

    Grey is repeated, alpha is dropped.
    """
    if image.ndim != 4 or image.shape[3] not in (1, 3, 4) or 0 in image.shape:
        raise EMO2Error("image", "pictures (B, H, W, 3)", f"shape {tuple(image.shape)}", "Connect an IMAGE.")
    pixels = image[..., :3].movedim(-1, 1).float()
    pixels = pixels.expand(-1, 3, -1, -1)
    height, width = pixels.shape[2:]
    if (height, width) != (size, size):
        scale = size / min(height, width)
        target = (round(scale * height), round(scale * width)) if crop else (size, size)
        pixels = F.interpolate(pixels, size=target, mode="bicubic", antialias=True)
        top, left = (target[0] - size) // 2, (target[1] - size) // 2
        pixels = pixels[:, :, top : top + size, left : left + size]
    pixels = (pixels * 255).clamp(0, 255).round() / 255
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (MEAN, STD))
    return (pixels - mean) / std


def build(config: Mapping[str, Any]) -> CLIPVision:
    """The encoder of a checkpoint's config, freshly initialised from torch's default generator."""
    return CLIPVision(config)


def write_tiny(path: Path | str, seed: int = 0) -> Path:
    """Write a checkpoint of the tiny profile that holds no weights, only a seed for them."""
    return save_checkpoint(path, "clip_vision", TINY, {}, untrained=seed)
