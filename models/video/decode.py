"""From latents to pixels in chunks, each off the device as soon as it is done. Works with every `VAE` on a wire."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..errors import EMO2Error

Check = Callable[[], None]
Finish = Callable[[torch.Tensor], torch.Tensor]
"""What is done to decoded frames (n, H, W, 3), such as `still.Still.kept`."""


def latent_channels(vae: Any) -> int | None:
    """Channels of the latents that `vae` decodes, where it says so (ComfyUI's and our own do)."""
    channels = getattr(vae, "latent_channels", None)
    return channels if isinstance(channels, int) else None


def check_vae(vae: Any, channels: int, where: str = "vae") -> None:
    """An error when `vae` says that its latents have another number of channels."""
    own = latent_channels(vae)
    if own is not None and own != channels:
        wanted = f"a VAE with {channels} latent channels"
        raise EMO2Error(where, wanted, f"one with {own}", "Load the VAE that belongs to the video model.")


def decode_chunks(
    vae: Any, latents: torch.Tensor, chunk: int = 8, check: Check = lambda: None, finish: Finish | None = None
) -> Iterator[torch.Tensor]:
    """Pixels (n, H, W, 3) float32 0..1 on the CPU for `chunk` frames of `latents` (F, C, h, w) at a time."""
    if chunk < 1:
        raise EMO2Error("chunk", "at least 1 frame", chunk, "Give a number of frames to decode together.")
    if latents.ndim != 4 or len(latents) == 0:
        raise EMO2Error("latent", "latents (F, C, h, w)", tuple(latents.shape), "Connect a video sampler's output.")
    check_vae(vae, latents.shape[1])
    for block in latents.split(chunk):
        check()
        pixels = vae.decode(block)
        if pixels.ndim == 5:  # ComfyUI's video VAEs have a batch axis in front of the frames
            pixels = pixels.reshape(-1, *pixels.shape[-3:])
        pixels = pixels[..., :3].float().clamp(0, 1).cpu()
        yield pixels if finish is None else finish(pixels)


def decode_video(
    vae: Any, latents: torch.Tensor, chunk: int = 8, check: Check = lambda: None, finish: Finish | None = None
) -> torch.Tensor:
    """Pixels (F, H, W, 3) of all frames."""
    frames: torch.Tensor | None = None
    start = 0
    for pixels in decode_chunks(vae, latents, chunk, check, finish):
        if frames is None:  # one block of memory for all frames, not twice that for a list and its concatenation
            frames = torch.empty(len(latents), *pixels.shape[1:])
        frames[start : start + len(pixels)] = pixels
        start += len(pixels)
    assert frames is not None
    return frames
