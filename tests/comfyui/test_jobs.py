"""Jobs on a real server: the workflows run to success, cancel works, and errors say which node and what to do."""

import io
import json
import shutil
import threading
from pathlib import Path

import av
import pytest
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.checkpoints.format import read_header
from emo2.runner.executor import run_workflow
from PIL import Image
from seed_only_cases import seed_only

SHORT = {"EMO2SampleHandMotion.steps": 2, "EMO2SampleHandMotion.end_second": 0.6}
VIDEO = {"EMO2SampleVideo.steps": 2, "EMO2SampleVideo.end_second": 0.6}
FRAMES = 15
ROOT = Path(__file__).resolve().parents[2]
LOADERS = (
    ("EMO2LoadMotionModel", "model_name", "motion"), ("EMO2LoadVideoModel", "model_name", "video"),
    ("EMO2LoadVAE", "vae_name", "vae"), ("EMO2LoadAudioEncoder", "encoder", "audio"),
)  # fmt: skip


def node_of(prompt, class_id):
    return next(node_id for node_id, node in prompt.items() if node["class_type"] == class_id)


@pytest.fixture(scope="module")
def fresh(server):
    """Settings that load copies of the shipped models from the server's own folder: nothing of them is cached yet."""
    folder = server.base / "models" / "emo2" / "fresh"
    folder.mkdir(parents=True)
    for path in (ROOT / "weights").glob("*_tiny.safetensors"):
        shutil.copy(path, folder / path.name)
    return {f"{loader}.{field}": f"fresh/emo2_{kind}_tiny.safetensors" for loader, field, kind in LOADERS}


@pytest.fixture(scope="module")
def avatar_prompt(api, fresh):
    """talking_avatar.json for 0.6 s, with its frames saved as pictures too."""
    prompt = api("talking_avatar", SHORT | VIDEO | fresh)
    frames = {"images": [node_of(prompt, "EMO2DecodeVideo"), 0], "filename_prefix": "frames/avatar"}
    return prompt | {"frames": {"class_type": "SaveImage", "inputs": frames}}


@pytest.fixture(scope="module")
def avatar(run, avatar_prompt):
    return run(avatar_prompt).succeeded()


def video_of(server, job, node_id):
    item = job.outputs()[node_id]["images"][0]
    assert item["filename"].endswith(".mp4")
    with av.open(io.BytesIO(server.view(item))) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        return frames, float(film.streams.video[0].average_rate), bool(film.streams.audio)


def test_talking_avatar_runs(server, avatar, avatar_prompt):
    frames, fps, sound = video_of(server, avatar, node_of(avatar_prompt, "SaveVideo"))
    assert (len(frames), fps, sound) == (FRAMES, 25.0, True)
    assert len(avatar.outputs()["frames"]["images"]) == FRAMES


@pytest.fixture(scope="module")
def untrained():
    """The kinds of the shipped models that hold no weights."""
    headers = [read_header(ROOT / "weights" / f"emo2_{kind}_tiny.safetensors") for _, _, kind in LOADERS]
    return {header.kind for header in headers if header.untrained is not None}


def test_the_shipped_models_are_announced_as_what_they_are(avatar, avatar_prompt, untrained):
    told = {warning["node"] for warning in avatar.data("emo2.warning") if "untrained" in warning["message"]}
    assert {kind for class_id, _, kind in LOADERS if node_of(avatar_prompt, class_id) in told} == untrained


def test_untrained_weights_are_announced_on_the_node_and_in_the_log(server, run):
    files = seed_only(server.base / "models" / "emo2" / "announced")
    prompt = {}
    for class_id, field, kind in LOADERS:
        prompt[kind] = {"class_type": class_id, "inputs": {field: f"announced/{files[kind]}"}}
        prompt[f"{kind} shown"] = {"class_type": "PreviewAny", "inputs": {"source": [kind, 0]}}
    job = run(prompt).succeeded()
    told = {warning["node"]: warning["message"] for warning in job.data("emo2.warning")}
    for kind in ("motion", "video", "vae", "audio"):
        assert "untrained" in told[kind] and files[kind] in told[kind] and told[kind] in server.log()


