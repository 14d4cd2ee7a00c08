"""Pictures of motion: the right things in the right places, at any size."""

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.motion.picture import HANDS as CURVES
from emo2.models.motion.picture import motion_picture, wrist_speed
from emo2.models.pose.overlay import HAND_COLOURS, covered, draw_framing, draw_motion, one_picture
from emo2.models.pose.sheet import chosen, contact_sheet
from emo2.models.types import AudioFeatures, Framing, cover_box
from hypothesis import given
from hypothesis import strategies as st
from motion_cases import gestures

HANDS = load_hands()
GREY = np.full((704, 512, 3), 120, np.uint8)


def coloured(picture, colour, tolerance=40):
    return np.abs(picture.astype(int) - np.array(colour)).max(-1) < tolerance


@given(st.integers(5, 90), st.integers(5, 90), st.integers(5, 90), st.integers(5, 90))
def test_covering_puts_every_point_where_the_framing_says(height, width, target_height, target_width):
    """A picture whose red is x and green is y must show, at each pixel, the place that cover_box promises."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 2, y * 2, 0 * x], -1).astype(np.uint8)
    size = (target_height, target_width)
    result = covered(picture, size).astype(float)
    scale, left, top = cover_box((height, width), size)
    ty, tx = np.mgrid[0:target_height, 0:target_width] + 0.5
    inner = (slice(2, -2), slice(2, -2))
    wanted = np.stack([(tx + left) / scale - 0.5, (ty + top) / scale - 0.5], -1)
    limit = np.array([width, height]) - 1.0
    wanted = np.clip(wanted, 0, limit)
    assert result.shape == (*size, 3)
    if min(size) > 4:
        # The ends of a smooth ramp may overshoot or be flat by a pixel or two.
        assert np.abs(result[inner][..., :2] / 2 - wanted[inner]).max() < 1.6 + 1 / min(scale, 1)


def test_covering_with_the_same_size_is_the_same_picture():
    picture = np.random.default_rng(0).integers(0, 255, (33, 47, 3), np.uint8)
    assert covered(picture, (33, 47)) is picture


@pytest.mark.parametrize("shape", [(1, 8, 9, 3), (1, 8, 9, 4), (1, 8, 9, 1), (8, 9, 3), (1, 1, 1, 3)])
def test_one_picture_takes_every_kind(shape):
    image = torch.full(shape, 0.5)
    if shape[-1] == 4:
        image[..., 3] = 0.1
    picture = one_picture(image)
    assert picture.shape == (*shape[-3:-1], 3) and (picture == 128).all()


@pytest.mark.parametrize("image", [torch.zeros(2, 8, 8, 3), torch.zeros(1, 8, 8, 2), torch.zeros(1, 0, 8, 3),
                                   torch.full((1, 4, 4, 3), torch.nan), None, "x"])  # fmt: skip
def test_one_picture_refuses_the_rest(image):
    with pytest.raises(EMO2Error, match="image: expected"):
        one_picture(image)


@pytest.mark.parametrize("size", [(704, 512), (96, 128), (1, 1), (9, 300), (3000, 20)])
def test_a_framing_is_drawn_on_any_picture(size):
    picture = np.full((*size, 3), 90, np.uint8)
    drawn = draw_framing(picture, Framing((0.4, 0.5), 0.3, size))
    assert drawn.shape == picture.shape and drawn.dtype == np.uint8 and (picture == 90).all()
    if min(size) > 90:
        y, x = round(0.5 * size[0]), round(0.4 * size[1])
        assert coloured(drawn[y - 3 : y + 3, x - 3 : x + 3], (255, 222, 89), 70).any()


def test_the_preview_draws_each_hand_in_its_colour_where_it_is():
    motion = gestures(0, 2, framing=Framing()).replace(visible=None, confidence=None)
    drawn = draw_motion(GREY, motion, HANDS, 0, 2, opacity=1.0)
    middle = motion.framing.project(HANDS.pose(motion.rotations, motion.wrists())[0].mean(2)) * [512, 704]
    for hand in (0, 1):
        x, y = np.round(middle[0, hand]).astype(int)
        patch = drawn[0, y - 8 : y + 8, x - 8 : x + 8].astype(float).mean((0, 1))
        assert (patch @ HAND_COLOURS[hand]) / np.linalg.norm(patch) / np.linalg.norm(HAND_COLOURS[hand]) > 0.98
    assert (draw_motion(GREY, motion, HANDS, 0, 1, opacity=0.0) == GREY).all()


def test_a_hidden_hand_is_not_drawn_and_a_doubtful_one_is_faint():
    motion = gestures(0, 1, framing=Framing()).replace(visible=None, confidence=None)
    shown = draw_motion(GREY, motion, HANDS, 0, 1)
    hidden = draw_motion(GREY, motion.replace(visible=np.array([[False, True]])), HANDS, 0, 1)
    faint = draw_motion(GREY, motion.replace(confidence=np.array([[0.0, 1.0]])), HANDS, 0, 1)
    box = motion.framing.project(HANDS.pose(motion.rotations, motion.wrists())[0][0, 0]) * [512, 704]
    (x0, y0), (x1, y1) = box.min(0).astype(int), box.max(0).astype(int)
    # Green of an orange hand on grey hardly changes; blue falls with the hand's opacity.
    orange = [np.mean(d[0, y0:y1, x0:x1, 0].astype(int) - d[0, y0:y1, x0:x1, 2]) for d in (shown, faint, hidden)]
    assert orange[0] > orange[1] * 1.5 > 0 and orange[1] > orange[2] * 3


@pytest.mark.parametrize("style", ["mesh", "openpose"])
def test_a_preview_of_another_size_and_far_outside(style):
    motion = gestures(0, 3)
    outside = motion.replace(body_offset=motion.body_offset + np.float32([9, 9, 0]))
    for one in (motion, outside):
        drawn = draw_motion(GREY[:90, :70], one, HANDS, 1, 2, style=style)
        assert drawn.shape == (2, 90, 70, 3)


def test_speed_is_in_metres_a_second():
    motion = gestures(0, 50, sway=0)
    places = np.zeros((50, 2, 3))
    places[:, 0, 0] = np.arange(50) * 0.02
    speed = wrist_speed(motion.replace(translations=places, body_offset=None))
    assert np.allclose(speed[:, 0], 0.5, atol=1e-4) and np.allclose(speed[:, 1], 0)


def test_the_curves_picture_shows_height_and_visibility():
    motion = gestures(0, 100)
    places = np.zeros((100, 2, 3))
    places[:, 0, 1], places[:, 1, 1] = -0.2, 0.2
    visible = np.ones((100, 2), bool)
    visible[50:, 0] = False
    motion = motion.replace(translations=places, body_offset=None, visible=visible, confidence=None)
    picture = motion_picture(motion, (600, 1200))
    colours = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in CURVES]
    left, right = (coloured(picture, colour, 60) for colour in colours)
    columns = slice(200, 500)
    assert np.argwhere(left[60:330, columns])[:, 0].mean() < np.argwhere(right[60:330, columns])[:, 0].mean() - 50
    band = slice(500, 560)
    assert left[band, 200:500].mean() > 0.2 and left[band, 700:1100].mean() < 0.01
    assert right[band, 700:1100].mean() > 0.2


def test_loudness_and_waveform_are_drawn_when_there():
    motion = gestures(0, 50)
    audio = AudioFeatures(np.zeros((100, 1, 1), np.float16), np.linspace(0, 1, 100), 2.0)
    plain = motion_picture(motion, (400, 800))
    wave = np.sin(np.arange(32000) / 20).astype(np.float32)
    with_voice = motion_picture(motion, (400, 800), wave, 16000, audio)
    green = coloured(with_voice, (111, 230, 163), 40)[40:, 60:740]
    assert green.sum() > 200 and not coloured(plain, (111, 230, 163), 40).any()
    rows = np.argwhere(green)
    assert np.corrcoef(rows[:, 0], rows[:, 1])[0, 1] < -0.9


@pytest.mark.parametrize(
    "count, size, span",
    [
        (1, (240, 360), (0, 0)),
        (3000, (600, 1200), (0, 0)),
        (100, (700, 2000), (1.0, 1.04)),
        (100, (600, 1200), (3.0, 99.0)),
    ],
)
def test_any_length_and_stretch_can_be_drawn(count, size, span):
    short = np.zeros(100, np.float32)
    assert motion_picture(gestures(1, count), size, short, 16000, None, *span).shape == (*size, 3)


def test_sizes_and_starts_that_cannot_be():
    with pytest.raises(EMO2Error, match="height and width"):
        motion_picture(gestures(0, 2), (100, 100))
    with pytest.raises(EMO2Error, match="start_second"):
        motion_picture(gestures(0, 25), start_second=2.0)


@given(st.integers(1, 300), st.integers(0, 50))
def test_the_sheet_shows_first_and_last(count, pictures):
    index = chosen(count, pictures)
    assert index[0] == 0 and (np.diff(index) > 0).all()
    assert len(index) == (count if pictures == 0 else min(count, pictures))
    assert pictures == 1 or index[-1] == count - 1


def test_a_sheet_has_its_pictures_in_reading_order():
    images = [np.full((40, 60, 3), 20 * i + 5, np.uint8) for i in range(7)]
    sheet = contact_sheet(lambda i: images[i], np.arange(7), 3, 640, 25.0)
    assert sheet.shape[1] == 640
    seen = [int(v) for v in sheet[:, ::20].reshape(-1, 3)[:, 0] if v % 20 == 5]
    assert [v for i, v in enumerate(seen) if i == 0 or seen[i - 1] != v][:3] == [5, 25, 45]
    assert {5, 25, 45, 65, 85, 105, 125} <= set(np.unique(sheet))
    with pytest.raises(EMO2Error, match="columns"):
        contact_sheet(lambda i: images[i % 7], np.arange(100), 100, 640)
