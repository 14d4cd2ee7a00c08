"""LoadImage, SaveImage, PreviewImage, ImageScale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, ImageSequence, PngImagePlugin, UnidentifiedImageError

from ...models.errors import EMO2Error
from ...models.whole_files import whole_file
from ...nodes.saving import check_prefix
from .. import inputs
from .saving import PREVIEWS, metadata, next_slot

MOST_PREVIEWS = 8


def missing(kind: str, name: str) -> str:
    """ComfyUI's answer for an input file that is not there, with where it was looked for."""
    return f"Invalid {kind} file: {name} (no such file in {inputs.current}; give one with --set)"


def found_file(kind: str, name: str) -> Path:
    """The input file called `name`; EMO2Error when it went away since the check."""
    path = inputs.current.find(name)
    if path is None:
        raise EMO2Error(kind, f"a file in {inputs.current}", repr(name), "Give one with --set.")
    return path


class LoadImage:
    """A picture and its mask (1 where it is transparent); all frames of an animated one, of equal size."""

    CATEGORY, FUNCTION = "image", "load_image"
    DESCRIPTION = "Loads a picture from the input folder."
    RETURN_TYPES = ("IMAGE", "MASK")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"image": (inputs.current.names("image"), {"image_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, image: str) -> bool | str:
        return True if image is None or inputs.current.find(image) else missing("image", image)

    def load_image(self, image: str) -> tuple[torch.Tensor, torch.Tensor]:
        """(frames (B, H, W, 3), masks (B, H, W) or (B, 64, 64) without alpha), float32 0..1."""
        path = found_file("image", image)
        pictures: list[torch.Tensor] = []
        masks: list[torch.Tensor] = []
        try:
            with Image.open(path) as picture:
                for frame in ImageSequence.Iterator(picture):
                    rgb, mask = _tensors(ImageOps.exif_transpose(frame) or frame)
                    if not pictures or rgb.shape == pictures[0].shape:
                        pictures.append(rgb)
                        masks.append(mask)
                    if picture.format == "MPO":  # a camera's second view is no second frame
                        break
        except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise EMO2Error(
                "image", "a whole picture (PNG, JPEG, WebP ...)", f"{path} ({error})", "Save the picture again."
            ) from error
        return torch.stack(pictures), torch.stack(masks)


def _tensors(frame: Image.Image) -> tuple[torch.Tensor, torch.Tensor]:
    if frame.mode.startswith("I"):  # 16 bits a pixel: convert("RGB") would cut them off at 255
        grey = np.asarray(frame, dtype=np.float32)
        frame = Image.fromarray(np.clip(grey / (257.0 if grey.max(initial=0) > 255 else 1.0), 0, 255).astype(np.uint8))
    if frame.mode == "P" and "transparency" in frame.info:
        frame = frame.convert("RGBA")
    rgb = torch.from_numpy(np.array(frame.convert("RGB"), dtype=np.float32) / 255.0)
    if "A" not in frame.getbands():
        return rgb, torch.zeros((64, 64))
    return rgb, 1.0 - torch.from_numpy(np.array(frame.getchannel("A"), dtype=np.float32) / 255.0)


class SaveImage:
    """Writes every picture of a batch as PNG with the workflow in it."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "image", "save_images", True
    DESCRIPTION = "Saves pictures to the output folder."
    RETURN_TYPES = ("IMAGE",)
    RETURN_NAMES = ("images",)
    COMPRESSION = 4

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"images": ("IMAGE", {}), "filename_prefix": ("STRING", {"default": "ComfyUI"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str) -> bool | str:
        return check_prefix(filename_prefix)

    def save_images(
        self, images: torch.Tensor, filename_prefix: str = "ComfyUI", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        slot = next_slot(filename_prefix, images.shape[2], images.shape[1])
        info = PngImagePlugin.PngInfo()
        for name, text in metadata(prompt, extra_pnginfo).items():
            info.add_text(name, text)
        saved = []
        for place, image in enumerate(images):
            pixels = np.clip(255.0 * image.float().cpu().numpy(), 0, 255).astype(np.uint8)
            name = slot.name("png", place)
            with whole_file(slot.folder / name) as temporary:
                Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(
                    temporary, format="PNG", pnginfo=info, compress_level=self.COMPRESSION
                )
            saved.append(slot.shown(name))
        return {"ui": {"images": saved}, "result": (images,)}


class PreviewImage(SaveImage):
    """Like SaveImage, into the folder `previews` of the output folder; of a long batch only a few, evenly spaced."""

    DESCRIPTION = "Shows pictures; without a browser they are written to the folder previews."
    COMPRESSION = 1

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"images": ("IMAGE", {})}, "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}

    def save_images(
        self, images: torch.Tensor, filename_prefix: str = "", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        some = images[torch.linspace(0, len(images) - 1, MOST_PREVIEWS).round().long().unique()]
        answer = super().save_images(some, filename_prefix or f"{PREVIEWS}/image", prompt, extra_pnginfo)
        return {**answer, "result": (images,)}


class ImageScale:
    """Changes the size of pictures; 0 keeps the shape."""

    CATEGORY, FUNCTION = "image/upscaling", "upscale"
    DESCRIPTION = "Scales pictures to a size."
    RETURN_TYPES = ("IMAGE",)
    METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        size = {"default": 512, "min": 0, "max": 16384, "step": 1}
        return {
            "required": {
                "image": ("IMAGE", {}),
                "upscale_method": (list(cls.METHODS), {}),
                "width": ("INT", size),
                "height": ("INT", size),
                "crop": (["disabled", "center"], {}),
            }
        }

    def upscale(
        self, image: torch.Tensor, upscale_method: str, width: int, height: int, crop: str
    ) -> tuple[torch.Tensor]:
        if width == 0 and height == 0:
            return (image,)
        pixels = image.movedim(-1, 1)
        width = width or max(1, round(pixels.shape[3] * height / pixels.shape[2]))
        height = height or max(1, round(pixels.shape[2] * width / pixels.shape[3]))
        if crop == "center":
            pixels = _cut(pixels, width / height)
        if upscale_method == "lanczos":
            return (torch.stack([_lanczos(picture, width, height) for picture in pixels]),)
        scaled = torch.nn.functional.interpolate(pixels, size=(height, width), mode=upscale_method)
        return (scaled.movedim(1, -1),)


def _cut(pixels: torch.Tensor, aspect: float) -> torch.Tensor:
    """The middle of (B, C, H, W) with width / height = aspect."""
    height, width = pixels.shape[2:]
    left = round((width - width * (aspect * height / width)) / 2) if width / height > aspect else 0
    top = round((height - height * (width / height / aspect)) / 2) if width / height < aspect else 0
    return pixels[:, :, top : height - top, left : width - left]


def _lanczos(picture: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """(C, H, W) -> (height, width, C), through 8 bits as ComfyUI does."""
    pixels = np.clip(255.0 * picture.movedim(0, -1).cpu().numpy(), 0, 255).astype(np.uint8)
    mode = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    scaled = (
        np.asarray(Image.fromarray(mode).resize((width, height), Image.Resampling.LANCZOS), dtype=np.float32) / 255.0
    )
    return torch.from_numpy(scaled.reshape(height, width, -1))


NODES = {
    "LoadImage": ("Load Image", LoadImage),
    "SaveImage": ("Save Image", SaveImage),
    "PreviewImage": ("Preview Image", PreviewImage),
    "ImageScale": ("Upscale Image", ImageScale),
}