def test_progress_counts_every_step_and_previews_come_with_the_video(avatar, avatar_prompt):
    sampler = node_of(avatar_prompt, "EMO2SampleVideo")
    counts = [(value, most) for node, value, most in avatar.progress() if node == sampler]
    assert counts[-1] == (2, 2) and avatar.previews >= 2, "one preview a denoising step of the video"


def test_the_same_seed_gives_the_same_frames_here_and_on_the_server(server, avatar, avatar_prompt, untrained, tmp_path):
    here = run_workflow(
        avatar_prompt, models=[server.base / "models"], out=tmp_path, input_dirs=[server.base / "input"]
    )
    items = avatar.outputs()["frames"]["images"]
    assert len(here["frames"]["images"]) == len(items)
    for mine, theirs in zip(here["frames"]["images"], items):
        a = Image.open(tmp_path / mine["subfolder"] / mine["filename"]).convert("RGB")
        b = Image.open(io.BytesIO(server.view(theirs))).convert("RGB")
        worst = max(abs(x - y) for x, y in zip(a.tobytes(), b.tobytes()))
        assert a.size == b.size and worst <= 1
    assert any("untrained" in warning for warning in here.warnings) == bool(untrained)


def test_refocused_runs(server, run, api):
    prompt = api("refocused", SHORT | VIDEO)
    job = run(prompt).succeeded()
    frames, fps, sound = video_of(server, job, node_of(prompt, "SaveVideo"))
    assert (len(frames), fps, sound) == (FRAMES, 25.0, True)


def test_directed_runs(server, run, api):
    """The script's times lie within the whole sample; only the video is cut short."""
    prompt = api("directed", {k: v for k, v in SHORT.items() if "SampleHandMotion" not in k} | VIDEO)
    job = run(prompt).succeeded()
    frames, fps, sound = video_of(server, job, node_of(prompt, "SaveVideo"))
    assert (len(frames), fps, sound) == (FRAMES, 25.0, True)


@pytest.mark.parametrize(("name", "more"), [("pose_driven", {}), ("hybrid", {"EMO2SampleHandMotion.steps": 2})])
def test_what_a_video_leads_runs(server, run, api, detector, name, more):
    """The driver is found in its video, brought onto the picture, and painted."""
    drive = {"Pose of the driver.end_second": 0.6, "EMO2SampleVideo.steps": 2, "EMO2SampleVideo.end_second": 0.6}
    prompt = api(name, drive | more)
    job = run(prompt).succeeded()
    frames, fps, sound = video_of(server, job, node_of(prompt, "SaveVideo"))
    assert (len(frames), fps, sound) == (FRAMES, 25.0, True)


def test_hand_motion_only_runs(server, run, api):
    prompt = api("hand_motion_only", SHORT)
    job = run(prompt).succeeded()
    films = [node_id for node_id, node in prompt.items() if node["class_type"] == "SaveVideo"]
    assert len(films) == 3
    for node_id in films:
        frames, fps, sound = video_of(server, job, node_id)
        assert (len(frames), fps, sound) == (10, 16.0, True)
        assert any(frame.max() > 100 for frame in frames), "the maps are not all black"
    assert any(path.suffix == ".npz" for path in (server.base / "output" / "motion").iterdir())
    assert any(path.suffix == ".bvh" for path in (server.base / "output" / "motion").iterdir())


def test_cancel_takes_effect_within_one_step_and_the_server_goes_on(server, run, api):
    prompt = api("talking_avatar", {**SHORT, **VIDEO, "EMO2SampleVideo.steps": 150, "EMO2SampleVideo.seed": 11})
    sampler = node_of(prompt, "EMO2SampleVideo")
    at = []

    def stop(job):
        steps = [value for node, value, _ in job.progress() if node == sampler]
        if steps and not at:
            assert server.request("/interrupt", {"prompt_id": job.prompt_id})[0] == 200
            at.append(steps[-1])

    job = run(prompt, stop)
    assert job.end == "execution_interrupted" and job.data("execution_interrupted")[0]["node_id"] == sampler
    reached = [value for node, value, _ in job.progress() if node == sampler][-1]
    assert reached <= at[0] + 1, f"{reached - at[0]} steps after the request"
    prompt[sampler]["inputs"]["steps"] = 1
    run(prompt).succeeded()


