"""The workflows that a video leads: alone, or together with a voice."""

from build import Flow, Node
from stages import hand_motion, painted, pictured, result, sheet_of, voiced

# ruff: noqa: E501
PICTURE = "## 1. Your picture\nOne person, facing the camera: *choose file to upload*; the sample `portrait.png` lies in the pack's folder `assets`. The cross belongs between the shoulders, the bar's ends on them: it is where the driver's motion is moved to."
DRIVER = "## 2. The driver\nA video of somebody who moves; the sample is `assets/driver.mp4`. One person is followed through it (`person`, or `pick_x` and `pick_y` on them). The sheet shows whom, with numbers on all others.\nNo detector needs to be downloaded; EMO2 Load Pose Detector takes DWPose files where you have them."
CLEAN = "## 3. Onto your person\n*EMO2 Clean Motion* throws out jumps and bridges gaps. *EMO2 Retarget Motion* gives the motion to the person of your picture by bone lengths, so that a tall driver does not stretch them; they are measured on the picture itself. Where nobody is found in it, delete *The body in your picture*: bones of average length are taken."
POSE = "## 4. Video\nOnly the motion is connected, so the video leads all: hands, body, head and lips. The driver's own sound goes into the file. To let a voice move the mouth instead, connect it as `audio_features`."
LEAD = "## 4. Who leads\nHands from the voice for two and a half seconds, then from the video (`share`); body and head from the video all along. The mouth is the voice's. Other choices: `hands` *video* throughout, `body` *voice*, `head` *free*."
HYBRID = "## 5. Video\nBoth are connected: the motion leads hands, body and head, the voice the mouth (`lips`)."


def driver(flow: Flow, picture: Node, framing: Node, seconds: float) -> tuple[Node, Node, list[Node]]:
    """The driver's motion on the picture's person: (what was found, retargeted motion, the nodes before it)."""
    film = flow.add("LoadVideo", file="driver.mp4")
    found = flow.add("EMO2ExtractPose", title="Pose of the driver", video=film["VIDEO"], fps=25.0, end_second=seconds)
    shown = flow.add("PreviewImage", title="Who is followed", images=found["preview"])
    flow.stage("Driver", "input", DRIVER, [[film, found, shown]])
    clean = flow.add("EMO2CleanMotion", motion=found["motion"])
    own = flow.add("EMO2ExtractPose", title="The body in your picture", images=picture["IMAGE"])
    fitted = flow.add(
        "EMO2RetargetMotion", motion=clean["motion"], framing=framing["framing"], reference_motion=own["motion"]
    )
    return found, fitted, [clean, own]


def pose_driven() -> Flow:
    flow = Flow()
    picture, framing = pictured(flow)
    flow.stage("Picture", "input", PICTURE, [[picture, framing]])
    found, fitted, clean = driver(flow, picture, framing, 4.0)
    look = flow.add("EMO2PreviewMotion", motion=fitted["motion"], image=picture["IMAGE"], every_nth=4)
    sheet = sheet_of(flow, "Motion over the picture", look["images"], look["fps"])
    flow.stage("Motion", "motion", CLEAN, [[*clean, fitted], [look, *sheet]])
    video, frames = painted(flow, POSE, picture, framing, look["motion"])
    result(flow, frames["images"], found["audio"], video["fps"], "pose_driven")
    return flow


def hybrid() -> Flow:
    flow = Flow()
    picture, framing = pictured(flow)
    flow.stage("Picture", "input", PICTURE, [[picture, framing]])
    voice, _, features = voiced(flow)
    motion, _ = hand_motion(flow, framing, features)
    _, fitted, clean = driver(flow, picture, framing, 0.0)
    flow.stage("Onto your person", "motion", CLEAN, [clean, [fitted]])
    both = flow.add(
        "EMO2CombineMotion",
        voice_motion=motion["motion"],
        video_motion=fitted["motion"],
        hands="video",
        body="video",
        head="video",
        lips="free",
        share="0:0, 2.5:0, 3:1",
    )
    look = flow.add("EMO2PreviewMotion", motion=both["motion"], image=picture["IMAGE"], every_nth=4)
    sheet = sheet_of(flow, "Motion over the picture", look["images"], look["fps"])
    flow.stage("Who leads", "motion", LEAD, [[both, look], [*sheet]])
    video, frames = painted(flow, HYBRID, picture, framing, look["motion"], audio_features=features["audio_features"])
    result(flow, frames["images"], voice["AUDIO"], video["fps"], "hybrid")
    return flow
