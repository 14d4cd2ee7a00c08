"""The rasteriser against a brute-force float64 reference, and where triangles leave the picture."""

import numpy as np
import pytest
from emo2.models.hands import load_hands
from emo2.models.maps import rasteriser
from emo2.models.maps.rasteriser import NEAR, rasterise
from hands_cases import random_rotations

AHEAD = np.array([0.0, 0, 1])
ALL = np.array([[True]])
SQUARE = np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
TWO = np.array([[[0, 1, 2], [0, 2, 3]]])


def brute_force(vertices, faces, labels, size, focal):
    """Every triangle against every pixel of its box, in float64: (normals (H, W, 2) -1..1, labels (H, W), covered)."""
    height, width = size
    normals = np.zeros_like(vertices)
    for mesh in range(len(vertices)):
        corners = vertices[mesh][faces[mesh]]
        area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        for k in range(3):
            np.add.at(normals[mesh], faces[mesh][:, k], area)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    corners = np.concatenate([vertices[m][faces[m]] for m in range(len(vertices))])
    slants = np.concatenate([normals[m][faces[m]] for m in range(len(vertices))])
    label = labels.ravel()
    xy = corners[..., :2] / corners[..., 2:] * focal + np.array([width / 2, height / 2])
    low = np.clip(np.floor(xy.min(1)), 0, [width, height]).astype(int)
    high = np.clip(np.ceil(xy.max(1)), 0, [width, height]).astype(int)
    spans = np.maximum(high - low, 0)
    counts = spans.prod(1)
    triangle = np.repeat(np.arange(len(corners)), counts)
    inside = np.arange(len(triangle)) - np.repeat(np.cumsum(counts) - counts, counts)
    column = low[triangle, 0] + inside % spans[triangle, 0]
    row = low[triangle, 1] + inside // spans[triangle, 0]
    p = np.stack([column, row], -1) + 0.5
    cross = lambda u, v: u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
    a, b, c = (xy[triangle, k] for k in range(3))
    share = np.stack([cross(c - b, p - b), cross(a - c, p - c), cross(b - a, p - a)], -1)
    whole = share.sum(-1)
    share = share[whole != 0] / whole[whole != 0, None]
    triangle, row, column = triangle[whole != 0], row[whole != 0], column[whole != 0]
    hit = (share >= 0).all(-1)
    share, triangle, row, column = share[hit], triangle[hit], row[hit], column[hit]
    weight = share / corners[triangle, :, 2]
    nearness = weight.sum(-1)
    order = np.argsort(nearness, kind="stable")
    normal = (weight[..., None] * slants[triangle]).sum(1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    direction, part, covered = np.zeros((*size, 2)), np.zeros(size, np.uint8), np.zeros(size, bool)
    direction[row[order], column[order]] = normal[order, :2]
    part[row[order], column[order]] = label[triangle[order]]
    covered[row[order], column[order]] = True
    return direction, part, covered


def test_equals_brute_force_on_200_random_hand_poses():
    hands, rng = load_hands(), np.random.default_rng(0)
    size, focal, count = (176, 256), 500.0, 200
    places = rng.uniform([-0.18, -0.1, 0.6], [0.18, 0.1, 1.0], (count, 2, 3))
    vertices, _ = hands.pose(random_rotations(rng, count, 0.4), places)
    labels = (40 + 6 * (16 * np.arange(2)[:, None] + hands.face_parts)).astype(np.uint8)
    maps = rasterise(vertices, hands.faces, np.ones((count, 2), bool), labels, size, focal)
    wrong = covered = 0
    for picture, posed in zip(maps, vertices):
        direction, part, hit = brute_force(posed, hands.faces, labels, size, focal)
        colours = np.abs(picture[..., :2] - (127.5 + 127.5 * direction)).max(-1)
        wrong += int(np.where(hit, (colours > 1.0) | (picture[..., 2] != part), picture.any(-1)).sum())
        covered += int(hit.sum())
    assert covered > 200 * 3000, "the hands must fill a fair share of the pictures"
    assert wrong <= covered / 1000, f"{wrong} of {covered} pixels differ"


def flat(points, faces=TWO, size=(32, 32), focal=32.0, label=200, visible=ALL):
    """One picture of one mesh."""
    labels = np.full((1, faces.shape[1]), label, np.uint8)
    return rasterise(np.asarray(points, float)[None, None], faces, visible, labels, size, focal)[0]


def test_pixels_belong_to_exactly_one_of_two_neighbours():
    """A square cut along its diagonal, corners on pixel centres: no gap, nothing twice, edges by the top-left rule."""
    square = (SQUARE * 0.25 + [0, 0, 1]) + np.array([0.5 / 32, 0.5 / 32, 0])
    both = flat(square)[..., 2] > 0
    parts = [flat(square, TWO[:, k : k + 1])[..., 2] > 0 for k in range(2)]
    assert not (parts[0] & parts[1]).any() and np.array_equal(parts[0] | parts[1], both)
    rows, columns = np.nonzero(both)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 23, 8, 23), (
        "top and left in, bottom and right out"
    )
    assert both.sum() == 16 * 16


def test_seen_from_either_side_it_covers_the_same():
    turned = TWO[:, :, ::-1]
    square = SQUARE * 0.3 + [0.013, 0.02, 1]
    assert np.array_equal(flat(square)[..., 2], flat(square, turned)[..., 2])


