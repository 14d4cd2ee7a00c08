"""The detector of body, hands and face from two ONNX files: as rtmlib end to end, and on painted people."""

import sys

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.onnx_session import CPU, Network, available, providers, threads_here
from emo2.models.pose.wholebody import load_whole_body
from hypothesis import given
from hypothesis import strategies as st
from pose_onnx_cases import (
    POINTS,
    SIDE,
    SIZE,
    colour_pose,
    paint,
    person,
    pictures,
    random_pose,
    random_yolox,
    suppressed_yolox,
)

BODY = range(17)
"""COCO's body among the 133 points."""


def test_end_to_end_it_is_rtmlib(tmp_path):
    """YOLOX, DWPose and OpenPose's order on random networks.

    rtmlib hands one and the same picture to both networks; each gets it here in the colours it was trained with.
    """
    rtmlib = pytest.importorskip("rtmlib")
    pose, yolox = random_pose(tmp_path / "pose.onnx", seed=4), random_yolox(tmp_path / "yolox.onnx", seed=0)
    frames = pictures(11, 8, 120, 160)
    detector = load_whole_body(pose, yolox, "cpu", 1)
    found = detector.detect(frames)
    persons = rtmlib.YOLOX(str(yolox), (SIDE, SIDE), det_mode="multiclass", score_thr=0.3)
    points_of = rtmlib.RTMPose(str(pose), SIZE[::-1], to_openpose=True)
    pixels, total = np.array([160, 120]), 0
    for frame, people in zip(frames, found):
        boxes, classes = persons(frame[..., ::-1])
        boxes = boxes[classes == 0] if len(boxes) else boxes
        assert len(people) == len(boxes)
        assert (np.diff([one.score for one in people]) <= 0).all()
        for box in boxes:
            points, scores = (part[0] for part in points_of(frame, [box]))
            edges = np.clip(box / np.tile(pixels, 2), 0, 1)
            one = min(people, key=lambda seen: np.abs(seen.box - edges).max())
            np.testing.assert_allclose(one.box, edges, atol=1e-4)
            own = np.concatenate([one.body, one.face[:68], *one.hands]) * pixels
            own_scores = np.concatenate([one.body_scores, one.face_scores[:68], *one.hand_scores])
            order = [*range(18), *range(24, 134)]
            np.testing.assert_allclose(own_scores, np.clip(scores[order], 0, 1), atol=1e-4)
            # Two columns that are as likely as each other to the last digits may change places.
            assert np.mean(np.abs(own - points[order]).max(-1) < 1e-3) > 0.98
            total += 1
    assert total >= 8


@pytest.fixture
def crowd(tmp_path):
    """A frame 480 x 640 of two people, one of whom has no right hand, and the file of a detector that finds them."""
    frame = np.zeros((480, 640, 3), np.uint8)
    people = [person(20, 30, 220, 420), person(360, 30, 240, 420)]
    paint(frame, people[0], 4, only=range(112))
    paint(frame, people[1], 4)
    scale = SIDE / 640
    boxes = np.array([[20, 30, 240, 450, 0.8 / frame.mean() * 255], [360, 30, 600, 450, 0.9 / frame.mean() * 255]])
    boxes[:, :4] *= scale
    boxed = np.full((SIDE, SIDE, 3), 114.0)
    boxed[: int(480 * scale)] = frame.mean()
    boxes[:, 4] = np.array([0.8, 0.9]) * 255 / boxed.mean()
    return frame, people, suppressed_yolox(tmp_path / "persons.onnx", boxes)


