"""The backbone (EMO2 section 3.4): diffusers' UNetMotionModel with reference, audio and motion-frame attention."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.unets.unet_motion_model import UNetMotionModel
from torch.utils.checkpoint import checkpoint

from .attention import AudioAttention, InteractiveAudioAttention, ReferenceAttention
from .condition_batch import ConditionBatch, InnerLevels
from .config import VideoConfig
from .face_control import FaceAttention
from .interaction import AudioInteraction, pose_prior
from .reference import INPUT, layers, place_of, upsample_size
from .temporal import TemporalModule


class Backbone(UNetMotionModel):
    """The denoiser of a clip: diffusers' spatial layers under their own names, our temporal modules in its places."""

    def __init__(self, config: VideoConfig):
        levels = config.attention_levels
        super().__init__(
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            block_out_channels=config.widths,
            down_block_types=tuple("CrossAttnDownBlockMotion" if on else "DownBlockMotion" for on in levels),
            up_block_types=tuple("CrossAttnUpBlockMotion" if on else "UpBlockMotion" for on in reversed(levels)),
            layers_per_block=config.layers_per_block,
            num_attention_heads=config.heads,
            motion_num_attention_heads=config.temporal_heads,
            temporal_transformer_layers_per_block=0,  # they are replaced below
            temporal_transformer_layers_per_mid_block=0,
            norm_num_groups=config.norm_groups,
            cross_attention_dim=config.audio_width,
        )
        self.checkpoint_layers = False
        for name, module in list(self.named_modules()):
            if name.endswith(".motion_modules"):
                for index, old in enumerate(module):
                    module[index] = TemporalModule(f"{name}.{index}", old.in_channels, config)
            elif isinstance(module, BasicTransformerBlock):
                place = place_of(name)
                module.attn1.set_processor(ReferenceAttention(place))  # type: ignore[arg-type]
                face = FaceAttention(place, module.attn2.query_dim, config) if config.face_control else None
                made = (place, config.audio_scale, config.audio_absent == "zeros", face)
                if config.audio_interaction:
                    own = AudioInteraction(config, module.attn2.query_dim)
                    module.attn2.set_processor(InteractiveAudioAttention(*made, own))  # type: ignore[arg-type]
                else:
                    module.attn2.set_processor(AudioAttention(*made))  # type: ignore[arg-type]
        self.interacts = config.audio_interaction > 0

    def forward(
        self,
        noisy: torch.Tensor,
        timestep: torch.Tensor | float,
        conditions: ConditionBatch,
        inner: InnerLevels | None = None,
    ) -> torch.Tensor:
        """noisy: (B, C, F, h, w); timestep: one number, (B,) or (B, F). Returns the prediction."""
        rows, _, frames = noisy.shape[:3]
        times = torch.as_tensor(timestep, device=noisy.device)
        times = times.flatten() if times.ndim == 2 else times.expand(rows)
        emb = self.time_embedding(self.time_proj(times).to(noisy.dtype))
        if emb.shape[0] != rows * frames:
            emb = emb.repeat_interleave(frames, dim=0)

        x = self.conv_in(noisy.transpose(1, 2).flatten(0, 1))
        if self.interacts and conditions.audio is not None:
            conditions = replace(conditions, prior=pose_prior(conditions, x))
        x = _add_pose(_add_reference(x, conditions), conditions)
        skips = [x]
        x = self._down(self.down_blocks[0], x, emb, skips, conditions)
        if inner is None or inner.features is None:
            x = self._inner(x, emb, skips, conditions)
            if inner is not None:
                inner.features = x
        else:
            x = inner.features.to(x.dtype)
        if len(self.up_blocks) > 1:
            x = _enlarge(self.up_blocks[-2], x, skips)
        x = self._up(self.up_blocks[-1], x, emb, skips, conditions)

        x = self.conv_out(self.conv_act(self.conv_norm_out(x)))
        return x.unflatten(0, (rows, frames)).transpose(1, 2)

    def _inner(self, x, emb, skips, conditions):
        """Every level below the outermost; `skips` comes back as long as it was."""
        own = len(skips)
        block: Any = self.down_blocks[0]
        for downsampler in block.downsamplers or ():
            x = downsampler(x)
            skips.append(x)
        for block in self.down_blocks[1:]:
            x = self._down(block, x, emb, skips, conditions)
            for downsampler in block.downsamplers or ():
                x = downsampler(x)
                skips.append(x)

        mid: Any = self.mid_block
        x = self._layer(x, emb, mid.resnets[0], mid.attentions[0], mid.motion_modules[0], conditions)
        x = mid.resnets[1](x, emb)

        for place, block in enumerate(self.up_blocks[:-1]):
            x = _enlarge(self.up_blocks[place - 1], x, skips) if place else x
            x = self._up(block, x, emb, skips, conditions)
        assert len(skips) == own
        return x

    def _down(self, block, x, emb, skips, conditions):
        """The layers of a level on the way down, each kept in `skips`."""
        for (resnet, attention), motion_module in zip(layers(block), block.motion_modules, strict=True):
            x = self._layer(x, emb, resnet, attention, motion_module, conditions)
            skips.append(x)
        return x

    def _up(self, block, x, emb, skips, conditions):
        """The layers of a level on the way up, each with the last of `skips` beside it."""
        for (resnet, attention), motion_module in zip(layers(block), block.motion_modules, strict=True):
            x = self._layer(torch.cat([x, skips.pop()], dim=1), emb, resnet, attention, motion_module, conditions)
        return x

    def _layer(self, x, emb, resnet, attention, motion_module, conditions):
        if self.checkpoint_layers and torch.is_grad_enabled():
            return checkpoint(_whole_layer, x, emb, resnet, attention, motion_module, conditions, use_reentrant=False)
        return _whole_layer(x, emb, resnet, attention, motion_module, conditions)

    def spatial(self) -> dict[str, BasicTransformerBlock]:
        """The transformer blocks with the spatial (attn1) and the audio attention (attn2), by name of their place."""
        blocks = self.named_modules()
        return {place_of(name): block for name, block in blocks if isinstance(block, BasicTransformerBlock)}

    def face(self) -> dict[str, FaceAttention]:
        """The attentions to the face's controls by name of their place; none where the network has no such controls."""
        return {module.name: module for module in self.modules() if isinstance(module, FaceAttention)}

    def temporal(self) -> dict[str, TemporalModule]:
        """The temporal modules by name."""
        return {module.name: module for module in self.modules() if isinstance(module, TemporalModule)}


