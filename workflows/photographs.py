"""The workflow for photographs: EchoMimicV2's public weights, led by hand motion from the voice."""

from build import Flow
from stages import VOICE, hand_motion, pictured, result, sheet_of

# ruff: noqa: E501
PICTURE = "## 1. Your photograph\nOne person from the waist up, facing the camera: *choose file to upload*. Move the cross and the bar of **EMO2 Set Framing** until they sit on the neck and the shoulders. **EMO2 Fit Portrait** then cuts the picture to where EchoMimicV2 expects its person."
HEARING = (
    VOICE + "\nTwo encoders listen: the small one for the hands, Whisper (`tiny.pt`) for EchoMimicV2's mouth and face."
)
CHECK = "## 4. Look before the long wait\nThese pictures come before the video begins: are the hands where the person's could be, and inside the picture? If not, press *Cancel*, and move the framing, or put EMO2 Scale, Offset or Smooth Motion on the wire."
VIDEO = "## 5. Video\nEchoMimicV2's four files, as published, belong into `models/echomimic_v2`. Settings of the original: 30 steps, cfg 2.5. With `denoising_unet_acc.pth` and `motion_module_acc.pth`: 6 steps, cfg 1. Try `end_second` 2 or `quick_preview` first."


def echomimic_v2() -> Flow:
    flow = Flow()
    picture, framing = pictured(flow)
    portrait = flow.add("EMO2FitPortrait", image=picture["IMAGE"], framing=framing["framing"], width=768, height=768)
    shown = flow.add("PreviewImage", title="Portrait and reach", images=portrait["preview"])
    flow.stage("Picture", "input", PICTURE, [[picture, framing], [portrait, shown]])

    voice = flow.add("LoadAudio", audio="speech.flac")
    encoder = flow.add("EMO2LoadAudioEncoder", title="Encoder for the hands")
    features = flow.add("EMO2EncodeAudio", title="Voice for the hands", audio_encoder=encoder["audio_encoder"],
                        audio=voice["AUDIO"])  # fmt: skip
    whisper = flow.add("EMO2LoadAudioEncoder", title="Whisper for the face", encoder="tiny.pt")
    heard = flow.add("EMO2EncodeAudio", title="Voice for the face", audio_encoder=whisper["audio_encoder"],
                     audio=voice["AUDIO"])  # fmt: skip
    flow.stage("Voice", "audio", HEARING, [[voice, encoder, features], [whisper, heard]])
    motion, hands = hand_motion(flow, portrait, features)

    overlay = flow.add("EMO2PreviewMotion", motion=motion["motion"], image=portrait["image"], hands=hands["hands"],
                       every_nth=6)  # fmt: skip
    sheet = sheet_of(flow, "Hands over the portrait", overlay["images"], overlay["fps"])
    flow.stage("Look", "look", CHECK, [[overlay, *sheet]])

    model = flow.add("EMO2LoadEchoMimicV2", denoising_unet="denoising_unet.pth", motion_module="motion_module.pth",
                     reference_unet="reference_unet.pth", pose_encoder="pose_encoder.pth")  # fmt: skip
    vae = flow.add("VAELoader", vae_name="vae-ft-mse-840000-ema-pruned.safetensors")
    reference = flow.add("EMO2EncodeReference", model=model["model"], vae=vae["VAE"], image=portrait["image"],
                         framing=portrait["framing"])  # fmt: skip
    # The motion comes through the preview, so that the preview is there before the video begins.
    video = flow.add(
        "EMO2SampleVideo", model=model["model"], reference=reference["reference"], motion=overlay["motion"],
        audio_features=heard["audio_features"], hands=hands["hands"], seed=7, steps=30, cfg=2.5, scheduler="ddim",
    )  # fmt: skip
    frames = flow.add("EMO2DecodeVideo", vae=vae["VAE"], latent=video["latent"], reference=reference["reference"],
                      keep_still=0.0)  # fmt: skip
    flow.stage("Video", "video", VIDEO, [[model, vae, reference], [video, frames]])
    result(flow, frames["images"], voice["AUDIO"], video["fps"], "echomimic_v2")
    return flow
