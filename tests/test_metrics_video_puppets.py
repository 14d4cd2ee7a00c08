"""Metrics of puppets' video on real renders, where they must be perfect, and on spoilt ones, where they must fall."""

import cv2
import numpy as np
import pytest
from emo2.evaluation.video import puppet_arms, puppet_drift, puppet_hands, puppet_identity, puppet_mouth
from emo2.evaluation.video.puppet_seen import Seen
from emo2.evaluation.video.puppet_truth import Truth, person_mask
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_video_cases import puppet

FRAMES = 8


@pytest.fixture(scope="module")
def clips():
    """Three held-out puppets of eight frames: (puppet, truth, video)."""
    out = []
    for number in (11, 12, 17):
        one = puppet(number)
        out.append((one, Truth.of(one, count=FRAMES), one.video(count=FRAMES)))
    return out


def perfect(truth: Truth) -> Seen:
    """What an estimator without error would see."""
    return Seen(truth.points.astype(float), np.ones((len(truth), 9)), np.array(truth.mouth, float))


def soft(video: np.ndarray) -> np.ndarray:
    """About what an autoencoder leaves: half the resolution."""
    small = [cv2.resize(f, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for f in video]
    return np.stack([cv2.resize(f, video.shape[2:0:-1], interpolation=cv2.INTER_CUBIC) for f in small])


def test_the_truth_lies_on_the_pictures(clips):
    for _, truth, video in clips:
        # The truth is painted without motion blur, and else as the puppet is.
        assert np.abs(truth.render(frames=[0, 5]).astype(int) - video[[0, 5]]).mean() < 0.5
        # The mouth's place holds lip or mouth, the hands' places skin: nothing of the empty scene.
        mask = person_mask(video, truth.empty)
        x, y = np.floor(truth.points[:, 8]).astype(int).T
        assert mask[np.arange(len(video)), y, x].mean() > 0.9
        assert 0.05 < mask.mean() < 0.9


def test_hands_at_a_known_distance(clips):
    for _, truth, _ in clips:
        seen = perfect(truth)
        assert puppet_hands.hands_within([seen], [truth], 0.05).value == 1
        seen.points[..., 0] += 0.07 * truth.size[1]
        assert puppet_hands.hands_within([seen], [truth], 0.05).value == 0
        assert puppet_hands.hands_within([seen], [truth], 0.1).value == 1
        assert puppet_hands.hand_distance([seen], [truth]).value == pytest.approx(0.07, rel=1e-4)
        seen.confidence[:, 0] = 0  # a left hand that nobody finds is a miss
        assert puppet_hands.hands_within([seen], [truth], 0.1, hand=0).value == 0
        assert puppet_hands.hands_within([seen], [truth], 0.1, hand=1).value == 1


def test_hidden_hands_do_not_count(clips):
    one, _, _ = clips[0]
    motion = one.motion.frames(0, 6)
    truth = Truth.of(one, motion=motion.replace(visible=np.zeros_like(motion.visible)))
    assert puppet_hands.hands_within([perfect(truth)], [truth], 0.1).value is None
    with pytest.raises(EMO2Error, match="frames"):
        puppet_hands.hands_within([perfect(truth)], [Truth.of(one, count=4)], 0.1)


def test_single_frames_keep_their_truth(clips):
    _, truth, _ = clips[0]
    some = truth.at(np.array([1, 5]))
    assert len(some) == 2
    np.testing.assert_allclose(some.points, truth.points[[1, 5]], atol=1e-4)
    np.testing.assert_array_equal(some.counts, truth.counts[[1, 5]])
    np.testing.assert_array_equal(some.mouth, truth.mouth[[1, 5]])


def test_made_motion_has_the_sound_of_the_performance_and_a_still_head(clips):
    one, truth, _ = clips[0]
    made = Truth.of(one, motion=one.motion.frames(0, 6), start=2)
    assert len(made) == 6 and not made.performed and (made.head == 0).all()
    np.testing.assert_array_equal(made.mouth, truth.mouth[2:8])
    with pytest.raises(EMO2Error, match="longer"):
        Truth.of(one, motion=one.motion, start=5)
    with pytest.raises(EMO2Error, match="shape"):
        truth.check(np.zeros((3, 128, 96, 3), np.uint8))


def test_the_person_is_picked_among_twenty(clips):
    truths, videos = [c[1] for c in clips], [c[2] for c in clips]
    crowds = [puppet_identity.crowd(c[0].identity) for c in clips]
    assert all(len(crowd) == 19 for crowd in crowds)
    assert puppet_identity.identity_right(videos, truths, crowds, frames=1).value == 1
    assert puppet_identity.identity_right([soft(v) for v in videos], truths, crowds, frames=1).value == 1
    # Another of the twenty, before the first one's background: the background must not decide.
    _, truth, _ = clips[0]
    stranger = truth.render(crowds[0][4])
    distances = puppet_identity.person_distances(stranger, truth, [truth.identity, *crowds[0]], frames=1)
    assert distances.argmin() == 5
    assert puppet_identity.identity_right([stranger], [truth], crowds[:1], frames=1).value == 0


def test_arms_are_joined_until_the_forearm_is_gone(clips):
    for _, truth, video in clips:
        assert puppet_arms.clip_continuity(video, truth) > 0.97
        assert puppet_arms.clip_continuity(soft(video), truth) > 0.9
        cut = video.copy()
        for frame, points in zip(cut, truth.points):
            gone = np.zeros(frame.shape[:2], np.uint8)
            for hand in range(2):
                elbow, wrist = points[4 + hand], points[6 + hand]
                cv2.line(gone, *(tuple(int(v) for v in p) for p in (elbow, elbow + 0.9 * (wrist - elbow))), 1, 11)
            frame[gone > 0] = truth.empty[gone > 0]
        assert puppet_arms.clip_continuity(cut, truth) < 0.75
        empty = np.broadcast_to(truth.empty, video.shape)
        assert puppet_arms.clip_continuity(empty, truth) < 0.1


def test_an_arm_that_bends_elsewhere_is_joined_but_its_elbow_is_wrong(clips):
    _, truth, video = clips[0]
    seen = perfect(truth)
    assert puppet_arms.arms([video], [seen], [truth]).value > 0.98
    seen.points[:, 4:6, 1] += 0.2 * truth.size[1]
    continuity = puppet_arms.arm_continuity([video], [truth], [seen]).value
    assert puppet_arms.arms([video], [seen], [truth]).value == pytest.approx(continuity / 2)
    assert puppet_hands.elbows_within([seen], [truth], 0.1).value == 0


def test_drift_of_known_errors(clips):
    one = puppet(21, seconds=2.4)
    truth, video = Truth.of(one), one.video()
    noisy = video.astype(int)
    same_person, same_place = puppet_drift.drift([video], [truth])
    noisy[:25] += 4
    noisy[-25:] += 12
    person, place = puppet_drift.drift([noisy.clip(0, 255).astype(np.uint8)], [truth])
    assert place.value == pytest.approx(3, rel=0.1) and 1.5 < person.value < 4
    assert person.resample([0, 0]) == pytest.approx(person.value)
    assert same_place.clips.shape == (1,) and same_person.better == "lower"


@given(st.integers(-5, 5), st.integers(0, 1000), st.floats(0.1, 5), st.floats(-1, 1))
@settings(max_examples=40, deadline=None)
def test_the_best_lag_of_a_moved_signal_is_found(lag, seed, gain, offset):
    long = np.random.default_rng(seed).random(80)
    sound, mouth = long[10:60], gain * long[10 - lag : 60 - lag] + offset
    correlation, found = puppet_mouth.best_lag(mouth, sound)
    assert found == lag and correlation == pytest.approx(1)


def test_mouths_against_their_own_and_other_sounds():
    rng = np.random.default_rng(0)
    smooth = lambda: np.convolve(rng.random(104), np.ones(5) / 5, "valid")
    sounds = [smooth() for _ in range(50)]
    mouths = [np.roll(sound, 1) + rng.normal(0, 0.02, 100) for sound in sounds]
    assert puppet_mouth.mouth_correlation(mouths, sounds).value > 0.9
    assert set(puppet_mouth.mouth_lag(mouths, sounds).clips) == {1.0}
    lag, correlation = puppet_mouth.common_lag(mouths, sounds)
    assert lag == 1 and correlation > 0.9
    control = puppet_mouth.mouth_control(mouths, sounds)
    assert len(control.clips) == 50 and abs(control.value) < 0.1


def test_a_common_silence_at_the_start_does_not_fool_the_control():
    rng = np.random.default_rng(1)
    tracks = [np.r_[np.zeros(8), 0.5 + 0.1 * rng.normal(size=40)] for _ in range(30)]
    assert puppet_mouth.mouth_control(tracks, tracks, onset=0).value > 0.5
    assert abs(puppet_mouth.mouth_control(tracks, tracks).value) < 0.1


def test_a_still_mouth_is_a_failure_and_a_silent_sound_is_no_measure():
    sound = np.random.default_rng(0).random(40)
    assert puppet_mouth.mouth_correlation([np.full(40, 0.3)], [sound]).value == 0
    assert puppet_mouth.mouth_correlation([sound], [np.zeros(40)]).value is None
    assert puppet_mouth.mouth_correlation([sound[:2]], [sound[:2]]).value is None
