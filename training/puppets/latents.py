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
from .cache import PuppetCache, latents_path


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
    mark = {"vae": fingerprint(Path(vae))}
    about = cache.folder / "latents.json"
    if about.is_file() and json.loads(about.read_text()) != mark:
        if part[0]:
            raise EMO2Error("vae", "the autoencoder of the latents there", f"another one ({vae})", "Run part 0 first.")
        for index in range(len(cache)):
            latents_path(cache[index].path).unlink(missing_ok=True)
    with whole_file(about) as temporary:
        Path(temporary).write_text(json.dumps(mark))
    mine = range(part[0], len(cache), part[1])
    for done, index in enumerate(mine):
        record = cache[index]
        path = latents_path(record.path)
        if not path.is_file():
            pictures = np.concatenate([record.reference[None], record.frames])
            latents = autoencoder.encode(module, torch.from_numpy(pictures).float() / 255, device, chunk)
            with whole_file(path) as temporary, open(temporary, "wb") as stream:
                np.save(stream, latents.numpy().astype(np.float16))
        progress(done + 1, len(mine))
