"""A sound track for an mp4: the user's own samples, at their own rate where AAC knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import EMO2Error

AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
AAC_FRAME = 1024
LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class Sound:
    """`waveform` (C, T) at `source_rate` Hz, to be written with `channels` channels at `rate` Hz.

    Mono and stereo stay as they are. More channels become one, their mean: which loudspeaker each of them is meant for
    is not known, and the mean is what the voice encoder hears. A rate that AAC does not know becomes the nearest above
    it, or 48000 Hz.
    """

    waveform: torch.Tensor
    source_rate: int
    channels: int
    rate: int

    @property
    def seconds(self) -> float:
        return self.waveform.shape[-1] / self.source_rate

    def cut(self, start: float, stop: float) -> Sound:
        """The part between two instants in seconds, to the nearest sample."""
        first, last = (max(0, round(second * self.source_rate)) for second in (start, stop))
        return Sound(self.waveform[:, first:last], self.source_rate, self.channels, self.rate)

    def blocks(self, size: int = AAC_FRAME) -> Iterator[np.ndarray]:
        """Samples (channels, size) float32 in order, the last block shorter. Made piece by piece, never all at once."""
        if self.rate == self.source_rate:
            for first in range(0, self.waveform.shape[-1], size):
                yield self._mixed(first, first + size)
            return
        yield from _rechunked(self._resampled(), size)

    def _mixed(self, first: int, last: int) -> np.ndarray:
        piece = self.waveform[:, first:last].float()
        if self.channels != piece.shape[0]:
            piece = piece.mean(dim=0, keepdim=True)
        return np.ascontiguousarray(piece.clamp(-1, 1).cpu().numpy())

    def _resampled(self, piece: int = 1 << 16) -> Iterator[np.ndarray]:
        import soxr

        total = self.waveform.shape[-1]
        stream = soxr.ResampleStream(self.source_rate, self.rate, self.channels, dtype="float32", quality="VHQ")
        for first in range(0, total, piece):
            block = np.ascontiguousarray(self._mixed(first, first + piece).T)
            out = stream.resample_chunk(block, last=first + piece >= total)
            yield np.clip(out.reshape(-1, self.channels).T, -1, 1)


def _rechunked(parts: Iterator[np.ndarray], size: int) -> Iterator[np.ndarray]:
    rest: np.ndarray | None = None
    for part in parts:
        joined = part if rest is None else np.concatenate([rest, part], axis=1)
        whole = joined.shape[1] // size * size
        for first in range(0, whole, size):
            yield np.ascontiguousarray(joined[:, first : first + size])
        rest = joined[:, whole:]
    if rest is not None and rest.shape[1]:
        yield np.ascontiguousarray(rest)


def sound_of(audio: Mapping[str, Any], where: str = "audio") -> Sound:
    """The sound track of ComfyUI's AUDIO `{"waveform": (B, C, T), "sample_rate": Hz}`, checked."""
    try:
        waveform, rate = torch.as_tensor(audio["waveform"]), int(audio["sample_rate"])
    except (KeyError, TypeError, ValueError) as error:
        raise EMO2Error(where, "a sound (AUDIO)", type(audio).__name__, "Connect Load Audio.") from error
    if waveform.ndim != 3 or waveform.shape[1] == 0:
        raise EMO2Error(where, "a waveform (batch, channels, samples)", tuple(waveform.shape), "Connect Load Audio.")
    if waveform.shape[0] != 1:
        raise EMO2Error(where, "one sound", f"a batch of {waveform.shape[0]}", "Choose one of them.")
    if waveform.shape[-1] == 0:
        raise EMO2Error(where, "a sound that is not empty", "0 samples", "Load another file.")
    if rate < 1:
        raise EMO2Error(where, "a sample rate above 0", rate, "Load another file.")
    for part in waveform[0].split(1 << 18, dim=-1):
        if not torch.isfinite(part).all():
            raise EMO2Error(where, "finite samples", "NaN or infinity", "Repair or load another file.")
    channels = waveform.shape[1] if waveform.shape[1] in LAYOUTS else 1
    return Sound(waveform[0], rate, channels, _aac_rate(rate))


def _aac_rate(rate: int) -> int:
    if rate in AAC_RATES:
        return rate
    above = [known for known in AAC_RATES if rate < known <= 48000]
    return min(above, default=48000)