def test_cancel_reaches_the_hand_motion_too(server, run, api):
    prompt = api("hand_motion_only", {"EMO2SampleHandMotion.steps": 1000, "EMO2SampleHandMotion.seed": 11})
    sampler = node_of(prompt, "EMO2SampleHandMotion")
    sent = threading.Event()

    def stop(job):
        if not sent.is_set() and any(node == sampler for node, _, _ in job.progress()):
            sent.set()
            server.request("/interrupt", {})

    job = run(prompt, stop)
    assert job.end == "execution_interrupted"
    assert [value for node, value, _ in job.progress() if node == sampler][-1] < 500


def test_a_node_error_names_the_node_and_the_remedy(run, api):
    prompt = api("hand_motion_only", {**SHORT, "EMO2SampleHandMotion.start_second": 500.0})
    job = run(prompt)
    assert job.end == "execution_error"
    error = job.data("execution_error")[0]
    assert error["node_type"] == "EMO2SampleHandMotion" and error["exception_type"].endswith("EMO2Error")
    message = error["exception_message"].strip()
    assert message.startswith("EMO2 Sample Hand Motion, start_second: expected") and "\n" not in message
    assert "500" in message and message.endswith("Choose an earlier start.")


def refused(server, prompt, class_id):
    """The errors of one node of a prompt that the server does not take: (type, input, details)."""
    wanted = [node_of(prompt, "SaveVideo")]  # the other outputs may do without the wrong value, and would run
    status, body = server.request("/prompt", {"prompt": prompt, "partial_execution_targets": wanted})
    node = json.loads(body)["node_errors"][node_of(prompt, class_id)]
    assert status == 400 and node["class_type"] == class_id
    return [(error["type"], error["extra_info"]["input_name"], error["details"]) for error in node["errors"]]


def test_a_value_out_of_range_is_refused_before_any_work(server, api):
    prompt = api("hand_motion_only", {"EMO2SampleHandMotion.steps": 0})
    ((kind, name, _),) = refused(server, prompt, "EMO2SampleHandMotion")
    assert (kind, name) == ("value_smaller_than_min", "steps")


def test_a_missing_or_wrong_model_is_refused_with_the_remedy(server, api):
    for file, words in (
        ("nowhere.safetensors", ("not there", "Put the file there")),
        ("emo2_video_tiny.safetensors", ("a hand-motion model", "a video model")),
        ("../../main.py", ("Choose a file from the list",)),
    ):
        prompt = api("hand_motion_only", {"EMO2LoadMotionModel.model_name": file})
        ((kind, name, details),) = refused(server, prompt, "EMO2LoadMotionModel")
        assert (kind, name) == ("custom_validation_failed", "model_name")
        assert all(word in details for word in words) and "\n" not in details, details


@pytest.mark.parametrize("class_id", sorted(NODE_CLASS_MAPPINGS))
def test_a_missing_input_is_called_missing(server, class_id):
    required = NODE_CLASS_MAPPINGS[class_id].INPUT_TYPES().get("required", {})
    prompt = {"1": {"class_type": class_id, "inputs": {}}}
    if not NODE_CLASS_MAPPINGS[class_id].__dict__.get("OUTPUT_NODE"):
        prompt["2"] = {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}
    status, body = server.request("/prompt", {"prompt": prompt})
    errors = json.loads(body)["node_errors"]["1"]["errors"]
    assert status == 400
    assert {error["type"] for error in errors} == {"required_input_missing"}
    assert {error["extra_info"]["input_name"] for error in errors} == set(required)
