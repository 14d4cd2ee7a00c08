"""Video metrics against closed forms, and what they say when something is missing."""

import numpy as np
import pytest
from emo2.evaluation.video import fidelity, frechet, hands
from emo2.evaluation.video.measured import Measured
from emo2.evaluation.video.registry import METRICS, locate
from emo2.models.errors import EMO2Error
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_video_cases import noise, write_torchscript


def test_psnr_of_a_known_error():
    true = np.full((3, 16, 16, 3), 100, np.uint8)
    made = true + np.array([1, 5, 10], np.uint8)[:, None, None, None]
    expected = 20 * np.log10(255 / np.array([1, 5, 10]))
    np.testing.assert_allclose(fidelity.frame_psnr(made, true), expected, rtol=1e-6)
    measured = fidelity.psnr([made, true], [true, true])
    np.testing.assert_allclose(measured.clips, [expected.mean(), 100.0])
    assert measured.better == "higher" and measured.value == pytest.approx((expected.mean() + 100) / 2)


def test_ssim_is_one_for_the_same_and_follows_its_formula_for_flat_frames():
    true = noise(0, 2, 32, 24)
    assert fidelity.ssim([true], [true]).value == pytest.approx(1.0)
    flat = lambda level: np.full((1, 32, 24, 3), level, np.uint8)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 140 + c1) / (100**2 + 140**2 + c1)
    assert fidelity.ssim([flat(140)], [flat(100)]).value == pytest.approx(expected, rel=1e-6)
    assert fidelity.ssim([noise(1, 2, 32, 24)], [true]).value < 0.1


@pytest.mark.parametrize("made", [noise(0, 2, 8, 9), noise(0, 3, 8, 8), noise(0, 2, 8, 8).astype(np.float32)])
def test_clips_that_do_not_fit_are_refused(made):
    with pytest.raises(EMO2Error, match=r"shape|uint8"):
        fidelity.psnr([made], [noise(1, 2, 8, 8)])


def test_frechet_distance_of_known_gaussians():
    # Points whose sample mean and covariance are exactly those of the formula: whitened, then scaled and moved.
    rng = np.random.default_rng(0)
    white = rng.normal(size=(500, 3))
    white -= white.mean(0)
    white = white @ np.linalg.inv(np.linalg.cholesky(np.cov(white.T))).T
    first, second = white * [1, 2, 3] + [1, 0, 0], white[::-1] * [2, 2, 5] + [0, 3, 0]
    assert frechet.frechet_distance(first, second) == pytest.approx(10 + 1 + 0 + 4, rel=1e-9)
    # Fewer samples than features give the same as when they are padded with features that are zero.
    few = rng.normal(size=(4, 9)), rng.normal(size=(5, 9))
    wide = [np.concatenate([x, np.zeros((len(x), 30))], 1) for x in few]
    assert frechet.frechet_distance(*few) == pytest.approx(frechet.frechet_distance(*wide), rel=1e-9)
    from scipy.linalg import sqrtm

    a, b = rng.normal(size=(60, 5)), rng.normal(size=(70, 5)) @ rng.normal(size=(5, 5))
    direct = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(
        np.cov(a.T) + np.cov(b.T) - 2 * np.real(sqrtm(np.cov(a.T) @ np.cov(b.T)))
    )
    assert frechet.frechet_distance(a, b) == pytest.approx(direct, rel=1e-6)


