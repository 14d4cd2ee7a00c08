"""Blinks come as often as asked and none is lost; written ones stand where they were written; emotions fade."""

import numpy as np
import pytest
from emo2.models.direction.script import parse_script
from emo2.models.errors import EMO2Error
from emo2.models.pose.eye_opening import aspect_ratios, blink_ratio
from emo2.models.types import Framing, Motion
from emo2.models.video.blinks import blinks_at, natural_blinks, written_blinks
from emo2.models.video.emotions import emotion_weights
from emo2.models.video.face_picture import face_picture
from emo2.models.video.face_track import EMOTIONS, NEUTRAL, FaceTrack, calm
from emo2.training.puppets.world import Puppet
from hypothesis import given
from hypothesis import strategies as st


def onsets(closed):
    return np.flatnonzero(np.diff((closed > 0.5).astype(int)) > 0)


@pytest.mark.parametrize("per_minute", [6, 17, 26])
@pytest.mark.parametrize("fps", [12.5, 25.0, 50.0])
def test_natural_blinks_are_as_frequent_as_asked_and_irregular(per_minute, fps):
    closed = natural_blinks(int(1800 * fps), fps, 5, per_minute)
    gaps = np.diff(onsets(closed)) / fps
    assert len(gaps) / 30 == pytest.approx(per_minute, rel=0.12)
    assert gaps.min() > 0.4 and gaps.std() > 0.3 * gaps.mean()


def test_a_seed_is_a_sequence_whatever_the_length():
    long, short = natural_blinks(1000, 25.0, 7), natural_blinks(300, 25.0, 7)
    assert np.array_equal(long[:290], short[:290]) and not np.array_equal(long, natural_blinks(1000, 25.0, 8))
    assert not natural_blinks(100, 25.0, 7, 0).any()


def test_blinks_go_to_pauses():
    time = (np.arange(15000) + 0.5) / 25
    loud = (np.sin(2 * np.pi * time / 0.7) > -0.2).astype(float)
    at = lambda closed: loud[np.minimum(onsets(closed), len(loud) - 1)].mean()
    assert at(natural_blinks(15000, 25.0, 1, 26, loud)) < 0.25 < at(natural_blinks(15000, 25.0, 1, 26))


@given(st.floats(0, 9), st.sampled_from([8.0, 12.5, 16.0, 25.0, 29.97, 60.0]))
def test_every_blink_is_seen_wholly_closed_at_every_rate(moment, fps):
    count = int(10 * fps)
    closed = blinks_at(np.array([moment]), count, fps)
    assert closed.max() == pytest.approx(1)
    shut = (closed.argmax() + 0.5) / fps
    assert abs(shut - moment - 0.11) <= 0.5 / fps + 0.03
    frames = np.flatnonzero(closed)
    assert frames.min() >= int(moment * fps) - 1 and (frames.max() + 1) / fps <= moment + 0.33 + 1 / fps + 1e-6


def test_written_moments_and_curves():
    closed = written_blinks("1.2; 3.4\n", 125, 25.0)
    assert len(onsets(closed)) == 2 and not written_blinks(" ", 10, 25.0).any()
    curve = written_blinks("0:0, 2:0, 2.5:1, 4:1", 125, 25.0)
    assert not curve[:49].any() and (curve[63:] == 1).all() and 0.4 < curve[56] < 0.6


@pytest.mark.parametrize("text", ["soon", "1, -2", "1, nan", "0:2", "1, 2:0.5", "1e999"])
def test_what_is_no_blink_is_told(text):
    with pytest.raises(EMO2Error) as error:
        written_blinks(text, 50, 25.0)
    assert error.value.input == "written"


