"""DIV, PCK, FGD, jerk, seams and BA on motions whose answers are known."""

import numpy as np
import pytest
from emo2.evaluation import motion as metrics
from emo2.evaluation.motion.beats import DIRECTIONS
from emo2.evaluation.motion.frechet import gesture_encoder
from emo2.evaluation.motion.smoothness import window_seams
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

FPS = 25.0
seeds = st.integers(0, 10**6)


def walk(seed, frames=80, points=3):
    """Points (F, 2, K, 3) on smooth random ways."""
    time = np.arange(frames)[:, None, None, None] / FPS
    rng = np.random.default_rng(seed)
    rate, phase = rng.uniform(0.3, 1.2, (2, points, 3)), rng.uniform(0, 6, (2, points, 3))
    return 0.1 * np.sin(2 * np.pi * rate * time + phase) + rng.normal(0, 0.3, (2, points, 3))


def hidden(points, first, last, hand=0):
    points = points.copy()
    points[first:last, hand] = np.nan
    return points


def test_hand_points_are_joints_around_the_neck():
    motion = gestures(0, count=20)
    points = metrics.hand_points(motion)
    assert points.shape == (20, 2, 21, 3)
    assert np.isnan(points[~motion.visible]).all() and np.isfinite(points[motion.visible]).all()
    wrists = metrics.wrist_points(motion)
    assert np.allclose(points[:, :, 0][motion.visible], wrists[:, :, 0][motion.visible], atol=1e-6)
    assert np.allclose(wrists[:, :, 0][motion.visible], motion.translations[motion.visible], atol=1e-6)


# DIV


def test_diversity_of_known_motions():
    still = np.ones((50, 2, 3, 3))
    assert metrics.diversity(still) == 0
    there_and_back = still.copy()
    there_and_back[::2, :, :, 0] += 0.2
    assert np.isclose(metrics.diversity(there_and_back), 0.1), "each frame is 0.1 m from the mean"
    assert np.isnan(metrics.diversity(np.full((5, 2, 3, 3), np.nan)))


@settings(max_examples=20)
@given(seeds, st.floats(0.1, 5), st.floats(-2, 2))
def test_diversity_grows_with_the_motion_and_not_with_its_place(seed, scale, shift):
    points = walk(seed)
    assert np.isclose(metrics.diversity(points * scale + shift), scale * metrics.diversity(points), rtol=1e-6)
    assert np.isfinite(metrics.diversity(hidden(points, 10, 60)))


def test_pairwise_diversity():
    features = np.array([[0.0, 0], [3, 4], [0, 0]])
    assert np.isclose(metrics.pairwise_diversity(features), 10 / 3)
    assert metrics.pairwise_diversity(np.ones((4, 7))) == 0
    assert np.isnan(metrics.pairwise_diversity(features[:1]))


# PCK


@settings(max_examples=20)
@given(seeds, st.floats(0.01, 0.5))
def test_pck_counts_what_is_near(seed, threshold):
    points = walk(seed)
    assert metrics.pck(points, points, threshold) == 1
    assert metrics.pck(points + np.array([0, threshold * 1.01, 0]), points, threshold) == 0
    moved = points.copy()
    moved[:20] += 10
    assert np.isclose(metrics.pck(moved, points, threshold), 0.75)
    assert metrics.pck(hidden(moved, 0, 20, 0), hidden(points, 0, 20, 1), threshold) == 1, "hidden points do not count"


def test_pck_of_other_frames_is_refused():
    with pytest.raises(EMO2Error, match="PCK: expected points of shape"):
        metrics.pck(walk(0), walk(0)[:-1])
    assert np.isnan(metrics.pck(np.full((2, 3), np.nan), np.zeros((2, 3))))


# FGD


@settings(max_examples=15)
@given(seeds, st.floats(-5, 5))
def test_fgd_of_sets_that_are_alike(seed, shift):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)), rng.normal(size=(40, 5))
    assert metrics.fgd(a, a) < 1e-6
    assert np.isclose(metrics.fgd(a, b), metrics.fgd(b, a), rtol=1e-6)
    assert np.isclose(metrics.fgd(a + shift, b + shift), metrics.fgd(a, b), rtol=1e-6, atol=1e-8)
    assert np.isclose(metrics.fgd(a, a + shift), 5 * shift**2, rtol=1e-6, atol=1e-6)


def test_fgd_of_gaussians_is_the_closed_form():
    rng = np.random.default_rng(0)
    white = rng.normal(size=(200, 3))
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T))).T  # covariance exactly 1
    a, b = white * [1, 2, 3], white * [2, 2, 0.5] + [1, 0, -2]
    assert np.isclose(metrics.fgd(a, b), 1 + 4 + (1 - 2) ** 2 + 0 + (3 - 0.5) ** 2)
    with pytest.raises(EMO2Error, match="finite features"):
        metrics.fgd(a * np.nan, b)


