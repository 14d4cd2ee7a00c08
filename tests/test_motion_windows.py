"""Windows of 300 new frames with 12 carried ones, on the numbers: what is carried, what is new, at every boundary.

The denoiser is a stand-in that answers with the truth: the clean motion of a frame is the time that its audio feature
tells. So each number of the result says which audio frame it was made from.
"""

import numpy as np
import pytest
import torch
from emo2.models.audio import frame_count
from emo2.models.errors import EMO2Error
from emo2.models.motion import MotionConfig, MotionTransformer, sample_motion
from emo2.models.motion.sampler import WindowNoise, windows
from emo2.models.motion.schedule import noise_schedule
from emo2.models.types import AudioFeatures
from hypothesis import given
from hypothesis import strategies as st

LENGTHS = [1, 2, 11, 12, 13, 299, 300, 301, 311, 312, 313, 599, 600, 601, 612, 613, 1201]
PLACES = [64, 65, 66, 131, 132, 133, *range(134, 170)]  # translations and keypoints: not touched by unit length


class Truthful(MotionTransformer):
    """Knows the motion: its clean value at a frame is the audio's value there (all zero where there is no audio)."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(MotionConfig(width=8, depth=1, heads=2, audio_layers=2, audio_width=3, image_width=0))
        self.alphas = noise_schedule(self.config).alphas_cumprod
        self.mean.normal_(0, 0.1)
        self.std.uniform_(0.01, 0.02)
        self.windows = []

    def prepare(self, like, conditions, clean=None, valid=None):
        seen = {"audio": conditions.audio, "clean": clean, "like": like.shape, "inputs": [], "conditions": conditions}
        self.windows.append(seen)
        return super().prepare(like, conditions, clean, valid)

    def denoise(self, noisy, timestep, prepared):
        window = self.windows[-1]
        window["inputs"].append(noisy.clone())
        truth = window["audio"][:, :, 0, :1].expand(noisy.shape)
        a = self.alphas[int(timestep[0])]
        return (noisy - a.sqrt() * truth) / (1 - a).sqrt()


def speech(frames, fps=25.0):
    """Audio of that many frames whose states hold their own time, in units that stay within the clip."""
    seconds = (frames - 0.5) / fps
    count = int(np.ceil(seconds * 50)) + 2
    times = (np.arange(count) + 0.5) / 50
    hidden = np.broadcast_to((times / 100).astype(np.float32)[:, None, None], (count, 2, 3))
    return AudioFeatures(hidden, np.zeros(count, np.float32), seconds, 50.0, "clock")


def told(model, motion):
    """The time (in hundreds of seconds) that every frame of the result tells, from its translations."""
    mean, std = model.mean.numpy(), model.std.numpy()
    numbers = np.concatenate([motion.translations[:, 0], motion.translations[:, 1]], axis=1)
    return (numbers - mean[PLACES[:6]]) / std[PLACES[:6]]


@pytest.mark.parametrize("length", LENGTHS)
def test_every_frame_is_made_once_from_its_own_sound(length):
    model = Truthful()
    motion = sample_motion(model, speech(length), seed=1, steps=2, cfg=1.0)
    assert len(motion) == length == frame_count(motion.duration, 25.0)
    expected = (np.arange(length) + 0.5) / 25 / 100
    np.testing.assert_allclose(told(model, motion), np.repeat(expected[:, None], 6, axis=1), atol=1e-4)


@pytest.mark.parametrize("length", LENGTHS)
def test_what_is_carried_is_the_end_of_the_window_before(length):
    model = Truthful()
    motion = sample_motion(model, speech(length), seed=1, steps=2, cfg=1.0)
    made = model.windows
    assert len(made) == -(-length // 300)
    for number, window in enumerate(made):
        start = number * 300
        new = min(300, length - start)
        carried = 12 if number else 0
        assert tuple(window["like"]) == (1, carried + new, 170)
        assert window["clean"].tolist() == [[True] * carried + [False] * new]
        heard = window["audio"][0, :, 0, 0].numpy()
        np.testing.assert_allclose(heard, (np.arange(start - carried, start + new) + 0.5) / 2500, atol=1e-6)
        for noisy in window["inputs"]:  # the carried frames stay clean in every step
            front = noisy[0, :carried].numpy() * model.std.numpy() + model.mean.numpy()
            np.testing.assert_allclose(front[:, 64:67], motion.translations[start - carried : start, 0], atol=1e-5)
            quaternions = front[:, :64].reshape(carried, 16, 4)
            np.testing.assert_allclose(np.linalg.norm(quaternions, axis=-1), 1, atol=1e-5)
            same = motion.rotations[start - carried : start, 0]
            np.testing.assert_allclose(quaternions, same, atol=1e-5)


def test_every_window_is_told_its_own_part_of_mask_and_offset():
    model, count = Truthful(), 613
    rng = np.random.default_rng(0)
    mask = rng.random((count, 2)) > 0.3
    offset = np.concatenate([rng.normal(size=(count, 3)), np.tile([1.0, 0, 0, 0], (count, 1))], axis=1)
    sample_motion(
        model, speech(count + 5), steps=1, cfg=1.0, mask=mask, offset=offset, start=5, style="dance", speed=(0.01, None)
    )
    for (start, stop), window in zip([(0, 300), (288, 600), (588, 613)], model.windows, strict=True):
        told_it = window["conditions"]
        np.testing.assert_array_equal(told_it.mask[0], mask[start:stop])
        np.testing.assert_allclose(told_it.offset[0], offset[start:stop], atol=1e-6)
        assert told_it.style.tolist() == [model.config.styles.index("dance")]
        np.testing.assert_allclose(told_it.speed, [[0.01, -1.0]])


def test_new_frames_begin_as_noise_of_their_own():
    model = Truthful()
    sample_motion(model, speech(613), seed=7, steps=1, cfg=1.0)
    first, second, third = (w["inputs"][0][0, w["clean"][0].logical_not()] for w in model.windows)
    assert first.shape == second.shape == (300, 170) and third.shape == (13, 170)
    for number, noise in enumerate((first, second, third)):
        torch.testing.assert_close(noise, WindowNoise(7, number, 300).first[: len(noise)])
        assert abs(float(noise.mean())) < 0.05 and abs(float(noise.std()) - 1) < 0.05
    assert (first - second).abs().mean() > 0.5 and (second[:13] - third).abs().mean() > 0.5


@pytest.mark.parametrize("start, count", [(0, 1), (5, 300), (299, 2), (300, 301), (40, 573), (612, 1)])
def test_a_range_is_made_from_its_own_stretch_of_sound(start, count):
    model = Truthful()
    motion = sample_motion(model, speech(613), seed=1, steps=1, cfg=1.0, start=start, count=count)
    assert len(motion) == count
    expected = (np.arange(start, start + count) + 0.5) / 2500
    np.testing.assert_allclose(told(model, motion)[:, 0], expected, atol=1e-4)
    assert not model.windows[0]["clean"].any()  # a range begins like a first window


def test_without_count_the_rest_is_made():
    assert len(sample_motion(Truthful(), speech(50), steps=1, cfg=1.0, start=20)) == 30


@pytest.mark.parametrize("start, count", [(-1, None), (50, None), (0, 0), (0, 51), (49, 2), (10, -4)])
def test_a_range_outside_the_audio_is_refused(start, count):
    with pytest.raises(EMO2Error, match=r"^(start|count): expected"):
        sample_motion(Truthful(), speech(50), steps=1, start=start, count=count)


@given(count=st.integers(1, 2000), window=st.integers(2, 400), carried=st.integers(1, 399))
def test_windows_cover_every_frame_once(count, window, carried):
    carried = min(carried, window - 1)
    spans = list(windows(count, window, carried))
    covered = [frame for span in spans for frame in range(span.start, span.stop)]
    assert covered == list(range(count))
    assert [span.carried for span in spans] == [0] + [carried] * (len(spans) - 1)
    assert all(span.start - span.carried >= 0 and span.stop - span.start <= window for span in spans)
    assert all(span.stop - span.start == window for span in spans[:-1])


def test_noise_depends_on_seed_and_window_and_a_short_window_begins_alike():
    a = WindowNoise(3, 0, 300).first
    assert torch.equal(a, WindowNoise(3, 0, 300).first)
    assert not torch.equal(a, WindowNoise(3, 1, 300).first)
    assert not torch.equal(a, WindowNoise(4, 0, 300).first)
    assert torch.isfinite(WindowNoise(2**64 - 1, 10_000, 300).first).all()


@pytest.mark.parametrize("seconds", [0.04, 0.05, 12.0, 12.01, 0.001])
def test_length_is_duration_times_rate_rounded_up(seconds):
    states = np.zeros((max(1, round(seconds * 50)), 2, 3), np.float32)
    audio = AudioFeatures(states, np.zeros(len(states), np.float32), seconds)
    motion = sample_motion(Truthful(), audio, steps=1, cfg=1.0)
    assert len(motion) == frame_count(seconds, 25.0) == int(np.ceil(round(seconds * 25, 6)))
