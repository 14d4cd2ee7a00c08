"""Stages that several workflows share: the picture, the voice, stage 1, sheets, the result."""

from build import Flow, Node

# ruff: noqa: E501
PICTURE = "## 1. Your picture\nOne person, facing the camera: *choose file to upload*. The sample `portrait.png` lies in the pack's folder `assets`.\nThen move the cross and the bar until they sit on the neck and the shoulders: this is what lines the hands up with the person."
VOICE = "## 2. Your voice\nAny length, any format; the sample is `assets/speech.flac`. It is encoded once; both stages listen to the same features."
MOTION = "## 3. Hand motion\nStage 1 of EMO2: the voice moves two hands. Try another `seed`, or `speed_left` and `speed_right`.\nEverything that says *motion* can be edited here: put EMO2 Smooth, Scale, Mirror, Mute or Splice Motion on this wire."
RESULT = "## 5. Result\nThe video with your sound, and a sheet of its frames."


def pictured(flow: Flow) -> tuple[Node, Node]:
    """The picture, and the node that says where the person is in it (the values are the sample's)."""
    picture = flow.add("LoadImage", image="portrait.png")
    where = {"neck_x": 0.4749, "neck_y": 0.4248, "shoulder_width": 0.3906}
    return picture, flow.add("EMO2SetFraming", image=picture["IMAGE"], **where)


def voiced(flow: Flow) -> tuple[Node, Node, Node]:
    """The voice and what stage 1 hears of it: (voice, encoder, features)."""
    voice = flow.add("LoadAudio", audio="speech.flac")
    encoder = flow.add("EMO2LoadAudioEncoder")
    features = flow.add("EMO2EncodeAudio", audio_encoder=encoder["audio_encoder"], audio=voice["AUDIO"])
    flow.stage("Voice", "audio", VOICE, [[voice, encoder, features]])
    return voice, encoder, features


def inputs(flow: Flow) -> tuple[Node, Node, Node, Node, Node]:
    """Picture and voice: (picture, framing, voice, encoder, features)."""
    picture, framing = pictured(flow)
    shown = flow.add("PreviewImage", title="Framing", images=framing["preview"])
    flow.stage("Picture", "input", PICTURE, [[picture, framing, shown]])
    return picture, framing, *voiced(flow)


def hand_motion(flow: Flow, framing: Node, features: Node) -> tuple[Node, Node]:
    """Stage 1: (motion, hands)."""
    model = flow.add("EMO2LoadMotionModel")
    motion = flow.add(
        "EMO2SampleHandMotion",
        model=model["model"],
        audio_features=features["audio_features"],
        framing=framing["framing"],
        seed=7,
        cfg=2.5,
        style="speaking",
    )
    hands = flow.add("EMO2LoadHands")
    flow.stage("Hand motion", "motion", MOTION, [[model, motion, hands]])
    return motion, hands


def sheet_of(flow: Flow, title: str, images: tuple[Node, str], fps: tuple[Node, str]) -> list[Node]:
    """A few of many pictures, side by side: one preview however long the voice is."""
    sheet = flow.add("EMO2ContactSheet", title=f"Sheet: {title}", images=images, fps=fps)
    return [sheet, flow.add("PreviewImage", title=title, images=sheet["sheet"])]


def result(flow: Flow, images: tuple[Node, str], audio: tuple[Node, str], fps: tuple[Node, str], name: str) -> None:
    """The frames as a video with its sound, and as a sheet."""
    film = flow.add("CreateVideo", images=images, audio=audio, fps=fps)
    saved = flow.add("SaveVideo", video=film["VIDEO"], filename_prefix=name)
    sheet = flow.add("EMO2ContactSheet", title="Sheet of the result", images=images, fps=fps)
    sheet_saved = flow.add("SaveImage", images=sheet["sheet"], filename_prefix=f"{name}_sheet")
    flow.stage("Result", "output", RESULT, [[film, saved], [sheet, sheet_saved]])


def painted(
    flow: Flow, note: str, picture: Node, framing: Node, motion: tuple[Node, str], **further: tuple[Node, str]
) -> tuple[Node, Node]:
    """Stage 2 with the small model, led by `motion` and what `further` inputs of the sampler give: (latents, frames)."""
    model = flow.add("EMO2LoadVideoModel")
    vae = flow.add("EMO2LoadVAE")
    reference = flow.add(
        "EMO2EncodeReference", model=model["model"], vae=vae["vae"], image=picture["IMAGE"], framing=framing["framing"]
    )
    video = flow.add(
        "EMO2SampleVideo", model=model["model"], reference=reference["reference"], motion=motion, **further, seed=7,
        steps=8, cfg=1.5,
    )  # fmt: skip
    frames = flow.add("EMO2DecodeVideo", vae=vae["vae"], latent=video["latent"], reference=reference["reference"])
    flow.stage("Video", "video", note, [[model, vae, reference], [video, frames]])
    return video, frames
