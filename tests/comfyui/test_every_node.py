"""Every node runs on a real server, wired to ComfyUI's own nodes where their wires meet."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_cases import Graph
from direct_motion_cases import write_models
from emo2 import NODE_CLASS_MAPPINGS

ROOT = Path(__file__).resolve().parents[2]
PICTURE, VOICE = "portrait.png", "speech.flac"


def start(graph):
    """(voice, features, framing, motion): 0.6 s of hand motion to the sample."""
    picture = graph.add("LoadImage", image=PICTURE)
    voice = graph.add("LoadAudio", audio=VOICE)
    encoder = graph.add("EMO2LoadAudioEncoder")
    features = graph.add("EMO2EncodeAudio", audio_encoder=[encoder, 0], audio=[voice, 0])
    framing = graph.add("EMO2SetFraming", image=[picture, 0])
    eyes = graph.add("EMO2LoadCLIPVision")
    seen = graph.add("CLIPVisionEncode", clip_vision=[eyes, 0], image=[picture, 0], crop="center")
    model = graph.add("EMO2LoadMotionModel")
    motion = graph.add(
        "EMO2SampleHandMotion", model=[model, 0], audio_features=[features, 0], framing=[framing, 0],
        clip_vision_output=[seen, 0], steps=2, end_second=0.6,
    )  # fmt: skip
    return picture, voice, features, framing, motion


def test_the_motion_tools(server, run):
    graph = Graph()
    picture, voice, features, framing, motion = start(graph)
    edited = motion
    for class_id, more in (
        ("EMO2CleanMotion", {}), ("EMO2RetargetMotion", {"keep_in_picture": True}),
        ("EMO2SmoothMotion", {}), ("EMO2MirrorMotion", {}), ("EMO2ScaleMotion", {"amplitude_left": 1.5}),
        ("EMO2MuteHand", {"end_second": 0.2}), ("EMO2HandConfidence", {"confidence_left": 0.5}),
        ("EMO2OffsetMotion", {"up_cm": 3.0}), ("EMO2HoldMotion", {"start_second": 0.1, "end_second": 0.3}),
        ("EMO2RetimeMotion", {"end_second": 0.3, "new_seconds": 0.5}),
        ("EMO2ApplyFraming", {"framing": [framing, 0]}),
    ):  # fmt: skip
        edited = graph.add(class_id, motion=[edited, 0], **more)
    louder = graph.add("EMO2HandConfidence", motion=[edited, 0], audio_features=[features, 0], loudness_amount=1.0)
    louder = graph.add("EMO2RefocusMotion", motion=[louder, 0], audio_features=[features, 0], strength_amount=0.3)
    hands = graph.add("EMO2LoadHands")
    points = graph.add("EMO2MotionToPoseKeypoint", motion=[louder, 0], hands=[hands, 0])
    points = graph.add("EMO2CleanPoseKeypoint", pose_keypoint=[points, 0])
    back = graph.add("EMO2PoseKeypointToMotion", pose_keypoint=[points, 0], framing=[framing, 0])
    both = graph.add("EMO2SpliceMotion", first=[motion, 0], second=[back, 0], at_second=0.3)
    slow = graph.add("EMO2ResampleMotion", motion=[both, 0], fps=16.0)
    graph.add("EMO2SaveMotion", motion=[slow, 0], filename_prefix="every/motion")
    graph.add("EMO2ExportBVH", motion=[slow, 0], filename_prefix="every/motion")
    curve = graph.add("EMO2MotionPicture", motion=[slow, 0], audio=[voice, 0], audio_features=[features, 0])
    graph.show(curve)
    graph.show(graph.add("EMO2PreviewMotion", motion=[slow, 0], image=[picture, 0]))
    drawn = graph.add("EMO2DrawOpenPose", motion=[slow, 0])
    shown = graph.show(graph.add("EMO2ContactSheet", images=[drawn, 0]))
    job = run(graph).succeeded()
    assert len(job.outputs()[shown]["images"]) == 1

    saved = server.get("/object_info/EMO2LoadMotion")["EMO2LoadMotion"]["input"]["required"]["motion_file"][0]
    (name,) = [name for name in saved if "every/motion" in name]
    again = Graph()
    shown = again.show(again.add("EMO2RenderKeypointMaps", motion=[again.add("EMO2LoadMotion", motion_file=name), 0]))
    assert len(run(again).succeeded().outputs()[shown]["images"]) == 15  # 0.9 s at 16 frames a second


def test_the_video_nodes_and_comfyuis_vae_nodes(server, run):
    graph = Graph()
    picture, voice, features, framing, motion = start(graph)
    model, vae = graph.add("EMO2LoadVideoModel"), graph.add("EMO2LoadVAE")
    reference = graph.add(
        "EMO2EncodeReference", model=[model, 0], vae=[vae, 0], image=[picture, 0], framing=[framing, 0]
    )
    common = {
        "model": [model, 0], "reference": [reference, 0], "motion": [motion, 0], "audio_features": [features, 0],
        "steps": 2, "cfg": 1.0, "end_second": 0.6,
    }  # fmt: skip
    first = graph.add("EMO2SampleVideo", **common)
    more = graph.add("EMO2SampleVideo", **{**common, "start_second": 0.6, "end_second": 0.8}, previous=[first, 0])
    windows = graph.add("EMO2ContextWindows", length=8)
    looped = graph.add("EMO2SampleVideo", **{**common, "scheduler": "lcm"}, windows=[windows, 0])
    own = graph.show(graph.add("EMO2DecodeVideo", vae=[vae, 0], latent=[first, 0]))
    core = graph.show(graph.add("VAEDecode", vae=[vae, 0], samples=[first, 0]))
    tiles = {"tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8}
    tiled = graph.show(graph.add("VAEDecodeTiled", vae=[vae, 0], samples=[looped, 0], **tiles))
    encoded = graph.add("VAEEncode", vae=[vae, 0], pixels=[graph.add("VAEDecode", vae=[vae, 0], samples=[more, 0]), 0])
    coded = graph.show(graph.add("EMO2DecodeVideo", vae=[vae, 0], latent=[encoded, 0]))
    streamed = graph.add(
        "EMO2StreamVideo", **common, vae=[vae, 0], audio=[voice, 0], filename_prefix="every/film_%width%x%height%"
    )
    film = graph.add("SaveVideo", video=[streamed, 3], filename_prefix="every/copy", format="auto", codec="auto")
    parts = graph.add("GetVideoComponents", video=[streamed, 3])
    frames = graph.show(parts)
    outputs = run(graph).succeeded().outputs()
    assert [len(outputs[node]["images"]) for node in (own, core, tiled, coded, frames)] == [15, 15, 15, 5, 15]
    assert server.view(outputs[own]["images"][3]) == server.view(outputs[core]["images"][3])
    assert outputs[streamed]["images"][0]["filename"].startswith("film_96x128")
    assert len(server.view(outputs[film]["images"][0])) > 1000


def test_real_gestures_and_cached_steps(server, run):
    """A keypoint set in the input folder becomes a motion, a folder of two becomes another, and a video is made of it
    with steps that use others again."""
    from test_gesture_library import arrays_of, recorded

    folder = server.base / "input" / "every_gesture"
    folder.mkdir(parents=True, exist_ok=True)
    for seed in (1, 2):
        np.savez(folder / f"set{seed}.npz", **arrays_of(recorded(seed)))
    graph = Graph()
    picture, _, features, framing, _ = start(graph)
    loaded = graph.add("EMO2LoadKeypoints", keypoints="every_gesture/set1.npz")
    drawn = graph.show(graph.add("EMO2DrawOpenPose", motion=[loaded, 0], width=128))
    motion = graph.add(
        "EMO2GestureLibrary", library="every_gesture", audio_features=[features, 0], framing=[framing, 0]
    )
    whole = graph.add("EMO2LoadVideoModel")
    model, vae = graph.add("EMO2CacheSteps", model=[whole, 0]), graph.add("EMO2LoadVAE")
    reference = graph.add("EMO2EncodeReference", model=[model, 0], vae=[vae, 0], image=[picture, 0])
    video = graph.add(
        "EMO2SampleVideo", model=[model, 0], reference=[reference, 0], motion=[motion, 0],
        audio_features=[features, 0], steps=3, end_second=0.4,
    )  # fmt: skip
    shown = graph.show(graph.add("EMO2DecodeVideo", vae=[vae, 0], latent=[video, 0]))
    outputs = run(graph).succeeded().outputs()
    assert len(outputs[drawn]["images"]) == 60 and len(outputs[shown]["images"]) == 10


def test_the_directors_desk(server, run):
    """A script on a transcript's words, a motion set in at its times, and what the face does."""
    (server.base / "input" / "said.txt").write_text("hello 0.1 0.2\nworld 0.25 0.5\n")
    graph = Graph()
    _, voice, _, _, motion = start(graph)
    said = graph.add("EMO2LoadTranscript", transcript_file="said.txt")
    script = graph.add(
        "EMO2DirectScript", text='from "hello" to "world" wave 👋 [blend 0.1]', audio=[voice, 0], transcript=[said, 0]
    )
    timeline, beats = graph.show(script, 1), graph.add("PreviewAny", source=[script, 2])
    mirrored = graph.add("EMO2MirrorMotion", motion=[motion, 0])
    both = graph.add("EMO2InsertMotion", motion=[motion, 0], inserted=[mirrored, 0], script=[script, 0])
    drawn = graph.show(graph.add("EMO2DrawOpenPose", motion=[both, 0], width=128))
    blinks = graph.add("EMO2BlinkTrack", audio=[voice, 0])
    face = graph.add("EMO2EmotionTrack", text="0:00.2-0:00.5 happy", face=[blinks, 0])
    curves = graph.show(face, 1)
    outputs = run(graph).succeeded().outputs()
    assert outputs[beats]["text"] == ["0:00.1-0:00.5 wave 👋 [strength 1, in 0.1, out 0.1]"]
    assert [len(outputs[node]["images"]) for node in (timeline, drawn, curves)] == [1, 15, 1]
    wrong = Graph()
    wrong.show(wrong.add("EMO2DirectScript", text="0:01 nod\nwave"), 1)
    status, told = server.request("/prompt", {"prompt": wrong})
    assert status == 400 and "line 2 'wave'" in json.dumps(json.loads(told))


