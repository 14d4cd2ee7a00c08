"""Latents of painted puppets as a video network samples them: what an autoencoder's decoder is given in use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import Tensor

from ...models.errors import EMO2Error
from ...models.whole_files import whole_file
from .cache import PuppetCache, Record, sampled_path


def sample_cache(
    folder: Path | str,
    sample: Callable[[Record], Tensor],
    about: dict[str, str],
    progress: Callable[[int, int], None] = lambda done, total: None,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Write what `sample` makes of every record, its frames' latents (F, C, h, w), beside it.

    about: which networks make them; records that have latents of the same ones stay as they are. part as in
    `write_cache`.
    """
    cache = PuppetCache(folder)
    told = cache.folder / "sampled.json"
    if told.is_file() and json.loads(told.read_text()) != about:
        if part[0]:
            given = f"others in {told}"
            raise EMO2Error("video", "the networks of the latents there", given, "Run part 0 first.")
        for index in range(len(cache)):
            sampled_path(cache[index].path).unlink(missing_ok=True)
    with whole_file(told) as temporary:
        Path(temporary).write_text(json.dumps(about))
    mine = range(part[0], len(cache), part[1])
    for done, index in enumerate(mine):
        record = cache[index]
        path = sampled_path(record.path)
        if not path.is_file():
            with whole_file(path) as temporary, open(temporary, "wb") as stream:
                np.save(stream, sample(record).numpy().astype(np.float16))
        progress(done + 1, len(mine))


def heard(record: Record, rate: int = 16000) -> np.ndarray:
    """The sound (T,) of a record's own frames."""
    begin, end = (round(at / record.motion.fps * rate) for at in (record.start, record.start + len(record)))
    return record.waveform[begin:end]