def test_normals_are_colours():
    tilted = SQUARE * 0.3 @ np.array([[1, 0, 1], [0, 1, 0], [0, 0, 1]]) + [0, 0, 2]
    centre = flat(tilted)[16, 16].astype(int)
    # The plane z = x: its normal is (+-1, 0, -+1) / sqrt 2.
    assert abs(abs(centre[0] - 127.5) - 127.5 / np.sqrt(2)) <= 1 and abs(centre[1] - 127.5) <= 1 and centre[2] == 200


def test_nearer_hides_farther_whatever_the_order():
    near, far = SQUARE * 0.1 + [0, 0, 0.5], SQUARE * 0.6 + [0, 0, 1.0]
    for order in ((0, 1), (1, 0)):
        points = np.stack([(near, far)[k] for k in order])
        labels = np.array([[100, 100], [200, 200]], np.uint8)[list(order)]
        picture = rasterise(points[None], np.repeat(TWO, 2, 0), np.ones((1, 2), bool), labels, (32, 32), 32.0)[0]
        assert picture[16, 16, 2] == 100 and picture[4, 4, 2] == 200


def test_surfaces_that_pass_through_each_other_are_cut_where_they_meet():
    left = np.array([[-1.0, -1, 1], [1, -1, 3], [1, 1, 3], [-1, 1, 1]])
    right = left * [-1, 1, 1]
    labels = np.array([[100, 100], [200, 200]], np.uint8)
    picture = rasterise(
        np.stack([left, right])[None], np.repeat(TWO, 2, 0), np.ones((1, 2), bool), labels, (64, 64), 40.0
    )[0]
    row = picture[32, :, 2]
    assert set(row[12:32]) == {100} and set(row[32:52]) == {200}


def test_parts_outside_the_picture_change_nothing_inside():
    """A picture is the cut-out of a larger picture of the same scene."""
    hands, rng = load_hands(), np.random.default_rng(2)
    vertices, _ = hands.pose(random_rotations(rng, 4), rng.uniform([-0.1, -0.1, 0.5], [0.1, 0.1, 0.7], (4, 2, 3)))
    arguments = hands.faces, np.ones((4, 2), bool), np.full(hands.faces.shape[:2], 99, np.uint8)
    small, large = (rasterise(vertices, *arguments, size, 300.0) for size in ((40, 60), (400, 400)))
    assert small.any() and np.array_equal(small, large[:, 180:220, 170:230])


@pytest.mark.parametrize("depth", [-1.0, 0.0, NEAR / 2])
def test_nothing_behind_or_at_the_camera_is_drawn(depth):
    assert not flat(SQUARE * 0.2 + [0, 0, depth]).any()


def test_a_triangle_through_the_near_plane_is_cut():
    """A floor from behind the camera to far away: it fills the picture's lower half right down to the bottom."""
    floor = np.array([[-50.0, 1, -5], [50, 1, -5], [50, 1, 50], [-50, 1, 50]])
    picture = flat(floor, size=(64, 64), focal=40.0)[..., 2] > 0
    assert picture[34:].all() and not picture[:32].any()
    corner = np.array([[-0.2, 0.0, -0.3], [0.2, 0.1, 0.4], [0.0, -0.2, 0.5], [0.1, 0.2, 0.6]])
    assert flat(corner).any()


def test_degenerate_triangles_vanish():
    for points in (np.zeros((4, 3)) + AHEAD, np.array([[-1.0, 0, 1], [0, 0, 1], [1, 0, 1], [2, 0, 1]])):
        assert not flat(points).any()
    sliver = np.array([[-1.0, 1e-9, 1], [1, 0, 1], [1, 1e-9, 1], [-1, 0, 1]])
    assert flat(sliver).shape == (32, 32, 3)


def test_far_off_and_enormous_triangles_do_not_overflow():
    assert not flat(SQUARE + np.array([1e9, 0, 1])).any()
    assert not flat(SQUARE * 1e12 + [0, 0, 1e-3]).any()
    big = flat(SQUARE * 40 + [0, 0, 1], size=(16, 16), focal=1000.0)
    assert (big[..., 2] == 200).all()


def test_odd_sizes_and_no_frames():
    for size in ((1, 1), (1, 97), (333, 5)):
        assert flat(SQUARE * 10 + AHEAD / 2, size=size)[..., 2].all()
    empty = rasterise(np.zeros((0, 1, 4, 3)), TWO, np.zeros((0, 1), bool), np.zeros((1, 2), np.uint8), (8, 8), 8.0)
    assert empty.shape == (0, 8, 8, 3)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(monkeypatch, threads):
    hands, rng = load_hands(), np.random.default_rng(3)
    vertices, _ = hands.pose(random_rotations(rng, 5), np.tile([0, 0, 0.8], (5, 2, 1)))
    arguments = (
        vertices,
        hands.faces,
        rng.random((5, 2)) < 0.7,
        np.full(hands.faces.shape[:2], 50, np.uint8),
        (64, 80),
        150.0,
    )
    usual = rasterise(*arguments)
    monkeypatch.setattr(rasteriser, "THREADS", threads)
    monkeypatch.setattr(rasteriser.os, "cpu_count", lambda: 8)
    assert np.array_equal(rasterise(*arguments), usual)