def face_of(lids, size=(704, 512), fps=25.0, known=None):
    """A motion with a face whose eyes are closed by `lids` (F,), as six points each."""
    count = len(lids)
    face, scores = np.zeros((count, 70, 2)), np.zeros((count, 70))
    angles = np.radians((180, 120, 60, 0, -60, -120))
    for side, first in ((-1, 36), (1, 42)):
        x = 256 + side * 40 + 14 * np.cos(angles)
        y = 200 - 8 * np.maximum(1 - lids[:, None], 0.08) * np.sin(angles)
        face[:, first : first + 6] = np.stack([np.broadcast_to(x, y.shape), y], -1) / [size[1], size[0]]
        scores[:, first : first + 6] = 1 if known is None else known[:, None]
    identity = np.zeros((count, 2, 16, 4))
    identity[..., 0] = 1
    return Motion(identity, np.zeros((count, 2, 3)), fps, Framing(size=size), face=face, face_scores=scores)


def test_blinks_of_a_video_are_measured():
    lids = natural_blinks(500, 25.0, 3)
    rng = np.random.default_rng(0)
    motion = face_of(lids)
    shaken = motion.replace(face=motion.face + rng.normal(0, 0.25, motion.face.shape) / [512, 704])
    for measured in (blink_ratio(motion), blink_ratio(shaken)):
        assert np.corrcoef(measured, lids)[0, 1] > 0.95 and measured[lids > 0.99].min() > 0.7
        assert measured[lids == 0].mean() < 0.03


def test_unseen_eyes_are_bridged_and_a_face_without_eyes_is_told():
    lids, known = np.zeros(50), np.ones(50, bool)
    known[20:30] = False
    motion = face_of(lids, known=known)
    assert np.isnan(aspect_ratios(motion)[25]).all() and not blink_ratio(motion).any()
    with pytest.raises(EMO2Error, match="eyes in 0 of 50 frames"):
        blink_ratio(face_of(lids, known=np.zeros(50, bool)))


def test_the_blinks_of_a_puppet_are_measured():
    """The face points of a puppet, as its painter has them, against its own lids."""
    clip = Puppet.draw(11, seconds=8.0)
    motion, lids = clip.with_face(clip.motion), clip.performance.blink
    assert lids.max() > 0.9 and np.corrcoef(blink_ratio(motion), lids)[0, 1] > 0.9


def test_emotions_fade_over_the_base():
    shown = emotion_weights(parse_script("1-3 Happy [strength 0.5, blend 0.5]"), 100, 25.0, "sad", 0.4)
    happy, sad = EMOTIONS.index("happy"), EMOTIONS.index("sad")
    assert np.allclose(shown.sum(1), 1) and np.allclose(shown[50], np.eye(8)[happy] * 0.5 + np.eye(8)[NEUTRAL] * 0.5)
    assert (
        shown[10, sad] == pytest.approx(0.4) and 0 < shown[28, happy] < 0.5 and np.diff(shown[25:38, happy]).min() >= 0
    )
    FaceTrack(np.zeros(100), shown, 25.0)


@pytest.mark.parametrize(
    ("text", "told"),
    [("1-2 bored", "line 1.*neutral, happy.*'bored'"), ("1-2 sad\n3-4 happy [strength 1.5]", "line 2.*0 to 1")],
)
def test_wrong_emotions_are_told(text, told):
    with pytest.raises(EMO2Error, match=told):
        emotion_weights(parse_script(text), 200, 25.0)


@pytest.mark.parametrize("count", [1, 7, 500, 20000])
@pytest.mark.parametrize("width", [320, 1001])
def test_the_picture_of_any_track(count, width):
    shown = emotion_weights(parse_script("0-1 happy"), count, 25.0)
    picture = face_picture(FaceTrack(natural_blinks(count, 25.0, 1), shown, 25.0), width)
    assert picture.shape[1:] == (width, 3)
    gold = np.abs(picture.astype(int) - np.array([0xE8, 0xB3, 0x3C])).max(-1) < 4
    assert (
        gold.any()
        and not (np.abs(face_picture(calm(count, 25.0), width).astype(int) - [0xE8, 0xB3, 0x3C]).max(-1) < 4).any()
    )
