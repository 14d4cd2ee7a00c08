"""Painted puppets of stamp size with random latents, and a stage-2 network that learns in seconds."""

from pathlib import Path

import numpy as np
import torch
from emo2.training.puppets.cache import PuppetCache, latents_path, write_cache

SIZE, FRAMES = (64, 48), 12
NETWORK = {
    "size": SIZE, "latent_channels": 4, "widths": [16, 32], "attention_levels": [True, True], "heads": 2,
    "norm_groups": 4, "temporal_heads": 2, "clip_frames": 5, "motion_frames": 3, "positions": 8, "latent_scale": 0.5,
    "guider_channels": [4, 6, 8, 8],
}  # fmt: skip
STILL = {"everything": 0.0, "reference": 0.0, "pose": 0.0, "keypoints": 0.0, "hands": 0.0, "audio": 0.0,
         "motion_frames": 0.0}  # fmt: skip
"""No condition is ever dropped."""


def paint(folder: Path, count: int = 3) -> Path:
    """A cache of `count` puppets with latents that are noise, the same for the same picture number."""
    write_cache(folder, count, frames=FRAMES, size=SIZE)
    cache = PuppetCache(folder)
    for index in range(count):
        record = cache[index]
        shape = (1 + len(record), 4, SIZE[0] // 8, SIZE[1] // 8)
        latents = np.random.default_rng(index).standard_normal(shape).astype(np.float16)
        np.save(latents_path(record.path), latents)
    return folder


def fill(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights, none of them zero, so that gradients reach every layer; what is frozen too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(1 + 0.1 * noise if name.endswith("weight") else 0.05 * noise)
    return module


def batch_of(dataset, *indices: int) -> dict[str, torch.Tensor]:
    return torch.utils.data.default_collate([dataset[index] for index in indices])


def moved(module: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[set[str], set[str]]:
    """Names of the parameters that one step of the optimiser changes, and of those that it leaves."""
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=1.0)
    losses, _ = module(batch)
    losses.mean().backward()
    optimizer.step()
    changed = {name for name, value in module.named_parameters() if not torch.equal(value, before[name])}
    return changed, set(before) - changed
