"""The head of the composite pose picture: one size for everyone, in the middle of the face."""

import numpy as np
import pytest
from emo2.models.maps import keypoint_maps
from emo2.models.maps.face import LIP_COLOURS
from emo2.models.maps.head import COLOUR, RADIUS, draw_head, head_centres
from emo2.models.types import Framing, Motion
from emo2.models.video.config import VideoConfig
from emo2.models.video.guidance import body_maps
from hypothesis import given
from hypothesis import strategies as st

SIZE = (256, 192)
FRAMING = Framing((0.5, 0.42), 0.36, SIZE)


def still(count: int = 3, **fields) -> Motion:
    rotations = np.zeros((count, 2, 16, 4), np.float32)
    rotations[..., 0] = 1
    wrists = np.tile(np.array([[0.2, 0.3, -0.2], [-0.2, 0.3, -0.2]]), (count, 1, 1))
    return Motion(rotations, wrists, 25.0, FRAMING, **fields)


def face(centre, half, count: int = 3) -> dict:
    """A face whose contour's box has that centre and those half sides, relative to the picture."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 1, (count, 70, 2))
    points[:, 0], points[:, 8] = -1, 1
    return {"face": np.array(centre) + points * np.array(half), "face_scores": np.ones((count, 70))}


def disc(picture: np.ndarray) -> tuple[np.ndarray, int]:
    rows, columns = np.nonzero((picture == COLOUR).all(-1))
    return np.array([columns.mean() + 0.5, rows.mean() + 0.5]), len(rows)


def test_it_lies_in_the_middle_of_the_face_and_has_one_size():
    shoulders = FRAMING.shoulder_width * SIZE[1]
    sizes = []
    for half in ((0.05, 0.06), (0.12, 0.1)):
        motion = still(**face((0.55, 0.25), half))
        picture = keypoint_maps(motion, SIZE, head_mask=True)[1]
        centre, area = disc(picture)
        assert np.abs(centre - [0.55 * SIZE[1], 0.25 * SIZE[0]]).max() < 0.6
        sizes.append(area)
    assert sizes[0] == pytest.approx(sizes[1], rel=0.01), "the driver's head does not show"
    assert sizes[0] == pytest.approx(np.pi * (RADIUS * shoulders) ** 2, rel=0.06)


def test_without_a_face_it_goes_with_the_body():
    offset = np.array([[0, 0, 0], [0.05, 0, 0], [0, 0.04, 0]], np.float32)
    centres = head_centres(still(body_offset=offset), SIZE)
    scale = FRAMING.pixels_per_metre
    neck = np.array(FRAMING.neck) * SIZE[::-1]
    assert np.abs(centres[0] - neck - [0, -0.205 * scale]).max() < 0.06 * scale
    assert np.allclose(centres[1] - centres[0], [0.05 * scale, 0], atol=2.0)
    assert np.allclose(centres[2] - centres[0], [0, 0.04 * scale], atol=2.0)


def test_a_nose_that_was_found_counts():
    points, scores = np.zeros((3, 18, 2)), np.zeros((3, 18))
    points[:, 0], scores[:, 0] = (0.4, 0.2), 1
    assert np.allclose(
        head_centres(still(keypoints=points, keypoint_scores=scores), SIZE), [0.4 * SIZE[1], 0.2 * SIZE[0]]
    )


def test_the_drivers_features_stay_away_and_the_lips_remain():
    motion = still(**face((0.5, 0.25), (0.1, 0.1)))
    plain = keypoint_maps(motion, SIZE, face=True)
    masked = keypoint_maps(motion, SIZE, face=True, head_mask=True)
    has = lambda maps, colour: (maps == colour).all(-1).any()
    assert has(plain, (255, 0, 255)) and not has(masked, (255, 0, 255))
    assert has(masked, LIP_COLOURS[0]) and has(masked, COLOUR)
    assert not has(keypoint_maps(motion, SIZE), COLOUR), "only where it is asked for"


def test_the_models_option_draws_it():
    motion = still(**face((0.5, 0.25), (0.1, 0.1)))
    small = {"size": (64, 48), "vae_factor": 8}
    with_mask = body_maps(motion, VideoConfig(**small, head_mask=True))
    assert np.array_equal(with_mask, keypoint_maps(motion, (64, 48), head_mask=True))
    assert not np.array_equal(with_mask, body_maps(motion, VideoConfig(**small)))


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0.01, 5000))
def test_any_place_and_size_can_be_drawn(x, y, shoulders):
    picture = np.zeros((16, 12, 3), np.uint8)
    draw_head(picture, np.array([x, y]), shoulders)
    assert ((picture == 0) | (picture <= COLOUR[0])).all()


def test_frames_of_a_stretch_are_those_of_the_whole():
    motion = still(6, **face((0.5, 0.25), (0.1, 0.1), 6), body_offset=np.linspace(0, 0.1, 18).reshape(6, 3))
    assert np.array_equal(head_centres(motion, SIZE, 2, 3), head_centres(motion, SIZE)[2:5])
