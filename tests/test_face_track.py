"""A face track checks itself, and keeps its blinks and its time at every frame rate."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.video.face_track import EMOTIONS, NEUTRAL, FaceTrack, calm, weights
from hypothesis import given
from hypothesis import strategies as st


def test_the_order_of_emotions_is_fixed():
    assert EMOTIONS == ("neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted", "contempt")


def test_an_untouched_face_is_calm_and_known_to_nobody():
    track = calm(5, 25.0)
    assert not track.blink.any() and (track.emotion[:, NEUTRAL] == 1).all()
    assert not track.blink_known and not track.emotion_known and track.duration == 0.2


def test_weights_mix_with_neutral():
    mixed = weights("sad", 0.25)
    assert mixed[EMOTIONS.index("sad")] == 0.25 and mixed[NEUTRAL] == 0.75
    assert weights("neutral", 0.25)[NEUTRAL] == 1


@pytest.mark.parametrize(
    ("blink", "emotion", "fps", "told"),
    [
        ([], None, 25, "at least one frame"), ([1.5], None, 25, "0 to 1"), ([np.nan], None, 25, "finite"),
        ([0.0], np.ones((1, 8)), 25, "add up"), ([0.0], np.ones((2, 8)) / 8, 25, "shape"), ([0.0], None, 0, "positive"),
        ([[0.0]], None, 25, "shape"), ([0.0], [[-1, 2, 0, 0, 0, 0, 0, 0]], 25, "0 to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(blink, emotion, fps, told):
    with pytest.raises(EMO2Error, match=told):
        FaceTrack(np.array(blink), emotion, fps)


def test_an_unknown_emotion_is_named():
    with pytest.raises(EMO2Error, match=r"contempt.*'bored'"):
        weights("bored")


def test_a_track_never_changes():
    track = calm(3, 25.0)
    with pytest.raises(ValueError):
        track.blink[0] = 1


def test_the_same_rate_and_length_is_the_same_track():
    track = calm(3, 25.0)
    assert track.resampled(25.0, 3) is track


@given(st.integers(0, 199), st.sampled_from([8.0, 12.5, 16.0, 24.0, 29.97, 50.0, 60.0, 120.0]))
def test_a_blink_of_one_frame_survives_every_rate_at_its_time(at, fps):
    blink = np.zeros(200)
    blink[at] = 1
    track = FaceTrack(blink, None, 50.0).resampled(fps, int(np.ceil(4 * fps)))
    when = (track.blink.argmax() + 0.5) / fps
    assert track.blink.max() >= 0.5 and abs(when - (at + 0.5) / 50) <= 0.5 / fps + 0.021


@given(st.integers(1, 60), st.floats(1, 120), st.integers(1, 300))
def test_every_length_at_every_rate_is_a_track(own, fps, count):
    rng = np.random.default_rng(own)
    emotion = rng.random((own, 8))
    track = FaceTrack(rng.random(own), emotion / emotion.sum(1, keepdims=True), 25.0).resampled(fps, count)
    assert len(track) == count and track.fps == fps
    after = (np.arange(count) + 0.5) / fps > own / 25 + 1 / fps
    assert not track.blink[after].any() and np.allclose(track.emotion[after], track.emotion[-1], atol=1e-6)


def test_a_part_is_a_track_of_its_own():
    emotion = np.stack([weights("happy", i / 9) for i in range(10)])
    part = FaceTrack(np.linspace(0, 1, 10), emotion, 25.0).frames(3, 6)
    assert len(part) == 3 and np.allclose(part.emotion[:, 1], [3 / 9, 4 / 9, 5 / 9])