def test_people_are_found_with_left_and_right_hands(tmp_path, crowd):
    frame, (first, second), persons = crowd
    detector = load_whole_body(colour_pose(tmp_path / "pose.onnx"), persons, "cpu", 1)
    assert detector.name == "pose.onnx with persons.onnx (CPU)" and not detector.fell_back
    seen = detector.detect(np.stack([frame, frame]))
    detector.reset()
    assert [len(people) for people in seen] == [2, 2]
    sure, other = seen[0]
    pixels = np.array([640, 480])
    for found, truth in ((sure, second), (other, first)):
        assert np.abs(found.hands[0] * pixels - truth[91:112]).max() < 7
        assert np.abs(found.body[5] * pixels - truth[5]).max() < 7, "left shoulder"
        assert np.abs(found.body[4] * pixels - truth[10]).max() < 7, "right wrist"
        assert np.abs(found.face[:68] * pixels - truth[23:91]).max() < 7
        assert found.body.shape == (18, 2) and found.face.shape == (70, 2) and found.hands.shape == (2, 21, 2)
    assert np.abs(sure.hands[1] * pixels - second[112:]).max() < 7 and sure.hand_scores[1].min() > 0.8
    assert other.hand_scores[1].max() < 0.7
    assert sure.score == pytest.approx(0.9, abs=0.05) and other.score == pytest.approx(0.8, abs=0.05)
    np.testing.assert_allclose(sure.box * [640, 480, 640, 480], [360, 30, 600, 450], atol=1)
    np.testing.assert_array_equal(seen[1][0].body, sure.body)


def test_without_a_person_detector_the_picture_is_the_person(tmp_path):
    frames = np.zeros((3, 300, 240, 3), np.uint8)
    truth = person(40, 30, 160, 240)
    paint(frames[1], truth, 4)
    empty, found, _ = load_whole_body(colour_pose(tmp_path / "pose.onnx"), None, "cpu", 1).detect(frames)
    assert empty == [] and len(found) == 1
    assert np.abs(found[0].hands[1] * [240, 300] - truth[112:]).max() < 7
    known = truth[[*range(17), *range(91, POINTS)]]
    np.testing.assert_allclose(found[0].box * [240, 300, 240, 300], [*known.min(0), *known.max(0)], atol=7)


@pytest.mark.parametrize("scale, kept", [(8.0, 1.0), (0.5, 0.5), (0.31, 0.31)])
def test_scores_are_cut_at_one_and_kept_below(tmp_path, scale, kept):
    """RTMW's go up to 8 and more."""
    frame = np.zeros((1, 320, 240, 3), np.uint8)
    paint(frame[0], person(40, 30, 160, 260), 4)
    ((one,),) = load_whole_body(colour_pose(tmp_path / "pose.onnx", scale=scale), None, "cpu", 1).detect(frame)
    np.testing.assert_allclose(one.body_scores, kept, atol=0.03)
    assert one.hand_scores.max() <= 1 and one.score == pytest.approx(kept, abs=0.03)


def test_points_that_are_nowhere_are_zero(tmp_path):
    frame = np.zeros((1, 320, 240, 3), np.uint8)
    paint(frame[0], person(40, 30, 160, 260), 4, only=BODY)
    ((one,),) = load_whole_body(colour_pose(tmp_path / "pose.onnx"), None, "cpu", 1).detect(frame)
    for points, scores in ((one.hands, one.hand_scores), (one.face, one.face_scores), (one.body, one.body_scores)):
        assert (points[scores == 0] == 0).all() and np.isfinite(points).all() and scores.min() >= 0
    assert (one.body_scores > 0.9).all()


def test_weak_points_keep_their_scores_but_make_no_person(tmp_path):
    frame = np.zeros((1, 320, 240, 3), np.uint8)
    paint(frame[0], person(40, 30, 160, 260), 4)
    assert load_whole_body(colour_pose(tmp_path / "pose.onnx", scale=0.25), None, "cpu", 1).detect(frame) == [[]]


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (2000, 3), (2160, 3840), (31, 33)])
def test_pictures_of_any_size(tmp_path, shape):
    frames = np.full((1, *shape, 3), 200, np.uint8)
    pose, yolox = random_pose(tmp_path / "p.onnx"), random_yolox(tmp_path / "y.onnx")
    for persons in (None, yolox):
        (people,) = load_whole_body(pose, persons, "cpu", 1).detect(frames)
        assert all(np.isfinite(one.body).all() and (one.box >= 0).all() and (one.box <= 1).all() for one in people)


