"""Portraits cut to where a model expects the person, and motions moved into them."""

import json

import cv2
import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.motion.edit import apply_framing
from emo2.models.pose.portrait import ECHOMIMIC_V2, outside, outside_warning, place
from emo2.models.pose.pose_keypoint import from_pose_keypoint
from emo2.models.types import Framing, Motion
from emo2.nodes import NODE_CLASS_MAPPINGS, host
from hypothesis import given, settings
from hypothesis import strategies as st

NECK, SHOULDERS, ELBOWS = 1, (2, 5), (3, 6)


def marked(size, framing):
    """A grey picture with a red, a green and a blue spot at the right shoulder, the neck and the left shoulder."""
    picture = np.full((*size, 3), 0.5, np.float32)
    half = framing.shoulder_width / 2
    radius = max(2, round(0.02 * size[1]))
    for channel, shift in enumerate((-half, 0.0, half)):
        colour = [0.0, 0.0, 0.0]
        colour[channel] = 1.0
        at = (framing.neck[0] + shift) * size[1] - 0.5, framing.neck[1] * size[0] - 0.5
        spot = tuple(round(value * 16) for value in at)
        cv2.circle(picture, spot, radius * 16, colour, -1, cv2.LINE_AA, 4)
    return torch.from_numpy(picture)[None]


def found(picture):
    """Where the three spots are, (3, 2) as shares of the picture, red, green, blue; NaN where one is not in it."""
    pixels = picture[0].numpy()
    places = []
    for channel in range(3):
        others = [c for c in range(3) if c != channel]
        weight = np.clip(pixels[..., channel] - pixels[..., others].max(-1) - 0.2, 0, None)
        y, x = np.indices(weight.shape) + 0.5
        total = weight.sum()
        places.append([np.nan, np.nan] if total < 1 else [(x * weight).sum() / total, (y * weight).sum() / total])
    return np.array(places) / [pixels.shape[1], pixels.shape[0]]


