"""Whose face it is: cutting out, ONNX conventions, and the small network for puppets."""

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.pose import face_encoder, face_network
from emo2.models.pose.detection import Seen
from emo2.models.pose.face_crop import FIVE, SIDE, aligned, five_points, head_cut, similarity
from emo2.models.pose.face_encoder import OnnxFaceEncoder, PuppetFaceEncoder, check_file, pixels_of, prepared
from emo2.models.pose.onnx_graph import Graph, Value
from emo2.models.types import Framing
from hypothesis import given
from hypothesis import strategies as st


def graph(shape=(None, 3, 112, 112), *outputs, element=1) -> Graph:
    outputs = outputs or ((None, 512),)
    return Graph((Value("data", shape, element),), tuple(Value(f"o{i}", o, 1) for i, o in enumerate(outputs)))


@given(st.floats(-3, 3), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_a_similarity_is_found_exactly(angle, scale, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = FIVE @ turn.T + [x, y]
    found = similarity(FIVE, target)
    assert np.allclose(found, np.concatenate([turn, [[x], [y]]], 1), atol=1e-6 * max(1, scale, abs(x), abs(y)))


def test_a_mirror_is_no_similarity():
    found = similarity(FIVE, FIVE * [-1, 1])
    assert np.linalg.det(found[:, :2]) >= 0
    assert np.allclose(similarity(np.ones((5, 2)), FIVE)[:, :2], np.eye(2)), "points that coincide are shifted"


def face_at(points5: np.ndarray) -> np.ndarray:
    """70 points whose eyes, nose and corners of the mouth are these."""
    face = np.zeros((70, 2))
    face[36:42], face[42:48], face[30], face[48], face[54] = points5
    return face


def test_a_turned_face_is_brought_upright():
    """Five coloured dots on a turned and scaled face land where the template has them."""
    import cv2

    angle, scale = 0.5, 2.0
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = FIVE @ turn.T + [150, 20]
    picture = np.zeros((360, 400, 3), np.uint8)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255)]
    for place, colour in zip(places, colours):
        cv2.circle(picture, tuple(round(v * 16) for v in place - 0.5), 8 * 16, colour, -1, cv2.LINE_AA, 4)
    face = face_at(places)
    assert np.allclose(five_points(face), places)
    cut = aligned(picture, face)
    assert cut.shape == (SIDE, SIDE, 3)
    for place, colour in zip(FIVE, colours):
        rows, columns = np.nonzero((np.abs(cut.astype(int) - colour) < 60).all(-1))
        assert np.abs(np.array([columns.mean(), rows.mean()]) + 0.5 - place).max() < 0.6


def test_a_head_is_cut_out_at_any_size_of_the_picture():
    rng = np.random.default_rng(0)
    import cv2

    small = cv2.GaussianBlur(rng.integers(0, 255, (128, 96, 3)).astype(np.uint8), (0, 0), 3)
    large = cv2.resize(small, (288, 384), interpolation=cv2.INTER_LINEAR)
    framing = Framing((0.5, 0.45), 0.36, (128, 96))
    cuts = [head_cut(picture, framing, 48).astype(float) for picture in (small, large)]
    assert np.abs(cuts[0] - cuts[1]).mean() < 3
    moved = head_cut(small, framing, 48, (0.05, 0, 1)).astype(float)
    assert np.abs(moved - cuts[0]).mean() > 5


@pytest.mark.parametrize(
    "found, fits",
    [
        (graph(), True), (graph((1, 3, 112, 112), (1, 512), (1, 1)), True), (graph((None, 3, None, None)), True),
        (graph((None, 3, 112, 112), (1, 133, 2)), False), (graph((None, 3, 224, 224)), False),
        (graph((None, 3, 112, 112), (1, 7)), False), (graph((None, 3, 112, 112), (None, None)), False),
        (graph((None, 112, 112, 3)), False),
    ],
)  # fmt: skip
def test_which_networks_recognise_faces(found, fits):
    trouble = face_encoder.problem(found)
    assert (trouble is None) == fits
    if found.inputs[0].shape[-1] == 3:
        assert "colours last" in trouble


def test_colours_as_networks_take_them():
    picture = np.zeros((1, 2, 2, 3), np.uint8)
    picture[..., 0], picture[..., 2] = 255, 51
    rgb, bgr, raw = (prepared(picture, kind)[0, :, 0, 0] for kind in ("rgb", "bgr", "rgb 0..255"))
    assert np.allclose(rgb, [1, -1, -0.6]) and np.allclose(bgr, [-0.6, -1, 1]) and np.allclose(raw, [255, 0, 51])


