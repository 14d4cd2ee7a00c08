"""A reference picture, checked and brought to another size: covering, centred, nothing stretched."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from .errors import EMO2Error
from .types import cover_box


def one_picture(image: torch.Tensor, where: str = "image") -> torch.Tensor:
    """The picture (1, H, W, 3) of an IMAGE that must hold exactly one.

    Alpha is dropped over the colours that lie under it; a grey picture gets three equal channels.
    """
    if not isinstance(image, torch.Tensor) or image.ndim != 4:
        given = tuple(image.shape) if isinstance(image, torch.Tensor) else type(image).__name__
        raise EMO2Error(where, "a picture (1, height, width, 3)", given, "Connect Load Image.")
    if image.shape[0] != 1:
        raise EMO2Error(
            where, "one picture", f"a batch of {image.shape[0]}", "Choose one of them (Get Image from Batch)."
        )
    if image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise EMO2Error(where, "a grey, RGB or RGBA picture", f"shape {tuple(image.shape)}", "Convert it to RGB.")
    if not torch.isfinite(image).all():
        raise EMO2Error(where, "finite colours", "NaN or infinity", "Load another picture.")
    return image.expand(*image.shape[:3], 3) if image.shape[-1] == 1 else image[..., :3]


def covered(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """`image` (1, H, W, 3) scaled to cover `size` (H, W) and cut at the centre, as `cover_box` says: (1, *size, 3).

    Lanczos with anti-aliasing; the cut is exact to fractions of a pixel, so a framing fitted to `size` fits it.
    """
    source = (image.shape[1], image.shape[2])
    if source == tuple(size):
        return image.float().cpu().clamp(0, 1)
    pixels = image[0].float().cpu().numpy()
    channels = [np.asarray(resized(Image.fromarray(pixels[..., c]), size)) for c in range(3)]
    return torch.from_numpy(np.stack(channels, axis=-1))[None].clamp(0, 1)


def resized(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The part of a Pillow picture that `cover_box` keeps, at `size` (H, W)."""
    width, height = picture.size
    scale, left, top = cover_box((height, width), size)
    box = (left / scale, top / scale, (left + size[1]) / scale, (top + size[0]) / scale)
    box = (max(0.0, box[0]), max(0.0, box[1]), min(float(width), box[2]), min(float(height), box[3]))
    return picture.resize((size[1], size[0]), Image.Resampling.LANCZOS, box=box)


def image_of(pixels: np.ndarray) -> torch.Tensor:
    """An IMAGE (1, H, W, 3) of one picture (H, W, 3) uint8."""
    return torch.from_numpy(np.asarray(pixels, np.float32) / 255)[None]