@pytest.fixture
def face_encoder(server):
    """A face encoder of the pack's kind with random weights, where an artist would put one."""
    from emo2.models.checkpoints.format import save_checkpoint
    from emo2.models.pose import face_network

    network = face_network.build(face_network.TINY)
    path = server.base / "models" / "emo2" / "my_faces.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    yield save_checkpoint(path, face_network.KIND, face_network.TINY, network.state_dict()).name
    path.unlink()


def test_a_reference_s_face(server, run, face_encoder):
    graph = Graph()
    picture, _, _, framing, _ = start(graph)
    knows = graph.add("EMO2LoadFaceEncoder", face_encoder=face_encoder)
    vae, model = graph.add("EMO2LoadVAE"), graph.add("EMO2LoadVideoModel")
    reference = graph.add(
        "EMO2EncodeReference", model=[model, 0], vae=[vae, 0], image=[picture, 0], framing=[framing, 0],
        face_encoder=[knows, 0],
    )  # fmt: skip
    seen = graph.show(reference, 1)
    outputs = run(graph).succeeded().outputs()
    assert len(outputs[seen]["images"]) == 1
    wrong = Graph()
    wrong.add("PreviewAny", source=[wrong.add("EMO2LoadFaceEncoder", face_encoder="gone.onnx"), 0])
    status, told = server.request("/prompt", {"prompt": wrong})
    assert status == 400 and "gone.onnx" in json.dumps(json.loads(told))


