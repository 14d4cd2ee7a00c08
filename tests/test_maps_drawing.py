"""Keypoint maps and OpenPose drawings: what is known is drawn in its colour and place, and nothing else."""

import numpy as np
import pytest
from emo2.models.hands import load_hands
from emo2.models.maps import keypoint_maps, openpose_maps, project_body
from emo2.models.maps.keypoints import LIMBS
from emo2.models.maps.openpose import COLOURS
from emo2.models.pose.body import arm_keypoints
from emo2.models.types import Framing
from hands_cases import random_motion

SIZE = (256, 256)
FRAMING = Framing((0.5, 0.3), 0.3, SIZE)
BODY = np.array([
    [.5, .15], [.5, .3], [.35, .3], [.3, .45], [.38, .55], [.65, .3], [.7, .45], [.62, .55], [.42, .6], [.41, .75],
    [.41, .9], [.58, .6], [.59, .75], [.59, .9], [.47, .12], [.53, .12], [.43, .14], [.57, .14],
])  # fmt: skip


@pytest.fixture(scope="module")
def hands():
    return load_hands()


def standing(known=range(18), score=1.0, frames=1, visible=False, **fields):
    """A motion with the body's points given; hands invisible unless asked for."""
    scores = np.zeros((frames, 18))
    scores[:, list(known)] = score
    seen = np.full((frames, 2), visible)
    points = np.tile(BODY, (frames, 1, 1))
    return random_motion(0, frames, FRAMING, keypoints=points, keypoint_scores=scores, visible=seen, **fields)


def at(picture, a, b=None, share=0.5):
    """The colour between two body points (or at one)."""
    point = BODY[a] if b is None else BODY[a] * (1 - share) + BODY[b] * share
    x, y = (point * 256).astype(int)
    return tuple(int(c) for c in picture[y, x])


def test_limbs_have_their_colours_and_places():
    picture = keypoint_maps(standing())[0]
    for a, b, colour in LIMBS:
        assert at(picture, a, b) == colour
    assert len({colour for _, _, colour in LIMBS}) == len(LIMBS)
    for outside in ((0, 0), (128, 128), (5, 250), (20, 128)):
        assert not picture[outside].any()
    assert not picture[: int(0.2 * 256)].any(), "no head in a keypoint map"


def test_edges_are_smooth():
    grey = keypoint_maps(standing())[0].max(-1)
    assert ((grey > 0) & (grey < 60)).sum() > 50


def test_thickness_follows_the_shoulders():
    area = [
        (keypoint_maps(standing().replace(framing=Framing((0.5, 0.3), width, SIZE)))[0] > 0).any(-1).sum()
        for width in (0.15, 0.3)
    ]
    assert area[1] > 1.6 * area[0]


def test_the_same_picture_at_another_size():
    small = keypoint_maps(standing(), (128, 128))[0]
    large = keypoint_maps(standing())[0]
    halved = large.reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.abs(small - halved).mean() < 4 and (np.abs(small - halved).max(-1) > 128).mean() < 0.01


def test_unknown_points_are_not_drawn():
    known = [1, 2, 3, 5]
    picture = keypoint_maps(standing(known))[0]
    assert at(picture, 2, 3) == LIMBS[4][2]
    for a, b, _ in LIMBS:
        if not {a, b} <= set(known):
            assert at(picture, a, b) == (0, 0, 0)


def test_arms_reach_the_wrists_when_only_hands_are_known():
    motion = random_motion(1, 4, FRAMING)
    points, scores = project_body(motion)
    want, _ = arm_keypoints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    assert np.allclose(points[:, [2, 3, 4, 5, 6, 7]], want[:, [2, 3, 4, 5, 6, 7]] * 256, atol=1e-3)
    assert np.allclose(points[:, [7, 4]], motion.framing.project(motion.wrists()) * 256, atol=1e-3)
    assert np.array_equal(np.flatnonzero(scores[0]), [1, 2, 3, 4, 5, 6, 7])
    assert keypoint_maps(motion).any((1, 2, 3)).all()


def test_an_invisible_hand_has_no_guessed_arm():
    motion = random_motion(1, 1, FRAMING, visible=np.array([[True, False]]))
    _, scores = project_body(motion)
    assert np.array_equal(np.flatnonzero(scores[0]), [1, 2, 5, 6, 7])