def test_a_missing_encoder_is_named(tmp_path):
    with pytest.raises(EMO2Error, match=r"gesture encoder.*no file at .*net\.safetensors.*emo2 train gesture-encoder"):
        gesture_encoder(tmp_path / "net.safetensors")
    features = metrics.gesture_features([gestures(0), gestures(1)], lambda motion: motion.translations.mean(0))
    assert len(features) == 2 and features[0].shape == (2, 3)


def test_a_gesture_encoder_s_file_gives_features_of_each_clip(tmp_path):
    import torch
    from emo2.models.checkpoints.format import save_checkpoint
    from emo2.models.motion.gesture_encoder import GestureEncoderConfig, build

    torch.manual_seed(0)
    config = GestureEncoderConfig().to_dict()
    path = save_checkpoint(tmp_path / "net.safetensors", "gesture_encoder", config, build(config).state_dict())
    clips = [gestures(seed, count=300) for seed in range(3)]
    one, two, three = metrics.gesture_features(clips, gesture_encoder(path))
    assert one.ndim == 2 and one.shape == two.shape and len(one) > 1
    assert metrics.fgd(one, one) < 1e-3 * metrics.fgd(one, three)


# jerk and seams


@settings(max_examples=20)
@given(st.lists(st.floats(-3, 3), min_size=4, max_size=4), st.floats(10, 60))
def test_jerk_of_a_cubic_is_exact(factors, fps):
    time = (np.arange(40) / fps)[:, None, None]
    a, b, c, d = factors
    points = (a * time**3 + b * time**2 + c * time + d) * np.array([1.0, 0, 0])
    assert np.isclose(metrics.jerk(points, fps), 6 * abs(a), rtol=1e-4, atol=1e-5)


def test_jerk_knows_trembling_and_hidden_hands():
    points = walk(3)
    trembling = points + np.random.default_rng(0).normal(0, 0.002, points.shape)
    assert metrics.jerk(trembling, FPS) > 3 * metrics.jerk(points, FPS)
    gap = hidden(points, 30, 32)
    gap[28, 1] += 5  # a jump of the other hand is seen all the same
    assert np.isfinite(metrics.jerk(gap, FPS)) and metrics.jerk(gap, FPS) > metrics.jerk(points, FPS)
    assert np.isnan(metrics.jerk(points[:3], FPS)) and np.isnan(metrics.jerk(points * np.nan, FPS))


def test_seams_are_the_sampler_s_windows():
    assert window_seams(700) == [300, 600] and window_seams(300) == [] and window_seams(301) == [300]
    assert window_seams(25, window=10, carried=2) == [10, 20]


def test_a_jump_at_a_seam_is_found_and_a_smooth_one_is_not():
    points = walk(5, frames=700)
    smooth = metrics.seam_jumps(points, FPS, [300, 600])
    assert smooth.ratios.shape == (2,) and smooth.worst < 1.1 and smooth.ratio <= smooth.worst
    for shift in ("place", "way", "way from the last frame before"):
        torn = points.copy()
        time = (np.arange(700 - 300) / FPS)[:, None, None, None]
        torn[300:] += {"place": 0.05, "way": 0.6 * time}.get(shift, 0.6 * (time + 1 / FPS))
        found = metrics.seam_jumps(torn, FPS, [300, 600])
        assert found.ratios[0] > 2 and np.isclose(found.jumps[1], smooth.jumps[1], rtol=1e-6), shift
        assert np.isclose(found.elsewhere, smooth.elsewhere, rtol=0.05), "the seam is not among the others"
    assert np.isnan(metrics.seam_jumps(points, FPS, []).ratio)
    assert np.isnan(metrics.seam_jumps(points, FPS, [1, 699]).worst), "a seam needs frames on both sides"
    assert metrics.seam_jumps(hidden(points, 290, 310, 0), FPS, [300]).jumps.shape == (1,)


# BA


def strokes(beats, seconds, height=0.2, fps=FPS):
    """Points (F, 2, 1, 3): at each beat the hands come to a stop, and start slowly again."""
    time = (np.arange(round(seconds * fps)) + 0.5) / fps
    edges = np.concatenate([[beats[0] - 1], beats, [beats[-1] + 1]])
    which = np.clip(np.searchsorted(edges, time, side="right") - 1, 0, len(edges) - 2)
    done = np.clip((time - edges[which]) / (edges[which + 1] - edges[which]), 0, 1)
    place = (which + done**2 * (3 - 2 * done)) % 2
    place = np.abs(place - 1) * height
    points = np.zeros((len(time), 2, 1, 3))
    points[..., 1] = place[:, None, None]
    return points


def clicks(beats, seconds):
    """Short notes at the beats, 16 kHz."""
    wave = np.zeros(round(seconds * 16000), np.float32)
    for beat in beats:
        at = round(beat * 16000)
        length = min(8000, len(wave) - at)
        wave[at : at + length] += 0.5 * np.sin(np.arange(length) * 0.3) * np.exp(-np.arange(length) / 800)
    return wave


BEATS = np.array([0.7, 1.5, 2.1, 3.2, 3.9, 4.6, 5.5, 6.3, 7.1, 8.2])


