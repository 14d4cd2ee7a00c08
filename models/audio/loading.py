"""Reading voice encoders: our checkpoints of kind "audio", Hugging Face folders of wav2vec 2.0, and Whisper."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.folders import read_json, weights_file
from ..checkpoints.format import Header, load_checkpoint, load_strictly, read_header
from ..checkpoints.torch_files import load_tensors
from ..errors import EMO2Error
from .encoder import VoiceEncoder, build, check_config
from .whisper import WhisperEncoder, build_whisper

PREFIX = "wav2vec2."
WEIGHT_NORM = {"conv.weight_g": "conv.parametrizations.weight.original0",
               "conv.weight_v": "conv.parametrizations.weight.original1"}  # fmt: skip
"""Names that weight normalisation had before torch 2.0."""


def load_encoder(path: Path | str, where: str = "audio_encoder") -> tuple[VoiceEncoder | WhisperEncoder, Header]:
    """A voice encoder from one of our checkpoints or from a folder with config.json and model.safetensors.

    Whisper comes from a folder too, or from OpenAI's own file (.pt).

    In a folder, pytorch_model.bin serves where there is no .safetensors file; it is read as tensors only.
    `preprocessor_config.json` says whether waveforms are normalised. Nothing is ever downloaded. The module comes in
    evaluation mode, without gradients, float32, on the CPU.
    """
    path = Path(path)
    if is_whisper(path):
        from ..checkpoints.whisper import load_whisper

        return load_whisper(path, where)
    if not path.is_dir():
        module, header = load_checkpoint(path, "audio", lambda config: _built(config, where), where)
        assert isinstance(module, (VoiceEncoder, WhisperEncoder))
        return module, header
    config = read_json(path / "config.json", where)
    wishes = (
        read_json(path / "preprocessor_config.json", where) if (path / "preprocessor_config.json").is_file() else {}
    )
    config["do_normalize"] = bool(wishes.get("do_normalize", True))
    if wishes.get("sampling_rate", 16000) != 16000:
        given = f"{wishes['sampling_rate']!r} Hz in {path.name}"
        raise EMO2Error(where, "an encoder for 16000 Hz", given, "Choose another encoder.")
    try:
        module = build(config, where)
    except Exception as error:  # whatever transformers makes of a config that nobody checked
        if isinstance(error, EMO2Error):
            raise
        raise EMO2Error(
            where, "a wav2vec 2.0 config.json", f"{error} in {path.name}", "Get the folder again."
        ) from error
    tensors = _renamed(load_tensors(weights_file(path, where), where))
    own = module.network.state_dict()
    # Only pre-training uses it, and some exports leave it out.
    if "masked_spec_embed" in own:
        tensors.setdefault("masked_spec_embed", own["masked_spec_embed"])
    else:
        tensors.pop("masked_spec_embed", None)
    load_strictly(module.network, tensors, path.name, where)
    return module.eval().requires_grad_(False), Header(path, "audio", config)


def _built(config: Mapping[str, Any], where: str) -> VoiceEncoder | WhisperEncoder:
    return (build_whisper if config.get("model_type") == "whisper" else build)(config, where)


def check_encoder(path: Path, where: str = "audio_encoder") -> None:
    """What can be known of a voice encoder without reading its weights; EMO2Error when `load_encoder` would fail."""
    if is_whisper(path):
        if path.is_dir():
            weights_file(path, where)
        return
    if not path.is_dir():
        read_header(path, "audio", where)
        return
    check_config(read_json(path / "config.json", where), where)
    weights_file(path, where)


def is_encoder_folder(path: Path) -> bool:
    """Whether a folder's config.json names an architecture that `load_encoder` reads."""
    return _model_type(path) in ("wav2vec2", "whisper")


def is_whisper(path: Path) -> bool:
    """Whether a path is for `load_whisper`: a folder whose config says so, or a file of PyTorch's own."""
    return _model_type(path) == "whisper" if path.is_dir() else path.suffix.lower() in (".pt", ".pth")


def _model_type(folder: Path) -> str | None:
    try:
        return json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError, AttributeError):
        return None


def _renamed(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The encoder's own tensors: models with heads put a prefix before them, old files name weight norm otherwise."""
    if any(name.startswith(PREFIX) for name in tensors):
        tensors = {name.removeprefix(PREFIX): value for name, value in tensors.items() if name.startswith(PREFIX)}
    renamed = {}
    for name, value in tensors.items():
        for old, new in WEIGHT_NORM.items():
            if name.endswith(old):
                name = name.removesuffix(old) + new
        if not name.startswith("adapter."):
            renamed[name] = value
    return renamed