def _enlarge(block: Any, x: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
    """x as it leaves a level on the way up: as large as the next level's pictures."""
    for upsampler in block.upsamplers or ():
        x = upsampler(x, upsample_size(x, skips[-1]))
    return x


def _whole_layer(x, emb, resnet, attention, motion_module, conditions):
    """Residual block, spatial attention (reference, then sound) where there is one, temporal module."""
    x = resnet(x, emb)
    if attention is not None:
        x = attention(x, cross_attention_kwargs={"conditions": conditions}, return_dict=False)[0]
    return x if conditions.pictures else motion_module(x, conditions)


def _add_pose(x: torch.Tensor, conditions: ConditionBatch) -> torch.Tensor:
    """First features (rows F, C0, h, w) plus those of the pose (R, C0, F, h, w), in the rows that have one."""
    pose = conditions.pose
    return x if pose is None else _add(x, pose.transpose(1, 2), "pose", conditions)


def _add_reference(x: torch.Tensor, conditions: ConditionBatch) -> torch.Tensor:
    """First features plus those of the reference's latents (R, C0, h, w), where the network has them."""
    strength, known = conditions.reference_strength, conditions.reference
    if known is None or INPUT not in known or strength == 0:
        return x
    first = known[INPUT]
    assert isinstance(first, torch.Tensor)
    return _add(x, (first if strength == 1 else first * strength)[:, None], "reference", conditions)


def _add(x: torch.Tensor, values: torch.Tensor, name: str, conditions: ConditionBatch) -> torch.Tensor:
    """x (rows F, C0, h, w) plus `values` (R, F or 1, C0, h, w) in the rows that have the condition `name`."""
    frames = x.shape[0] // conditions.rows
    parts = []
    for run in conditions.runs(name):
        part = x[run.start * frames : run.stop * frames]
        if run.first is not None:
            part = part + run.take(values).expand(-1, frames, -1, -1, -1).flatten(0, 1).to(x.dtype)
        parts.append(part)
    return torch.cat(parts) if len(parts) > 1 else parts[0]
