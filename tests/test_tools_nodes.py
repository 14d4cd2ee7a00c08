"""The motion tools as nodes: a graph of them run by hand, files in their folders, messages that name the node."""

import json

import numpy as np
import pytest
import torch
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.types import FRAME_FIELDS, AudioFeatures, Framing
from emo2.nodes import host
from motion_cases import gestures


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(host, "inside", lambda: False)
    monkeypatch.setattr(host.outside, "input", tmp_path / "input")
    monkeypatch.setattr(host.outside, "output", tmp_path / "output")
    monkeypatch.setattr(host.outside, "quiet", True, raising=False)
    (tmp_path / "input").mkdir()
    return tmp_path


def call(class_id, **given):
    """Run a node as ComfyUI does: defaults for what is not given."""
    cls = NODE_CLASS_MAPPINGS[class_id]
    values = {}
    for name, spec in cls.INPUT_TYPES()["required"].items():
        kind, options = spec if len(spec) > 1 else (spec[0], {})
        if isinstance(kind, (list, tuple)):
            values[name] = options.get("default", kind[0] if kind else None)
        elif "default" in options:
            values[name] = options["default"]
    result = getattr(cls(), cls.FUNCTION)(**{**values, **given})
    return result["result"] if isinstance(result, dict) else result


EDITS = ["EMO2SmoothMotion", "EMO2MirrorMotion", "EMO2ScaleMotion", "EMO2MuteHand", "EMO2HandConfidence",
         "EMO2OffsetMotion", "EMO2HoldMotion", "EMO2RetimeMotion", "EMO2ResampleMotion"]  # fmt: skip


@pytest.mark.parametrize("class_id", EDITS)
def test_every_edit_runs_with_its_defaults(class_id):
    result = call(class_id, motion=gestures(0, 60))
    assert len(result[0]) == 60 and (len(result) == 1 or result[1:] == (25.0, 60))


def test_save_and_load_are_numbered_and_lossless(folders):
    motion = gestures(0, 10)
    paths = [call("EMO2SaveMotion", motion=motion, filename_prefix="takes/wave")[0] for _ in range(2)]
    assert [p.rsplit("/", 1)[1] for p in paths] == ["wave_00001_.npz", "wave_00002_.npz"]
    names = NODE_CLASS_MAPPINGS["EMO2LoadMotion"].INPUT_TYPES()["required"]["motion_file"][0]
    assert names == ["takes/wave_00001_.npz [output]", "takes/wave_00002_.npz [output]"]
    back, fps, count = call("EMO2LoadMotion", motion_file=names[0])
    assert (fps, count) == (25.0, 10)
    assert all(np.array_equal(getattr(back, n), getattr(motion, n)) for n in FRAME_FIELDS)
    (folders / "input" / "mine.npz").write_bytes((folders / "output/takes/wave_00001_.npz").read_bytes())
    assert len(call("EMO2LoadMotion", motion_file="mine.npz")[0]) == 10


def test_a_saved_file_is_shown_to_the_page():
    cls = NODE_CLASS_MAPPINGS["EMO2SaveMotion"]
    shown = cls().save(gestures(0, 3), "a/b")["ui"]["files"]
    assert shown == [{"filename": "b_00001_.npz", "subfolder": "a", "type": "output"}]
    json.dumps(shown)


def test_a_changed_file_changes_the_hash(folders):
    cls = NODE_CLASS_MAPPINGS["EMO2LoadMotion"]
    path = folders / "input" / "a.npz"
    path.write_bytes(b"one")
    first = cls.IS_CHANGED("a.npz")
    path.write_bytes(b"two")
    assert cls.IS_CHANGED("a.npz") != first and cls.IS_CHANGED("gone.npz") == ""


@pytest.mark.parametrize("name", ["../secret.npz", "/etc/passwd", "a/../../secret.npz", "secret\0.npz", "", "x.txt",
                                  "../secret.npz [output]", "no.npz"])  # fmt: skip
def test_names_never_leave_their_folder(folders, name):
    (folders / "secret.npz").write_bytes(b"secret")
    answer = NODE_CLASS_MAPPINGS["EMO2LoadMotion"].VALIDATE_INPUTS(name)
    assert isinstance(answer, str) and "\n" not in answer
    with pytest.raises(EMO2Error, match="EMO2 Load Motion, motion_file"):
        call("EMO2LoadMotion", motion_file=name)


@pytest.mark.parametrize("prefix", ["../x", "/tmp/x", "a/../../x", "", "folder/", "x" * 300])
def test_prefixes_never_leave_the_output_folder(folders, prefix):
    for class_id in ("EMO2SaveMotion", "EMO2ExportBVH"):
        with pytest.raises(EMO2Error, match="filename_prefix"):
            call(class_id, motion=gestures(0, 2), filename_prefix=prefix)
    assert not list(folders.rglob("*.npz")) and not list(folders.rglob("*.bvh"))


def test_bvh_is_written(folders):
    path = call("EMO2ExportBVH", motion=gestures(0, 5), filename_prefix="x")[0]
    assert path.endswith("output/x_00001_.bvh")
    assert (folders / "output" / "x_00001_.bvh").read_text().startswith("HIERARCHY\n")


