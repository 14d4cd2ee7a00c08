"""Whole-body points: cut-outs and SimCC as rtmlib has them, batches, and where each of the 133 points goes."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.coco_wholebody import COCO_IN_OPENPOSE, FACE, HANDS, to_openpose
from emo2.models.pose.onnx_graph import read_graph
from emo2.models.pose.rtmpose import MEAN, STD, PoseNetwork, cut_out, cut_outs, decode, normalised
from hypothesis import given, settings
from hypothesis import strategies as st
from pose_onnx_cases import POINTS, SIZE, colour_pose, paint, person, pictures, random_pose

BOX = st.tuples(st.floats(-20, 150), st.floats(-20, 100), st.floats(1, 200), st.floats(1, 200))


def rtmlib_pose(size=SIZE, path=None, to_openpose=False):
    """rtmlib's network; without a file, only its arithmetic."""
    rtmlib = pytest.importorskip("rtmlib")
    if path:
        return rtmlib.RTMPose(str(path), size[::-1], to_openpose=to_openpose)
    bare = rtmlib.RTMPose.__new__(rtmlib.RTMPose)
    bare.model_input_size, bare.mean, bare.std = size[::-1], tuple(MEAN), tuple(STD)
    return bare


def network(path, threads=1):
    return PoseNetwork(path, read_graph(path), "cpu", threads)


@settings(max_examples=40)
@given(st.lists(BOX, min_size=1, max_size=4), st.integers(0, 1 << 30), st.sampled_from([SIZE, (384, 288), (40, 70)]))
def test_decoding_is_rtmlib_s(boxes, seed, size):
    random = np.random.default_rng(seed)
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in boxes])
    columns = random.normal(-1, 1, (len(boxes), POINTS, 2 * size[1])).astype(np.float32)
    rows = random.normal(-1, 1, (len(boxes), POINTS, 2 * size[0])).astype(np.float32)
    columns[:, ::7] -= 9  # nowhere
    middle, sides = cut_outs(boxes, size)
    points, scores = decode(columns, rows, middle, sides, size)
    reference = rtmlib_pose(size)
    for i, box in enumerate(boxes):
        _, centre, scale = reference.preprocess(np.zeros((100, 150, 3), np.uint8), box)
        theirs, their_scores = reference.postprocess([columns[i : i + 1], rows[i : i + 1]], centre, scale)
        np.testing.assert_allclose(scores[i], their_scores[0], rtol=1e-5, atol=1e-6)
        found = their_scores[0] > 0
        np.testing.assert_allclose(points[i][found], theirs[0][found], rtol=1e-5, atol=1e-3)
        assert np.isnan(points[i][~found]).all() and not found[::7].any() and found.any()


@settings(max_examples=25)
@given(BOX, st.integers(0, 99))
def test_cut_outs_are_rtmlib_s(box, seed):
    frame = pictures(seed, 1, 120, 180)[0]
    box = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    theirs, centre, scale = rtmlib_pose().preprocess(frame, box)
    middle, sides = cut_outs(box[None], SIZE)
    np.testing.assert_allclose(middle[0], centre, atol=1e-6)
    np.testing.assert_allclose(sides[0], scale, rtol=1e-6)
    own = normalised(cut_out(frame, middle[0], sides[0], SIZE)).transpose(1, 2, 0)
    # Theirs rounds the matrix to float32: a pixel between two patches may take a 32nd more of one.
    assert np.abs(own - theirs).max() <= 255 / 32 / STD.min() + 1e-3 and np.abs(own - theirs).mean() < 2e-3


@given(BOX, st.sampled_from([SIZE, (384, 288), (192, 256)]))
def test_a_cut_out_holds_the_box_and_has_the_picture_s_shape(box, size):
    box = np.array([[box[0], box[1], box[0] + box[2], box[1] + box[3]]])
    middle, sides = cut_outs(box, size)
    assert sides[0, 0] / sides[0, 1] == pytest.approx(size[1] / size[0])
    assert (middle - sides / 2 < box[:, :2]).all() and (middle + sides / 2 > box[:, 2:]).all()
    assert np.isclose(sides[0] / (box[0, 2:] - box[0, :2]), 1.25).any()


