"""Loaders of VAEs and CLIP's image encoder, VAEEncode, VAEDecode, CLIPVisionEncode: thin calls into the pack's own."""

from __future__ import annotations

from typing import Any

import torch

from ...models.errors import EMO2Error
from ...nodes import host

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


class VAELoader:
    """A VAE of Stable Diffusion's kind."""

    CATEGORY, FUNCTION = "loaders", "load_vae"
    DESCRIPTION = "Loads a VAE from the folder vae of --models."
    RETURN_TYPES = ("VAE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"vae_name": (host.model_files("vae", suffixes=SUFFIXES), {})}}

    def load_vae(self, vae_name: str) -> tuple[Any]:
        from ...models.checkpoints.autoencoder import load_vae
        from ...nodes.decode import PackVAE

        return (PackVAE(host.wrap(*load_vae(host.model_path(vae_name, "vae", "vae_name"), "vae_name"))),)


class CLIPVisionLoader:
    """CLIP's image encoder."""

    CATEGORY, FUNCTION = "loaders", "load_clip"
    DESCRIPTION = "Loads a CLIP image encoder from the folder clip_vision of --models."
    RETURN_TYPES = ("CLIP_VISION",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"clip_name": (host.model_files("clip_vision", suffixes=SUFFIXES), {})}}

    def load_clip(self, clip_name: str) -> tuple[Any]:
        from ...models.checkpoints.clip_vision import load_clip_vision
        from ...nodes.video import PackCLIPVision

        path = host.model_path(clip_name, "clip_vision", "clip_name")
        return (PackCLIPVision(host.wrap(*load_clip_vision(path, "clip_name"))),)


class VAEEncode:
    """Pictures to latents."""

    CATEGORY, FUNCTION = "latent", "encode"
    DESCRIPTION = "Encodes pictures with a VAE."
    RETURN_TYPES = ("LATENT",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"pixels": ("IMAGE", {}), "vae": ("VAE", {})}}

    def encode(self, vae: Any, pixels: torch.Tensor) -> tuple[dict[str, torch.Tensor]]:
        return ({"samples": vae.encode(pixels[..., :3])},)


class VAEDecode:
    """Latents to pictures."""

    CATEGORY, FUNCTION = "latent", "decode"
    DESCRIPTION = "Decodes latents with a VAE."
    RETURN_TYPES = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"samples": ("LATENT", {}), "vae": ("VAE", {})}}

    def decode(self, vae: Any, samples: dict[str, torch.Tensor]) -> tuple[torch.Tensor]:
        images = vae.decode(samples["samples"])
        return (images.reshape(-1, *images.shape[-3:]) if images.ndim == 5 else images,)


class CLIPVisionEncode:
    """A picture to its CLIP embedding."""

    CATEGORY, FUNCTION = "conditioning", "encode"
    DESCRIPTION = "Encodes a picture with a CLIP vision model."
    RETURN_TYPES = ("CLIP_VISION_OUTPUT",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"clip_vision": ("CLIP_VISION", {}), "image": ("IMAGE", {}), "crop": (["center", "none"], {})}
        }

    def encode(self, clip_vision: Any, image: torch.Tensor, crop: str) -> tuple[Any]:
        if not hasattr(clip_vision, "encode_image"):
            given = type(clip_vision).__name__
            raise EMO2Error("clip_vision", "a CLIP vision model", given, "Use EMO2 Load CLIP Vision.")
        return (clip_vision.encode_image(image, crop=crop == "center"),)


NODES = {
    "VAELoader": ("Load VAE", VAELoader),
    "CLIPVisionLoader": ("Load CLIP Vision", CLIPVisionLoader),
    "VAEEncode": ("VAE Encode", VAEEncode),
    "VAEDecode": ("VAE Decode", VAEDecode),
    "CLIPVisionEncode": ("CLIP Vision Encode", CLIPVisionEncode),
}
