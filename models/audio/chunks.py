"""Encoding a sound of any length, chunk by chunk, as if it were done in one piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from ..errors import EMO2Error
from ..types import AudioFeatures
from .accents import intensity
from .encoder import STEP, VoiceEncoder
from .prosody import loudness
from .spool import SpoolWriter
from .waveform import RATE
from .whisper import WhisperEncoder, encode_whisper

CHUNK_SECONDS = 20.0
CONTEXT_SECONDS = 2.0
HALF_MAX = 65504.0


def encode(
    encoder: VoiceEncoder | WhisperEncoder,
    waveform: np.ndarray,
    *,
    name: str = "",
    chunk_seconds: float = CHUNK_SECONDS,
    context_seconds: float = CONTEXT_SECONDS,
    spool: Path | None = None,
    duration: float | Fraction | None = None,
    device: torch.device | str | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> AudioFeatures:
    """All hidden states of a 16 kHz mono waveform (T,) at 50 Hz, N = ceil(T / 320), its loudness and intensity.

    State n belongs to the instant (n + 0.5) / 50 s: the waveform is padded so that the encoder's receptive field of
    400 samples lies symmetrically about it. Chunks of `chunk_seconds` are encoded with `context_seconds` of sound on
    either side and cut on the encoder's own stride, so a seam moves nothing. What would depend on the chunk is taken
    from the whole sound first: mean and variance of the waveform, and the statistics over time of the group norm in
    wav2vec 2.0 base. What is left is attention beyond the context, which a whole-sound call would see.

    `duration`: exact seconds of the original (default T / 16000). `spool`: a folder for the states of a long sound;
    without it they stay in memory. `device`: where the encoder computes (default: where its weights are).
    `on_step(done, total)` is called after every chunk, and may raise to stop.

    Whisper hears in pieces of its own: see `encode_whisper`.
    """
    if isinstance(encoder, WhisperEncoder):
        return encode_whisper(
            encoder, waveform, name=name, spool=spool, duration=duration, device=device, on_step=on_step
        )
    if waveform.ndim != 1 or len(waveform) == 0:
        raise EMO2Error("audio", "a mono waveform (T,) with at least one sample", waveform.shape, "Prepare it first.")
    if not (chunk_seconds * 50 >= 1 and context_seconds >= 0):
        raise EMO2Error("chunk_seconds", "at least 0.02 s", chunk_seconds, "Use the default, 20 s.")
    where = torch.device(device) if device is not None else next(encoder.parameters()).device
    count = -(-len(waveform) // STEP)
    chunks = list(_chunks(count, int(chunk_seconds * 50), round(context_seconds * 50)))
    total = len(chunks) * (2 if encoder.group_norm else 1)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if on_step:
            on_step(done, total)

    mean, deviation = _level(waveform) if encoder.do_normalize else (0.0, 1.0)

    def piece(first: int, last: int) -> torch.Tensor:
        """(1, samples) that states first..last-1 see, normalised; zeros beyond the ends of the sound."""
        start = first * STEP - encoder.lead
        stop = (last - 1) * STEP - encoder.lead + encoder.field
        inner = waveform[max(start, 0) : min(stop, len(waveform))]
        samples = np.zeros(stop - start, np.float32)
        samples[max(start, 0) - start :][: len(inner)] = (inner - mean) / deviation
        return torch.from_numpy(samples)[None].to(where)

    with torch.inference_mode(), ExitStack() as stack:
        if encoder.group_norm:
            sums, length = torch.zeros((), dtype=torch.float64), 0
            for first, last, _, _ in chunks:
                block = _first_convolution(encoder, piece(first, last), last == count)
                sums = sums + torch.stack([block.sum(-1), block.square().sum(-1)]).to("cpu", torch.float64)
                length += block.shape[-1]
                step()
            centre, square = sums / length
            stack.enter_context(encoder.fixed_statistics(centre, (square - centre.square()).clamp(min=0)))
        writer = stack.enter_context(SpoolWriter(spool, (count, encoder.states, encoder.width), np.dtype(np.float16)))
        for first, last, begin, end in chunks:
            states = encoder(piece(begin, end))[0, first - begin : last - begin].float()
            if not torch.isfinite(states).all():
                raise EMO2Error(
                    "audio_encoder", "an encoder that gives finite numbers", f"NaN or infinity from {name or 'it'}",
                    "Download its weights again.",
                )  # fmt: skip
            writer.write(states.clamp(-HALF_MAX, HALF_MAX).to("cpu", torch.float16).numpy())
            step()
        hidden = writer.finish()
    seconds = float(Fraction(len(waveform), RATE) if duration is None else duration)
    return AudioFeatures(hidden, loudness(waveform), seconds, encoder.rate, name, intensity(waveform))


def _chunks(count: int, size: int, context: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, last, begin, end): states first..last-1 are new, begin..end-1 are computed. All of nearly one size."""
    pieces = -(-count // max(size, 1))
    edges = [count * i // pieces for i in range(pieces + 1)]
    for first, last in pairwise(edges):
        yield first, last, max(first - context, 0), min(last + context, count)


def _level(waveform: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the whole sound, read in blocks."""
    blocks = range(0, len(waveform), 10 * RATE)
    mean = sum(float(waveform[i : i + 10 * RATE].sum(dtype=np.float64)) for i in blocks) / len(waveform)
    # A second pass: the difference of two large sums would lose a quiet voice on a constant offset.
    variance = sum(float(np.square(waveform[i : i + 10 * RATE].astype(np.float64) - mean).sum()) for i in blocks)
    return mean, float(np.sqrt(variance / len(waveform) + 1e-7))


def _first_convolution(encoder: VoiceEncoder, piece: torch.Tensor, last: bool) -> torch.Tensor:
    """(C, n) outputs of the first convolution that belong to these states and, but for the last, to no others.

    State n + 1 starts 320 samples, that is 64 outputs, after state n; the tail beyond them overlaps the next chunk.
    """
    # Apple's GPUs have no float64; what is added up over chunks is float64 in any case.
    block = encoder.first_convolution(piece)[0].to(torch.float32 if piece.device.type == "mps" else torch.float64)
    stride = encoder.network.config.conv_stride[0]
    own = (piece.shape[-1] - encoder.field) // STEP + 1
    return block if last else block[:, : own * STEP // stride]