def test_pose_keypoints_round_trip_through_nodes():
    motion = gestures(0, 5).replace(visible=None, hand_scores=None)
    (keypoints,) = call("EMO2MotionToPoseKeypoint", motion=motion)
    back, fps, count, framing = call("EMO2PoseKeypointToMotion", pose_keypoint=keypoints, framing=motion.framing)
    assert (fps, count, framing) == (25.0, 5, motion.framing) and back.visible.all()


def test_confidence_follows_curve_mask_and_loudness():
    motion = gestures(0, 4)
    audio = AudioFeatures(np.zeros((50, 1, 1), np.float16), np.full(50, 0.25), 1.0)
    mask = torch.tensor([0.0, 0.5, 1.0, 1.0])[:, None, None].expand(4, 6, 6)
    (result,) = call("EMO2HandConfidence", motion=motion, curve_left="0:0.5", confidence_right=1.0, mask=mask)
    assert np.allclose(result.confidence, [[0, 0], [0.25, 0.5], [0.5, 1], [0.5, 1]])
    (result,) = call("EMO2HandConfidence", motion=motion, loudness_amount=0.5, audio_features=audio)
    assert np.allclose(result.confidence, 0.625)
    for given, name in (({"loudness_amount": 0.5}, "audio_features"), ({"mask": torch.zeros(3, 2, 2)}, "mask"),
                        ({"curve_right": "0:2"}, "curve_right")):  # fmt: skip
        with pytest.raises(EMO2Error, match=f"EMO2 Hand Confidence, {name}"):
            call("EMO2HandConfidence", motion=motion, **given)


def test_offsets_go_where_an_artist_means():
    motion = gestures(0, 50)
    (moved,) = call("EMO2OffsetMotion", motion=motion, right_cm=10.0, up_cm=5.0, forward_cm=2.0)
    assert np.allclose(moved.translations - motion.translations, [0.10, -0.05, -0.02], atol=1e-6)
    pictures = [m.framing.project(m.wrists()) for m in (motion, moved)]
    assert (pictures[1][..., 0] > pictures[0][..., 0]).all() and (pictures[1][..., 1] < pictures[0][..., 1]).all()


def test_splicing_tells_rate_and_length():
    joined, fps, count = call("EMO2SpliceMotion", first=gestures(0, 20), second=gestures(1, 30))
    assert (len(joined), fps, count) == (50, 25.0, 50)


def test_framing_by_hand_is_shown_and_used():
    image = torch.full((1, 60, 40, 3), 0.5)
    framing, preview = call("EMO2SetFraming", image=image, neck_x=0.4, neck_y=0.5, shoulder_width=0.3)
    assert framing == Framing((0.4, 0.5), 0.3, (60, 40)) and preview.shape == image.shape
    assert preview.dtype == torch.float32 and preview.min() >= 0 and preview.max() <= 1
    large, shown = call("EMO2SetFraming", image=torch.zeros(1, 6000, 8000, 1))
    assert large.size == (6000, 8000) and shown.shape == (1, 1152, 1536, 3)
    (moved,) = call("EMO2ApplyFraming", motion=gestures(0, 3), framing=framing)
    assert moved.framing == framing
    with pytest.raises(EMO2Error, match="EMO2 Set Framing, image"):
        call("EMO2SetFraming", image=torch.zeros(2, 8, 8, 3))
    with pytest.raises(EMO2Error, match="EMO2 Set Framing, shoulder_width"):
        call("EMO2SetFraming", image=image, shoulder_width=0.0)


def test_previews_sheets_and_curves_are_images():
    motion = gestures(0, 7)
    images, fps, _ = call(
        "EMO2PreviewMotion", image=torch.rand(1, 50, 50, 4), motion=motion, every_nth=3, longest_side=64
    )
    assert images.shape == (3, 64, 46, 3) and fps == pytest.approx(25 / 3) and images.std() > 0
    (sheet,) = call("EMO2ContactSheet", images=images, width=320)
    assert sheet.shape[0] == 1 and sheet.shape[2:] == (320, 3)
    audio = {"waveform": torch.zeros(1, 2, 8000), "sample_rate": 8000}
    features = AudioFeatures(np.zeros((50, 1, 1), np.float16), np.full(50, 0.25), 1.0)
    (curves,) = call("EMO2MotionPicture", motion=motion, width=400, height=300, audio=audio, audio_features=features)
    assert curves.shape == (1, 300, 400, 3)


def test_a_preview_frame_is_that_frame_of_the_motion():
    motion, image = gestures(0, 7), torch.rand(1, 50, 50, 3)
    full, *_ = call("EMO2PreviewMotion", image=image, motion=motion, longest_side=64)
    sparse, *_ = call("EMO2PreviewMotion", image=image, motion=motion, longest_side=64, every_nth=3)
    assert torch.equal(full[::3], sparse)


def test_a_preview_that_cannot_fit_says_so_before_drawing(monkeypatch):
    motion = gestures(0, 2)
    many = motion.replace(**{n: np.repeat(getattr(motion, n)[:1], 200_000, 0) for n in FRAME_FIELDS})
    with pytest.raises(EMO2Error, match="every_nth"):
        call("EMO2PreviewMotion", image=torch.zeros(1, 8, 8, 3), motion=many, longest_side=0)


def test_saved_motion_opens_without_the_pack(folders):
    path = call("EMO2SaveMotion", motion=gestures(0, 3), filename_prefix="x")[0]
    with np.load(path, allow_pickle=False) as arrays:
        assert set(FRAME_FIELDS) <= set(arrays)