def test_given_points_win_over_guessed_ones():
    motion = standing([4], score=0.2, visible=True)
    points, scores = project_body(motion, (512, 512))
    assert np.allclose(points[0, 4], BODY[4] * 512, atol=1e-3) and scores[0, 4] == pytest.approx(0.2)
    assert scores[0, 7] == 1


@pytest.mark.parametrize("draw", ["keypoints", "openpose"])
def test_clips_are_pieces_of_the_whole(hands, draw):
    motion = random_motion(2, 11, FRAMING)
    render = (lambda *a: keypoint_maps(motion, SIZE, *a)) if draw == "keypoints" else (
        lambda *a: openpose_maps(motion, hands, SIZE, *a))  # fmt: skip
    whole = render()
    assert np.array_equal(np.concatenate([render(0, 4), render(4, 4), render(8, 3)]), whole)
    assert render(11, 0).shape == (0, *SIZE, 3) and len(render(7)) == 4


@pytest.mark.parametrize("draw", ["keypoints", "openpose"])
def test_points_far_away_do_no_harm(hands, draw):
    far = np.full((1, 18, 2), 1e7)
    motion = standing().replace(keypoints=far)
    picture = keypoint_maps(motion) if draw == "keypoints" else openpose_maps(motion, hands)
    assert not picture.any()
    behind = random_motion(3, 1, FRAMING, body_offset=np.array([[0, 0, -100.0]]))
    picture = keypoint_maps(behind) if draw == "keypoints" else openpose_maps(behind, hands)
    assert picture.shape == (1, *SIZE, 3)


def test_openpose_body_colours():
    picture = openpose_maps(standing(), None)[0]
    for number, (a, b) in enumerate(((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10))):
        assert at(picture, a, b, 0.4) == tuple(int(c * 0.6) for c in COLOURS[number])
    for point in range(14):
        assert at(picture, point) == COLOURS[point]
    assert COLOURS[0] == (255, 0, 0) and COLOURS[2] == (255, 170, 0) and COLOURS[17] == (255, 0, 85)


def test_openpose_threshold_and_switches(hands):
    assert not openpose_maps(standing(score=0.25), None)[0].any()
    assert openpose_maps(standing(score=0.25), None, threshold=0.2)[0].any()
    assert not openpose_maps(standing(), hands, body=False)[0].any(), "its hands are not visible"
    thick, thin = (openpose_maps(standing(), None, stick_width=w).any(-1).sum() for w in (8.0, 2.0))
    assert thick > 2 * thin


def test_openpose_hands_have_21_points_at_the_joints(hands):
    motion = random_motion(4, 1, Framing((0.5, 0.3), 0.9, (704, 704)))
    picture = openpose_maps(motion, hands, body=False)[0]
    _, joints = hands.pose(motion.rotations, motion.wrists())
    pixels = np.floor(motion.framing.project(joints) * 704).astype(int).reshape(-1, 2)
    inside = [(x, y) for x, y in pixels if 0 <= x < 704 and 0 <= y < 704]
    assert len(inside) > 20
    for x, y in inside:
        assert tuple(picture[y, x]) == (0, 0, 255)
    scores = np.ones((1, 2, 21))
    scores[:, 0] = 0.1
    scores[:, 1, 1:] = 0
    single = openpose_maps(motion.replace(hand_scores=scores), hands, body=False)[0]
    rows, columns = np.nonzero(single.any(-1))
    assert np.abs(np.array([columns.mean(), rows.mean()]) - pixels[21]).max() < 1.5, "the right wrist alone is left"
    assert not openpose_maps(motion, hands, body=False, draw_hands=False).any()
    assert not openpose_maps(motion, None, body=False).any()


def test_openpose_face_dots():
    face = np.random.default_rng(0).uniform(0.4, 0.6, (1, 70, 2))
    scores = np.zeros((1, 70))
    scores[0, 7] = 0.9
    motion = standing([]).replace(face=face, face_scores=scores)
    picture = openpose_maps(motion, None, body=False)[0]
    x, y = (face[0, 7] * 256).astype(int)
    assert tuple(picture[y, x]) == (255, 255, 255) and picture.any(-1).sum() < 30
    assert not openpose_maps(motion, None, body=False, face=False).any()
