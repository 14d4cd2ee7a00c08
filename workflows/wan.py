"""The workflows for Wan 2.2 in ComfyUI's own nodes: hand motion from the voice as its pose video."""

from build import Flow, Node
from stages import PICTURE, hand_motion, pictured, sheet_of, voiced

# ruff: noqa: E501
SIZE, FRAMES, FPS = 640, 77, 16.0
UNWANTED = "blurry, overexposed, static, subtitles, worst quality, low quality, deformed, extra fingers, poorly drawn hands, poorly drawn face, fused fingers, still picture, cluttered background"
POSE = "## 4. Motion as a pose video\nWan works at 16 frames a second: the motion is brought there and drawn as OpenPose sticks, framed as your picture. Both are cut at the centre to the video's size. Look here before the long wait."
S2V = "## 5. Wan 2.2 S2V\nVoice, picture and pose video go into ComfyUI's own *WanSoundImageToVideo*: 77 frames, then 77 more that go on from them (9.6 s together). For more, copy *Extend* with its sampler and joint. A shorter voice leaves stillness at the end."
ANIMATE = "## 5. Wan 2.2 Animate\nPicture and pose video go into ComfyUI's own *WanAnimateToVideo*: 77 frames (4.8 s). Wan-Animate takes lips and face from `face_video`, not from the voice: connect a video of a speaking face there, or use `wan_s2v` when the mouth must speak."
MODELS = "## Models\nLarge files that ComfyUI offers to download when it opens this workflow. They want a graphics card with much memory."


def posed(flow: Flow, motion: Node, hands: Node, picture: Node) -> tuple[Node, Node]:
    """The motion at Wan's frame rate and its pose video: (resampled, poses)."""
    resampled = flow.add("EMO2ResampleMotion", title="16 frames a second", motion=motion["motion"], fps=FPS)
    overlay = flow.add("EMO2PreviewMotion", motion=resampled["motion"], image=picture["IMAGE"], hands=hands["hands"],
                       every_nth=4, style="openpose")  # fmt: skip
    sheet = sheet_of(flow, "Pose over the picture", overlay["images"], overlay["fps"])
    # Through the preview, so that it is there before the video begins.
    poses = flow.add("EMO2DrawOpenPose", title="Pose video", motion=overlay["motion"], hands=hands["hands"])
    flow.stage("Pose video", "motion", POSE, [[resampled, overlay], [*sheet, poses]])
    return resampled, poses


def led(flow: Flow) -> tuple[Node, Node, Node, Node]:
    """Picture and voice to a pose video: (picture, voice, motion at Wan's frame rate, poses)."""
    picture, framing = pictured(flow)
    flow.stage("Picture", "input", PICTURE, [[picture, framing]])
    voice, _, features = voiced(flow)
    motion, hands = hand_motion(flow, framing, features)
    return picture, voice, *posed(flow, motion, hands, picture)


