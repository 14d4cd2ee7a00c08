"""Emotions read from a face's points: puppets, whose moods are known, in any size, tilt and frame rate."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.expression import MEASURES, emotions_seen, measures
from emo2.models.video.face_track import EMOTIONS, NEUTRAL
from emo2.training.puppets.world import Puppet


def faces(seed, emotion=None, seconds=2.0):
    puppet = Puppet.draw(seed, "held-out", seconds=seconds, emotion=emotion)
    return puppet.with_face(puppet.motion)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_mood_is_told_from_the_others(emotion):
    right = []
    for seed in range(5):
        shown = emotions_seen(faces(seed, emotion), faces(seed))
        np.testing.assert_allclose(shown.sum(1), 1, atol=1e-5)
        assert shown.min() >= 0
        right.append(EMOTIONS[int(shown.mean(0).argmax())] == emotion)
    assert np.mean(right) >= 0.8


def test_changing_moods_are_read_without_a_calm_face():
    puppet = Puppet.draw(5, "held-out", seconds=12.0, emotion="any")
    motion = puppet.with_face(puppet.motion)
    true = puppet.performance.emotion[: len(motion)]
    calm = true[:, NEUTRAL] > 0.9
    if calm.mean() > 0.5:
        shown = emotions_seen(motion)
        assert shown[calm, NEUTRAL].mean() > 0.7
    with_calm = emotions_seen(motion, faces(5))
    agreed = (with_calm.argmax(1) == true.argmax(1)).mean()
    assert agreed > 0.7


def test_size_and_tilt_change_nothing():
    motion = faces(1, "happy")
    angle, pixels = 0.3, np.array([motion.framing.size[1], motion.framing.size[0]])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = ((motion.face * pixels - 40) @ turn.T * 0.5 + 30) / pixels
    other = motion.replace(face=moved.astype(np.float32))
    assert measures(motion).shape == (len(motion), len(MEASURES))
    np.testing.assert_allclose(measures(other), measures(motion), atol=2e-3)


def test_gaps_are_bridged_and_a_lost_face_is_told():
    motion, calm = faces(2, "angry"), faces(2)
    scores = motion.face_scores.copy()
    scores[5:15] = 0
    shown = emotions_seen(motion.replace(face_scores=scores), calm)
    assert np.isfinite(shown).all() and EMOTIONS[int(shown[10].argmax())] == "angry"
    with pytest.raises(EMO2Error, match=r"motion: .*face in 0 of"):
        emotions_seen(motion.replace(face_scores=np.zeros_like(scores)))
    with pytest.raises(EMO2Error, match=r"calm: .*face in 0 of"):
        emotions_seen(motion, calm.replace(face_scores=np.zeros_like(calm.face_scores)))