@pytest.mark.parametrize("batch, named", [(None, True), (1, True), (5, True), (None, False)])
def test_a_random_network_finds_what_rtmlib_finds(tmp_path, batch, named):
    """37 people in 4 frames, more than go in together: with a free batch, one by one, and in fives."""
    frames = pictures(2, 4, 150, 260)
    random = np.random.default_rng(0)
    owners = np.sort(random.integers(0, 4, 37))
    corner = random.random((37, 2)) * (150, 60)
    boxes = np.concatenate([corner, corner + 20 + random.random((37, 2)) * (80, 120)], -1)
    points, scores = network(random_pose(tmp_path / "own.onnx", batch, named=named)).points(frames, owners, boxes)
    assert points.shape == (37, POINTS, 2) and scores.shape == (37, POINTS)
    reference = rtmlib_pose(path=random_pose(tmp_path / "theirs.onnx"))
    for i, owner in enumerate(owners):
        theirs, their_scores = reference(frames[owner], [boxes[i]])
        np.testing.assert_allclose(scores[i], their_scores[0], atol=1e-4)
        away = np.linalg.norm(points[i] - theirs[0], axis=-1)
        # Two columns that are as likely as each other to the last digits may change places.
        assert np.nanmean(away < 1e-3) > 0.98, np.sort(away)[-5:]


def test_a_batch_that_is_only_called_free_goes_one_by_one(tmp_path):
    frames = pictures(3, 1, 100, 100)
    boxes = np.array([[0, 0, 60, 90], [20, 10, 90, 100], [5, 5, 50, 50.0]])
    honest = network(random_pose(tmp_path / "a.onnx")).points(frames, np.zeros(3, int), boxes)
    stuck = network(random_pose(tmp_path / "b.onnx", inside=1))
    for own, other in zip(honest, stuck.points(frames, np.zeros(3, int), boxes)):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-4)
    assert stuck.network.batch == 1


def test_nobody_has_no_points(tmp_path):
    found = network(random_pose(tmp_path / "a.onnx")).points(
        pictures(3, 2, 100, 100), np.zeros(0, int), np.zeros((0, 4))
    )
    assert found[0].shape == (0, POINTS, 2) and found[1].shape == (0, POINTS)


@pytest.mark.parametrize("size", [(256, 192), (192, 256)])
def test_painted_points_are_found_where_they_are(tmp_path, size):
    """Three people in three frames, one of them half outside: the pictures go in as red, green, blue."""
    frames = np.zeros((3, 400, 500, 3), np.uint8)
    people = [person(30, 20, 200, 360), person(260, 60, 220, 320), person(380, 100, 240, 280)]
    owners = np.arange(3)
    for points, owner in zip(people, owners):
        paint(frames[owner], points, radius=4)
    boxes = np.array([[30, 20, 230, 380], [260, 60, 480, 380], [380, 100, 620, 380.0]])
    points, scores = network(colour_pose(tmp_path / "c.onnx", size)).points(frames, owners, boxes)
    for i, truth in enumerate(people):
        seen = (truth[:, 0] < 495) if i == 2 else np.ones(POINTS, bool)
        away = np.abs(points[i] - truth).max(-1)
        assert away[seen].max() < 7, "within the square that is painted"
        assert scores[i][seen].min() > 0.9
        if i == 2:
            assert (~seen).sum() > 20 and scores[i][truth[:, 0] > 505].max() < 0.7


def test_a_file_without_a_size_takes_that_of_its_columns_and_rows(tmp_path):
    from pose_onnx_cases import helper, save

    names = ("simcc_x", "simcc_y")
    nodes = [helper.make_node("Identity", [f"{name}_w"], [name]) for name in names]
    weights = {"simcc_x_w": np.zeros((1, POINTS, 96), np.float32), "simcc_y_w": np.zeros((1, POINTS, 128), np.float32)}
    shapes = [("simcc_x", [1, POINTS, 96]), ("simcc_y", [1, POINTS, 128])]
    path = save(tmp_path / "x.onnx", nodes, [("input", [1, 3, "h", "w"])], shapes, weights)
    assert network(path).size == (64, 48)
    path = save(tmp_path / "y.onnx", nodes, [("input", [1, 3, "h", "w"])], [(n, [1, POINTS, "b"]) for n in names],
                weights)  # fmt: skip
    with pytest.raises(EMO2Error, match="detector: expected a whole-body pose network"):
        network(path)


