"""Sampling hand motion: seeds, guidance, hidden hands, bodies, long audio, cancelling, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.motion import SCHEDULERS, MotionConfig, MotionTransformer, build, sample_motion, vector, write_tiny
from emo2.models.motion.sampler import Window, windows
from emo2.models.types import AudioFeatures, Framing

CONFIG = MotionConfig(
    width=32, depth=2, heads=4, audio_layers=3, audio_width=8, image_width=6, styles=("speaking", "singing")
)


def network(scale=0.1):
    torch.manual_seed(0)
    model = MotionTransformer(CONFIG)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    model.set_normalisation(model.mean, torch.full((170,), 0.1))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    return network()


def voice(frames, seed=0, layers=3, width=8):
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((2 * frames, layers, width)).astype(np.float16)
    return AudioFeatures(hidden, np.zeros(2 * frames, np.float32), frames / 25, 50.0, "noise")


def same(a, b):
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for name in ("rotations", "translations", "keypoints", "visible", "body_offset", "body_rotation")
    )


def sample(model, audio, **options):
    return sample_motion(model, audio, **({"seed": 1, "steps": 3, "cfg": 2.0} | options))


def test_the_same_seed_gives_the_same_motion_and_another_does_not(model):
    audio = voice(20)
    assert same(sample(model, audio, seed=5), sample(model, audio, seed=5))
    assert not same(sample(model, audio, seed=5), sample(model, audio, seed=6))
    torch.manual_seed(99)  # nothing is drawn from the global generator
    before = torch.random.get_rng_state()
    first = sample(model, audio, seed=5, scheduler="ddpm")
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(100)
    assert same(first, sample(model, audio, seed=5, scheduler="ddpm"))


def test_the_result_is_a_valid_motion_at_the_models_rate(model):
    motion = sample(model, voice(20), framing=Framing(neck=(0.4, 0.3), shoulder_width=0.2, size=(96, 128)))
    assert len(motion) == 20 and motion.fps == 25 and motion.framing.size == (96, 128)
    np.testing.assert_allclose(np.linalg.norm(motion.rotations, axis=-1), 1, atol=1e-6)
    assert motion.visible.all() and (motion.body_offset == 0).all() and (motion.body_rotation == [1, 0, 0, 0]).all()
    assert (motion.keypoint_scores[:, 1:8] == 1).all()


def test_the_framing_moves_keypoints_and_nothing_else(model):
    a, b = (sample(model, voice(8), framing=Framing(neck=(x, 0.4))) for x in (0.3, 0.6))
    np.testing.assert_array_equal(a.rotations, b.rotations)
    np.testing.assert_array_equal(a.translations, b.translations)
    np.testing.assert_allclose(b.keypoints - a.keypoints, np.broadcast_to([0.3, 0], a.keypoints.shape), atol=1e-6)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_results_are_finite_and_bounded_at_every_number_of_steps(scheduler, monkeypatch):
    """From 1 to 50 steps, with a network that predicts nonsense and strong guidance, within the clip of the mean."""
    wild = network()
    g = torch.Generator().manual_seed(0)
    monkeypatch.setattr(wild, "denoise", lambda noisy, *rest: torch.randn(noisy.shape, generator=g) * 30)
    for steps in range(1, 51):
        motion = sample(wild, voice(1), steps=steps, cfg=9.0, scheduler=scheduler)
        away = np.abs(motion.translations - wild.mean[[64, 65, 66, 131, 132, 133]].reshape(2, 3).numpy())
        assert away.max() <= CONFIG.clip * 0.1 + 1e-5


def test_the_untrained_network_rests_and_trembles(tmp_path):
    tiny, _ = load_checkpoint(write_tiny(tmp_path / "tiny.safetensors"), "motion", build)
    rest = vector.unpack(vector.rest()[0][None], 25.0)
    for scheduler in SCHEDULERS:
        motion = sample(tiny, voice(10, layers=5, width=96), steps=4, scheduler=scheduler)
        assert 0 < np.abs(motion.translations - rest.translations).max() < 0.01  # metres
        turned = 2 * np.arccos(np.clip(np.abs((motion.rotations * rest.rotations).sum(-1)), 0, 1))
        assert turned.max() < np.radians(5)


def test_guidance_zero_hears_nothing_and_one_is_half_the_work(model, monkeypatch):
    audio, other = voice(10, 0), voice(10, 1)
    style = {"style": "singing", "speed": (0.01, None), "image_embed": torch.ones(6)}
    assert same(sample(model, audio, cfg=0.0, **style), sample(model, other, cfg=0.0))
    assert not same(sample(model, audio, cfg=1.0), sample(model, other, cfg=1.0))
    assert not same(sample(model, audio, cfg=1.0), sample(model, audio, cfg=3.0))
    batches = []
    denoise = model.denoise
    monkeypatch.setattr(model, "denoise", lambda noisy, *rest: batches.append(len(noisy)) or denoise(noisy, *rest))
    sample(model, audio, cfg=1.0)
    sample(model, audio, cfg=1.5)
    assert batches == [1] * 3 + [2] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"style": "singing"},
        {"speed": (0.02, None)},
        {"speed": (None, 0.02)},
        {"image_embed": torch.full((1, 6), 2.0)},
        {"mask": np.array([True, False])},
        {"offset": np.array([0.3, 0, 0, 1, 0, 0, 0])},
        {"offset": np.array([0, 0, 0, 0.8, 0, 0.6, 0])},
    ],
    ids=["style", "speed left", "speed right", "image", "mask", "offset", "turn"],
)
def test_each_condition_reaches_the_motion(model, change):
    before, after = sample(model, voice(6)), sample(model, voice(6), **change)
    assert np.abs(before.keypoints - after.keypoints).max() > 1e-4


def test_later_sound_does_not_reach_earlier_windows(model):
    audio = voice(330)
    hidden = np.array(audio.hidden)
    hidden[2 * 301 :] += 1  # from frame 301 on, all in the second window
    other = dataclasses.replace(audio, hidden=hidden)
    a, b = (sample(model, x, steps=2) for x in (audio, other))
    assert same(a.frames(0, 300), b.frames(0, 300))
    assert not np.array_equal(a.translations[300:], b.translations[300:])


def test_earlier_windows_reach_later_ones_through_what_is_carried(model):
    audio = voice(330)
    hidden = np.array(audio.hidden)
    hidden[: 2 * 200] += 1  # not heard by the second window, which begins at frame 288
    a, b = (sample(model, x, steps=2) for x in (audio, dataclasses.replace(audio, hidden=hidden)))
    assert not np.array_equal(a.translations[300:], b.translations[300:])


def test_a_hidden_hand_is_marked_and_stays_at_the_mean(model):
    mask = np.ones((10, 2), bool)
    mask[3:7, 0] = False
    motion = sample(model, voice(10), mask=mask)
    np.testing.assert_array_equal(motion.visible, mask)
    mean = vector.unpack(model.mean[None].numpy(), 25.0)
    expected = np.broadcast_to(mean.translations[0, 0], (4, 3))
    np.testing.assert_allclose(motion.translations[3:7, 0], expected, atol=1e-6)
    np.testing.assert_allclose(motion.rotations[3:7, 0], np.broadcast_to(mean.rotations[0, 0], (4, 16, 4)), atol=1e-5)
    assert np.abs(motion.translations[:3, 0] - mean.translations[0, 0]).max() > 1e-3
    assert np.abs(motion.translations[3:7, 1] - mean.translations[0, 1]).max() > 1e-3


def test_the_body_follows_the_offset(model):
    offset = np.zeros((6, 7))
    offset[:, 0] = np.linspace(0, 0.1, 6)
    offset[:, 3] = 1
    motion = sample(model, voice(6), offset=offset)
    np.testing.assert_allclose(motion.body_offset, offset[:, :3], atol=1e-7)
    np.testing.assert_allclose(motion.body_rotation, offset[:, 3:], atol=1e-7)


def test_ten_minutes_are_read_and_made_window_by_window(model, monkeypatch):
    asked, ticks = [], []

    class Spied(AudioFeatures):
        def at_frames(self, fps, start, count, *rest, **more):
            asked.append(count)
            return super().at_frames(fps, start, count, *rest, **more)

    audio = voice(15_000)
    spied = Spied(audio.hidden, audio.loudness, audio.duration)
    motion = sample(model, spied, steps=1, cfg=1.0, on_step=lambda done, total: ticks.append((done, total)))
    assert len(motion) == 15_000
    assert asked == [300] + [312] * 49
    assert ticks == [(i + 1, 50) for i in range(50)]


def test_what_on_step_raises_stops_at_once(model):
    class Cancelled(BaseException):
        pass

    seen = []

    def on_step(done, total):
        seen.append((done, total))
        if done == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        sample(model, voice(700), steps=4, on_step=on_step)
    assert seen == [(i, 12) for i in range(1, 6)]


def test_no_graph_is_kept_even_for_a_module_that_learns(monkeypatch):
    learning = network().train().requires_grad_(True)
    modes = []
    denoise = learning.denoise
    monkeypatch.setattr(
        learning, "denoise", lambda *args: modes.append(torch.is_inference_mode_enabled()) or denoise(*args)
    )
    with torch.enable_grad():
        sample(learning, voice(4))
    assert modes == [True] * 3


def test_half_precision_stays_near_full_precision(model):
    audio = voice(12)
    a = sample(model, audio, dtype=torch.float32)
    b = sample(network().to(torch.bfloat16), audio, dtype=torch.bfloat16)
    assert np.abs(a.translations - b.translations).mean() < 0.02


@pytest.mark.parametrize(
    "options, message",
    [
        ({"style": "opera"}, "style: expected one of speaking, singing, but got 'opera'"),
        ({"speed": (-1.0, 0.1)}, "speed: expected a variance of at least 0"),
        ({"speed": (0.1,)}, "speed: expected"),
        ({"speed": (float("nan"), 0.1)}, "speed: expected"),
        ({"cfg": float("inf")}, "cfg: expected a number of at least 0"),
        ({"cfg": -1.0}, "cfg: expected"),
        ({"seed": -1}, "seed: expected"),
        ({"seed": 2**64}, "seed: expected"),
        ({"steps": 0}, "steps: expected a whole number from 1 to 1000"),
        ({"scheduler": "euler"}, "scheduler: expected one of"),
        ({"mask": np.ones((5, 2), bool)}, r"mask: expected shape \(10, 2\) or \(2,\), but got shape \(5, 2\)"),
        ({"offset": np.ones((10, 3))}, "offset: expected shape"),
        ({"offset": np.full((10, 7), np.nan)}, "offset: expected finite"),
        ({"image_embed": torch.ones(2, 6)}, "clip_vision_output: expected the embedding of one picture"),
        ({"image_embed": torch.ones(1, 768)}, "clip_vision_output: expected the embedding of one picture, 6 finite"),
        ({"image_embed": torch.full((6,), torch.nan)}, "clip_vision_output: expected"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_before_any_work(model, options, message, monkeypatch):
    monkeypatch.setattr(model, "denoise", lambda *_: pytest.fail("sampling began"))
    with pytest.raises(EMO2Error, match="^" + message) as caught:
        sample(model, voice(10), **options)
    assert "\n" not in str(caught.value)


def test_audio_of_another_encoder_is_refused(model):
    with pytest.raises(
        EMO2Error, match=r"audio_features: expected 3 hidden states of 8 numbers.* but got 13 of 768 from noise"
    ):
        sample(model, voice(10, layers=13, width=768))


def test_audio_features_that_are_not_numbers_are_refused(model):
    audio = voice(400)
    hidden = np.array(audio.hidden)
    hidden[700, 1, 2] = np.nan
    with pytest.raises(
        EMO2Error, match=r"audio_features: expected finite features, but got NaN or infinity after 11\.5 s"
    ):
        sample(model, dataclasses.replace(audio, hidden=hidden), steps=1)


def test_a_picture_for_a_model_without_eyes_is_refused():
    blind = MotionTransformer(dataclasses.replace(CONFIG, image_width=0))
    with pytest.raises(EMO2Error, match="clip_vision_output: expected no picture"):
        sample(blind, voice(4), image_embed=torch.ones(6))


def test_windows_of_the_default_config():
    assert list(windows(301)) == [Window(0, 300, 0), Window(300, 301, 12)]


def shake(positions):
    """Mean length of the third difference of (F, ..., 3)."""
    return np.linalg.norm(np.diff(positions, 3, axis=0), axis=-1).mean()


def test_smoothing_takes_the_trembling_and_leaves_hidden_hands_and_the_body(model):
    audio = voice(60)
    mask = np.ones((60, 2), bool)
    mask[20:30, 0] = False
    body = np.random.default_rng(0).normal(0, 0.01, (60, 7)) + np.array([0, 0, 0, 1, 0, 0, 0])
    body[:, 3:] /= np.linalg.norm(body[:, 3:], axis=1, keepdims=True)
    options = {"mask": mask, "offset": body}
    plain = sample(model, audio, **options)
    assert same(plain, sample(model, audio, smoothing=0.0, **options))
    even = sample(model, audio, smoothing=0.2, **options)
    assert shake(even.translations[:, 1]) < 0.2 * shake(plain.translations[:, 1])
    assert shake(even.keypoints[:, 4]) < 0.3 * shake(plain.keypoints[:, 4])
    assert np.abs(np.diff(even.rotations, axis=0)).mean() < 0.6 * np.abs(np.diff(plain.rotations, axis=0)).mean()
    np.testing.assert_allclose(even.translations[20:30, 0], plain.translations[20:30, 0], atol=1e-6)
    for name in ("visible", "body_offset", "body_rotation", "keypoint_scores"):
        np.testing.assert_array_equal(getattr(even, name), getattr(plain, name))
    mask[::2, 0] = False  # a hand that comes and goes every frame: the other one is smoothed all the same
    again = sample(model, audio, smoothing=0.2, **options)
    plain = sample(model, audio, **options)
    assert shake(again.translations[:, 1]) < 0.2 * shake(plain.translations[:, 1])
    np.testing.assert_array_equal(again.translations[:, 0], plain.translations[:, 0])
    for few in (1, 2):
        assert same(sample(model, voice(few), smoothing=0.2), sample(model, voice(few)))


@pytest.mark.parametrize("wrong", (-0.1, 11, float("nan")))
def test_a_wrong_smoothing_is_told_before_sampling(model, wrong):
    with pytest.raises(EMO2Error, match="smoothing"):
        sample(model, voice(20), smoothing=wrong, on_step=lambda *_: pytest.fail("sampled"))
