"""From ComfyUI's AUDIO to what voice encoders hear: 16 kHz mono, made block by block so that length costs no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import EMO2Error
from .spool import SpoolWriter

RATE = 16000
BLOCK_SECONDS = 10
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000
NO_SOUND = "Connect a sound, for example from Load Audio (a video without a sound track gives none)."


def prepare_waveform(
    audio: Mapping[str, Any], spool: Path | None = None, on_block: Callable[[], None] | None = None
) -> np.ndarray:
    """An AUDIO as a mono waveform (T,) float32 at 16 kHz, T = ceil(duration * 16000); channels are averaged.

    With `spool`, a folder, the waveform lies in a file there and is read from it as needed; the file goes when the
    array does. `on_block()` is called every ten seconds of sound and may raise to stop. Errors (input "audio"): no
    sound, an empty one, a batch, NaN or infinity, whole numbers, an odd rate.
    """
    waveform, sample_rate = check_audio(audio)
    samples = waveform.shape[-1]
    length = -(-samples * RATE // sample_rate)
    with SpoolWriter(spool, (length,), np.dtype(np.float32)) as writer:
        for block in _resampled(_mono(waveform[0], sample_rate), sample_rate):
            writer.write(block[: length - writer.written])
            if on_block:
                on_block()
        # The resampler may end a sample early.
        writer.write(np.zeros(length - writer.written, np.float32))
        return writer.finish()


def check_audio(audio: Any) -> tuple[torch.Tensor, int]:
    """(waveform (1, C, T), sample rate) of an AUDIO; an EMO2Error for anything else. The samples are not read."""
    if not isinstance(audio, Mapping) or "waveform" not in audio or "sample_rate" not in audio:
        raise EMO2Error("audio", "a sound", "nothing" if audio is None else type(audio).__name__, NO_SOUND)
    waveform, rate = audio["waveform"], audio["sample_rate"]
    if not isinstance(waveform, torch.Tensor) or waveform.ndim != 3:
        shape = tuple(waveform.shape) if hasattr(waveform, "shape") else type(waveform).__name__
        raise EMO2Error("audio", "a waveform of shape (1, channels, samples)", shape, NO_SOUND)
    if waveform.shape[0] > 1:
        raise EMO2Error("audio", "one sound", f"a batch of {waveform.shape[0]}", "Pick one of them first.")
    if 0 in waveform.shape:
        raise EMO2Error("audio", "at least one sample", f"an empty sound {tuple(waveform.shape)}", NO_SOUND)
    if not waveform.is_floating_point():
        raise EMO2Error(
            "audio", "samples as floating-point numbers from -1 to 1", f"samples of type {waveform.dtype}",
            "Divide them by the largest whole number of that type.",
        )  # fmt: skip
    try:
        whole = int(rate)
        fits = whole == rate and LOWEST_RATE <= whole <= HIGHEST_RATE
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise EMO2Error(
            "audio", f"a whole sample rate from {LOWEST_RATE} to {HIGHEST_RATE} Hz", repr(rate),
            "Save the sound at 48000 Hz.",
        )  # fmt: skip
    return waveform, whole


def _mono(waveform: torch.Tensor, sample_rate: int) -> Iterator[np.ndarray]:
    """Blocks (n,) float32 of a waveform (C, T), its channels averaged."""
    step = BLOCK_SECONDS * sample_rate
    for start in range(0, waveform.shape[-1], step):
        block = waveform[:, start : start + step].detach().to("cpu", torch.float32).mean(0).numpy()
        bad = ~np.isfinite(block)
        if bad.any():
            second = (start + int(bad.argmax())) / sample_rate
            raise EMO2Error(
                "audio", "finite samples", f"NaN or infinity at {second:.3f} s", "Export the sound again as a WAV file."
            )  # fmt: skip
        yield block


def _resampled(blocks: Iterator[np.ndarray], sample_rate: int) -> Iterator[np.ndarray]:
    """The blocks at 16 kHz, by a band-limited resampler that keeps its state from block to block."""
    if sample_rate == RATE:
        yield from blocks
        return
    import soxr

    stream = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)
