"""Latents of painted puppets as a video network samples them: what an autoencoder's decoder is given in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from ...models.errors import EMO2Error
from .cache import PuppetCache, Record
from .latents import write_latents


def sample_cache(
    folder: Path | str,
    sample: Callable[[Record], Tensor],
    about: dict[str, str],
    progress: Callable[[int, int], None] = lambda done, total: None,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Write what `sample` makes of every record, its frames' latents (F, C, h, w), beside it.

    about: which networks make them; the rest as in `latents.write_latents`.
    """
    cache = PuppetCache(folder)
    given = f"others in {cache.folder / 'sampled.json'}"
    other = EMO2Error("video", "the networks of the latents there", given, "Run part 0 first.")
    write_latents(cache, "sampled", sample, about, other, progress, part)


def heard(record: Record, rate: int = 16000) -> np.ndarray:
    """The sound (T,) of a record's own frames."""
    begin, end = (round(at / record.motion.fps * rate) for at in (record.start, record.start + len(record)))
    return record.waveform[begin:end]
