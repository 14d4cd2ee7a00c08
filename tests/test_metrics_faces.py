"""What the evaluation says of puppets' faces: on what was asked for, and on what was not."""

import numpy as np
import pytest
from emo2.evaluation.video.puppet_faces import (
    area_under_roc,
    blink_correlation,
    emotion_right,
    head_framings,
    same_person_auc,
)
from emo2.models.types import Framing, Motion
from emo2.models.video.face_track import EMOTIONS, FaceTrack, weights
from hypothesis import given
from hypothesis import strategies as st


def motion(count: int, **fields) -> Motion:
    rotations = np.zeros((count, 2, 16, 4), np.float32)
    rotations[..., 0] = 1
    return Motion(rotations, np.zeros((count, 2, 3)), 25.0, Framing(size=(128, 96)), **fields)


class Reader:
    """Reads what is written into a frame's first pixels: lids, then the number of the emotion."""

    def read(self, frames, framings):
        assert len(framings) == len(frames)
        return frames[:, 0, 0, 0] / 255, np.eye(8)[frames[:, 0, 1, 0]]


def clip(blink, emotion) -> np.ndarray:
    frames = np.zeros((len(blink), 128, 96, 3), np.uint8)
    frames[:, 0, 0, 0], frames[:, 0, 1, 0] = np.rint(np.asarray(blink) * 255), emotion
    return frames


def track(blink, emotion) -> FaceTrack:
    return FaceTrack(np.asarray(blink), np.stack([weights(EMOTIONS[e]) for e in emotion]), 25.0)


BLINK = np.array([0, 0, 0.5, 1, 0.5, 0, 0, 0])
MOODS = np.array([1, 1, 1, 1, 4, 4, 4, 4])


def test_blinks_that_were_asked_for():
    asked, where = track(BLINK, MOODS), motion(8)
    right = blink_correlation([clip(BLINK, MOODS)], [asked], [where], Reader())
    assert right.value == pytest.approx(1, abs=1e-3) and right.better == "higher"
    assert blink_correlation([clip(BLINK[::-1], MOODS)], [asked], [where], Reader()).value < 0.8
    still = blink_correlation([clip(np.zeros(8), MOODS)], [asked], [where], Reader())
    assert still.value == 0, "eyes that never close follow nothing"
    assert np.isnan(blink_correlation([clip(BLINK, MOODS)], [track(np.zeros(8), MOODS)], [where], Reader()).clips).all()


def test_emotions_that_were_asked_for():
    asked, where = track(BLINK, MOODS), motion(8)
    assert emotion_right([clip(BLINK, MOODS)], [asked], [where], Reader()).value == 1
    assert emotion_right([clip(BLINK, np.full(8, 1))], [asked], [where], Reader()).value == pytest.approx(2 / 5)


def test_heads_are_looked_for_where_the_body_goes():
    offset = np.zeros((3, 3), np.float32)
    offset[1, 0], offset[2, 1] = 0.1, 0.05
    still, aside, down = head_framings(motion(3, body_offset=offset), 3)
    scale = motion(1).framing.pixels_per_metre
    assert np.allclose(still.neck, motion(1).framing.neck, atol=1e-6)
    assert (aside.neck[0] - still.neck[0]) * 96 == pytest.approx(0.1 * scale, rel=1e-3)
    assert (down.neck[1] - still.neck[1]) * 128 == pytest.approx(0.05 * scale, rel=1e-3)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_the_share_of_pairs_in_order(pairs):
    scores, positive = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    if positive.all() or not positive.any():
        with pytest.raises(ValueError, match="positives and negatives"):
            area_under_roc(scores, positive)
        return
    a, b = scores[positive][:, None], scores[~positive][None]
    assert area_under_roc(scores, positive) == pytest.approx(((a > b) + 0.5 * (a == b)).mean())


def test_people_are_told_apart_by_an_encoder_that_knows_them():
    class Encoder:
        class network:
            side = 48

        def embed(self, heads):
            # Two views of each person, in order.
            return np.eye(len(heads) // 2, dtype=np.float32).repeat(2, 0)

    assert same_person_auc(Encoder(), people=3, views=2) == 1
