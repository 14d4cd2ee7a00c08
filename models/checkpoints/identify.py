"""What a file of weights is, told by the names and shapes in it: for errors that say which file belongs where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Shapes = Mapping[str, Sequence[int]]
UNKNOWN = "weights of an unknown kind"


def identify(shapes: Shapes) -> str:
    """The kind of file that holds tensors of these names and shapes, in words."""
    names = shapes.keys()
    has = lambda *parts: all(any(part in name for name in names) for part in parts)
    if not shapes:
        return "a file without weights"
    if has("lora_down") or has("lora_A.") or has("lora.down"):
        return "a LoRA"
    if has("motion_modules."):
        if has("conv_in.weight"):
            return "a denoising UNet with motion modules in one file"
        return "EchoMimicV2's motion module" if "mid_block" in "".join(names) and has("norms.1") else "a motion module"
    if has("model.diffusion_model."):
        wide = _width(shapes, "attn2.to_k.weight", 1)
        return "a whole checkpoint of " + _stable_diffusion(wide)
    if has("down_blocks.", "up_blocks.", "resnets."):
        if has("encoder.down_blocks.") or has("decoder.up_blocks."):
            return "a VAE"
        if not has("attn2."):
            return "EchoMimicV2's reference UNet" if not has("conv_out.") else "a UNet without cross-attention"
        wide = _width(shapes, "attn2.to_k.weight", 1)
        return "EchoMimicV2's denoising UNet" if wide == 384 else f"the UNet of {_stable_diffusion(wide)}"
    if has("blocks.0.weight", "conv_in.weight", "conv_out.weight"):
        return "EchoMimicV2's pose encoder"
    if has("conv_in.weight", "blocks.", "controlnet_cond"):
        return "a ControlNet"
    if has("encoder.positional_embedding") or has("model.encoder.embed_positions"):
        return "a Whisper model"
    if has("wav2vec2.") or has("feature_extractor.conv_layers."):
        return "a wav2vec 2.0 model"
    if has("vision_model.") or has("visual."):
        return "a CLIP image encoder"
    if has("decoder.up.") or has("decoder.up_blocks.") or has("first_stage_model."):
        return "a VAE"
    return UNKNOWN


def shapes_of(tensors: Mapping[str, object]) -> Shapes:
    """Names and shapes of tensors."""
    return {name: tuple(getattr(value, "shape", ())) for name, value in tensors.items()}


def _width(shapes: Shapes, part: str, axis: int) -> int | None:
    """The length of an axis of the first tensor whose name ends in `part`."""
    return next((shape[axis] for name, shape in shapes.items() if name.endswith(part) and len(shape) > axis), None)


def _stable_diffusion(width: int | None) -> str:
    return {768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}.get(
        width or 0, "another diffusion model"
    )


__all__ = ["UNKNOWN", "identify", "shapes_of"]
