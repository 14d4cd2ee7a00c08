"""Where the public weights that the workflows name can be had: what the page's missing-model dialog shows.

A loader node carries the entries of its files as `properties.models`.
"""

WAN = "https://huggingface.co/Comfy-Org/Wan_2.2_ComfyUI_Repackaged/resolve/main/split_files"
WAN_21 = "https://huggingface.co/Comfy-Org/Wan_2.1_ComfyUI_repackaged/resolve/main/split_files"
KIJAI = "https://huggingface.co/Kijai"
ECHOMIMIC = "https://huggingface.co/BadToBest/EchoMimicV2/resolve/main"
WHISPER = "https://openaipublic.azureedge.net/main/whisper/models"
WHISPER_TINY = f"{WHISPER}/65147644a518d12f04e32d6f3b26facc3f8dd46e5390956a9424a650c0ce22b9/tiny.pt"
SD_VAE = "https://huggingface.co/stabilityai/sd-vae-ft-mse-original/resolve/main"

FILES = {
    **{f"{name}.pth": (f"{ECHOMIMIC}/{name}.pth", "echomimic_v2")
       for name in ("denoising_unet", "motion_module", "reference_unet", "pose_encoder")},
    "tiny.pt": (WHISPER_TINY, "audio_encoders"),
    "vae-ft-mse-840000-ema-pruned.safetensors": (f"{SD_VAE}/vae-ft-mse-840000-ema-pruned.safetensors", "vae"),
    "wan2.2_s2v_14B_fp8_scaled.safetensors": (
        f"{WAN}/diffusion_models/wan2.2_s2v_14B_fp8_scaled.safetensors", "diffusion_models"),
    "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors": (
        f"{WAN}/loras/wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors", "loras"),
    "wan_2.1_vae.safetensors": (f"{WAN}/vae/wan_2.1_vae.safetensors", "vae"),
    "wav2vec2_large_english_fp16.safetensors": (
        f"{WAN}/audio_encoders/wav2vec2_large_english_fp16.safetensors", "audio_encoders"),
    "umt5_xxl_fp8_e4m3fn_scaled.safetensors": (
        f"{WAN_21}/text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors", "text_encoders"),
    "clip_vision_h.safetensors": (f"{WAN_21}/clip_vision/clip_vision_h.safetensors", "clip_vision"),
    "Wan2_2-Animate-14B_fp8_e4m3fn_scaled_KJ.safetensors": (
        f"{KIJAI}/WanVideo_comfy_fp8_scaled/resolve/main/Wan22Animate/Wan2_2-Animate-14B_fp8_e4m3fn_scaled_KJ.safetensors",
        "diffusion_models"),
    "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors": (
        f"{KIJAI}/WanVideo_comfy/resolve/main/Lightx2v/lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors",
        "loras"),
}  # fmt: skip
"""File name -> (address, folder in ComfyUI's models)."""


def entries(values: list) -> list[dict[str, str]]:
    """`properties.models` for a node whose widgets show `values`."""
    names = [value for value in values if isinstance(value, str) and value in FILES]
    return [{"name": name, "url": FILES[name][0], "directory": FILES[name][1]} for name in dict.fromkeys(names)]