def test_beats_are_found_where_they_are():
    for hand in metrics.motion_beats(strokes(BEATS, 9), FPS):
        assert len(hand) == len(BEATS) and np.abs(hand - BEATS).max() <= 0.04
    for kind in ("onsets", "accents"):
        heard = metrics.audio_beats(clicks(BEATS, 9), kind)
        assert len(heard) == len(BEATS) and np.abs(heard - BEATS).max() < 0.09, kind


def test_silence_and_stillness_have_no_beats():
    assert len(metrics.audio_beats(np.zeros(16000))) == 0 and len(metrics.audio_beats(np.zeros(10))) == 0
    still = np.zeros((100, 2, 1, 3))
    assert [len(b) for b in metrics.motion_beats(still, FPS)] == [0, 0]
    idle = still + 1e-4 * np.random.default_rng(0).normal(size=still.shape)
    assert [len(b) for b in metrics.motion_beats(idle, FPS)] == [0, 0]
    assert [len(b) for b in metrics.motion_beats(still * np.nan, FPS)] == [0, 0]
    assert [len(b) for b in metrics.motion_beats(still[:3], FPS)] == [0, 0]
    one_hidden = metrics.motion_beats(hidden(strokes(BEATS, 9), 0, 400), FPS)
    assert len(one_hidden[0]) == 0 and len(one_hidden[1]) == len(BEATS)
    with pytest.raises(EMO2Error, match="mono waveform"):
        metrics.audio_beats(np.zeros((2, 16000)))
    with pytest.raises(EMO2Error, match="one of onsets, accents"):
        metrics.audio_beats(np.zeros(16000), "bars")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_score_is_one_for_equal_beats_and_falls_with_distance(direction):
    assert metrics.beat_score(BEATS, BEATS, direction=direction) == 1
    assert np.isclose(metrics.beat_score(BEATS, BEATS + 0.1, 0.1, direction), np.exp(-0.5))
    scores = [metrics.beat_score(BEATS, BEATS + d, 0.1, direction) for d in (0, 0.05, 0.1, 0.2)]
    assert scores == sorted(scores, reverse=True)
    assert metrics.beat_score(BEATS, BEATS[:0], direction=direction) == 0


def test_directions_differ_by_who_looks():
    few = BEATS[::2]
    assert metrics.beat_score(BEATS, few, direction="motion to audio") == 1
    assert metrics.beat_score(BEATS, few, direction="audio to motion") < 0.8
    with pytest.raises(EMO2Error, match="direction"):
        metrics.beat_score(BEATS, few, direction="sideways")


def irregular(rng, count=24, gap=0.25, mean=0.45):
    return np.cumsum(gap + rng.exponential(mean - gap, count))


def test_what_belongs_together_stands_above_its_null_and_the_rest_does_not():
    rng = np.random.default_rng(0)
    sound = [irregular(rng) for _ in range(12)]
    seconds = [float(b[-1] + 0.3) for b in sound]
    near = [[b + rng.normal(0, 0.03, len(b))] * 2 for b in sound]
    result = metrics.beat_alignment(sound, near, seconds)
    assert result.score > 0.9 and result.z > 8 and len(result.null) == 20 and result.clips.shape == (12,)
    assert result.null_mean < result.score - 0.1 and "20 time shifts" in result.text() and "sigma 0.1" in result.text()
    for seed in range(3):
        rng = np.random.default_rng(seed + 1)
        other = [[irregular(rng)] * 2 for _ in sound]
        assert abs(metrics.beat_alignment(sound, other, seconds, shifts=100).z) < 3
    assert metrics.beat_alignment(sound, near, seconds, seed=1).null_mean != result.null_mean
    assert np.array_equal(metrics.beat_alignment(sound, near, seconds).null, result.null)


def test_clips_without_beats_are_left_out():
    result = metrics.beat_alignment([BEATS, BEATS, BEATS[:0]], [[BEATS, BEATS[:0]], [BEATS[:0]] * 2, [BEATS]], [9] * 3)
    assert result.score == 1 and np.isnan(result.clips).tolist() == [False, True, True]
    nothing = metrics.beat_alignment([BEATS], [[BEATS[:0]] * 2], [9.0])
    assert np.isnan(nothing.score)
    with pytest.raises(EMO2Error, match="BA"):
        metrics.beat_alignment([BEATS], [], [9.0])


@pytest.mark.shared
def test_on_a_real_recording_ba_says_little(shared):
    """45 s of a lively speaker: the score is high, and hardly above what any other moment of the sound gets."""
    from emo2.training.readers import read_beat2

    recording = read_beat2(shared / "data" / "motion" / "smplx_speaker_45s.npz", fingers="approximate")
    beats = metrics.motion_beats(metrics.wrist_points(recording.motion), FPS)
    result = metrics.beat_alignment([metrics.audio_beats(recording.waveform)], [beats], [45.0])
    assert result.score > 0.6 and result.null_mean > 0.6 and abs(result.z) < 5
    points = metrics.hand_points(recording.motion)
    assert 0.1 < metrics.diversity(points) < 1 and 20 < metrics.jerk(points, FPS) < 300