def onnx_file(path, before=(), width=8, second=False):
    """A network of averages; before: its first operations, with a number each."""
    cases = pytest.importorskip("pose_onnx_cases")
    from onnx import helper

    nodes, weights, last = [], {}, "data"
    for place, (kind, number) in enumerate(before):
        weights[f"n{place}"] = np.array([number], np.float32)
        nodes.append(helper.make_node(kind, [last, f"n{place}"], [f"x{place}"]))
        last = f"x{place}"
    weights["w"] = np.random.default_rng(0).normal(0, 1, (3 * 16, width * 16)).astype(np.float32)
    nodes += [
        helper.make_node("AveragePool", [last], ["pool"], kernel_shape=[28, 28], strides=[28, 28]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["embedding"]),
    ]
    outputs = [("embedding", ["batch", width * 16])]
    if second:
        nodes.append(helper.make_node("ReduceL2", ["embedding"], ["norm"], axes=[1]))
        outputs.append(("norm", ["batch", 1]))
    return cases.save(path, nodes, [("data", ["batch", 3, SIDE, SIDE])], outputs, weights)


class Finder:
    """A detector that finds one face, or nobody."""

    name = "finder"

    def __init__(self, face=None, sure=1.0):
        self.face, self.sure = face, sure

    def reset(self) -> None:
        pass

    def detect(self, frames):
        if self.face is None:
            return [[] for _ in frames]
        size = np.array(frames.shape[2:0:-1])
        zeros = np.zeros
        return [[Seen(zeros((18, 2)), zeros(18), zeros((2, 21, 2)), zeros((2, 21)), self.face / size,
                      np.full(70, self.sure), zeros(4), 1.0)] for _ in frames]  # fmt: skip


def test_an_onnx_encoder_knows_a_face_however_it_is_turned(tmp_path):
    path = onnx_file(tmp_path / "w600k.onnx", second=True)
    check_file(path)
    import cv2

    rng = np.random.default_rng(1)
    made = cv2.GaussianBlur(rng.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8), (0, 0), 6)
    made = cv2.normalize(made, None, 0, 255, cv2.NORM_MINMAX)
    turn = cv2.getRotationMatrix2D((56, 56), 20, 1.5)
    turn[:, 2] += [60, 40]
    picture = cv2.warpAffine(made, turn, (260, 240))
    face = face_at((FIVE - 0.5) @ turn[:, :2].T + turn[:, 2] + 0.5)
    encoder = OnnxFaceEncoder(path, Finder(face), "cpu")
    assert encoder.width == 128 and "w600k.onnx" in encoder.name and encoder.pixels == "rgb"
    found, whole = encoder.encode(picture), encoder.embed(made[None])[0]
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5) and found @ whole > 0.99
    with pytest.raises(EMO2Error, match="face that can be seen"):
        OnnxFaceEncoder(path, Finder(), "cpu").encode(picture)
    with pytest.raises(EMO2Error, match="without"):
        OnnxFaceEncoder(path, Finder(face, 0.1), "cpu").encode(picture)


def test_how_a_file_takes_its_colours(tmp_path):
    plain = onnx_file(tmp_path / "a.onnx")
    own = onnx_file(tmp_path / "zoo.onnx", [("Sub", 127.5), ("Mul", 0.0078)])
    ada = onnx_file(tmp_path / "AdaFace_ir50.onnx")
    assert [pixels_of(path) for path in (plain, own, ada)] == ["rgb", "rgb 0..255", "bgr"]
    assert pixels_of(own, "rgb") == "rgb"
    with pytest.raises(EMO2Error, match="pixels"):
        pixels_of(plain, "cmyk")
    # The same face by either file: the colours' range is a matter of who brings them there.
    face = np.random.default_rng(0).integers(0, 255, (1, SIDE, SIDE, 3)).astype(np.uint8)
    one, two = (OnnxFaceEncoder(path, Finder(), "cpu").embed(face)[0] for path in (plain, own))
    assert one @ two > 0.999


def test_a_pose_network_is_no_face_encoder(tmp_path):
    cases = pytest.importorskip("pose_onnx_cases")
    with pytest.raises(EMO2Error, match="face recognition network"):
        check_file(cases.random_pose(tmp_path / "pose.onnx"))


def test_a_face_encoder_is_listed_as_one(tmp_path):
    from emo2.models.pose.onnx_graph import read_graph
    from emo2.models.pose.wholebody import kind_of_graph

    assert kind_of_graph(read_graph(onnx_file(tmp_path / "f.onnx"))) == "face"


def test_the_small_network(tmp_path):
    config = face_network.TINY
    network = face_network.build(config)
    assert sum(p.numel() for p in network.parameters()) <= 150_000
    path = save_checkpoint(tmp_path / "f.safetensors", "face_encoder", config, network.state_dict())
    encoder = PuppetFaceEncoder(face_network.load_face_network(path))
    picture = np.random.default_rng(0).integers(0, 255, (128, 96, 3)).astype(np.uint8)
    found = encoder.encode(picture, Framing(size=(256, 192)))
    assert found.shape == (encoder.width,) == (128,) and np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
    with pytest.raises(EMO2Error, match="framing"):
        encoder.encode(picture)
    network.out.weight.data.fill_(float("nan"))
    with pytest.raises(EMO2Error, match="finite"):
        PuppetFaceEncoder(network).embed(torch.zeros(1, 48, 48, 3, dtype=torch.uint8).numpy())