@pytest.fixture
def wav2vec2(server):
    """A wav2vec 2.0 base with random weights, where ComfyUI's own loader finds it."""
    from safetensors.torch import save_file
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    folder = server.base / "models" / "audio_encoders"
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    weights = Wav2Vec2Model(Wav2Vec2Config()).half().state_dict()
    path = folder / "wav2vec2_base_random.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, path)
    yield path.name
    path.unlink()


def test_comfyuis_own_audio_encoder_is_understood(run, wav2vec2):
    graph = Graph()
    _, voice, _, _, motion = start(graph)
    short = graph.add("TrimAudioDuration", audio=[voice, 0], start_index=0.0, duration=1.0)
    encoder = graph.add("AudioEncoderLoader", audio_encoder_name=wav2vec2)
    encoded = graph.add("AudioEncoderEncode", audio_encoder=[encoder, 0], audio=[short, 0])
    features = graph.add("EMO2AudioFromEncoderOutput", audio_encoder_output=[encoded, 0], audio=[short, 0])
    shown = graph.show(graph.add("EMO2MotionPicture", motion=[motion, 0], audio_features=[features, 0]))
    assert run(graph).succeeded().outputs()[shown]["images"]


def test_a_person_out_of_pictures_a_video_and_a_file(server, run, detector):
    """ComfyUI's three ways to hold a video give the same person."""
    from PIL import Image
    from video_cases import write_video

    with Image.open(ROOT / "assets" / PICTURE) as picture:
        frames = np.repeat(np.asarray(picture.convert("RGB"))[None], 4, axis=0)
    write_video(server.base / "input" / "somebody.mp4", frames, 10)
    graph = Graph()
    pictures = graph.add("RepeatImageBatch", image=[graph.add("LoadImage", image=PICTURE), 0], amount=4)
    made = graph.add("CreateVideo", images=[pictures, 0], fps=10.0)
    loaded = graph.add("LoadVideo", file="somebody.mp4")
    shown, said = [], []
    for given in ({"images": [pictures, 0], "fps": 10.0}, {"video": [made, 0]}, {"video": [loaded, 0]}):
        found = graph.add("EMO2ExtractPose", **given)
        shown.append(graph.show(found, 6))
        said.append(graph.add("PreviewAny", source=[found, 3]))
        points = graph.add("EMO2PoseKeypointToMotion", pose_keypoint=[found, 1], fps=10.0)
        graph.show(graph.add("EMO2DrawOpenPose", motion=[points, 0], width=128))
        graph.add("SaveAudio", audio=[found, 5], filename_prefix="every/silence")
    outputs = run(graph).succeeded().outputs()
    assert [outputs[node]["text"] for node in said] == [["4"]] * 3
    assert all(len(outputs[node]["images"]) == 1 for node in shown)


