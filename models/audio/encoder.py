"""wav2vec 2.0 (Baevski et al. 2020) as a voice encoder: all hidden states, aligned to a grid of 50 a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..checkpoints.format import save_checkpoint
from ..errors import EMO2Error

STEP = 320
"""Samples at 16 kHz between two states."""

TINY: dict[str, Any] = {
    "model_type": "wav2vec2",
    "do_normalize": True,
    "hidden_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 192,
    "conv_dim": [32] * 7,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
}
"""wav2vec 2.0 base in small: 4 layers (5 states) of width 96."""

BASE: dict[str, Any] = {"model_type": "wav2vec2", "do_normalize": True}
"""wav2vec 2.0 base, 12 layers of width 768: what transformers' configuration says by default."""


class VoiceEncoder(nn.Module):
    """transformers' Wav2Vec2Model with what is needed to use it: normalisation, alignment, every hidden state.

    `network` is the Wav2Vec2Model; `do_normalize` whether it wants waveforms of zero mean and unit variance; `states`
    the number of hidden states L (layers + 1) and `width` D.
    """

    rate = 16000 / STEP

    def __init__(self, network: nn.Module, do_normalize: bool):
        super().__init__()
        self.network: Any = network
        self.do_normalize = do_normalize
        config: Any = network.config
        self.states: int = config.num_hidden_layers + 1
        self.width: int = config.hidden_size
        field, jump = 1, 1
        for kernel, stride in zip(config.conv_kernel, config.conv_stride):
            field, jump = field + (kernel - 1) * jump, jump * stride
        self.field = field
        """Samples that one state sees through the convolutions: 400."""

    @property
    def lead(self) -> int:
        """Zeros to put before a waveform so that state n is centred on sample 320 n + 160."""
        return (self.field - STEP) // 2

    @property
    def group_norm(self) -> bool:
        """Whether the first convolution is normalised over time, as in wav2vec 2.0 base."""
        return self.network.config.feat_extract_norm == "group"

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, n, L, D) of waveforms (B, field + 320 (n - 1)), normalised already.

        State 0 is the input of the first layer, state L - 1 the encoder's output: after the final layer norm where
        there is one, as in ComfyUI and in transformers before version 5.
        """
        output = self.network(waveform, output_hidden_states=True)
        return torch.stack([*output.hidden_states[:-1], output.last_hidden_state], dim=2)

    def first_convolution(self, waveform: torch.Tensor) -> torch.Tensor:
        """What the group norm would normalise: (B, C, (T - 10) // 5 + 1) of (B, T)."""
        return self.network.feature_extractor.conv_layers[0].conv(waveform[:, None])

    @contextmanager
    def fixed_statistics(self, mean: torch.Tensor, variance: torch.Tensor) -> Iterator[None]:
        """Within it, the group norm uses these statistics (C,) of the whole sound instead of each chunk's own."""
        norm = self.network.feature_extractor.conv_layers[0].layer_norm

        def renormalise(layer: nn.Module, inputs: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor:
            (x,) = inputs
            own = lambda t: t.to(x)[None, :, None]
            return (x - own(mean)) * (own(variance) + norm.eps).rsqrt() * own(norm.weight) + own(norm.bias)

        handle = norm.register_forward_hook(renormalise)
        try:
            yield
        finally:
            handle.remove()


def build(config: Mapping[str, Any], where: str = "audio_encoder") -> VoiceEncoder:
    """A voice encoder from a config: the keys of a Hugging Face `config.json`, and `do_normalize` (default true)."""
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    check_config(config, where)
    dropped = ("model_type", "do_normalize", "architectures", "torch_dtype", "dtype")
    values = {key: value for key, value in config.items() if key not in dropped}
    # An adapter would make the states fewer than 50 a second.
    parsed = Wav2Vec2Config(**(values | {"add_adapter": False}))
    step = prod(parsed.conv_stride)
    if step != STEP or len(parsed.conv_dim) != len(parsed.conv_stride):
        raise EMO2Error(
            where, "an encoder with 50 states a second (strides that multiply to 320)", f"strides {parsed.conv_stride}",
            "Choose a wav2vec 2.0 encoder for speech at 16 kHz.",
        )  # fmt: skip
    return VoiceEncoder(Wav2Vec2Model(parsed), bool(config.get("do_normalize", True)))


def check_config(config: Mapping[str, Any], where: str = "audio_encoder") -> None:
    """EMO2Error for the config of another architecture."""
    kind = config.get("model_type")
    if kind != "wav2vec2":
        raise EMO2Error(
            where, "a wav2vec 2.0 encoder (model_type wav2vec2)", f"model_type {kind}", "Choose a wav2vec 2.0 folder."
        )


def write_tiny(path: Path | str, seed: int = 20250) -> Path:
    """Write the tiny encoder as an untrained checkpoint: a config and a seed, no tensors."""
    return save_checkpoint(path, "audio", TINY, {}, untrained=seed, notes={"profile": "tiny"})
