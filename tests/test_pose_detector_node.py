"""The loader of pose detectors as an artist meets it: what is listed, refused and warned about, in ComfyUI and out."""

import sys
import types

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.nodes import NODE_CLASS_MAPPINGS, host, pose_detectors
from pose_onnx_cases import helper, random_pose, random_yolox, save

NODE = pose_detectors.LoadPoseDetector
BUILT_IN, WHOLE = pose_detectors.BUILT_IN, pose_detectors.WHOLE


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A folder as ComfyUI's models, with networks of all kinds where other packs put them."""
    monkeypatch.setattr(host, "outside", host.Outside(models=[tmp_path], quiet=True))
    random_pose(tmp_path / "dwpose" / "dw-ll_ucoco_384.onnx")
    random_yolox(tmp_path / "dwpose" / "yolox_l.onnx")
    random_pose(tmp_path / "onnx" / "rtmw" / "rtmw-x.onnx", batch=1)
    random_pose(tmp_path / "onnx" / "body.onnx", points=17)
    random_yolox(tmp_path / "detection" / "yolox_m.onnx", classes=1)
    random_pose(tmp_path / "mine.onnx")
    flatten = [helper.make_node("Flatten", ["x"], ["y"])]
    save(tmp_path / "onnx" / "arcface.onnx", flatten, [("x", ["n", 3, 8, 8])], [("y", ["n", 192])], {})
    (tmp_path / "dwpose" / "half.onnx").write_bytes((tmp_path / "mine.onnx").read_bytes()[:5000])
    (tmp_path / "dwpose" / "dw-ll_ucoco_384_bs5.torchscript.pt").write_bytes(b"PK\x03\x04")
    return tmp_path


def lists():
    shown = NODE.INPUT_TYPES()["required"]
    return shown["detector"][0], shown["person_detector"][0]


def load(*given, **more):
    return NODE_CLASS_MAPPINGS["EMO2LoadPoseDetector"]().load(*given, **more)[0]


def test_each_list_has_what_belongs_in_it(models, caplog):
    poses, persons = lists()
    assert poses == [BUILT_IN, "dw-ll_ucoco_384.onnx", "rtmw/rtmw-x.onnx", "mine.onnx"]
    assert persons == [WHOLE, "yolox_l.onnx", "yolox_m.onnx"]
    assert [record for record in caplog.records if "half.onnx" in record.getMessage()], "a damaged file is spoken of"


def test_without_any_file_there_is_the_built_in_one(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside(models=[tmp_path], quiet=True))
    assert lists() == ([BUILT_IN], [WHOLE])
    assert NODE.VALIDATE_INPUTS(BUILT_IN, WHOLE) is True is NODE.VALIDATE_INPUTS()
    assert NODE.IS_CHANGED(BUILT_IN, WHOLE, "auto") == ""


def test_the_built_in_detector_is_made_of_nothing(monkeypatch):
    made = types.ModuleType("offline")
    made.OfflineDetector = lambda: "the built-in one"
    monkeypatch.setitem(sys.modules, "emo2.models.pose.offline", made)
    assert load(BUILT_IN, "gone.onnx", "gpu") == "the built-in one"


@pytest.mark.parametrize("persons", [WHOLE, "yolox_m.onnx"])
def test_a_loaded_detector_detects(models, persons):
    detector = load("dw-ll_ucoco_384.onnx", persons, "auto")
    assert "dw-ll_ucoco_384.onnx" in detector.name and ("yolox_m" in detector.name) == (persons != WHOLE)
    found = detector.detect(np.random.default_rng(0).integers(0, 256, (2, 70, 90, 3), dtype=np.uint8))
    detector.reset()
    assert len(found) == 2 and all(len(one) == 8 for people in found for one in people)
    assert not host.outside.warnings, "without a card there is nothing to say"