@given(st.integers(0, 1000), st.floats(-5, 5), st.integers(2, 12), st.integers(1, 6))
@settings(max_examples=30, deadline=None)
def test_frechet_distance_is_symmetric_and_a_shift_adds_its_square(seed, shift, count, dims):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(count, dims)), rng.normal(size=(count + 3, dims))
    there, back = frechet.frechet_distance(a, b), frechet.frechet_distance(b, a)
    assert there == pytest.approx(back, rel=1e-6, abs=1e-9) and there >= 0
    assert frechet.frechet_distance(a, a + shift) == pytest.approx(dims * shift**2, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("name", ["FID", "FVD"])
def test_without_its_network_there_is_no_number(name, tmp_path):
    measure = {"FID": frechet.fid, "FVD": frechet.fvd}[name]
    clips = [noise(0, 16, 8, 8)]
    measured = measure(clips, clips, [tmp_path])
    assert measured.value is None and measured.resample([0]) is None and "value" not in measured.as_dict()
    assert METRICS[name].file in measured.missing and str(tmp_path / "evaluation") in measured.missing
    assert measured.text() == f"missing: {measured.missing}" and measured.network == METRICS[name].network


@pytest.mark.parametrize("name", ["FID", "FVD"])
def test_with_a_network_a_set_has_distance_zero_to_itself(name, tmp_path):
    write_torchscript(tmp_path / "evaluation" / METRICS[name].file)
    measure = {"FID": frechet.fid, "FVD": frechet.fvd}[name]
    clips, others = ([noise(seed + k, 32, 12, 12) for seed in range(3)] for k in (0, 10))
    assert measure(clips, clips, [tmp_path]).value == pytest.approx(0, abs=1e-6)
    brighter = [clip // 2 + 120 for clip in others]
    measured = measure(brighter, clips, [tmp_path])
    assert measured.value > 100 and measured.count == 3
    # A resampling draws made and true clips together.
    assert measured.resample([1, 1]) == pytest.approx(measure([brighter[1]] * 2, [clips[1]] * 2, [tmp_path]).value)
    if name == "FVD":
        assert "16 frames" in measure([clips[0][:9]], [clips[0]], [tmp_path]).missing


def test_a_damaged_network_is_an_error_that_names_it(tmp_path):
    path = write_torchscript(tmp_path / "evaluation" / METRICS["FID"].file)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(EMO2Error, match=METRICS["FID"].file):
        frechet.fid([noise(0, 2, 8, 8)], [noise(0, 2, 8, 8)], [tmp_path])


def test_the_stand_in_says_that_it_is_one():
    clips = [noise(seed, 4, 8, 8) for seed in range(2)]
    measured = frechet.fid_tiny_clip(clips, clips, lambda pictures: pictures.mean((2, 3)))
    assert measured.value == pytest.approx(0, abs=1e-9)
    assert "tinyCLIP" in measured.name and "not comparable" in measured.note


def test_every_metric_says_which_way_is_better_and_where_its_file_goes(tmp_path):
    for name, metric in METRICS.items():
        assert metric.better in ("higher", "lower", "") and metric.meaning
        found = locate(name, [tmp_path])
        assert found.path is None and (metric.file in found.missing)
        if metric.file and not found.missing.startswith("the package"):
            assert metric.what in found.missing


def test_clips_with_nothing_to_measure_are_left_out():
    measured = Measured("x", "higher", [1.0, np.nan, 3.0])
    assert measured.value == 2 and measured.resample([1]) is None and measured.resample([2, 1, 2]) == 3
    assert Measured("x", "", [np.nan]).text() == "nothing to measure"
    assert Measured("x", "", [np.nan]).as_dict().get("value") is None


def _moving(path: np.ndarray, confidence: float = 0.8) -> hands.HandPoints:
    """Both hands along `path` (F, 2), 21 points each; the right hand is never found."""
    points = np.zeros((len(path), 2, 21, 2))
    points[:, 0] = path[:, None]
    score = np.zeros((len(path), 2, 21))
    score[:, 0] = confidence
    return hands.HandPoints(points, score, "test")


def test_hand_metrics_of_known_motion():
    time = np.arange(50) / 25.0
    cubic = np.stack([time**3 / 6, np.zeros(50)], 1)
    seen = _moving(cubic)
    assert hands.hkc([seen]).value == pytest.approx(0.8) and "50 %" in hands.hkc([seen]).note
    assert hands.hkv([seen]).value == pytest.approx(cubic[:, 0].var() * 1e4)
    assert hands.hand_jerk([seen], 25.0).value == pytest.approx(1.0)
    still = _moving(np.full((50, 2), 0.3))
    shaking = _moving(0.3 + np.random.default_rng(0).normal(0, 0.01, (50, 2)))
    # What HKV rewards and jerk shows.
    assert hands.hkv([shaking]).value > 1 and hands.hkv([still]).value < 1e-9
    assert hands.hand_jerk([shaking], 25.0).value > 100 and hands.hand_jerk([still], 25.0).value < 1e-6


def test_frames_without_a_hand_do_not_count_and_break_the_jerk():
    time = np.arange(12) / 25.0
    seen = _moving(np.stack([time**3 / 6, time * 0], 1))
    seen.confidence[5], seen.points[5] = 0, 9.0
    assert hands.hand_jerk([seen], 25.0).value == pytest.approx(1.0)
    assert hands.hkc([seen]).value == pytest.approx(0.8)
    seen.confidence[:] = 0
    for measured in (hands.hkc([seen]), hands.hkv([seen]), hands.hand_jerk([seen], 25.0)):
        assert measured.value is None and not measured.missing


def test_without_a_detector_the_hand_metrics_say_so(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for measured in hands.hand_metrics([noise(0, 2, 8, 8)], 25.0):
        assert "mediapipe" in measured.missing and measured.value is None
