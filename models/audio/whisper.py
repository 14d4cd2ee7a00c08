"""OpenAI's Whisper (Radford et al. 2022) as a voice encoder, as EchoMimicV2 uses it: five states, 50 a second.

A sound's log-mel spectrogram is levelled by its loudest moment, cut into pieces of 30 s that the encoder sees one by
one, and the last piece is filled up with zeros. States are taken before the final layer norm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import EMO2Error
from ..types import AudioFeatures
from .accents import intensity
from .prosody import loudness
from .spool import SpoolWriter
from .waveform import RATE

HOP, FIELD = 160, 400
"""Samples between two columns of the spectrogram, and samples that one column sees."""
PIECE = 3000
"""Columns that the encoder sees at once: 30 s."""
FLOOR = 8.0
"""Powers of ten below the loudest moment where the spectrogram ends."""
BLOCK = 60_000
"""Columns whose spectrogram is in memory at once while the loudest is looked for: 10 minutes."""

TINY: dict[str, Any] = {
    "model_type": "whisper", "num_mel_bins": 80, "d_model": 384, "encoder_layers": 4, "encoder_attention_heads": 6,
    "encoder_ffn_dim": 1536, "max_source_positions": 1500,
}  # fmt: skip
"""Whisper tiny's encoder."""


class WhisperEncoder(nn.Module):
    """transformers' Whisper encoder with its spectrogram. `states` hidden states L (layers + 1), `width` D."""

    rate = 50.0

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network: Any = network
        config: Any = network.config
        self.states: int = config.encoder_layers + 1
        self.width: int = config.d_model
        self.mels: int = config.num_mel_bins

    def forward(self, spectrogram: torch.Tensor) -> torch.Tensor:
        """Hidden states (B, 1500, L, D) of a levelled log-mel spectrogram (B, mels, 3000).

        State 0 is the input of the first layer, the others each layer's output; no final layer norm.
        """
        found: list[torch.Tensor] = []
        take = lambda module, given, made: found.append(made[0] if isinstance(made, tuple) else made)
        first = lambda module, given, named: found.append(given[0] if given else named["hidden_states"])
        with ExitStack() as stack:
            layers = list(self.network.layers)
            stack.callback(layers[0].register_forward_pre_hook(first, with_kwargs=True).remove)
            for layer in layers:
                stack.callback(layer.register_forward_hook(take).remove)
            self.network(spectrogram)
        return torch.stack(found, dim=2)


def build_whisper(config: Mapping[str, Any], where: str = "audio_encoder") -> WhisperEncoder:
    """A Whisper encoder from the keys of a Hugging Face `config.json` (as TINY)."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder as Network

    if config.get("model_type") != "whisper":
        given = f"model_type {config.get('model_type')}"
        raise EMO2Error(where, "a Whisper encoder (model_type whisper)", given, "Choose a Whisper model.")
    kept = {name: config[name] for name in TINY if name in config and name != "model_type"}
    parsed = WhisperConfig(**kept)
    if parsed.max_source_positions != PIECE // 2:
        given = f"{parsed.max_source_positions} positions"
        raise EMO2Error(where, f"a Whisper encoder of {PIECE // 2} positions", given, "Choose an official one.")
    return WhisperEncoder(Network(parsed))


def encode_whisper(
    encoder: WhisperEncoder,
    waveform: np.ndarray,
    *,
    name: str = "",
    spool: Path | None = None,
    duration: float | Fraction | None = None,
    device: torch.device | str | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> AudioFeatures:
    """All hidden states of a 16 kHz mono waveform (T,) at 50 Hz, N = T // 320 (at least 1), float32.

    As EchoMimicV2's `Audio2Feature` gives them, with loudness and intensity beside them. Memory does not grow with
    length when `spool` names a folder. The other arguments are those of `encode`.
    """
    if waveform.ndim != 1 or len(waveform) == 0:
        raise EMO2Error("audio", "a mono waveform (T,) with at least one sample", waveform.shape, "Prepare it first.")
    where = torch.device(device) if device is not None else next(encoder.parameters()).device
    columns = max(len(waveform) // HOP, 2)
    count = columns // 2
    shape = count, encoder.states, encoder.width
    with torch.inference_mode(), SpoolWriter(spool, shape, np.dtype(np.float32)) as out:
        top = max(float(_logarithm(waveform, a, b, encoder.mels).max()) for a, b in _parts(columns, BLOCK))
        for first, last in _parts(columns, PIECE):
            mel = _levelled(_logarithm(waveform, first, last, encoder.mels), top)
            filled = torch.nn.functional.pad(mel, (0, PIECE - mel.shape[1]))
            states = encoder(filled[None].to(where, next(encoder.parameters()).dtype))[0, : (last - first) // 2].float()
            if not torch.isfinite(states).all():
                raise EMO2Error(
                    "audio_encoder", "an encoder that gives finite numbers", f"NaN or infinity from {name or 'it'}",
                    "Download its weights again.",
                )  # fmt: skip
            out.write(states.cpu().numpy())
            if on_step:
                on_step(last, columns)
        hidden = out.finish()
    seconds = float(Fraction(len(waveform), RATE) if duration is None else duration)
    fitted = lambda curve: np.pad(curve, (0, max(count - len(curve), 0)))[:count]
    volume, stress = fitted(loudness(waveform)), fitted(intensity(waveform))
    return AudioFeatures(hidden, volume, seconds, encoder.rate, name, stress)


def log_mel(waveform: np.ndarray, mels: int = 80) -> torch.Tensor:
    """The levelled log-mel spectrogram (mels, T // 160) of a whole waveform (T,)."""
    values = _logarithm(waveform, 0, len(waveform) // HOP, mels)
    return _levelled(values, float(values.max()))


def _levelled(values: torch.Tensor, top: float) -> torch.Tensor:
    return (values.clamp(min=top - FLOOR) + 4) / 4


def _logarithm(waveform: np.ndarray, first: int, last: int, mels: int) -> torch.Tensor:
    """log10 of the mel spectrogram's columns first..last-1, (mels, last - first); the sound is mirrored at its ends."""
    half = FIELD // 2
    start, stop = first * HOP - half, (last - 1) * HOP + half
    # What lies beyond an end is mirrored about the sample there; a very short sound is mirrored again and again.
    end = len(waveform) - 1
    places = np.abs((np.arange(start, stop) + end) % max(2 * end, 1) - end)
    samples = torch.from_numpy(np.ascontiguousarray(waveform[places], np.float32))
    window = torch.hann_window(FIELD)
    power = torch.stft(samples, FIELD, HOP, window=window, center=False, return_complex=True).abs().square()
    return (_filters(mels) @ power).clamp(min=1e-10).log10()


@lru_cache(maxsize=2)
def _filters(mels: int) -> torch.Tensor:
    import librosa

    return torch.from_numpy(librosa.filters.mel(sr=RATE, n_fft=FIELD, n_mels=mels))


def _parts(count: int, size: int) -> Iterator[tuple[int, int]]:
    for first in range(0, count, size):
        yield first, min(first + size, count)


__all__ = ["TINY", "WhisperEncoder", "build_whisper", "encode_whisper", "log_mel"]
