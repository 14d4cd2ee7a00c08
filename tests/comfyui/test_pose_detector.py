"""Pose detectors' files as a real server lists and refuses them."""

import json

import pytest
from comfyui_cases import Graph
from pose_onnx_cases import random_pose, random_yolox


@pytest.fixture(scope="module")
def files(server):
    """Small networks in models/dwpose, in models/detection (ComfyUI's own), and where controlnet_aux keeps its own."""
    models, packs = server.base / "models", server.base / "custom_nodes"
    kept = packs / "comfyui_controlnet_aux" / "ckpts" / "yzd-v" / "DWPose" / "dw-ll_ucoco_384.onnx"
    written = [random_pose(models / "dwpose" / "rtmw.onnx"), random_yolox(models / "detection" / "yolox_m.onnx"),
               random_pose(kept)]  # fmt: skip
    yield written
    for path in written:
        path.unlink()


def ask(server, **inputs):
    graph = Graph()
    graph.add("PreviewAny", source=[graph.add("EMO2LoadPoseDetector", **inputs), 0])
    status, body = server.request("/prompt", {"prompt": graph})
    return status, json.dumps(json.loads(body))


def test_files_are_listed_where_other_packs_keep_them(server, files):
    shown = server.get("/object_info/EMO2LoadPoseDetector")["EMO2LoadPoseDetector"]["input"]["required"]
    poses, persons = (shown[name][0] for name in ("detector", "person_detector"))
    assert poses == ["built in (no download)", "rtmw.onnx", "yzd-v/DWPose/dw-ll_ucoco_384.onnx"]
    assert persons == ["none (whole picture)", "yolox_m.onnx"]


def test_a_wrong_file_is_refused_before_anything_runs(server, files):
    for name, words in (("yolox_m.onnx", "It belongs to the input person_detector"), ("gone.onnx", "gone.onnx")):
        status, told = ask(server, detector=name)
        assert status == 400 and words in told


def test_a_right_file_is_accepted_or_says_what_to_install(server, files):
    status, told = ask(server, detector="rtmw.onnx", person_detector="yolox_m.onnx")
    assert status == 200 or (status == 400 and "pip install onnxruntime" in told), told