@pytest.mark.parametrize("given, words", [
    (("yolox_l.onnx", WHOLE), "detector: expected a whole-body pose network"),
    (("mine.onnx", "mine.onnx"), "person_detector: expected a person detector"),
    (("body.onnx", WHOLE), "a pose network of 17 points"), (("arcface.onnx", WHOLE), "a network from x"),
    (("gone.onnx", WHOLE), "gone.onnx"), (("mine.onnx", "gone.onnx"), "person_detector"),
    (("../mine.onnx", WHOLE), "a file name within"), (("half.onnx", WHOLE), "half.onnx, which is"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_runs(models, given, words):
    assert words in NODE.VALIDATE_INPUTS(*given)
    with pytest.raises(EMO2Error) as caught:
        load(*given)
    assert words in str(caught.value) and "EMO2 Load Pose Detector" in str(caught.value)


def test_what_fits_is_accepted(models):
    for given in [("mine.onnx", WHOLE), ("rtmw\\rtmw-x.onnx", "yolox_l.onnx"), (BUILT_IN, "gone.onnx"), (None, None)]:
        assert NODE.VALIDATE_INPUTS(*given) is True, given


def test_a_changed_file_is_loaded_again(models):
    before = NODE.IS_CHANGED("mine.onnx", "yolox_l.onnx", "cpu")
    assert before and before == NODE.IS_CHANGED("mine.onnx", "yolox_l.onnx", "auto")
    random_yolox(models / "dwpose" / "yolox_l.onnx", seed=1, classes=3)
    assert NODE.IS_CHANGED("mine.onnx", "yolox_l.onnx", "cpu") != before
    assert NODE.IS_CHANGED("gone.onnx", WHOLE, "cpu") == ""


def test_no_onnxruntime_is_said_early(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(pose_detectors, "available", lambda: False)
    assert "pip install onnxruntime" in NODE.VALIDATE_INPUTS("mine.onnx", WHOLE)
    assert NODE.VALIDATE_INPUTS(BUILT_IN, WHOLE) is True
    assert lists()[0][1:], "the files are listed all the same"


def test_a_card_that_onnxruntime_does_not_know_is_warned_about(models, monkeypatch):
    monkeypatch.setattr(host, "device", lambda: torch.device("cuda", 1))
    load("mine.onnx", WHOLE, "cpu")
    assert not host.outside.warnings
    load("mine.onnx", WHOLE, "auto")
    assert "works on the processor: onnxruntime knows no graphics card" in host.outside.warnings[0]
    with pytest.raises(EMO2Error, match="device: expected an onnxruntime that knows a graphics card"):
        load("mine.onnx", WHOLE, "gpu")


@pytest.fixture
def comfyui(models, monkeypatch):
    """As much of ComfyUI as the lists need. models/dwpose is registered by another pack, detection by nobody."""
    places = {"dwpose": ([str(models / "extra")], {".trt"}), "custom_nodes": ([str(models / "packs")], set())}
    paths = types.ModuleType("folder_paths")
    paths.models_dir, paths.folder_names_and_paths = str(models), places
    paths.get_folder_paths = lambda name: list(places[name][0])

    def add(name, path):
        known = places.setdefault(name, ([], set()))[0]
        if path not in known:
            known.append(path)

    paths.add_model_folder_path = add
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    monkeypatch.setitem(sys.modules, "comfy.model_management", types.ModuleType("comfy.model_management"))
    return places


def test_inside_comfyui_other_packs_folders_are_looked_into(models, comfyui):
    kept = models / "packs" / "comfyui_controlnet_aux" / "ckpts" / "yzd-v" / "DWPose"
    random_pose(kept / "dw-ll_ucoco_384.onnx")
    random_yolox(kept / "yolox_l.onnx")
    random_pose(models / "extra" / "own.onnx")
    poses, persons = lists()
    assert poses == [BUILT_IN, "own.onnx", "dw-ll_ucoco_384.onnx", "yzd-v/DWPose/dw-ll_ucoco_384.onnx",
                     "rtmw/rtmw-x.onnx"]  # fmt: skip
    assert persons == [WHOLE, "yolox_l.onnx", "yzd-v/DWPose/yolox_l.onnx", "yolox_m.onnx"]
    assert NODE.VALIDATE_INPUTS("yzd-v/DWPose/dw-ll_ucoco_384.onnx", "yolox_m.onnx") is True
    assert comfyui["dwpose"] == ([str(models / "extra"), str(models / "dwpose")], {".trt", ".onnx"})
    assert not {"detection", "onnx"} & set(comfyui), "ComfyUI is told nothing of other packs' folders"
    assert "mine.onnx" in NODE.VALIDATE_INPUTS("mine.onnx", WHOLE), "it lies beside the folders, not in one"
