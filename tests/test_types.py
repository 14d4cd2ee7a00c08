"""What travels on the wires: it validates itself, never changes, and lines up with the picture."""

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.types import FRAME_FIELDS, AudioFeatures, Framing, Motion, Reference, cover_box
from hypothesis import given
from hypothesis import strategies as st

SIZES = st.tuples(st.integers(8, 2000), st.integers(8, 2000))


def motion(frames=5, **changes):
    rotations = np.tile(np.array([1, 0, 0, 0], np.float32), (frames, 2, 16, 1))
    return Motion(rotations, np.zeros((frames, 2, 3)), 25.0, **changes)


def features(seconds=2.0, rate=50.0):
    count = round(seconds * rate)
    times = (np.arange(count) + 0.5) / rate
    hidden = np.stack([times, np.ones(count)], 1)[:, None].astype(np.float16)
    return AudioFeatures(hidden, np.clip(times / seconds, 0, 1), seconds, rate)


def test_an_error_is_one_line_that_says_where_what_and_what_to_do():
    error = EMO2Error("fps", "a number\nabove 0", -1, "Give 25.").at("EMO2 Some Node")
    assert str(error) == "EMO2 Some Node, fps: expected a number above 0, but got -1. Give 25."
    assert error.at("Another").node == "EMO2 Some Node", "the innermost node stays"


@given(SIZES, SIZES, st.floats(0, 1), st.floats(0, 1), st.floats(0.05, 0.9))
def test_a_point_of_the_picture_stays_on_the_person_after_fitting(size, target, x, y, shoulders):
    framing = Framing((x, y), shoulders, size)
    point = framing.root() + np.array([0.1, 0.2, -0.15])
    scale, left, top = cover_box(size, target)
    before = framing.project(point) * np.array([size[1], size[0]])
    after = framing.fitted(target).project(point) * np.array([target[1], target[0]])
    np.testing.assert_allclose(after, before * scale - np.array([left, top]), atol=1e-6 * max(1, *np.abs(after)))
    assert size[0] * scale >= target[0] - 1e-6 and size[1] * scale >= target[1] - 1e-6, "nothing is left uncovered"


def test_the_root_projects_onto_the_neck_and_shoulders_span_their_width():
    framing = Framing((0.4, 0.3), 0.25, (704, 512))
    np.testing.assert_allclose(framing.project(framing.root()), [0.4, 0.3], atol=1e-12)
    ends = framing.root() + np.array([[-0.19, 0, 0], [0.19, 0, 0]])
    left, right = framing.project(ends)
    assert right[0] - left[0] == pytest.approx(0.25)


@pytest.mark.parametrize(
    "changes",
    [
        {"neck": (0.5,)},
        {"neck": (float("nan"), 0)},
        {"shoulder_width": 0},
        {"size": (0, 5)},
        {"focal": -1},
        {"neck": (9999, 0)},
    ],
)
def test_an_impossible_framing_is_refused(changes):
    with pytest.raises(EMO2Error, match="framing"):
        Framing(**changes)


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("rotations", np.zeros((5, 2, 16, 4)), "unit quaternions"),
        ("rotations", np.zeros((5, 2, 15, 4)), r"shape \(F, 2, 16, 4\)"),
        ("translations", np.full((5, 2, 3), np.nan), "finite"),
        ("translations", np.zeros((4, 2, 3)), r"shape \(5, 2, 3\)"),
        ("fps", 0, "above zero"),
        ("confidence", np.full((5, 2), 2.0), "0 to 1"),
        ("keypoints", "nonsense", "numbers"),
        ("framing", None, "Framing"),
    ],
)
def test_a_broken_motion_is_refused(field, value, said):
    with pytest.raises(EMO2Error, match=said):
        motion().replace(**{field: value})


def test_a_motion_cannot_be_changed_in_place_and_keeps_no_hold_on_its_source():
    source = np.zeros((5, 2, 3))
    made = motion().replace(translations=source)
    source[:] = 1
    assert made.translations.max() == 0
    with pytest.raises(ValueError):
        made.translations[0] = 1
    with pytest.raises(AttributeError):
        made.fps = 30


def test_frames_cuts_every_field():
    whole = motion(9, body_offset=np.arange(27).reshape(9, 3))
    part = whole.frames(2, 5)
    assert len(part) == 3
    for name in FRAME_FIELDS:
        np.testing.assert_array_equal(getattr(part, name), getattr(whole, name)[2:5])
    with pytest.raises(EMO2Error, match="at least one frame"):
        whole.frames(4, 4)


@given(st.sampled_from([24.0, 25.0, 30000 / 1001, 30.0, 60.0]), st.integers(0, 40), st.integers(1, 20))
def test_a_frame_hears_its_own_instant(fps, start, count):
    heard = features().at_frames(fps, start, count)[:, 0, 0]
    times = (start + np.arange(count) + 0.5) / fps
    inside = (times > 0.02) & (times < 1.98)
    np.testing.assert_allclose(heard[inside, 0], times[inside], atol=2e-3)
    assert not heard[times > 2.0].any(), "no sound past the end"


@given(st.integers(-10, 60), st.integers(1, 12), st.integers(0, 3), st.integers(1, 4))
def test_windows_of_neighbours_are_the_neighbours_own_states(start, count, radius, per):
    known = features()
    windows = known.at_frames(25, start, count, radius, per)
    assert windows.shape == (count, (2 * radius + 1) * per, 1, 2)
    middle = known.at_frames(25, start, count, 0, per)
    np.testing.assert_array_equal(windows[:, radius * per : (radius + 1) * per], middle)
    if count > 1:
        np.testing.assert_array_equal(windows[1:, :-per], windows[:-1, per:])


def test_loudness_follows_the_frames():
    values = features().loudness_at(25, 0, 60)
    assert values[10] == pytest.approx(10.5 / 50, abs=0.01) and not values[50:].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden": np.zeros((0, 2, 3))},
        {"loudness": np.zeros(3)},
        {"loudness": np.full(100, 2.0)},
        {"duration": -1},
        {"rate": 0},
    ],
)
def test_broken_features_are_refused(changes):
    good = features()
    fields = {"hidden": good.hidden, "loudness": good.loudness, "duration": 2.0, "rate": 50.0}
    with pytest.raises(EMO2Error, match="audio"):
        AudioFeatures(**{**fields, **changes})


def test_a_broken_reference_is_refused():
    latents, image = torch.zeros(1, 4, 8, 8), torch.zeros(1, 64, 64, 3)
    Reference(latents, {"a": torch.zeros(1, 2, 3)}, image, "model")
    for bad in (
        (latents[0], {}, image),
        (latents, {}, image[..., :1]),
        (latents, {"a": torch.full((1,), torch.nan)}, image),
    ):
        with pytest.raises(EMO2Error, match="reference"):
            Reference(*bad, "model")
