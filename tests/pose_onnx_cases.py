"""Tiny ONNX networks in the formats of YOLOX, DWPose and RTMW: random ones, and ones that see what is painted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the package onnx writes the networks")
pytest.importorskip("onnxruntime", reason="the package onnxruntime runs the networks")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SIZE = (64, 48)
"""(H, W) of the pose networks' pictures."""
POINTS = 133
SIDE = 96
"""Pixels of the person detectors' square pictures."""


def save(path: Path, nodes: list, inputs: list, outputs: list, weights: dict[str, np.ndarray]) -> Path:
    """A model file. inputs, outputs: (name, shape), a text in a shape for a free size."""
    value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(
        nodes, "g", [value(*one) for one in inputs], [value(*one) for one in outputs], initializer=constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path


def random_pose(
    path: Path, batch: int | None = None, points: int = POINTS, seed: int = 0, named: bool = True, size=SIZE,
    inside: int | None = None,
) -> Path:  # fmt: skip
    """Random weights: 12 averages of the picture, mixed into the likelihoods of columns and rows.

    batch None: free. inside: the batch that a reshape inside is fixed to, whatever the file says.
    """
    random = np.random.default_rng(seed)
    height, width = size
    names = ("simcc_x", "simcc_y") if named else ("615", "616")
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pool"], kernel_shape=[height // 4, width // 3],
                         strides=[height // 4, width // 3]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
    ]  # fmt: skip
    weights = {}
    for name, bins in zip(names, (2 * width, 2 * height)):
        weights[f"{name}_w"] = random.normal(0.01, 0.05, (36, points * bins)).astype(np.float32)
        weights[f"{name}_shape"] = np.array([inside or -1, points, bins], np.int64)
        nodes += [
            helper.make_node("MatMul", ["flat", f"{name}_w"], [f"{name}_all"]),
            helper.make_node("Reshape", [f"{name}_all", f"{name}_shape"], [name]),
        ]
    free = batch or "batch"
    outputs = [(names[0], [free, points, 2 * width]), (names[1], [free, points, 2 * height])]
    return save(path, nodes, [("input", [free, 3, height, width])], outputs, weights)


def random_yolox(path: Path, batch: int | None = 1, classes: int = 80, seed: int = 0, side: int = SIDE) -> Path:
    """Random weights: each cell of the three strides is a mix of its own pixels, squeezed to 0..1."""
    random = np.random.default_rng(seed)
    nodes, weights, flat = [], {"shape": np.array([0, 5 + classes, -1], np.int64)}, []
    for stride in (8, 16, 32):
        weights[f"w{stride}"] = random.normal(0, 0.06 / stride, (5 + classes, 3, stride, stride)).astype(np.float32)
        nodes += [
            helper.make_node("Conv", ["images", f"w{stride}"], [f"c{stride}"], strides=[stride, stride]),
            helper.make_node("Reshape", [f"c{stride}", "shape"], [f"f{stride}"]),
        ]
        flat.append(f"f{stride}")
    nodes += [
        helper.make_node("Concat", flat, ["all"], axis=2),
        helper.make_node("Transpose", ["all"], ["cells"], perm=[0, 2, 1]),
        helper.make_node("Sigmoid", ["cells"], ["output"]),
    ]
    free, cells = batch or "batch", sum((side // stride) ** 2 for stride in (8, 16, 32))
    return save(path, nodes, [("images", [free, 3, side, side])], [("output", [free, cells, 5 + classes])], weights)


def blue_yolox(path: Path, side: int = SIDE) -> Path:
    """Finds blue things: a cell of stride 8 is as sure of a person as it is bluer than green, of a chair as redder.

    Its boxes are two cells wide and three high, around the cell's middle.
    """
    pick = np.zeros((85, 3, 8, 8), np.float32)
    for kind, colour in ((0, 0), (56, 2)):  # blue comes first
        pick[5 + kind, colour], pick[5 + kind, 1] = 1 / 64 / 255, -1 / 64 / 255
    constant = np.zeros((1, 85, 1, 1), np.float32)
    constant[0, :2], constant[0, 2, 0, 0], constant[0, 3, 0, 0], constant[0, 4] = 0.5, np.log(2), np.log(3), 1
    rest = sum((side // stride) ** 2 for stride in (16, 32))
    nodes = [
        helper.make_node("Conv", ["images", "pick"], ["seen"], strides=[8, 8]),
        helper.make_node("Add", ["seen", "constant"], ["cells"]),
        helper.make_node("Reshape", ["cells", "shape"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["first"], perm=[0, 2, 1]),
        helper.make_node("Concat", ["first", "rest"], ["output"], axis=1),
    ]
    weights = {
        "pick": pick, "constant": constant, "shape": np.array([0, 85, -1], np.int64),
        "rest": np.zeros((1, rest, 85), np.float32),
    }  # fmt: skip
    cells = rest + (side // 8) ** 2
    return save(path, nodes, [("images", [1, 3, side, side])], [("output", [1, cells, 85])], weights)


def suppressed_yolox(path: Path, boxes: np.ndarray, labels: np.ndarray | None = None, side: int = SIDE) -> Path:
    """A network that suppresses by itself: it always gives `boxes` (N, 5), with the scores dimmed by the picture."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Div", ["grey", "white"], ["bright"]),
        helper.make_node("Reshape", ["bright", "one"], ["dim"]),
        helper.make_node("Mul", ["scores", "dim"], ["dimmed"]),
        helper.make_node("Concat", ["places", "dimmed"], ["dets"], axis=2),
    ]
    weights = {
        "white": np.array([255.0], np.float32), "one": np.array([1, 1, 1], np.int64),
        "places": boxes[None, :, :4].astype(np.float32), "scores": boxes[None, :, 4:].astype(np.float32),
    }  # fmt: skip
    outputs = [("dets", [1, "found", 5])]
    if labels is not None:
        weights["labels_"] = labels[None].astype(np.float32)
        nodes.append(helper.make_node("Identity", ["labels_"], ["labels"]))
        outputs.append(("labels", [1, "found"]))
    return save(path, nodes, [("input", [1, 3, side, side])], outputs, weights)


COLOURS = np.stack(np.meshgrid(*[np.arange(45, 256, 42)] * 3, indexing="ij"), -1).reshape(-1, 3)[:POINTS]
"""What colour (R, G, B) each of the 133 points has for the network below."""


def colour_pose(path: Path, size: tuple[int, int] = (256, 192), scale: float = 1.0) -> Path:
    """A network that finds the 133 points of whoever is painted in COLOURS; a point without its colour scores little.

    scale: what a point that is there scores.
    """
    height, width = size
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    wanted = (COLOURS - mean) / std
    weights = {
        "templates": (2 * wanted)[:, :, None, None].astype(np.float32),
        "lengths": -(wanted**2).sum(-1).reshape(1, POINTS, 1, 1).astype(np.float32),
        "sharp": np.array([60.0], np.float32), "scale": np.array([scale], np.float32),
        "half": np.array([0.5], np.float32), "empty": np.array([], np.float32),
        "twice_x": np.array([1, 1, 2], np.float32), "twice_y": np.array([1, 1, 2], np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Mul", ["input", "input"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "axis"], ["length"], keepdims=1),
        helper.make_node("Conv", ["input", "templates"], ["dots"]),
        helper.make_node("Add", ["dots", "lengths"], ["partly"]),
        helper.make_node("Sub", ["partly", "length"], ["away"]),
        helper.make_node("Mul", ["away", "sharp"], ["far"]),
        helper.make_node("Exp", ["far"], ["near"]),
        helper.make_node("Mul", ["near", "scale"], ["heat"]),
        helper.make_node("ReduceMax", ["heat"], ["columns"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["heat"], ["rows"], axes=[3], keepdims=0),
        helper.make_node("Resize", ["columns", "empty", "twice_x"], ["simcc_x"], mode="nearest"),
        helper.make_node("Resize", ["rows", "empty", "twice_y"], ["simcc_y"], mode="nearest"),
    ]
    weights["axis"] = np.array([1], np.int64)
    del weights["half"]
    outputs = [("simcc_x", ["batch", POINTS, 2 * width]), ("simcc_y", ["batch", POINTS, 2 * height])]
    return save(path, nodes, [("input", ["batch", 3, height, width])], outputs, weights)


def paint(frame: np.ndarray, points: np.ndarray, radius: int = 3, only=range(POINTS)) -> None:
    """Paint squares of COLOURS into a frame (H, W, 3) at points (133, 2) x, y in pixels."""
    for k in only:
        x, y = np.round(points[k]).astype(int)
        frame[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1] = COLOURS[k]


def person(left: float, top: float, width: float, height: float) -> np.ndarray:
    """133 points (x, y) on a lattice in a box: which is where does not matter, only that no two lie together."""
    rows, columns = 14, 10
    y, x = np.divmod(np.arange(POINTS), columns)
    return np.stack([left + (x + 0.5) / columns * width, top + (y + 0.5) / rows * height], -1)


def pictures(seed: int, count: int, height: int, width: int) -> np.ndarray:
    """Frames (N, H, W, 3) uint8 with coarse random patches."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, -(-height // 16), -(-width // 16), 3), dtype=np.uint8)
    return coarse.repeat(16, 1).repeat(16, 2)[:, :height, :width].copy()
