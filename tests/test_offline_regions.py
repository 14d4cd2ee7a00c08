"""Turned squares: positions there and back, and pixels that lie where the positions say."""

import math

import numpy as np
import pytest
from emo2.models.pose.offline_regions import Picture, Region, around, upright
from hypothesis import given
from hypothesis import strategies as st

REGIONS = st.builds(
    Region, st.floats(-500, 2500), st.floats(-500, 2500), st.floats(1, 4000), st.floats(-2 * math.pi, 2 * math.pi)
)
POINTS = st.lists(st.tuples(st.floats(-2, 3), st.floats(-2, 3)), min_size=1, max_size=8).map(np.array)


@given(REGIONS, POINTS)
def test_positions_go_there_and_back(region, points):
    assert np.allclose(region.from_picture(region.to_picture(points)), points, atol=1e-6)


@given(REGIONS)
def test_a_region_s_middle_and_size(region):
    corners = region.to_picture(np.array([[0, 0], [1, 0], [1, 1], [0, 1]]))
    assert np.allclose(corners.mean(0), (region.x, region.y))
    assert np.allclose(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1), region.size)


@given(REGIONS, st.floats(0.1, 5), st.floats(-1, 1))
def test_a_shift_down_follows_the_region_s_own_side(region, factor, down):
    moved = region.scaled(factor, down)
    assert np.allclose(region.from_picture(np.array([moved.x, moved.y])), [0.5, 0.5 + down], atol=1e-6)
    assert moved.size == pytest.approx(region.size * factor) and moved.angle == region.angle


@given(POINTS, st.floats(-math.pi, math.pi), st.floats(1, 500))
def test_around_holds_every_point_and_touches_two_sides(points, angle, scale):
    points = points * scale
    inside = around(points, angle).from_picture(points)
    assert inside.min() > -1e-6 and inside.max() < 1 + 1e-6
    if np.ptp(points, axis=0).max() > 0.1:
        assert np.ptp(inside, axis=0).max() == pytest.approx(1, abs=1e-6)


@given(st.floats(-math.pi, math.pi), st.floats(0.1, 100))
def test_upright_turns_the_way_to_point_up(angle, length):
    start, end = np.array([3.0, 4.0]), np.array([3 + length * math.cos(angle), 4 + length * math.sin(angle)])
    region = Region(0, 0, 1, upright(start, end))
    assert np.allclose(region.from_picture(end) - region.from_picture(start), [0, -length], atol=1e-6)


def ramps(height, width):
    """A picture whose red says how far right and whose green how far down a place is, 0..255."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.stack([x / width * 255, y / height * 255, np.zeros_like(x)], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("size", [(480, 640), (1001, 777), (97, 2003), (31, 31)])
@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5])
def test_pixels_lie_where_positions_say(size, share, angle):
    """At every level of shrinking, for odd sizes too: to 0.1 % of the picture on average."""
    height, width = size
    region = Region(0.45 * width, 0.55 * height, share * min(size), angle)
    ramp = ramps(height, width)
    # Both ramps and their negatives: what rounding adds to each is gone from the difference.
    bright, dark = (Picture(picture).crop(region, 48).astype(float) for picture in (ramp, 255 - ramp))
    cells = (np.stack(np.meshgrid(np.arange(48), np.arange(48)), axis=-1) + 0.5) / 48
    places = region.to_picture(cells)
    inside = ((places > 2) & (places < (width - 2, height - 2))).all(-1)
    off = (bright - dark)[..., :2] / 2 + 127.5 - places / (width, height) * 255
    assert inside.any() and np.abs(off[inside]).max() < 1.5 and np.abs(off[inside].mean(0)).max() < 0.2


def test_outside_the_picture_lies_its_edge_or_black():
    picture = Picture(np.full((40, 40, 3), 200, np.uint8))
    beside = Region(100, 20, 20, 0)
    assert (picture.crop(beside, 16) == 200).all() and (picture.crop(beside, 16, stretch=False) == 0).all()


def test_shrinking_is_free_of_aliasing():
    """A fine chessboard comes out grey, not as the pattern that a single pixel in thirty would show."""
    board = (np.indices((960, 960)).sum(0) % 2 * 255).astype(np.uint8)
    crop = Picture(np.repeat(board[..., None], 3, axis=2)).crop(Region(480, 480, 960, 0.3), 32, stretch=False)
    assert np.abs(crop[12:20, 12:20].astype(float) - 127).max() < 6


def test_the_smallest_picture_can_be_looked_at():
    picture = Picture(np.full((1, 1, 3), 9, np.uint8))
    assert (picture.crop(picture.whole(), 24) == 9).all()