def begun(flow: Flow, checkpoint: str, lora: str) -> tuple[Node, Node, Node, Node, list[Node]]:
    """Model with its fast LoRA, VAE, and both prompts: (model, vae, positive, negative, loaders)."""
    unet = flow.add("UNETLoader", unet_name=checkpoint)
    fast = flow.add("LoraLoaderModelOnly", model=unet["MODEL"], lora_name=lora)
    model = flow.add("ModelSamplingSD3", model=fast["MODEL"], shift=8.0)
    clip = flow.add("CLIPLoader", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan")
    vae = flow.add("VAELoader", vae_name="wan_2.1_vae.safetensors")
    wish = "The person looks at the camera, speaks and gestures with both hands."
    positive = flow.add("CLIPTextEncode", title="What to see", clip=clip["CLIP"], text=wish)
    negative = flow.add("CLIPTextEncode", title="What not to see", clip=clip["CLIP"], text=UNWANTED)
    return model, vae, positive, negative, [unet, fast, model, clip, vae]


def sampled(flow: Flow, model: Node, made: Node, steps: int, sampler: str, title: str) -> Node:
    return flow.add(
        "KSampler", title=title, model=model["MODEL"], positive=made["positive"], negative=made["negative"],
        latent_image=made["latent"], seed=7, steps=steps, cfg=1.0, sampler_name=sampler, scheduler="simple",
    )  # fmt: skip


def finished(flow: Flow, images: tuple[Node, str], voice: Node, fps: tuple[Node, str], name: str) -> list[Node]:
    film = flow.add("CreateVideo", images=images, audio=voice["AUDIO"], fps=fps)
    return [film, flow.add("SaveVideo", video=film["VIDEO"], filename_prefix=name)]


def wan_s2v() -> Flow:
    flow = Flow()
    picture, voice, resampled, poses = led(flow)

    model, vae, positive, negative, loaders = begun(
        flow, "wan2.2_s2v_14B_fp8_scaled.safetensors", "wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors"
    )
    listener = flow.add("AudioEncoderLoader", audio_encoder_name="wav2vec2_large_english_fp16.safetensors")
    heard = flow.add("AudioEncoderEncode", audio_encoder=listener["AUDIO_ENCODER"], audio=voice["AUDIO"])
    flow.stage("Models", "look", MODELS, [loaders, [listener, heard, positive, negative]])

    given = {"audio_encoder_output": heard["AUDIO_ENCODER_OUTPUT"], "ref_image": picture["IMAGE"],
             "control_video": poses["pose_images"], "vae": vae["VAE"], "length": FRAMES}  # fmt: skip
    first = flow.add("WanSoundImageToVideo", positive=positive["CONDITIONING"], negative=negative["CONDITIONING"],
                     width=SIZE, height=SIZE, **given)  # fmt: skip
    begin = sampled(flow, model, first, 4, "uni_pc", "First 77 frames")
    more = flow.add("WanSoundImageToVideoExtend", title="Extend", positive=positive["CONDITIONING"],
                    negative=negative["CONDITIONING"], video_latent=begin["LATENT"], **given)  # fmt: skip
    rest = sampled(flow, model, more, 4, "uni_pc", "Next 77 frames")
    joined = flow.add("LatentConcat", title="Joint", samples1=begin["LATENT"], samples2=rest["LATENT"], dim="t")
    # The first latent decodes to one frame and the others to four: with it twice, the beginning can be cut off clean.
    head = flow.add("LatentCut", title="First latent again", samples=joined["LATENT"], dim="t", index=0, amount=1)
    whole = flow.add("LatentConcat", title="First latent in front", samples1=head["LATENT"], samples2=joined["LATENT"],
                     dim="t")  # fmt: skip
    decoded = flow.add("VAEDecode", samples=whole["LATENT"], vae=vae["VAE"])
    kept = flow.add(
        "ImageFromBatch", title="Without what was put in front", image=decoded["IMAGE"], batch_index=3, length=4096
    )
    out = finished(flow, kept["IMAGE"], voice, resampled["fps"], "wan_s2v")
    flow.stage(
        "Wan 2.2 S2V", "video", S2V, [[first, begin], [more, rest], [joined, head, whole, decoded], [kept, *out]]
    )
    return flow


def wan_animate() -> Flow:
    flow = Flow()
    picture, voice, resampled, poses = led(flow)

    model, vae, positive, negative, loaders = begun(
        flow, "Wan2_2-Animate-14B_fp8_e4m3fn_scaled_KJ.safetensors",
        "lightx2v_I2V_14B_480p_cfg_step_distill_rank64_bf16.safetensors",
    )  # fmt: skip
    eyes = flow.add("CLIPVisionLoader", clip_name="clip_vision_h.safetensors")
    seen = flow.add("CLIPVisionEncode", clip_vision=eyes["CLIP_VISION"], image=picture["IMAGE"], crop="none")
    flow.stage("Models", "look", MODELS, [loaders, [eyes, seen, positive, negative]])

    made = flow.add(
        "WanAnimateToVideo", positive=positive["CONDITIONING"], negative=negative["CONDITIONING"], vae=vae["VAE"],
        width=SIZE, height=SIZE, length=FRAMES, clip_vision_output=seen["CLIP_VISION_OUTPUT"],
        reference_image=picture["IMAGE"], pose_video=poses["pose_images"],
    )  # fmt: skip
    video = sampled(flow, model, made, 6, "euler", "77 frames")
    trimmed = flow.add("TrimVideoLatent", samples=video["LATENT"], trim_amount=made["trim_latent"])
    decoded = flow.add("VAEDecode", samples=trimmed["LATENT"], vae=vae["VAE"])
    kept = flow.add("ImageFromBatch", image=decoded["IMAGE"], batch_index=made["trim_image"], length=4096)
    out = finished(flow, kept["IMAGE"], voice, resampled["fps"], "wan_animate")
    flow.stage("Wan 2.2 Animate", "video", ANIMATE, [[made, video], [trimmed, decoded, kept], out])
    return flow
