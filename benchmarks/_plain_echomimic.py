"""EchoMimicV2's pass as its own code schedules it, on our networks: what `echomimic.py` and a test compare with.

Reference features are made once a call, pose pictures of all frames at once. At every step and in every window the
reference stands beside the keys of every frame unprojected, both halves of guidance attend to it and the unconditional
half is done again without, and silence goes through the audio attention like sound. Attention is PyTorch's best kernel.
"""

from __future__ import annotations

from contextlib import contextmanager

import torch
from diffusers.models.attention import BasicTransformerBlock

from ..models.video.attention import attend, keys_values, project_out, split_heads
from ..models.video.condition_batch import ConditionBatch, FrameTokens
from ..models.video.conditions import Conditions, Settings
from ..models.video.model import VideoModel
from ..models.video.reference import place_of
from ..models.video.schedulers import make_scheduler
from ..models.video.windows import WindowOptions, context_windows


class _PlainReference:
    def __init__(self, name: str):
        self.name = name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, conditions=None):
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        features = conditions.reference[self.name].expand(len(hidden_states), -1, -1)
        out = attend(query, *keys_values(attn, torch.cat([hidden_states, features], dim=1)))
        if conditions.rows == 2:
            half = len(hidden_states) // 2
            own = hidden_states[:half]
            out = torch.cat([attend(query[:half], *keys_values(attn, own)), out[half:]])
        return project_out(attn, out)


class _PlainAudio:
    def __init__(self, scale: float):
        self.scale = scale

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, conditions=None):
        tokens = conditions.audio.tokens.flatten(0, 1)
        query = split_heads(attn.to_q(hidden_states), attn.heads)
        return project_out(attn, attend(query, *keys_values(attn, tokens))) * self.scale


@contextmanager
def _plainly(model: VideoModel):
    """The network with the original's attentions."""
    held = {}
    for name, module in model.backbone.named_modules():
        if isinstance(module, BasicTransformerBlock):
            held[module] = module.attn1.processor, module.attn2.processor
            module.attn1.processor = _PlainReference(place_of(name))
            module.attn2.set_processor(_PlainAudio(model.config.audio_scale))
    try:
        yield
    finally:
        for module, (first, second) in held.items():
            module.attn1.processor = first
            module.attn2.set_processor(second)


@torch.inference_mode()
def sample_plainly(
    model: VideoModel,
    conditions: Conditions,
    settings: Settings,
    windows: WindowOptions,
    count: int,
    noise: torch.Tensor,
    reference_latents: torch.Tensor,
) -> torch.Tensor:
    """Unscaled latents (F, C, h, w) of frames 0..count-1; noise (F, C, h, w), reference_latents (1, C, h, w) scaled.

    Motion, sound and settings are those of `sample_windows`; sound, motion and guidance above 1 must be there, or
    guidance 1.
    """
    config, rows = model.config, 1 if settings.cfg == 1 else 2
    scheduler = make_scheduler(settings.scheduler, config, settings.steps)
    everything = torch.arange(count).numpy()
    with _plainly(model):
        pose = model.guider(conditions.maps(everything)[0])
        sound = conditions.audio_windows(everything).flatten(-3, -2)
        reference = model.encode_reference(reference_latents)
        limit = config.noise_limit or float("inf")
        latents = noise.clamp(-limit, limit).transpose(0, 1)[None] * scheduler.init_noise_sigma
        for number, timestep in enumerate(scheduler.timesteps):
            total = latents.new_zeros(rows, *latents.shape[1:])
            weight = torch.zeros(count)
            for window in context_windows(count, windows, number):
                noisy = scheduler.scale_model_input(latents[:, :, window].repeat(rows, 1, 1, 1, 1), timestep)
                heard, posed = sound[:, window], pose[:, :, window]
                if rows == 2:
                    heard = torch.cat([torch.zeros_like(heard), heard])
                    posed = torch.cat([torch.zeros_like(posed), posed])
                known = ConditionBatch(rows, reference, None, FrameTokens(heard), posed)
                total[:, :, window] += model(noisy, timestep, conditions=known)
                weight[window] += 1
            predicted = total / weight[:, None, None]
            if rows == 2:
                without, told = predicted.chunk(2)
                predicted = without + settings.cfg * (told - without)
            latents = scheduler.step(predicted, timestep, latents).prev_sample
    return latents[0].transpose(0, 1) / config.latent_scale
