"""Features that another encoder has made: ComfyUI's AUDIO_ENCODER_OUTPUT."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import EMO2Error
from ..types import AudioFeatures
from .accents import intensity
from .chunks import HALF_MAX
from .prosody import loudness
from .spool import SpoolWriter
from .timing import duration_of, frame_count
from .waveform import RATE, prepare_waveform

INPUT = "audio_encoder_output"
AGAIN = "Connect the output of ComfyUI's Audio Encoder Encode."
BLOCK = 1000


def from_encoder_output(
    output: Mapping[str, Any], audio: Mapping[str, Any] | None = None, *, spool: Path | None = None
) -> AudioFeatures:
    """ComfyUI's AUDIO_ENCODER_OUTPUT as features at 50 Hz; `audio`, the same sound, gives loudness, intensity, length.

    `output` holds `encoded_audio_all_layers`, L tensors (1, n, D), about 50 states a second, and `audio_samples`, the
    number of samples at 16 kHz (or the samples themselves). wav2vec 2.0 without our padding centres state k on
    (320 k + 200) / 16000 s, 2.5 ms after our grid, and gives one or two states fewer: the states are taken as they are
    and the last is repeated. Encoders that work on padded blocks (Whisper) give more: the surplus is dropped. Without
    `audio`, both are 0 throughout unless `output` carries the samples.
    """
    layers = _layers(output)
    samples = output.get("audio_samples")
    waveform: np.ndarray | None = None
    duration: Fraction | None = None
    if audio is not None:
        waveform, duration = prepare_waveform(audio, spool), duration_of(audio)
    elif isinstance(samples, (torch.Tensor, np.ndarray)) and np.prod(samples.shape) > 1:
        tensor = torch.as_tensor(samples).reshape(1, -1, samples.shape[-1])
        waveform = prepare_waveform({"waveform": tensor.float(), "sample_rate": RATE}, spool)
        duration = Fraction(len(waveform), RATE)
    elif samples is not None and int(samples) > 0:
        duration = Fraction(int(samples), RATE)
    have, width = layers[0].shape[1:]
    duration = duration or Fraction(have, 50)
    claimed = Fraction(samples, RATE) if isinstance(samples, int) else duration
    count = frame_count(duration, 50)
    if have < count - 2 or abs(claimed - duration) > Fraction(1, 10):
        heard = float(min(claimed, Fraction(have, 50)))
        raise EMO2Error(
            INPUT, f"states for the whole sound ({float(duration):.2f} s)", f"states for {heard:.2f} s",
            "Encode this very sound; Whisper hears 30 s at most, wav2vec 2.0 hears everything.",
        )  # fmt: skip
    with SpoolWriter(spool, (count, len(layers), width), np.dtype(np.float16)) as writer:
        for start in range(0, min(have, count), BLOCK):
            block = torch.stack([layer[0, start : min(start + BLOCK, count)] for layer in layers], dim=1).float()
            if not torch.isfinite(block).all():
                raise EMO2Error(INPUT, "finite numbers", "NaN or infinity", "Encode the sound again, in float32.")
            rows = block.clamp(-HALF_MAX, HALF_MAX).to("cpu", torch.float16).numpy()
            writer.write(rows)
        if writer.written < count:
            writer.write(np.repeat(rows[-1:], count - writer.written, axis=0))
        hidden = writer.finish()
    silent = np.zeros(count, np.float32)
    volume, stress = (silent, silent) if waveform is None else (loudness(waveform), intensity(waveform))
    return AudioFeatures(hidden, volume, float(duration), 50.0, f"comfyui {len(layers)}x{width}", stress)


def _layers(output: Any) -> list[torch.Tensor]:
    """The hidden states of all layers, checked: L tensors (1, n, D)."""
    layers = output.get("encoded_audio_all_layers") if isinstance(output, Mapping) else None
    if not isinstance(layers, (list, tuple)) or not layers:
        raise EMO2Error(INPUT, "the states of all layers (encoded_audio_all_layers)", type(output).__name__, AGAIN)
    shapes = {tuple(layer.shape) if isinstance(layer, torch.Tensor) else type(layer).__name__ for layer in layers}
    shape = next(iter(shapes))
    if len(shapes) != 1 or not isinstance(shape, tuple) or len(shape) != 3 or shape[0] != 1 or 0 in shape:
        raise EMO2Error(INPUT, "layers of one shape (1, states, width)", sorted(map(str, shapes)), AGAIN)
    return list(layers)
