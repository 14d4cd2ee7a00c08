"""The sound track of a video, cut to the pictures it belongs to."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import EMO2Error

SILENT_RATE = 44100


def read_sound(
    source: str | Path | io.BytesIO, start: float, stop: float, where: str = "video"
) -> dict[str, Any] | None:
    """The first sound track from `start` to `stop` seconds after the first picture, as AUDIO; None where there is none.

    Samples keep their rate and channels. Where the track begins later or ends earlier than asked for there is silence,
    so that sample 0 belongs to the first picture and the length is `stop` - `start` to the nearest sample. Tracks in a
    format without a decoder (a phone's spatial sound beside its stereo) are passed over.
    """
    import av

    if isinstance(source, io.BytesIO):
        source.seek(0)
    try:
        with av.open(source if isinstance(source, io.BytesIO) else str(source)) as container:
            stream = next((s for s in container.streams.audio if s.codec_context is not None), None)
            if stream is None:
                return None
            return _read(container, stream, start, stop)
    except (av.FFmpegError, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        given = f"a sound track that breaks off ({reason})"
        raise EMO2Error(where, "a whole video file", given, "Give a video file that plays.") from error


def _read(container: Any, stream: Any, start: float, stop: float) -> dict[str, Any] | None:
    pictures = next(iter(container.streams.video), None)
    zero = Fraction(0)
    if pictures is not None and pictures.start_time is not None:
        zero = pictures.start_time * pictures.time_base
    if start > 2:
        container.seek(int((zero + Fraction(start) - 1) / stream.time_base), stream=stream, backward=True)
    track: np.ndarray | None = None
    rate = 0
    at: int | None = None
    for frame in container.decode(stream):
        block = samples_of(frame)
        if track is None:
            rate = frame.sample_rate
            track = np.zeros((len(block), max(round((stop - start) * rate), 1)), np.float32)
        if frame.pts is not None:
            # Time stamps are often rounded to milliseconds: only a real jump moves the samples.
            due = round((frame.pts * (frame.time_base or stream.time_base) - zero - Fraction(start)) * rate)
            at = due if at is None or abs(due - at) > rate // 50 else at
        at = at or 0
        first, last = max(at, 0), min(at + block.shape[1], track.shape[1])
        if last > first and len(block) == len(track):
            track[:, first:last] = block[:, first - at : last - at]
        at += block.shape[1]
        if at >= track.shape[1]:
            break
    if track is None:
        return None
    return {"waveform": torch.from_numpy(np.clip(track, -1, 1))[None], "sample_rate": int(rate)}


def samples_of(frame: Any) -> np.ndarray:
    """The samples of a decoded frame of any format as (channels, n) float32 in [-1, 1]."""
    values = frame.to_ndarray()
    return as_float(values if frame.format.is_planar else values.reshape(-1, len(frame.layout.channels)).T)


def as_float(values: np.ndarray) -> np.ndarray:
    """Samples of any type as float32 in [-1, 1]."""
    if values.dtype == np.uint8:
        return (values.astype(np.float32) - 128) / 128
    if values.dtype.kind == "i":
        return (values / np.float64(1 << (8 * values.dtype.itemsize - 1))).astype(np.float32)
    return np.asarray(values, np.float32)


def cut_sound(audio: dict[str, Any], start: float, stop: float) -> dict[str, Any]:
    """The stretch of an AUDIO in memory, as `read_sound` gives it: exactly as long as asked for."""
    waveform, rate = torch.as_tensor(audio["waveform"])[:1], int(audio["sample_rate"])
    first, count = round(start * rate), max(round((stop - start) * rate), 1)
    part = waveform[..., first : first + count].float()
    return {"waveform": torch.nn.functional.pad(part, (0, count - part.shape[-1])), "sample_rate": rate}


def silence(seconds: float) -> dict[str, Any]:
    """An AUDIO with nothing in it."""
    return {"waveform": torch.zeros(1, 1, max(round(seconds * SILENT_RATE), 1)), "sample_rate": SILENT_RATE}
