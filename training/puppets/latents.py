"""Latents of painted puppets, computed once: training then never sees a pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from ...models.checkpoints.format import fingerprint, load_checkpoint
from ...models.errors import EMO2Error
from ...models.video import vae as autoencoder
from ...models.whole_files import whole_file
from .cache import PuppetCache, Record, latents_path


def encode_cache(
    folder: Path | str,
    vae: Path | str,
    device: str = "cpu",
    progress: Callable[[int, int], None] = lambda done, total: None,
    part: tuple[int, int] = (0, 1),
    chunk: int = 64,
) -> None:
    """Encode the references and frames of every record with the autoencoder checkpoint `vae`.

    Records that have latents of the same autoencoder stay as they are; part (k, n) as in `write_cache`.
    """
    cache = PuppetCache(folder)
    module, _ = load_checkpoint(vae, "vae", autoencoder.build, "vae")
    module = module.to(device)
    other = EMO2Error("vae", "the autoencoder of the latents there", f"another one ({vae})", "Run part 0 first.")

    def encode(record: Record) -> torch.Tensor:
        pictures = np.concatenate([record.reference[None], record.frames])
        return autoencoder.encode(module, torch.from_numpy(pictures).float() / 255, device, chunk)

    write_latents(cache, "latents", encode, {"vae": fingerprint(Path(vae))}, other, progress, part)


def write_latents(
    cache: PuppetCache,
    name: str,
    make: Callable[[Record], torch.Tensor],
    mark: dict[str, str],
    other: EMO2Error,
    progress: Callable[[int, int], None],
    part: tuple[int, int],
) -> None:
    """Write what `make` makes of every record, (n, C, h, w), beside it as `latents_path(record, name)`.

    mark: which networks make them, kept in <name>.json. Records that have latents of the same ones stay as they are;
    part 0 removes those of others, and any later part raises `other` where it finds some. part as in `write_cache`.
    """
    about = cache.folder / f"{name}.json"
    if about.is_file() and json.loads(about.read_text()) != mark:
        if part[0]:
            raise other
        for index in range(len(cache)):
            latents_path(cache[index].path, name).unlink(missing_ok=True)
    with whole_file(about) as temporary:
        Path(temporary).write_text(json.dumps(mark))
    mine = range(part[0], len(cache), part[1])
    for done, index in enumerate(mine):
        record = cache[index]
        path = latents_path(record.path, name)
        if not path.is_file():
            latents = make(record)
            with whole_file(path) as temporary, open(temporary, "wb") as stream:
                np.save(stream, latents.numpy().astype(np.float16))
        progress(done + 1, len(mine))
