"""The reference network (EMO2 section 3.4): Stable Diffusion's UNet, run at t = 0 on clean latents, for its features.

It is run once per reference picture and once per clip's motion frames, never per denoising step.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from torch.utils.checkpoint import checkpoint

from .attention import TappedAttention
from .config import VideoConfig

INPUT = "conv_in"
"""Name, among the places of the reference's features, of what is added to the backbone's first features."""


class ReferenceNetwork(UNet2DConditionModel):
    """diffusers' UNet without cross-attention and without its output layers, which nothing would read.

    Its layers keep their names, so the features are known by the names of the places in the backbone where they go.
    """

    def __init__(self, config: VideoConfig):
        levels = config.attention_levels
        super().__init__(
            in_channels=config.latent_channels,
            block_out_channels=config.widths,
            down_block_types=tuple("CrossAttnDownBlock2D" if on else "DownBlock2D" for on in levels),
            up_block_types=tuple("CrossAttnUpBlock2D" if on else "UpBlock2D" for on in reversed(levels)),
            layers_per_block=config.layers_per_block,
            attention_head_dim=config.heads,  # diffusers' name for the number of heads
            norm_num_groups=config.norm_groups,
            cross_attention_dim=1,  # diffusers wants one; the cross-attentions are taken out below
        )
        self.conv_norm_out, self.conv_act, self.conv_out = None, None, nn.Identity()  # type: ignore[assignment]
        self.checkpoint_layers = False
        for name, module in self.named_modules():
            if isinstance(module, BasicTransformerBlock):
                module.norm2, module.attn2 = None, None  # type: ignore[assignment]
                module.attn1.set_processor(TappedAttention(place_of(name)))  # type: ignore[arg-type]

    def forward(self, latents: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """latents: (N, C, h, w), scaled. Returns (spatial features, temporal features).

        Spatial: for each self-attention its input after norm1, (N, tokens, channels), under the attention's name, which
        is the same in both networks. Temporal: what would enter each temporal module of the backbone, (N, channels, h,
        w), under the module's name.
        """
        spatial: dict[str, torch.Tensor] = {}
        temporal: dict[str, torch.Tensor] = {}
        now = torch.zeros(1, dtype=torch.long, device=latents.device)
        emb = self.time_embedding(self.time_proj(now).to(latents.dtype)).expand(latents.shape[0], -1)

        x = self.conv_in(latents)
        skips = [x]
        block: Any
        for level, block in enumerate(self.down_blocks):
            for place, (resnet, attention) in enumerate(layers(block)):
                x = self._layer(x, emb, resnet, attention, spatial)
                temporal[f"down_blocks.{level}.motion_modules.{place}"] = x
                skips.append(x)
            for downsampler in block.downsamplers or ():
                x = downsampler(x)
                skips.append(x)

        x = self._layer(x, emb, self.mid_block.resnets[0], self.mid_block.attentions[0], spatial)
        temporal["mid_block.motion_modules.0"] = x
        x = self.mid_block.resnets[1](x, emb)

        for level, block in enumerate(self.up_blocks):
            for place, (resnet, attention) in enumerate(layers(block)):
                x = self._layer(torch.cat([x, skips.pop()], dim=1), emb, resnet, attention, spatial)
                temporal[f"up_blocks.{level}.motion_modules.{place}"] = x
            for upsampler in block.upsamplers or ():
                x = upsampler(x, upsample_size(x, skips[-1]))
        return spatial, temporal

    def _layer(self, x, emb, resnet, attention, bank):
        if self.checkpoint_layers and torch.is_grad_enabled():
            x, found = checkpoint(_resnet_and_attention, x, emb, resnet, attention, use_reentrant=False)
        else:
            x, found = _resnet_and_attention(x, emb, resnet, attention)
        bank.update(found)
        return x


def reference_input(config: VideoConfig) -> nn.Conv2d:
    """(R, C, h, w) reference latents -> (R, C0, h, w), for the backbone's first features; zero at first."""
    layer = nn.Conv2d(config.latent_channels, config.widths[0], 3, padding=1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _resnet_and_attention(x, emb, resnet, attention):
    """One residual block and, where there is one, the spatial attention after it; and the attention's features."""
    bank: dict[str, torch.Tensor] = {}
    x = resnet(x, emb)
    if attention is not None:
        x = attention(x, cross_attention_kwargs={"bank": bank}, return_dict=False)[0]
    return x, bank


def layers(block: Any) -> list[tuple[nn.Module, nn.Module | None]]:
    """Pairs (residual block, spatial attention or None) of a level."""
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return list(zip(block.resnets, attentions, strict=True))


def place_of(name: str) -> str:
    """Name of the spatial attention ("down_blocks.0.attentions.1") in which the layer `name` sits."""
    return name.split(".transformer_blocks.")[0]


def upsample_size(x: torch.Tensor, skip: torch.Tensor) -> tuple[int, int] | None:
    """Where the picture on the way up meets the one kept on the way down; None where that is twice the size."""
    size = (skip.shape[2], skip.shape[3])
    return None if size == (2 * x.shape[2], 2 * x.shape[3]) else size
