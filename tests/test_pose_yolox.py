"""The person detector: decoding and suppression as rtmlib does them, letterboxes, classes, batches."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.onnx_graph import read_graph
from emo2.models.pose.yolox import GREY, SURE, PersonDetector, decode, letterbox, suppress
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_onnx_cases import SIDE, blue_yolox, pictures, random_yolox, suppressed_yolox

CELLS = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))


def rtmlib_yolox(sure=SURE, size=(SIDE, SIDE), path=None):
    """rtmlib's detector; without a file, only its arithmetic."""
    from rtmlib import YOLOX

    if path:
        return YOLOX(str(path), size, det_mode="multiclass", score_thr=sure)
    bare = YOLOX.__new__(YOLOX)
    bare.model_input_size, bare.nms_thr, bare.score_thr, bare.det_mode = size, 0.45, sure, "multiclass"
    return bare


def persons_of(found):
    """rtmlib's (boxes, classes): the boxes of class 0."""
    boxes, classes = found
    return boxes[classes == 0] if len(boxes) else np.zeros((0, 4))


def find(path, frames, **more):
    return PersonDetector(path, read_graph(path), "cpu", 1, **more).find(frames)


def outputs(seed, classes=80):
    """A synthetic output (1, A, 5 + C) of crowded boxes."""
    random = np.random.default_rng(seed)
    cells = random.normal(0, 1, (1, CELLS, 5 + classes)).astype(np.float32)
    cells[..., 4:] = random.random((1, CELLS, 1 + classes)) ** 0.5
    return cells


@settings(max_examples=15)
@given(st.integers(0, 1 << 30), st.floats(0.1, 4), st.sampled_from([1, 80]), st.floats(0.05, 0.95))
def test_decoding_is_rtmlib_s(seed, ratio, classes, sure):
    pytest.importorskip("rtmlib")
    cells = outputs(seed, classes)
    boxes, scores = decode(cells, (SIDE, SIDE))
    good = scores[0] > sure
    own = (boxes[0] / ratio)[good]
    own = own[suppress(own, scores[0][good])]
    theirs = persons_of(rtmlib_yolox(sure).postprocess(cells.copy(), ratio))
    assert own.shape == theirs.shape
    np.testing.assert_allclose(own, theirs, rtol=1e-4, atol=1e-3)


@settings(max_examples=30)
@given(st.integers(0, 1 << 30), st.integers(1, 60), st.floats(0.05, 0.95))
def test_what_stays_does_not_overlap_and_what_went_did(seed, count, overlap):
    random = np.random.default_rng(seed)
    corner = random.random((count, 2)) * 100
    boxes = np.concatenate([corner, corner + random.random((count, 2)) * 80], -1)
    scores = random.random(count)
    keep = suppress(boxes, scores, overlap)
    shared = np.array([[iou(a, b) for b in boxes] for a in boxes])
    assert (np.diff(scores[keep]) <= 0).all() and keep[0] == scores.argmax()
    assert (shared[np.ix_(keep, keep)][~np.eye(len(keep), dtype=bool)] <= overlap).all()
    for gone in set(range(count)) - set(keep.tolist()):
        assert any(shared[gone, other] > overlap and scores[other] >= scores[gone] for other in keep)


