"""Inputs and outputs read out of ONNX files, as `onnx` itself reads them, and files that are none."""

import contextlib

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.onnx_graph import FLOAT, Value, read_graph
from emo2.models.pose.wholebody import PERSON, POSE, check_file, kind_of_graph
from hypothesis import given
from hypothesis import strategies as st
from pose_onnx_cases import (
    POINTS,
    SIDE,
    SIZE,
    blue_yolox,
    colour_pose,
    helper,
    onnx,
    random_pose,
    random_yolox,
    save,
    suppressed_yolox,
)


def test_the_graph_is_what_onnx_reads(tmp_path):
    path = random_pose(tmp_path / "pose.onnx")
    graph = read_graph(path)
    height, width = SIZE
    assert graph.inputs == (Value("input", (None, 3, height, width), FLOAT),)
    assert graph.outputs == (
        Value("simcc_x", (None, POINTS, 2 * width), FLOAT),
        Value("simcc_y", (None, POINTS, 2 * height), FLOAT),
    )
    own = onnx.load(str(path)).graph
    assert [value.name for value in own.output] == [value.name for value in graph.outputs]


SIDES = st.one_of(st.integers(1, 1 << 30), st.text("abcN", min_size=1, max_size=5))


@given(st.lists(st.lists(SIDES, max_size=5), min_size=1, max_size=4), st.integers(1, 16), st.text(max_size=8))
def test_any_shape_is_read(tmp_path_factory, shapes, element, producer):
    values = [helper.make_tensor_value_info(f"v{i}", element, shape) for i, shape in enumerate(shapes)]
    graph = helper.make_graph([helper.make_node("Identity", ["v0"], ["y"])], "g", values, values)
    path = tmp_path_factory.mktemp("any") / "any.onnx"
    path.write_bytes(helper.make_model(graph, producer_name=producer).SerializeToString())
    found = read_graph(path)
    expected = tuple(
        Value(f"v{i}", tuple(side if isinstance(side, int) else None for side in shape), element)
        for i, shape in enumerate(shapes)
    )
    assert found.inputs == found.outputs == expected and str(found)


def test_weights_among_the_inputs_are_left_out(tmp_path):
    weights = np.ones((64, 3, 2, 2), np.float32)
    value = lambda name, shape: helper.make_tensor_value_info(name, 1, shape)
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [value("w", [64, 3, 2, 2]), value("x", [1, 3, 8, 8])],
                              [value("y", [1, 64, 7, 7])], [onnx.numpy_helper.from_array(weights, "w")])  # fmt: skip
    path = tmp_path / "old.onnx"
    path.write_bytes(helper.make_model(graph, ir_version=3).SerializeToString())
    assert [one.name for one in read_graph(path).inputs] == ["x"]


@pytest.mark.parametrize("content, words", [
    (b"", "which is empty"), (b"\x80\x02}q\x00.", "which is none"), (b"PK\x03\x04" + b"\0" * 60, "which is none"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "which is none"), (b"<html>", "which is none"),
])  # fmt: skip
def test_files_that_are_no_network_are_refused(tmp_path, content, words):
    path = tmp_path / "some.onnx"
    path.write_bytes(content)
    with pytest.raises(EMO2Error) as caught:
        read_graph(path, "detector")
    assert words in str(caught.value) and str(caught.value).startswith("detector: expected an ONNX")


def test_missing_files_folders_and_halves_are_named(tmp_path):
    whole = random_pose(tmp_path / "whole.onnx").read_bytes()
    half = tmp_path / "half.onnx"
    for part in (len(whole) // 2, len(whole) - 20, 200):
        half.write_bytes(whole[:part])
        with pytest.raises(EMO2Error, match=r"half\.onnx, which is"):
            read_graph(half)
    with pytest.raises(EMO2Error, match="no file at"):
        read_graph(tmp_path / "gone.onnx")
    with pytest.raises(EMO2Error, match="a folder"):
        read_graph(tmp_path)


@given(st.binary(max_size=400))
def test_no_bytes_at_all_break_the_reader(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("bytes") / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(EMO2Error):
        read_graph(path)


@given(st.integers(0, 1 << 30), st.integers(0, 255))
def test_a_changed_byte_gives_a_graph_or_an_error(tmp_path_factory, place, byte):
    small = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])], "g", [helper.make_tensor_value_info("x", 1, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", 1, ["n", 3, 4, 4])],
    )  # fmt: skip
    content = bytearray(helper.make_model(small).SerializeToString())
    content[place % len(content)] = byte
    path = tmp_path_factory.mktemp("changed") / "x.onnx"
    path.write_bytes(bytes(content))
    with contextlib.suppress(EMO2Error):
        assert read_graph(path).outputs


def test_networks_are_told_apart(tmp_path):
    boxes = np.array([[1.0, 2, 3, 4, 0.9]])
    for kind, path in [
        (POSE, random_pose(tmp_path / "a.onnx")), (POSE, random_pose(tmp_path / "b.onnx", batch=1, named=False)),
        (POSE, colour_pose(tmp_path / "c.onnx")), (PERSON, random_yolox(tmp_path / "d.onnx")),
        (PERSON, random_yolox(tmp_path / "e.onnx", classes=1, batch=None)), (PERSON, blue_yolox(tmp_path / "f.onnx")),
        (PERSON, suppressed_yolox(tmp_path / "g.onnx", boxes)), (None, random_pose(tmp_path / "h.onnx", points=17)),
        (PERSON, suppressed_yolox(tmp_path / "i.onnx", boxes, np.zeros(1))),
    ]:  # fmt: skip
        assert kind_of_graph(read_graph(path)) == kind, path
        if kind:
            assert check_file(path, kind, "detector") == read_graph(path)


def test_a_file_in_the_wrong_place_is_told_where_it_belongs(tmp_path):
    pose, person = random_pose(tmp_path / "pose.onnx"), random_yolox(tmp_path / "person.onnx")
    with pytest.raises(EMO2Error, match=r"detector: .*person\.onnx, a person detector.*input person_detector"):
        check_file(person, POSE, "detector")
    with pytest.raises(EMO2Error, match=r"person_detector: .*pose\.onnx, a whole-body.*input detector"):
        check_file(pose, PERSON, "person_detector")
    with pytest.raises(EMO2Error, match=r"a pose network of 17 points without face and hands"):
        check_file(random_pose(tmp_path / "body.onnx", points=17), POSE, "detector")
    node = [helper.make_node("Flatten", ["x"], ["y"])]
    other = save(tmp_path / "arcface.onnx", node, [("x", ["n", 3, 112, 112])], [("y", ["n", 37632])], {})
    for kind in (POSE, PERSON):
        with pytest.raises(EMO2Error, match=r"arcface\.onnx, a network from x \(any x 3 x 112 x 112\) to y"):
            check_file(other, kind, "detector")


def test_a_detector_of_other_cells_is_none(tmp_path):
    node = [helper.make_node("Identity", ["w"], ["output"])]
    weights = {"w": np.zeros((1, 84, 8400), np.float32)}
    path = save(tmp_path / "v8.onnx", node, [("images", [1, 3, 640, 640])], [("output", [1, 84, 8400])], weights)
    assert kind_of_graph(read_graph(path)) is None
    assert SIDE % 32 == 0
