"""CLIP's image encoder (ViT-L/14 and its like): a Hugging Face folder or one file, with its own names or theirs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import EMO2Error
from .folders import read_json, weights_file
from .format import Header, Unfilled, load_strictly
from .identify import identify, shapes_of
from .torch_files import load_tensors

WANTED = "a CLIP image encoder (ViT-L/14)"
TOP = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}
LAYER = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2",
         "attn.out_proj": "self_attn.out_proj"}  # fmt: skip
"""A layer's parts under CLIP's own names and under transformers'."""
SMOOTH_WIDTH = 1280
"""Width from which on (ViT-H and larger, by LAION) the activation is GELU itself; OpenAI's networks approximate it."""


def load_clip_vision(path: Path | str, where: str = "clip_vision") -> tuple[Any, Header]:
    """The image encoder with its projection, float32, in evaluation mode, and a header with its sizes.

    A text encoder in the same file is left there. EMO2Error that says what the file is when it is something else.
    """
    path = Path(path)
    file = weights_file(path, where) if path.is_dir() else path
    tensors = load_tensors(file, where, WANTED)
    named = transformers_names(tensors)
    config = sizes(named)
    if config is None:
        kind = identify(shapes_of(tensors))
        kind = "a CLIP image encoder without its projection" if kind == "a CLIP image encoder" else kind
        raise EMO2Error(where, WANTED, f"{kind} ({file.name})",
                        "Choose model.safetensors of openai/clip-vit-large-patch14.")  # fmt: skip
    if path.is_dir():
        told = read_json(path / "config.json", where)
        told = told.get("vision_config", told)
        config |= {key: told[key] for key in ("hidden_act", "num_attention_heads", "layer_norm_eps") if key in told}
    from ..video.clip_vision import build

    with Unfilled():
        module = build(config)
    load_strictly(module.model, {name: value.float() for name, value in named.items()}, file.name, where)
    return module.eval().requires_grad_(False), Header(file, "clip_vision", config)


def transformers_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The image encoder's tensors under transformers' names."""
    found: dict[str, torch.Tensor] = {}
    for name, value in tensors.items():
        if name.startswith(("vision_model.", "visual_projection.")):
            found[name] = value
        elif name in TOP:
            found[TOP[name]] = value
        elif name == "visual.proj":
            found["visual_projection.weight"] = value.T.contiguous()
        elif name.startswith("visual.transformer.resblocks."):
            number, _, rest = name.removeprefix("visual.transformer.resblocks.").partition(".")
            layer = f"vision_model.encoder.layers.{number}."
            if rest.startswith("attn.in_proj_"):
                for part, chunk in zip("qkv", value.chunk(3)):
                    found[f"{layer}self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = chunk
            else:
                part, _, kind = rest.rpartition(".")
                found[f"{layer}{LAYER.get(part, part)}.{kind}"] = value
    found.pop("vision_model.embeddings.position_ids", None)
    return found


def sizes(tensors: Mapping[str, torch.Tensor]) -> dict[str, Any] | None:
    """The fields of a CLIPVisionConfig that the tensors' shapes tell; None when something is missing."""
    places = tensors.get("vision_model.embeddings.position_embedding.weight")
    patches = tensors.get("vision_model.embeddings.patch_embedding.weight")
    projection = tensors.get("visual_projection.weight")
    first = tensors.get("vision_model.encoder.layers.0.mlp.fc1.weight")
    if places is None or patches is None or projection is None or first is None:
        return None
    layers = 0
    while f"vision_model.encoder.layers.{layers}.mlp.fc1.weight" in tensors:
        layers += 1
    width, patch = patches.shape[0], patches.shape[-1]
    return {
        "hidden_size": width, "intermediate_size": first.shape[0], "num_hidden_layers": layers,
        "num_attention_heads": max(1, width // (80 if width == SMOOTH_WIDTH else 64)), "patch_size": patch,
        "image_size": round((places.shape[0] - 1) ** 0.5) * patch, "projection_dim": projection.shape[0],
        "hidden_act": "gelu" if width >= SMOOTH_WIDTH else "quick_gelu",
    }  # fmt: skip


__all__ = ["load_clip_vision", "sizes", "transformers_names"]
