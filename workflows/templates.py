"""The workflows themselves: which nodes stand in which stage, what is wired to what, and what the notes say."""

from build import Flow, Node

# ruff: noqa: E501
PICTURE = "## 1. Your picture\nOne person, facing the camera: *choose file to upload*. The sample `portrait.png` lies in the pack's folder `assets`.\nThen move the cross and the bar until they sit on the neck and the shoulders: this is what lines the hands up with the person."
VOICE = "## 2. Your voice\nAny length, any format; the sample is `assets/speech.flac`. It is encoded once; both stages listen to the same features."
MOTION = "## 3. Hand motion\nStage 1 of EMO2: the voice moves two hands. Try another `seed`, or `speed_left` and `speed_right`.\nEverything that says *motion* can be edited here: put EMO2 Smooth, Scale, Mirror, Mute or Splice Motion on this wire."
LOOK = "## Look\nThe motion over time, and the maps that stage 2 sees."
VIDEO = "## 4. Video\nStage 2 of EMO2 paints the person around the hands. `quick_preview` shows timing and framing in a few steps; set `end_second` here (not in stage 1) to try a short stretch first."
RESULT = "## 5. Result\nThe video with your sound, and a sheet of its frames."


def inputs(flow: Flow) -> tuple[Node, Node, Node, Node, Node]:
    """Picture and voice: (picture, framing, voice, encoder, features)."""
    picture = flow.add("LoadImage", image="portrait.png")
    where = {"neck_x": 0.4749, "neck_y": 0.4248, "shoulder_width": 0.3906}  # of the sample
    framing = flow.add("EMO2SetFraming", image=picture["IMAGE"], **where)
    shown = flow.add("PreviewImage", title="Framing", images=framing["preview"])
    flow.stage("Picture", "input", PICTURE, [[picture, framing, shown]])
    voice = flow.add("LoadAudio", audio="speech.flac")
    encoder = flow.add("EMO2LoadAudioEncoder")
    features = flow.add("EMO2EncodeAudio", audio_encoder=encoder["audio_encoder"], audio=voice["AUDIO"])
    flow.stage("Voice", "audio", VOICE, [[voice, encoder, features]])
    return picture, framing, voice, encoder, features


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


def talking_avatar() -> Flow:
    flow = Flow()
    picture, framing, voice, _, features = inputs(flow)
    motion, hands = hand_motion(flow, framing, features)

    curve = flow.add(
        "EMO2MotionPicture", motion=motion["motion"], audio=voice["AUDIO"], audio_features=features["audio_features"]
    )
    curve_shown = flow.add("PreviewImage", title="Motion over time", images=curve["image"])
    overlay = flow.add(
        "EMO2PreviewMotion", motion=motion["motion"], image=picture["IMAGE"], hands=hands["hands"], every_nth=3
    )
    mano = flow.add("EMO2RenderManoMaps", motion=motion["motion"], hands=hands["hands"])
    points = flow.add("EMO2RenderKeypointMaps", motion=motion["motion"])
    shown = [
        sheet_of(flow, "Motion over the picture", overlay["images"], overlay["fps"]),
        sheet_of(flow, "MANO maps", mano["mano_maps"], motion["fps"]),
        sheet_of(flow, "Keypoint maps", points["keypoint_maps"], motion["fps"]),
    ]
    flow.stage("Look", "look", LOOK, [[curve, curve_shown, overlay, *shown[0]], [mano, *shown[1], points, *shown[2]]])

    model = flow.add("EMO2LoadVideoModel")
    vae = flow.add("EMO2LoadVAE")
    reference = flow.add(
        "EMO2EncodeReference", model=model["model"], vae=vae["vae"], image=picture["IMAGE"], framing=framing["framing"]
    )
    video = flow.add(
        "EMO2SampleVideo", model=model["model"], reference=reference["reference"], motion=motion["motion"],
        audio_features=features["audio_features"], hands=hands["hands"], seed=7, steps=8, cfg=1.5,
    )  # fmt: skip
    frames = flow.add("EMO2DecodeVideo", vae=vae["vae"], latent=video["latent"], reference=reference["reference"])
    flow.stage("Video", "video", VIDEO, [[model, vae, reference], [video, frames]])

    film = flow.add("CreateVideo", images=frames["images"], audio=voice["AUDIO"], fps=video["fps"])
    saved = flow.add("SaveVideo", video=film["VIDEO"], filename_prefix="talking_avatar")
    sheet = flow.add("EMO2ContactSheet", title="Sheet of the result", images=frames["images"], fps=video["fps"])
    sheet_saved = flow.add("SaveImage", images=sheet["sheet"], filename_prefix="talking_avatar_sheet")
    flow.stage("Result", "output", RESULT, [[film, saved], [sheet, sheet_saved]])
    return flow


