"""Points from heatmaps: as rtmlib's ViTPose has them, and where a bump's top is between the cells."""

import numpy as np
import pytest
from emo2.models.pose.heatmaps import FURTHEST, decode
from emo2.models.pose.onnx_graph import read_graph
from emo2.models.pose.rtmpose import PoseNetwork, cut_outs
from emo2.models.pose.wholebody import POSE, kind_of_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_onnx_cases import POINTS, helper, pictures, save

ROWS, COLUMNS = 64, 48


def bumps(tops, width=2.0, heights=1.0):
    """Heatmaps (P, K, ROWS, COLUMNS) with a Gaussian around each of `tops` (P, K, 2)."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    away = (x - tops[..., 0, None, None]) ** 2 + (y - tops[..., 1, None, None]) ** 2
    return (np.exp(-away / 2 / width**2) * np.asarray(heights)[..., None, None]).astype(np.float32)


@settings(max_examples=20)
@given(st.integers(0, 1 << 30), st.floats(1.5, 3.0))
def test_the_top_between_the_cells_is_found(seed, width):
    random = np.random.default_rng(seed)
    tops = random.uniform((8, 8), (COLUMNS - 8, ROWS - 8), (3, 9, 2))
    heights = random.uniform(0.3, 1.1, (3, 9))
    middle, sides = cut_outs(np.array([[10, 20, 90, 200.0]] * 3), (256, 192))
    points, scores = decode(bumps(tops, width, heights), middle, sides)
    truth = tops / (COLUMNS - 1, ROWS - 1) * sides[:, None] + (middle - sides / 2)[:, None]
    np.testing.assert_allclose(points, truth, atol=0.15 * sides[0, 0] / COLUMNS)
    assert (scores <= heights + 1e-6).all() and (scores > 0.8 * heights).all()


@settings(max_examples=10)
@given(st.integers(0, 1 << 30))
def test_it_is_rtmlib_s(seed):
    rtmlib = pytest.importorskip("rtmlib")
    random = np.random.default_rng(seed)
    tops = random.uniform((0, 0), (COLUMNS - 1, ROWS - 1), (1, 133, 2))
    maps = bumps(tops, 2.0, random.uniform(0.05, 1, (1, 133))) + random.normal(0, 0.002, (1, 133, ROWS, COLUMNS))
    maps = maps.astype(np.float32)
    middle, sides = cut_outs(np.array([[10, 20, 90, 200.0]]), (256, 192))
    points, scores = decode(maps, middle, sides)
    reference = rtmlib.ViTPose.__new__(rtmlib.ViTPose)
    theirs, their_scores = reference.postprocess([maps.copy()], middle[0], sides[0])
    np.testing.assert_allclose(scores, their_scores, rtol=1e-5)
    away = np.linalg.norm(points - theirs, axis=-1)
    assert (away < 0.02).mean() > 0.95 and np.median(away) < 1e-3


def test_nothing_is_nowhere_and_flat_maps_do_no_harm():
    maps = np.stack([np.zeros((ROWS, COLUMNS)), np.full((ROWS, COLUMNS), 0.5), -bumps(np.full((1, 1, 2), 20.0))[0, 0]])
    points, scores = decode(maps[None].astype(np.float32), np.full((1, 2), 50.0), np.full((1, 2), 100.0))
    assert np.isnan(points[0, 0]).all() and scores[0].tolist()[:2] == [0, 0.5]
    assert np.isfinite(points[0, 1]).all() and scores[0, 2] <= 0


def random_vitpose(path, points=POINTS, batch="batch"):
    """Random weights: each heatmap is a mix of the picture's colours, evened out so that it has tops."""
    weights = {"w": np.random.default_rng(0).normal(0.02, 0.3, (points, 3, 4, 4)).astype(np.float32)}
    nodes = [helper.make_node("Conv", ["input", "w"], ["heat"], strides=[4, 4]),
             helper.make_node("AveragePool", ["heat"], ["even"], kernel_shape=[11, 11], pads=[5, 5, 5, 5]),
             helper.make_node("Sigmoid", ["even"], ["output"])]  # fmt: skip
    shape = [batch, points, ROWS, COLUMNS]
    return save(path, nodes, [("input", [batch, 3, 4 * ROWS, 4 * COLUMNS])], [("output", shape)], weights)


@pytest.mark.parametrize("batch", ["batch", 1])
def test_a_random_network_finds_what_rtmlib_finds(tmp_path, batch):
    rtmlib = pytest.importorskip("rtmlib")
    path = random_vitpose(tmp_path / "v.onnx", batch=batch)
    graph = read_graph(path)
    assert kind_of_graph(graph) == POSE
    assert kind_of_graph(read_graph(random_vitpose(tmp_path / "body.onnx", points=17))) is None
    frame, boxes = pictures(1, 1, 150, 200), np.array([[10, 5, 90, 140], [60, 20, 190, 130.0]])
    points, scores = PoseNetwork(path, graph, "cpu", 1).points(frame, np.zeros(2, int), boxes)
    reference = rtmlib.ViTPose(str(random_vitpose(tmp_path / "theirs.onnx")), (4 * COLUMNS, 4 * ROWS))
    for i, box in enumerate(boxes):
        theirs, their_scores = reference(frame[0], [box])
        np.testing.assert_allclose(scores[i], their_scores[0], atol=2e-3)
        crop, centre, scale = reference.preprocess(frame[0], box)
        best = reference.inference(crop)[0][0].reshape(POINTS, -1).argmax(-1)
        cells = np.stack([best % COLUMNS, best // COLUMNS], -1) / (COLUMNS - 1, ROWS - 1) * scale + centre - scale / 2
        # Noise has no clear tops: theirs goes hundreds of pixels after some, this at most two cells.
        cell = scale[0] / (COLUMNS - 1)
        clear = np.abs(theirs[0] - cells).max(-1) < FURTHEST * cell - 0.1
        assert clear.mean() > 0.4 and (np.abs(points[i] - cells) < FURTHEST * cell + 0.1).all()
        assert (np.linalg.norm(points[i] - theirs[0], axis=-1)[clear] < 0.1).mean() > 0.95
