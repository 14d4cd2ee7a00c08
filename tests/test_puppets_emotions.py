"""Faces of puppets: emotions that differ, none that changes what was there before; and how much of a body is shown."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.body import REST
from emo2.models.video.face_track import EMOTIONS, weights
from emo2.training.puppets.canvas import Canvas
from emo2.training.puppets.emotions import FACES, emotion_track, expression
from emo2.training.puppets.head import Pose, paint_head
from emo2.training.puppets.identity import Identity
from emo2.training.puppets.painter import face_points, paint
from emo2.training.puppets.world import FRAMINGS, Puppet, draw_framing
from hypothesis import given, settings
from hypothesis import strategies as st
from puppet_cases import still_motion

FRAMING = draw_framing(1, "train", "head")
LOUD = [name for name in EMOTIONS if name != "neutral"]


def painted(number=3, emotion=None, opening=0.2, lid=0.0, framing=FRAMING, size=(128, 96)):
    motion = still_motion(1, framing, wrists=[[0.16, 0.6, -0.22], [-0.16, 0.6, -0.22]])
    shown = None if emotion is None else np.asarray(emotion)[None]
    return paint(
        Identity.draw(number), motion, mouth=np.array([[opening, 0.4]]), blink=np.full(1, lid), head=np.zeros((1, 3)),
        emotion=shown, size=size,
    )[0].astype(int)  # fmt: skip


def headshot(number, name=None, opening=0.2):
    """A head alone on a plain picture, (96, 96, 3)."""
    canvas = Canvas(np.full((96, 96, 3), 90, np.uint8))
    face = None if name is None else expression(weights(name))
    paint_head(
        canvas, Identity.draw(number).person, Pose(np.array([48.0, 48.0]), 260.0, 0, 0, 0, opening, 0.4, 0, face)
    )
    return canvas.pixels.astype(int)


def points(emotion, lid=0.0, opening=0.2):
    motion = still_motion(1, FRAMING)
    return face_points(
        Identity.draw(3), motion, np.array([[opening, 0.4]]), np.full(1, lid), np.zeros((1, 3)), (128, 96),
        None if emotion is None else weights(emotion)[None],
    )[0]  # fmt: skip


def test_a_neutral_face_is_the_face_without_emotions_to_the_bit():
    for number in range(2):
        assert np.array_equal(painted(number), painted(number, weights("neutral")))
    assert np.array_equal(points(None), points("neutral"))
    assert expression(weights("neutral")) is None and list(FACES) == list(EMOTIONS)


def test_emotions_change_the_face_and_nothing_else():
    plain = painted()
    for name in ("happy", "surprised"):
        rows, columns = np.nonzero(np.abs(painted(3, weights(name)) - plain).sum(-1) > 40)
        assert len(rows) > 25, name
        assert rows.min() > 25 and rows.max() < 100 and columns.min() > 15 and columns.max() < 85
    for number in range(12):
        for name in LOUD:
            assert (np.abs(headshot(number, name) - headshot(number)).sum(-1) > 40).sum() > 60, name


def test_emotions_are_told_apart_in_the_picture_of_a_head():
    """Each is nearest to what it does to twelve other people's faces, in at least eight cases of ten."""
    difference = lambda number, name, opening: headshot(number, name, opening) - headshot(number, None, opening)
    templates = {name: np.mean([difference(n, name, 0.1 + 0.02 * n) for n in range(12)], 0) for name in LOUD}
    right = 0
    for number in range(20, 40):
        for name in LOUD:
            seen = difference(number, name, 0.25)
            score = {other: (seen * t).sum() / np.linalg.norm(t) for other, t in templates.items()}
            right += max(score, key=score.get) == name
    assert right >= 0.8 * 20 * len(LOUD)


def test_the_points_of_the_face_go_with_the_emotion():
    plain = points(None)
    brows, corners = slice(17, 27), (48, 54)
    assert points("surprised")[brows, 1].mean() < plain[brows, 1].mean() - 2, "brows go up"
    assert points("angry")[[21, 22], 1].mean() > plain[[21, 22], 1].mean() + 2, "their inner ends go down"
    assert points("happy")[list(corners), 1].mean() < plain[list(corners), 1].mean() - 1
    assert points("sad")[list(corners), 1].mean() > plain[list(corners), 1].mean() + 1
    opening = lambda p: (p[[41, 40], 1] - p[[37, 38], 1]).mean()
    assert opening(points("fearful")) > opening(plain) > opening(points("disgusted"))
    assert opening(points("fearful", lid=1.0)) == 0, "a blink shuts the widest eye"
    lips = points("contempt")
    assert lips[54, 1] < lips[48, 1] - 1, "one corner only"


def test_the_voice_still_moves_a_mouth_that_stands_open():
    gap = lambda name, opening: np.ptp(points(name, opening=opening)[60:68, 1])
    for name in EMOTIONS:
        assert gap(name, 1.0) > gap(name, 0.3) + 2 > gap(name, 0.0)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 80), st.sampled_from([None, *EMOTIONS]))
def test_tracks_of_emotions_are_weights_that_change_slowly(seed, count, name):
    track = emotion_track(np.random.default_rng(seed), count, name)
    assert track.shape == (count, 8) and track.min() >= 0 and np.allclose(track.sum(1), 1, atol=1e-5)
    assert np.abs(np.diff(track, axis=0)).max(initial=0) < 0.1
    if name is not None and name != "neutral":
        assert track[:, EMOTIONS.index(name)].min() > 0.6


def test_unknown_emotions_and_framings_are_refused():
    with pytest.raises(EMO2Error, match="contempt"):
        emotion_track(np.random.default_rng(0), 5, "bored")
    with pytest.raises(EMO2Error, match="half"):
        draw_framing(0, "train", "feet")


def test_framings_show_as_much_of_the_body_as_they_say():
    for seed in range(12):
        inside = {}
        for kind in FRAMINGS:
            framing = draw_framing(seed, "held-out", kind)
            assert framing == draw_framing(seed, "held-out", kind)
            place = framing.project(REST + framing.root())
            inside[kind] = ((place > 0) & (place < 1)).all(-1)
        assert inside["full"].all(), "head to feet"
        assert inside["half"][:4].all() and not inside["half"][[9, 10, 12, 13]].any(), "no knees"
        assert inside["head"][[0, 1, 14, 15]].all() and not inside["head"][[8, 11]].any(), "no hips"


def test_puppets_take_a_framing_and_an_emotion():
    pytest.importorskip("espeakng_loader")
    options = {"seconds": 1.0, "style": "speaking"}
    plain = Puppet.draw(5, **options)
    moody = Puppet.draw(5, emotion="angry", **options)
    assert np.array_equal(plain.motion.keypoints, moody.motion.keypoints) and plain.framing == moody.framing
    assert not np.array_equal(plain.video(count=1), moody.video(count=1))
    assert np.array_equal(plain.reference(), moody.reference()), "references have a plain face"
    assert np.array_equal(plain.video(count=1), Puppet.draw(5, emotion="neutral", **options).video(count=1))
    full = Puppet.draw(5, framing="full", emotion="any", **options)
    assert full.performance.feet is not None and full.performance.emotion.shape == (25, 8)
    assert full.framing.shoulder_width < plain.framing.shoulder_width