def hand_motion_only() -> Flow:
    flow = Flow()
    _, framing, voice, _, features = inputs(flow)
    motion, hands = hand_motion(flow, framing, features)
    resampled = flow.add("EMO2ResampleMotion", title="Frame rate of the other model", motion=motion["motion"], fps=16.0)
    note = "## For other models\nWan 2.2 S2V and VACE want 16 frames a second, MimicMotion 15, Wan-Animate what your workflow runs at: set it here. Feed the OpenPose video to pose inputs and the MANO video to depth or hand-mesh inputs."
    flow.stage("Frame rate", "motion", note, [[resampled]])
    columns = []
    makers = (
        ("EMO2DrawOpenPose", "pose_images", "openpose", {"hands": hands["hands"]}),
        ("EMO2RenderManoMaps", "mano_maps", "mano", {"hands": hands["hands"]}),
        ("EMO2RenderKeypointMaps", "keypoint_maps", "keypoints", {}),
    )
    for class_id, output, name, extra in makers:
        maps = flow.add(class_id, motion=resampled["motion"], **extra)
        film = flow.add(
            "CreateVideo", title=f"Video of {name}", images=maps[output], audio=voice["AUDIO"], fps=resampled["fps"]
        )
        saved = flow.add("SaveVideo", title=f"Save {name}", video=film["VIDEO"], filename_prefix=f"hand_motion_{name}")
        columns.append([maps, film, saved])
    note = "## Three videos of the same motion\nEach with your sound: OpenPose drawing, MANO maps, keypoint maps. Delete the ones you do not need."
    flow.stage("Pose videos", "output", note, columns)
    kept = flow.add("EMO2SaveMotion", motion=motion["motion"], filename_prefix="motion/hand_motion")
    bones = flow.add("EMO2ExportBVH", motion=motion["motion"], filename_prefix="motion/hand_motion")
    note = "## Keep it\nThe motion as a file for EMO2 Load Motion, and as BVH for Blender, Maya and others."
    flow.stage("Motion files", "motion", note, [[kept, bones]])
    return flow


def long_video() -> Flow:
    flow = Flow()
    picture, framing, voice, _, features = inputs(flow)
    motion, hands = hand_motion(flow, framing, features)
    model = flow.add("EMO2LoadVideoModel")
    vae = flow.add("EMO2LoadVAE")
    reference = flow.add(
        "EMO2EncodeReference", model=model["model"], vae=vae["vae"], image=picture["IMAGE"], framing=framing["framing"]
    )
    stream = flow.add(
        "EMO2StreamVideo", model=model["model"], reference=reference["reference"], vae=vae["vae"], audio=voice["AUDIO"],
        motion=motion["motion"], audio_features=features["audio_features"], hands=hands["hands"], seed=7, steps=8, cfg=1.5,
        filename_prefix="long_video",
    )  # fmt: skip
    note = "## 4. Straight into a file\nClip after clip is painted and written, so ten minutes need no more memory than ten seconds. Interrupted, or the power went? Queue it again: it goes on where it was."
    flow.stage("Video", "video", note, [[model, vae, reference], [stream]])
    return flow


TEMPLATES = {"talking_avatar": talking_avatar, "hand_motion_only": hand_motion_only, "long_video": long_video}