# Where the points go --------------------------------------------------------------------------------------------------

LEFT_OF = {"shoulder": (5, 5), "elbow": (7, 6), "wrist": (9, 7), "hip": (11, 11), "knee": (13, 12), "ankle": (15, 13),
           "eye": (1, 15), "ear": (3, 17)}  # fmt: skip
"""COCO's number and OpenPose's of the person's left points, as both write them down."""
RIGHT_OF = {"shoulder": (6, 2), "elbow": (8, 3), "wrist": (10, 4), "hip": (12, 8), "knee": (14, 9), "ankle": (16, 10),
            "eye": (2, 14), "ear": (4, 16)}  # fmt: skip


def numbered():
    """Every point at (its number, 1000 + its number), known."""
    places = np.stack([np.arange(POINTS), 1000 + np.arange(POINTS)], -1)[None].astype(float)
    return places, np.linspace(0.2, 1, POINTS)[None]


def test_left_stays_left_and_right_stays_right():
    points, scores = numbered()
    whole = to_openpose(points, scores)
    for coco, openpose in [*LEFT_OF.values(), *RIGHT_OF.values(), (0, 0)]:
        assert whole.body[0, openpose].tolist() == [coco, 1000 + coco]
        assert whole.body_scores[0, openpose] == scores[0, coco]
    assert whole.hands[0, 0, :, 0].tolist() == list(range(91, 112)), "the person's left hand"
    assert whole.hands[0, 1, :, 0].tolist() == list(range(112, 133)), "the person's right hand"
    assert whole.face[0, :68, 0].tolist() == list(range(23, 91))
    assert sorted(COCO_IN_OPENPOSE[:1] + COCO_IN_OPENPOSE[2:]) == list(range(17))
    assert (FACE.stop, HANDS[0].start, HANDS[1].stop) == (91, 91, POINTS)


def test_neck_and_pupils_lie_between():
    points, scores = numbered()
    whole = to_openpose(points, scores)
    assert whole.body[0, 1].tolist() == [5.5, 1005.5] and whole.body_scores[0, 1] == scores[0, 5]
    right, left = np.arange(23 + 36, 23 + 42), np.arange(23 + 42, 23 + 48)
    np.testing.assert_allclose(whole.face[0, 68:], points[0, [right, left]].mean(1))
    np.testing.assert_allclose(whole.face_scores[0, 68:], scores[0, [right, left]].min(1))
    scores[0, [6, right[2]]] = 0
    hidden = to_openpose(points, scores)
    for part, part_scores, k in ((hidden.body, hidden.body_scores, 1), (hidden.face, hidden.face_scores, 68)):
        assert part_scores[0, k] == 0 and part[0, k].tolist() == [0, 0]
    assert hidden.face_scores[0, 69] > 0


def test_body_is_rtmlib_s_openpose():
    rtmlib_pose()
    from rtmlib.tools.pose_estimation.post_processings import convert_coco_to_openpose

    random = np.random.default_rng(0)
    points, scores = random.random((5, POINTS, 2)), random.random((5, POINTS)) + 0.01
    theirs, their_scores = convert_coco_to_openpose(points, scores)
    whole = to_openpose(points, scores)
    np.testing.assert_allclose(whole.body, theirs[:, :18])
    np.testing.assert_allclose(whole.body_scores, their_scores[:, :18])
    np.testing.assert_allclose(whole.face[:, :68], theirs[:, 24:92])
    np.testing.assert_allclose(whole.hands[:, 0], theirs[:, 92:113])
    np.testing.assert_allclose(whole.hands[:, 1], theirs[:, 113:134])
