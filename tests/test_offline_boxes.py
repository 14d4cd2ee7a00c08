"""Detector outputs to boxes, boxes to fewer boxes, heat to points: all on outputs made up for the purpose."""

import numpy as np
import pytest
from emo2.models.pose.offline_body import DETECTOR_SIDE, DETECTOR_STRIDES, refined
from emo2.models.pose.offline_boxes import Boxes, anchors, decode, joined, shared
from emo2.models.pose.offline_hands import PALMS_SIDE, PALMS_STRIDES
from hypothesis import given
from hypothesis import strategies as st

LOGIT = {0.5: 0.0, 0.9: np.log(9)}


def test_anchors_are_as_many_as_the_networks_give():
    assert anchors(DETECTOR_SIDE, DETECTOR_STRIDES).shape == (2254, 2)
    assert anchors(PALMS_SIDE, PALMS_STRIDES).shape == (2016, 2)


def test_anchors_stand_in_the_middle_of_their_cells():
    grid = anchors(64, (32, 32))
    assert grid.tolist() == [[x, y] for y in (0.25, 0.75) for x in (0.25, 0.75) for _ in range(4)]
    assert len(anchors(64, (16, 32))) == 2 * 16 + 2 * 4


def output(rows, side=192, strides=PALMS_STRIDES, points=7):
    """A network's output that says (anchor, box centre and size, points (K, 2)), all in 0..1, with a logit each."""
    at = anchors(side, strides)
    values, logits = np.zeros((len(at), 4 + 2 * points), np.float32), np.full(len(at), -20.0)
    for anchor, box, places, logit in rows:
        values[anchor, :2] = (np.array(box[:2]) - at[anchor]) * side
        values[anchor, 2:4] = np.array(box[2:]) * side
        values[anchor, 4:] = ((places - at[anchor]) * side).ravel()
        logits[anchor] = logit
    return values, logits


@given(
    st.lists(st.integers(0, 2015), min_size=1, max_size=6, unique=True),
    st.integers(0, 2**31),
)
def test_decoding_gives_what_was_written(where, seed):
    rng = np.random.default_rng(seed)
    rows = [(a, rng.uniform(0.05, 0.9, 4), rng.uniform(-0.2, 1.2, (7, 2)), rng.uniform(0.1, 6)) for a in where]
    found = decode(*output(rows), 192, PALMS_STRIDES)
    rows.sort(key=lambda row: -row[3])
    assert len(found.scores) == len(rows) and (np.diff(found.scores) <= 0).all()
    for i, (_, box, points, logit) in enumerate(rows):
        assert np.allclose((found.box[i, :2] + found.box[i, 2:]) / 2, box[:2], atol=1e-5)
        assert np.allclose(found.box[i, 2:] - found.box[i, :2], box[2:], atol=1e-5)
        assert np.allclose(found.points[i], points, atol=1e-5)
        assert found.scores[i] == pytest.approx(1 / (1 + np.exp(-logit)))


def test_boxes_that_are_not_sure_are_left_out():
    rows = [(5, (0.5, 0.5, 0.1, 0.1), np.zeros((7, 2)), logit) for logit in (-0.01,)]
    assert len(decode(*output(rows), 192, PALMS_STRIDES).scores) == 0
    assert len(joined(decode(*output([]), 192, PALMS_STRIDES)).scores) == 0


def test_one_thing_found_several_times_becomes_one():
    box = np.array([[0.1, 0.1, 0.3, 0.3], [0.12, 0.1, 0.32, 0.3], [0.6, 0.6, 0.8, 0.8]])
    points = np.arange(12, dtype=float).reshape(3, 2, 2)
    one = joined(Boxes(box, points, np.array([0.9, 0.6, 0.7])))
    assert one.scores.tolist() == [0.9, 0.7]
    assert np.allclose(one.box[0], [0.108, 0.1, 0.308, 0.3]) and np.allclose(one.box[1], box[2])
    assert np.allclose(one.points[0], 0.6 * points[0] + 0.4 * points[1]) and np.allclose(one.points[1], points[2])


BOX = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1), st.floats(0.01, 1)).map(
    lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]])
)


@given(BOX, BOX)
def test_the_shared_part_is_a_share_and_the_same_both_ways(a, b):
    value = shared(a, b[None])[0]
    assert 0 <= value <= 1 + 1e-9 and value == pytest.approx(shared(b, a[None])[0])
    assert shared(a, a[None])[0] == pytest.approx(1)


@given(st.integers(5, 58), st.integers(5, 58), st.integers(-3, 3), st.integers(-3, 3))
def test_heat_pulls_a_point_to_its_peak(x, y, dx, dy):
    heat = np.full((64, 64, 2), -30.0)
    heat[y, x, 0] = 8
    start = np.array([[(x + dx + 0.4) / 64, (y + dy + 0.6) / 64], [0.3, 0.7]])
    moved = refined(start, heat)
    assert np.allclose(moved[0], [x / 64, y / 64], atol=1e-3) and np.allclose(moved[1], start[1])


def test_heat_beyond_reach_and_points_beyond_the_picture_change_nothing():
    heat = np.full((64, 64, 3), -30.0)
    heat[10, 10] = 8
    start = np.array([[0.9, 0.9], [-0.4, 0.1], [1.7, 1.2]])
    assert np.array_equal(refined(start, heat), start)