@pytest.fixture
def directed(server):
    folder = server.base / "models" / "emo2" / "directed"
    folder.mkdir(parents=True)
    yield write_models(folder, audio_layers=5, audio_width=96)
    shutil.rmtree(folder)


@pytest.mark.usefixtures("directed")
def test_directed_motion(server, run):
    """A script and a voice lead small networks with random weights."""
    graph = Graph()
    picture, voice, features, framing, _ = start(graph)
    script = graph.add("EMO2DirectScript", text="0-0.5 wave with both hands", audio=[voice, 0])
    model = graph.add("EMO2LoadDirectedModel", model_name="directed/d.safetensors")
    motion = graph.add(
        "EMO2SampleDirectedMotion", model=[model, 0], script=[script, 0], audio_features=[features, 0],
        framing=[framing, 0], steps=2,
    )  # fmt: skip
    frames = graph.add("PreviewAny", source=[motion, 2])
    graph.show(graph.add("EMO2PreviewMotion", motion=[motion, 0], image=[picture, 0]))
    wrong = Graph()
    other = wrong.add("EMO2LoadDirectedModel", model_name="directed/d.safetensors", tokenizer="directed/t.safetensors")
    wrong.add("PreviewAny", source=[wrong.add("EMO2SampleDirectedMotion", model=[other, 0], seconds=1.0), 2])
    outputs = run(graph).succeeded().outputs()
    assert int(outputs[frames]["text"][0]) > 50
    status, told = server.request("/prompt", {"prompt": wrong})
    assert status == 400 and "a text encoder" in json.dumps(json.loads(told))


def test_the_graphs_here_and_the_workflows_leave_no_node_out():
    used = "".join(path.read_text() for path in sorted(Path(__file__).parent.glob("test_*.py")))
    for path in (ROOT / "workflows" / "api").glob("*.json"):
        used += json.dumps(json.loads(path.read_text()))
    assert not [class_id for class_id in NODE_CLASS_MAPPINGS if f'"{class_id}"' not in used]