def test_no_frames_and_no_pictures(tmp_path):
    detector = load_whole_body(random_pose(tmp_path / "p.onnx"), random_yolox(tmp_path / "y.onnx"), "cpu", 1)
    assert detector.detect(np.zeros((0, 20, 20, 3), np.uint8)) == []
    for wrong in (
        np.zeros((1, 20, 20, 3), np.float32),
        np.zeros((20, 20, 3), np.uint8),
        np.zeros((1, 0, 9, 3), np.uint8),
    ):
        with pytest.raises(EMO2Error, match="frames: expected pictures"):
            detector.detect(wrong)


def test_both_files_are_looked_at_before_a_network_is_built(tmp_path, monkeypatch):
    pose = random_pose(tmp_path / "pose.onnx")
    monkeypatch.setattr(Network, "_open", lambda *_: pytest.fail("nothing is built yet"))
    with pytest.raises(EMO2Error, match="person_detector"):
        load_whole_body(pose, pose, "cpu", 1)


# What it runs on ------------------------------------------------------------------------------------------------------


def test_graphics_cards_come_first_and_the_processor_last():
    offered = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider", CPU]
    assert providers("auto", offered) == providers("gpu", offered) == ["CUDAExecutionProvider", CPU]
    assert providers("cpu", offered) == [CPU] == providers("auto", [CPU])
    assert providers("auto", ["DmlExecutionProvider", CPU]) == ["DmlExecutionProvider", CPU]
    assert providers("gpu", ["CoreMLExecutionProvider", CPU]) == ["CoreMLExecutionProvider", CPU]
    with pytest.raises(EMO2Error, match=r"device: expected .*graphics card.*pip install onnxruntime-gpu"):
        providers("gpu", [CPU])
    with pytest.raises(EMO2Error, match="device: expected one of auto, cpu, gpu"):
        providers("tpu", [CPU])


@given(st.lists(st.sampled_from([CPU, "CUDAExecutionProvider", "DmlExecutionProvider", "x"]), unique=True))
def test_there_is_always_a_processor(offered):
    chosen = providers("auto", offered)
    assert chosen[-1] == CPU and set(chosen) <= {*offered, CPU} and len(set(chosen)) == len(chosen)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_card_that_does_not_start_is_told(tmp_path, monkeypatch):
    import onnxruntime

    offered = ["CUDAExecutionProvider", CPU]
    # This onnxruntime says that it has no such card, and goes on.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
    pose = random_pose(tmp_path / "pose.onnx")
    detector = load_whole_body(pose, None, "auto", 1)
    assert detector.fell_back and detector.name == "pose.onnx (CPU)"
    with pytest.raises(EMO2Error, match=r"device: expected CUDA.*could not start"):
        load_whole_body(pose, None, "gpu", 1)


def test_a_card_that_breaks_the_start_is_told(tmp_path, monkeypatch):
    """As when CUDA's libraries are of another version: onnxruntime raises, instead of going on without."""
    import onnxruntime

    real = onnxruntime.InferenceSession

    def start(path, sess_options, providers):
        if len(providers) > 1:
            raise RuntimeError("CUDA_PATH is set but CUDA wasnt able to be loaded")
        return real(path, sess_options=sess_options, providers=providers)

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    pose = random_pose(tmp_path / "pose.onnx")
    detector = load_whole_body(pose, None, "auto", 1)
    assert detector.fell_back and detector.on_processor
    with pytest.raises(EMO2Error, match=r"device: expected CUDA.*could not start"):
        load_whole_body(pose, None, "gpu", 1)


def test_without_onnxruntime_it_is_said_what_to_install(tmp_path, monkeypatch):
    pose = random_pose(tmp_path / "pose.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EMO2Error, match=r"detector: expected the package onnxruntime.*pip install onnxruntime"):
        load_whole_body(pose)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert not available()


def test_a_network_that_onnxruntime_cannot_build_is_named(tmp_path):
    from pose_onnx_cases import onnx

    path = random_pose(tmp_path / "pose.onnx")
    model = onnx.load(str(path))
    model.graph.node[0].op_type = "NoSuchOperator"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(EMO2Error, match=r"detector: expected an ONNX network that onnxruntime can run.*pose\.onnx"):
        load_whole_body(path, None, "cpu", 1)


def test_as_many_threads_as_cores():
    assert 1 <= threads_here() <= 4096
