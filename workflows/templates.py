"""The workflows themselves: which nodes stand in which stage, what is wired to what, and what the notes say."""

from build import Flow
from driven import hybrid, pose_driven
from photographs import echomimic_v2
from stages import hand_motion, inputs, painted, result, sheet_of
from wan import wan_animate, wan_s2v

# ruff: noqa: E501
LOOK = "## Look\nThe motion over time, and the maps that stage 2 sees."
VIDEO = "## 4. Video\nStage 2 of EMO2 paints the person around the hands. `quick_preview` shows timing and framing in a few steps; set `end_second` here (not in stage 1) to try a short stretch first."

SCRIPT = "0:00.8-0:02.6 wave with the right hand\n0:03.4-0:05.4 point at the camera with the left hand"


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

    video, frames = painted(
        flow, VIDEO, picture, framing, motion["motion"], audio_features=features["audio_features"], hands=hands["hands"]
    )

    result(flow, frames["images"], voice["AUDIO"], video["fps"], "talking_avatar")
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


def refocused() -> Flow:
    flow = Flow()
    picture, framing, voice, _, features = inputs(flow)
    motion, hands = hand_motion(flow, framing, features)
    after = flow.add(
        "EMO2RefocusMotion", motion=motion["motion"], audio_features=features["audio_features"],
        hand_model=hands["hands"],
    )  # fmt: skip
    note = "## 4. Accents\nGestures grow where the voice stresses and calm down where it is quiet. `amount` 0 changes nothing. Below: the curves before and after; look at the speed under the voice."
    columns = []
    for title, made in (("before", motion), ("after", after)):
        curve = flow.add(
            "EMO2MotionPicture", title=f"Curves {title}", motion=made["motion"], audio=voice["AUDIO"],
            audio_features=features["audio_features"],
        )  # fmt: skip
        curve_shown = flow.add("PreviewImage", title=f"Motion over time {title}", images=curve["image"])
        overlay = flow.add(
            "EMO2PreviewMotion", title=f"Preview {title}", motion=made["motion"], image=picture["IMAGE"],
            hands=hands["hands"], every_nth=3,
        )  # fmt: skip
        columns.append([curve, curve_shown, overlay, *sheet_of(flow, title, overlay["images"], overlay["fps"])])
    columns[1].insert(0, after)
    flow.stage("Accents", "motion", note, columns)

    video, frames = painted(
        flow, VIDEO, picture, framing, after["motion"], audio_features=features["audio_features"], hands=hands["hands"]
    )
    result(flow, frames["images"], voice["AUDIO"], video["fps"], "refocused")
    return flow


def directed() -> Flow:
    flow = Flow()
    picture, framing, voice, _, features = inputs(flow)
    script = flow.add("EMO2DirectScript", text=SCRIPT, audio=voice["AUDIO"])
    timeline = flow.add("PreviewImage", title="Timeline", images=script["timeline"])
    note = '## 3. What is done when\nOne line a beat: a time, then the action in plain words. `[strength 0.5]` behind a line makes it half as strict. To place a line on a word, `on "hello" point at the camera`, connect EMO2 Load Transcript.\nWhere nothing is written the hands follow the voice.'
    flow.stage("Script", "input", note, [[script, timeline]])
    model = flow.add("EMO2LoadDirectedModel")
    motion = flow.add(
        "EMO2SampleDirectedMotion", model=model["model"], script=script["script"],
        audio_features=features["audio_features"], framing=framing["framing"], seed=7,
    )  # fmt: skip
    look = flow.add("EMO2PreviewMotion", motion=motion["motion"], image=picture["IMAGE"], every_nth=3)
    sheet = sheet_of(flow, "Motion over the picture", look["images"], look["fps"])
    note = "## 4. Directed motion\nThe script says what the hands do, the voice says when they beat. Another `seed` is another performance; `text_cfg` makes it keep closer to the words. The result is a motion like any other: edit it, splice it, save it."
    flow.stage("Directed motion", "motion", note, [[model, motion], [look, *sheet]])
    video, frames = painted(flow, VIDEO.replace("## 4.", "## 5."), picture, framing, look["motion"],
                            audio_features=features["audio_features"])  # fmt: skip
    result(flow, frames["images"], voice["AUDIO"], video["fps"], "directed")
    return flow


TEMPLATES = {
    "talking_avatar": talking_avatar,
    "hand_motion_only": hand_motion_only,
    "long_video": long_video,
    "refocused": refocused,
    "directed": directed,
    "pose_driven": pose_driven,
    "hybrid": hybrid,
    "echomimic_v2": echomimic_v2,
    "wan_s2v": wan_s2v,
    "wan_animate": wan_animate,
}
