"""Whisper's encoder from OpenAI's own files (`tiny.pt`) and from Hugging Face folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..audio.whisper import WhisperEncoder, build_whisper
from ..errors import EMO2Error
from .folders import read_json, weights_file
from .format import Header, load_strictly
from .torch_files import load_tensors, load_torch

WANTED = "OpenAI's Whisper (tiny.pt, or a Hugging Face folder)"
PARTS = {
    "attn.query": "self_attn.q_proj", "attn.key": "self_attn.k_proj", "attn.value": "self_attn.v_proj",
    "attn.out": "self_attn.out_proj", "attn_ln": "self_attn_layer_norm", "mlp.0": "fc1", "mlp.2": "fc2",
    "mlp_ln": "final_layer_norm",
}  # fmt: skip
"""A layer's parts under OpenAI's names and under transformers'."""


def load_whisper(path: Path | str, where: str = "audio_encoder") -> tuple[WhisperEncoder, Header]:
    """The encoder half of a Whisper model, float32, in evaluation mode; the decoder is left in the file."""
    path = Path(path)
    config, tensors = _folder(path, where) if path.is_dir() else _openai(path, where)
    module = build_whisper(config, where)
    load_strictly(module.network, tensors, path.name, where)
    return module.float().eval().requires_grad_(False), Header(path, "audio", config)


def _folder(path: Path, where: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    config = read_json(path / "config.json", where)
    tensors = load_tensors(weights_file(path, where), where, WANTED)
    kept = {}
    for name, value in tensors.items():
        short = name.removeprefix("model.")
        if short.startswith("encoder."):
            kept[short.removeprefix("encoder.")] = value
    return config, kept


def _openai(path: Path, where: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    loaded = load_torch(path, where, WANTED)
    sizes = loaded.get("dims") if isinstance(loaded, Mapping) else None
    tensors = loaded.get("model_state_dict") if isinstance(loaded, Mapping) else None
    if not isinstance(sizes, Mapping) or not isinstance(tensors, Mapping):
        given = f"a file without Whisper's sizes and weights ({path.name})"
        raise EMO2Error(where, WANTED, given, "Choose tiny.pt, EchoMimicV2's audio processor.")
    try:
        width = int(sizes["n_audio_state"])
        config = {
            "model_type": "whisper", "num_mel_bins": int(sizes["n_mels"]), "d_model": width,
            "encoder_layers": int(sizes["n_audio_layer"]), "encoder_attention_heads": int(sizes["n_audio_head"]),
            "encoder_ffn_dim": 4 * width, "max_source_positions": int(sizes["n_audio_ctx"]),
        }  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise EMO2Error(where, WANTED, f"sizes that lack {error} in {path.name}", "Download it again.") from error
    return config, openai_names(tensors)


def openai_names(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's tensors of OpenAI's state dict under transformers' names."""
    found = {}
    for name, value in tensors.items():
        if not name.startswith("encoder."):
            continue
        name = name.removeprefix("encoder.")
        if name == "positional_embedding":
            name = "embed_positions.weight"
        elif name.startswith("ln_post."):
            name = name.replace("ln_post.", "layer_norm.")
        elif match := re.fullmatch(r"blocks\.(\d+)\.(.+)\.(weight|bias)", name):
            layer, part, kind = match.groups()
            name = f"layers.{layer}.{PARTS.get(part, part)}.{kind}"
        found[name] = value
    return found


__all__ = ["load_whisper", "openai_names"]
