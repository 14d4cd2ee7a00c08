"""Who leads what: each part comes from whom it should, hand-overs are smooth, and nothing else changes."""

import numpy as np
import pytest
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle
from emo2.models.maps import keypoint_maps
from emo2.models.maps.face import HEAD, LIPS
from emo2.models.motion.combine import combine
from emo2.models.motion.edit_framing import apply_framing
from emo2.models.pose.body import ELBOWS, SHOULDERS, WRISTS
from emo2.models.types import FRAME_FIELDS, Framing
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

COUNT = 50


def video(count=COUNT, fps=25.0):
    motion = gestures(7, count)
    return motion.replace(fps=fps, face_scores=np.ones_like(motion.face_scores))


def voice(count=COUNT):
    motion = gestures(8, count)
    return motion.replace(face_scores=np.zeros_like(motion.face_scores))


def step(values):
    return np.abs(np.diff(values, axis=0)).max()


def test_everything_of_one_source():
    a, b = voice(), video()
    only_voice = combine(a, b, "voice", "voice", "free", "free")
    for name in set(FRAME_FIELDS) - {"face"}:
        assert np.array_equal(getattr(only_voice, name), getattr(a, name)), name
    moved = apply_framing(b, a.framing)
    only_video = combine(a, b, "video", "video", "video", "video")
    for name in FRAME_FIELDS:
        assert np.allclose(getattr(only_video, name), getattr(moved, name), atol=1e-6), name


def test_hands_of_the_voice_on_the_body_of_the_video():
    a, b = voice(), video()
    made = combine(a, b, "voice", "video", "video", "free")
    assert np.array_equal(made.rotations, a.rotations) and np.array_equal(made.translations, a.translations)
    moved = apply_framing(b, a.framing)
    trunk = [i for i in range(18) if i not in (*ELBOWS, *WRISTS)]
    assert np.allclose(made.keypoints[:, trunk], moved.keypoints[:, trunk])
    # Arms reach the voice's hands, and begin at the video's shoulders.
    wrists = made.framing.project(made.wrists())
    known = made.visible[..., None] & (made.keypoint_scores[:, list(WRISTS)] > 0)[..., None]
    assert np.abs((made.keypoints[:, list(WRISTS)] - wrists) * known).max() < 1e-5 and known.any()
    assert made.face_scores[:, HEAD].all() and not made.face_scores[:, LIPS].any()


def test_hands_of_the_video_and_the_rest_of_the_voice():
    a, b = voice(), video()
    made = combine(a, b, "video", "voice", "free", "free")
    assert np.array_equal(made.translations, b.translations)
    assert np.allclose(made.keypoints[:, list(SHOULDERS)], a.keypoints[:, list(SHOULDERS)])
    assert not made.face_scores.any()


@settings(max_examples=20, deadline=None)
@given(st.floats(0.3, 1.4), st.floats(0.2, 0.6))
def test_a_hand_over_is_smooth(at, length):
    """No step at the hand-over is larger than the motions' own and what the way between them needs."""
    a, b = voice(), video()
    made = combine(a, b, "video", "video", "free", "free", f"0:1, {at:.3f}:1, {at + length:.3f}:0")
    inside = apply_framing(b, a.framing)
    before, after = int(at * 25) - 1, int((at + length) * 25) + 2
    assert np.allclose(made.translations[:before], inside.translations[:before])
    assert np.allclose(made.translations[after:], a.translations[after:])
    frames = length * 25
    way = np.abs(inside.translations - a.translations).max()
    assert step(made.translations) <= step(a.translations) + step(inside.translations) + way / frames + 1e-6
    turn = lambda m: angle(m.rotations[:-1].astype(float), m.rotations[1:].astype(float)).max()
    between = angle(inside.rotations.astype(float), a.rotations.astype(float)).max()
    assert turn(made) <= turn(a) + turn(inside) + 2 * between / frames + 1e-3


def test_a_shorter_video_gives_way():
    a, b = voice(), video(20)
    made = combine(a, b, "video", "video", "video", "free")
    assert len(made) == COUNT
    assert np.array_equal(made.translations[30:], a.translations[30:]) and not made.face_scores[30:].any()
    assert made.face_scores[:20, HEAD].all()


def test_without_a_voice_the_rest_is_free():
    b = video()
    made = combine(None, b, "video", "video", "video", "video", "0:1, 1:1, 1.2:0")
    assert np.array_equal(made.pose_strength[:24], np.ones(24, np.float32)) and not made.pose_strength[31:].any()
    assert not made.visible[31:].any() and np.array_equal(made.visible[:24], b.visible[:24])
    hands_free = combine(None, b, "voice", "video", "video", "free")
    assert not hands_free.visible.any() and np.allclose(hands_free.keypoints, b.keypoints)
    assert keypoint_maps(hands_free, (64, 48)).any()


def test_rates_and_framings_meet():
    a, b = voice(), apply_framing(video(60, 30.0), Framing((0.3, 0.5), 0.2, (100, 300)))
    made = combine(a, b, "video", "video", "video", "video")
    assert made.fps == a.fps and len(made) == len(a) and made.framing == a.framing


@pytest.mark.parametrize(
    ("change", "where"),
    [({"hands": "nobody"}, "hands"), ({"share": "0:2"}, "share"), ({"share": "now"}, "share"), ({"lips": ""}, "lips")],
)
def test_errors(change, where):
    with pytest.raises(EMO2Error) as told:
        combine(voice(), video(), **change)
    assert told.value.input == where


@pytest.mark.parametrize(("share", "good"), [("", True), ("0:1, 3:0", True), ("rubbish", False), ("0:0, 9:2", False)])
def test_a_share_is_checked_before_anything_runs(share, good):
    told = NODE_CLASS_MAPPINGS["EMO2CombineMotion"].VALIDATE_INPUTS(share=share)
    assert (told is True) == good and (good or "share" in told)
    if not good:  # and whether or not there is a video to share with
        with pytest.raises(EMO2Error, match="share"):
            combine(voice(), None, share=share)


def test_a_voice_knows_no_head():
    with pytest.raises(EMO2Error, match="video, free"):
        combine(voice(), video(), head="voice")


def test_nothing_connected():
    with pytest.raises(EMO2Error, match="Connect one"):
        combine(None, None)