@given(
    st.floats(0.3, 0.7), st.floats(0.3, 0.6), st.floats(0.12, 0.5),
    st.sampled_from([(300, 200), (240, 320), (256, 256)]), st.sampled_from([(768, 768), (704, 512), (128, 96)]),
    st.floats(0.3, 0.5),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
def test_neck_and_shoulders_are_where_they_are_asked_for(x, y, shoulders, size, target, wanted):
    framing = Framing((x, y), shoulders, size)
    placed = place(marked(size, framing), framing, target, (0.5, 0.47), wanted)
    assert placed.image.shape == (1, *target, 3) and placed.framing.size == target and 0 <= placed.beyond < 1
    seen = found(placed.image)
    assert np.abs(seen[1] - [0.5, 0.47]).max() < 0.02
    assert np.nanmax(np.abs(seen[[0, 2], 0] - [0.5 - wanted / 2, 0.5 + wanted / 2])) < 0.02


def test_what_lies_beyond_repeats_the_edge():
    picture = torch.zeros(1, 100, 100, 3)
    picture[:, :, -1] = 1.0
    placed = place(picture, Framing((0.9, 0.5), 0.3, (100, 100)), (64, 64), (0.5, 0.5), 0.3)
    assert 0.3 < placed.beyond < 0.5
    assert placed.image[0, :, 45:].min() > 0.95 and placed.image[0, :, :30].max() < 0.05
    inside = place(picture, Framing((0.5, 0.5), 0.2, (100, 100)), (64, 64), (0.5, 0.5), 0.4)
    assert inside.beyond == 0


def test_a_framing_that_cannot_be_is_refused():
    with pytest.raises(EMO2Error, match="a person in the picture"):
        place(torch.zeros(1, 50, 50, 3), Framing((0.5, 0.5), 0.005, (50, 50)), (64, 64), (0.5, 0.5), 0.9)
        place(torch.zeros(1, 50, 50, 3), Framing((900.0, 0.5), 0.3, (50, 50)), (64, 64))


def still(framing, wrists):
    rotations = np.tile(np.array([1.0, 0, 0, 0], np.float32), (5, 2, 16, 1))
    return Motion(rotations, np.tile(np.array(wrists, np.float32), (5, 1, 1)), 25.0, framing)


def test_hands_that_leave_the_picture_are_warned_about(monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside(quiet=True))
    wide, narrow = Framing((0.5, 0.4), 0.2, (768, 768)), Framing((0.5, 0.47), 0.8, (768, 768))
    motion = still(wide, [[0.45, 0.1, -0.1], [-0.1, 0.2, -0.1]])
    assert not outside(motion).any() and outside_warning(motion) is None
    node = NODE_CLASS_MAPPINGS["EMO2ApplyFraming"]()
    [same] = node.edit(motion, wide)
    assert same.framing == wide and not host.outside.warnings
    [moved] = node.edit(motion, narrow)
    assert outside(moved)[:, 0].all() and not outside(moved)[:, 1].any()
    assert "the left hand 100% of the time" in host.outside.warnings[0] and "right" not in host.outside.warnings[0]
    hidden = moved.replace(visible=np.zeros((5, 2), bool))
    assert not outside(hidden).any()


def test_the_node_says_how_much_lies_beyond(monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside(quiet=True))
    fit = NODE_CLASS_MAPPINGS["EMO2FitPortrait"]().fit
    picture = torch.rand(1, 300, 200, 3)
    image, framing, preview = fit(picture, Framing((0.5, 0.3), 0.4, (300, 200)), 256, 256, 0.5, 0.3, 0.4)
    assert image.shape == (1, 256, 256, 3) and preview.shape == (1, 256, 256, 3) and framing.neck == (0.5, 0.3)
    assert not host.outside.warnings
    fit(picture, Framing((0.5, 0.3), 0.4, (300, 200)), 256, 256, 0.5, 0.5, 0.2)
    assert "beyond the picture's edge" in host.outside.warnings[0]


PORTRAITS = {
    "astronaut": ((0.42, 0.54), 0.52), "man_0101": ((0.5, 0.44), 0.45), "woman_0077": ((0.5, 0.445), 0.43),
    "woman_0140": ((0.5, 0.455), 0.43),
}  # fmt: skip
"""Neck and shoulder joints as they are seen by eye."""


@pytest.mark.shared
@pytest.mark.parametrize("portrait", sorted(PORTRAITS))
@pytest.mark.parametrize("driver", ["01", "02", "good"])
def test_a_real_motion_is_drawn_on_the_portraits_neck_and_shoulders(shared, portrait, driver):
    """From keypoints of a real driver and a real portrait to one picture: within 3 % of its width."""
    file = cv2.imread(str(shared / "data" / "portraits" / f"{portrait}.png"), cv2.IMREAD_COLOR_RGB)
    neck, width = PORTRAITS[portrait]
    framing = Framing(neck, width, file.shape[:2])
    spots = marked(file.shape[:2], framing)
    picture = torch.from_numpy(file.astype(np.float32) / 255)[None]
    placed = place(picture, framing, (768, 768))
    seen = found(place(spots, framing, (768, 768)).image)
    data = np.load(shared / "data" / "pose" / f"echomimic_v2_{driver}.npz")
    frames = [poses(data, i) for i in range(0, len(data["body"]), 12)]
    motion = apply_framing(from_pose_keypoint(json.loads(json.dumps(frames)), 2.0), placed.framing)
    drawn = motion.keypoints[:, [SHOULDERS[0], NECK, SHOULDERS[1]]]
    middle = np.median(drawn, axis=0)
    assert np.abs(middle[1] - seen[1]).max() < 0.03, "the neck"
    assert abs(np.ptp(middle[[0, 2], 0]) - np.ptp(seen[[0, 2], 0])) < 0.03, "the shoulders' width"
    assert abs(placed.framing.shoulder_width - ECHOMIMIC_V2[1]) < 1e-6


def poses(data, index):
    """One frame of a keypoint set as a detector's JSON, in pixels of a square picture."""
    flat = lambda points, scores: np.concatenate([points * 768, scores[:, None]], 1).reshape(-1).tolist()
    hands = [flat(data["hands"][index, h], data["hands_score"][index, h].clip(0, 1)) for h in (0, 1)]
    person = {"pose_keypoints_2d": flat(data["body"][index], (data["body_score"][index] > 0.3).astype(float)),
              "hand_left_keypoints_2d": hands[0], "hand_right_keypoints_2d": hands[1]}  # fmt: skip
    return {"people": [person], "canvas_width": 768, "canvas_height": 768}