def iou(a, b):
    area = lambda box: (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
    width, height = (min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + 1 for i in (0, 1))
    common = max(width, 0) * max(height, 0)
    return common / (area(a) + area(b) - common)


def test_nothing_is_left_of_nothing():
    assert len(suppress(np.zeros((0, 4)), np.zeros(0))) == 0


@given(st.integers(1, 300), st.integers(1, 300))
def test_a_letterbox_keeps_the_shape(height, width):
    frames = np.full((2, height, width, 3), (10, 20, 30), np.uint8)
    boxed, scale = letterbox(frames, (SIDE, SIDE))
    assert boxed.shape == (2, 3, SIDE, SIDE) and scale == min(SIDE / height, SIDE / width)
    rows, columns = max(1, int(height * scale)), max(1, int(width * scale))
    assert (boxed[:, :, :rows, :columns] == np.array([30, 20, 10]).reshape(3, 1, 1)).all(), "blue, green, red"
    assert (boxed[:, :, rows:] == GREY).all() and (boxed[:, :, :, columns:] == GREY).all()


@settings(max_examples=15)
@given(st.integers(20, 200), st.integers(20, 200), st.integers(0, 99))
def test_letterboxes_are_rtmlib_s(height, width, seed):
    pytest.importorskip("rtmlib")
    frame = pictures(seed, 1, height, width)[0]
    theirs, ratio = rtmlib_yolox().preprocess(frame[..., ::-1])
    own, scale = letterbox(frame[None], (SIDE, SIDE))
    assert scale == ratio
    np.testing.assert_array_equal(own[0], theirs.transpose(2, 0, 1))


@pytest.mark.parametrize("batch", [1, None, 3])
@pytest.mark.parametrize("shape", [(96, 96), (130, 200), (300, 70)])
def test_a_random_network_finds_what_rtmlib_finds(tmp_path, batch, shape):
    pytest.importorskip("rtmlib")
    frames = pictures(5, 5, *shape)
    found = find(random_yolox(tmp_path / "own.onnx", batch), frames, sure=0.3)
    reference = rtmlib_yolox(0.3, path=random_yolox(tmp_path / "theirs.onnx"))
    counts = []
    for frame, people in zip(frames, found):
        theirs = persons_of(reference(frame[..., ::-1]))
        counts.append(len(theirs))
        assert len(people.boxes) == len(theirs)
        np.testing.assert_allclose(people.boxes, theirs, rtol=1e-4, atol=2e-3)
        assert (np.diff(people.scores) <= 0).all() and (people.scores > 0.3).all() and (people.scores <= 1).all()
    assert sum(counts) >= 5, "the networks see something"


def test_blue_people_are_found_and_red_chairs_are_not(tmp_path):
    """The pictures go in as blue, green, red, and boxes come back in the frame's pixels."""
    frames = np.zeros((2, 192, 384, 3), np.uint8)  # scaled by a quarter: a cell is 32 pixels
    frames[0, 64:96, 128:160] = (0, 0, 255)
    frames[0, 64:96, 256:288] = (255, 0, 0)
    people, nobody = find(blue_yolox(tmp_path / "blue.onnx"), frames)
    np.testing.assert_allclose(people.boxes, [[144 - 32, 80 - 48, 144 + 32, 80 + 48]], atol=1e-3)
    assert people.scores[0] == pytest.approx(1, abs=1e-5)
    assert nobody.boxes.shape == (0, 4) and nobody.scores.shape == (0,)


def test_networks_that_suppress_by_themselves(tmp_path):
    boxes = np.array([[8.0, 8, 24, 40, 0.5], [40, 8, 56, 40, 0.9], [0, 0, 5, 5, 0.1], [50, 50, 60, 60, 0.8]])
    frames = np.full((3, 48, 48, 3), 255, np.uint8)
    frames[1] = 0
    whole = suppressed_yolox(tmp_path / "a.onnx", boxes)
    bright, dark, _ = find(whole, frames)
    np.testing.assert_allclose(bright.boxes, boxes[[1, 3, 0], :4] / 2, atol=1e-4)
    np.testing.assert_allclose(bright.scores, [0.9, 0.8, 0.5], atol=1e-5)
    assert len(dark.scores) == 0
    labelled = suppressed_yolox(tmp_path / "b.onnx", boxes, np.array([0, 0, 0, 57]))
    np.testing.assert_allclose(find(labelled, frames)[0].scores, [0.9, 0.5], atol=1e-5)


def test_an_output_that_the_file_did_not_tell_of_is_refused(tmp_path):
    from pose_onnx_cases import helper, save

    node = [helper.make_node("Flatten", ["images"], ["flat"]), helper.make_node("Reshape", ["flat", "s"], ["output"])]
    path = save(tmp_path / "x.onnx", node, [("images", [1, 3, 32, 32])], [("output", [1, "cells", "kinds"])],
                {"s": np.array([1, -1, 6], np.int64)})  # fmt: skip
    with pytest.raises(EMO2Error, match=r"person_detector: expected a person detector.*\(1, 512, 6\)"):
        find(path, np.zeros((1, 32, 32, 3), np.uint8))
