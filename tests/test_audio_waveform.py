"""Waveforms: what is accepted, what is refused and how, resampling, and arrays kept in files."""

import gc
import math

import numpy as np
import pytest
import torch
from emo2.models.audio import prepare_waveform
from emo2.models.audio.spool import SpoolWriter
from emo2.models.errors import EMO2Error
from hypothesis import given
from hypothesis import strategies as st


def sound(values, rate=16000):
    return {"waveform": torch.as_tensor(np.asarray(values, np.float32))[None], "sample_rate": rate}


def tone(hertz, seconds, rate):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate).astype(np.float32)


def test_eight_channels_are_averaged():
    channels = np.random.default_rng(0).normal(size=(8, 5000)).astype(np.float32)
    waveform = prepare_waveform(sound(channels))
    assert waveform.shape == (5000,) and waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, channels.mean(0), atol=1e-6)


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
def test_resampling_keeps_a_tone_and_its_phase(rate):
    waveform = prepare_waveform(sound(tone(440, 25, rate)[None], rate))
    assert len(waveform) == 25 * 16000
    np.testing.assert_allclose(waveform[1000:-1000], tone(440, 25, 16000)[1000:-1000], atol=2e-3)


def test_resampling_removes_what_16_khz_cannot_hold():
    waveform = prepare_waveform(sound(tone(11000, 2, 48000)[None], 48000))
    assert np.abs(waveform[1000:-1000]).max() < 1e-3


@given(st.integers(1, 5000), st.sampled_from((8000, 11025, 22050, 44100, 48000, 192000)))
def test_length_is_duration_rounded_up(samples, rate):
    assert len(prepare_waveform(sound(np.zeros((1, samples)), rate))) == math.ceil(samples * 16000 / rate)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_work(kind):
    audio = {"waveform": torch.ones(1, 1, 100, dtype=kind), "sample_rate": 16000}
    assert prepare_waveform(audio).tolist() == [1.0] * 100


BAD = {
    "nothing": (None, "a sound"),
    "a tensor": (torch.zeros(1, 1, 5), "a sound"),
    "no waveform": ({"sample_rate": 16000}, "a sound"),
    "empty": ({"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}, "at least one sample"),
    "no channels": ({"waveform": torch.zeros(1, 0, 100), "sample_rate": 16000}, "at least one sample"),
    "a batch": ({"waveform": torch.zeros(2, 1, 100), "sample_rate": 16000}, "a batch of 2"),
    "two axes": ({"waveform": torch.zeros(1, 100), "sample_rate": 16000}, "shape"),
    "integers": ({"waveform": torch.zeros(1, 1, 100, dtype=torch.int16), "sample_rate": 16000}, "int16"),
    "rate 0": ({"waveform": torch.zeros(1, 1, 100), "sample_rate": 0}, "sample rate"),
    "rate -1": ({"waveform": torch.zeros(1, 1, 100), "sample_rate": -44100}, "sample rate"),
    "rate huge": ({"waveform": torch.zeros(1, 1, 100), "sample_rate": 10**9}, "sample rate"),
    "rate NaN": ({"waveform": torch.zeros(1, 1, 100), "sample_rate": math.nan}, "sample rate"),
    "rate None": ({"waveform": torch.zeros(1, 1, 100), "sample_rate": None}, "sample rate"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_audio_is_one_line_about_the_audio(name):
    audio, words = BAD[name]
    with pytest.raises(EMO2Error, match=words) as caught:
        prepare_waveform(audio)
    assert caught.value.input == "audio"
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_bad_sample_is_found_and_its_time_told(value, tmp_path):
    values = np.zeros((2, 48000 * 30), np.float32)
    values[1, 48000 * 25] = value
    with pytest.raises(EMO2Error, match=r"25\.000 s"):
        prepare_waveform(sound(values, 48000), tmp_path)
    assert not list(tmp_path.iterdir())


def test_spooled_equals_in_memory(tmp_path):
    audio = sound(np.random.default_rng(1).normal(size=(2, 44100 * 23)), 44100)
    plain, spooled = prepare_waveform(audio), prepare_waveform(audio, tmp_path)
    assert isinstance(spooled, np.memmap) and len(list(tmp_path.iterdir())) == 1
    np.testing.assert_array_equal(plain, spooled)
    np.testing.assert_array_equal(plain[5:700], spooled[5:700])
    assert spooled[3] == plain[3] and not spooled[2:5].flags.writeable


def test_a_spool_file_goes_with_its_last_view(tmp_path):
    array = prepare_waveform(sound(np.ones((1, 100))), tmp_path)
    view = array.reshape(10, 10)
    del array
    gc.collect()
    assert len(list(tmp_path.iterdir())) == 1 and view.sum() == 100
    del view
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_a_spool_given_up_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), SpoolWriter(tmp_path, (10, 2), np.dtype(np.float16)) as writer:
        writer.write(np.zeros((3, 2), np.float16))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_stopping_in_the_middle_leaves_nothing(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_waveform(sound(np.zeros((1, 16000 * 15))), tmp_path, on_block=stop)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_before_any_work(tmp_path, monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 70 << 20})())
    with pytest.raises(EMO2Error, match="70 MB"):
        prepare_waveform(sound(np.zeros((1, 16000 * 120))), tmp_path)
    assert len(prepare_waveform(sound(np.zeros((1, 16000))), tmp_path)) == 16000
