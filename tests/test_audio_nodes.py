"""The audio nodes as a workflow calls them, outside ComfyUI."""

import gc

import emo2
import numpy as np
import pytest
import torch
from emo2.models.audio import TINY, frame_count
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures
from emo2.nodes import host
from seed_only_cases import seed_only
from transformers import Wav2Vec2Config, Wav2Vec2Model

SHIPPED = "emo2_audio_tiny.safetensors"


@pytest.fixture(autouse=True)
def outside(tmp_path, monkeypatch):
    """A models folder of the test's own, and a scratch folder that can be looked into."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    fresh = host.Outside(models=[tmp_path / "models"], quiet=True)
    monkeypatch.setattr(host, "outside", fresh)
    monkeypatch.setattr(host, "_temporary", scratch)
    return fresh


def run(class_id, *arguments, **named):
    cls = emo2.NODE_CLASS_MAPPINGS[class_id]
    return getattr(cls(), cls.FUNCTION)(*arguments, **named)


def choices():
    return emo2.NODE_CLASS_MAPPINGS["EMO2LoadAudioEncoder"].INPUT_TYPES()["required"]["encoder"][0]


def voice(seconds, rate=16000, channels=1):
    generator = torch.Generator().manual_seed(0)
    return {"waveform": torch.randn(1, channels, round(seconds * rate), generator=generator) * 0.1, "sample_rate": rate}


def hugging_face_folder(path):
    settings = {key: value for key, value in TINY.items() if key not in ("model_type", "do_normalize")}
    torch.manual_seed(0)
    Wav2Vec2Model(Wav2Vec2Config(**settings)).save_pretrained(path)


def test_the_shipped_encoder_is_listed_and_loads(outside):
    assert SHIPPED in choices()
    (handle,) = run("EMO2LoadAudioEncoder", SHIPPED)
    assert len(outside.warnings) == (handle.header.untrained is not None)


def test_an_untrained_encoder_says_so(outside):
    name = seed_only(outside.models[0] / "emo2", "audio")["audio"]
    assert name in choices()
    run("EMO2LoadAudioEncoder", name)
    (warning,) = outside.warnings
    assert name in warning and "untrained" in warning and "no speech" in warning


@pytest.mark.parametrize("place", ["audio_encoders", "emo2", "."])
def test_hugging_face_folders_are_found_and_loaded(outside, place):
    hugging_face_folder(outside.models[0] / place / "my-wav2vec2")
    other = outside.models[0] / place / "hubert"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "hubert"}')
    if place == ".":
        hugging_face_folder(outside.models[0] / "vae" / "not-here")
    assert sorted(choices()) == sorted(["my-wav2vec2", SHIPPED])
    (handle,) = run("EMO2LoadAudioEncoder", "my-wav2vec2")
    features, _ = run("EMO2EncodeAudio", handle, voice(1))
    assert features.encoder == "my-wav2vec2" and not outside.warnings


@pytest.mark.parametrize("name", ["missing", "../secret", "/etc/passwd", ""])
def test_names_outside_the_folders_are_refused(name):
    with pytest.raises(EMO2Error, match=r"^EMO2 Load Audio Encoder, encoder: "):
        run("EMO2LoadAudioEncoder", name)


@pytest.mark.parametrize(("seconds", "rate", "channels"), [(0.04, 44100, 1), (1.0, 48000, 8), (31.5, 22050, 2)])
def test_encoding_gives_features_and_the_exact_duration(seconds, rate, channels):
    (handle,) = run("EMO2LoadAudioEncoder", SHIPPED)
    audio = voice(seconds, rate, channels)
    features, duration = run("EMO2EncodeAudio", handle, audio)
    assert isinstance(features, AudioFeatures)
    assert duration == features.duration == audio["waveform"].shape[-1] / rate
    assert features.hidden.shape == (frame_count(duration, 50), 5, 96)
    assert features.encoder == SHIPPED


def test_a_long_voice_lies_in_the_temp_folder_while_it_is_in_use():
    (handle,) = run("EMO2LoadAudioEncoder", SHIPPED)
    features, _ = run("EMO2EncodeAudio", handle, voice(32))
    assert isinstance(features.hidden, np.memmap)
    assert len(list(host.temp_directory().iterdir())) == 1, "the waveform's file must be gone by now"
    del features
    gc.collect()
    assert not list(host.temp_directory().iterdir())


@pytest.mark.parametrize("when", [0, 3, 7])
def test_cancel_stops_at_once_and_leaves_nothing(monkeypatch, when):
    (handle,) = run("EMO2LoadAudioEncoder", SHIPPED)
    ticks = []

    class Cancelled(BaseException):
        pass

    def tick(*_, **__):
        ticks.append(1)
        if len(ticks) > when:
            raise Cancelled

    # Four blocks of waveform, then the ticks of the chunks.
    monkeypatch.setattr(host, "check_cancelled", tick)
    monkeypatch.setattr(host.Progress, "tick", tick)
    with pytest.raises(Cancelled):
        run("EMO2EncodeAudio", handle, voice(35))
    assert len(ticks) == when + 1
    gc.collect()
    assert not list(host.temp_directory().iterdir())


def test_errors_name_the_node_and_the_input():
    (handle,) = run("EMO2LoadAudioEncoder", SHIPPED)
    bad = voice(1)
    bad["waveform"][0, 0, 8000] = float("nan")
    with pytest.raises(EMO2Error, match=r"^EMO2 Encode Audio, audio: expected finite samples.*0\.500 s"):
        run("EMO2EncodeAudio", handle, bad)
    with pytest.raises(EMO2Error, match=r"^EMO2 Encode Audio, audio: expected a sound"):
        run("EMO2EncodeAudio", handle, None)


def test_comfyui_s_encoder_output_and_the_word_about_loudness(outside):
    output = {"encoded_audio_all_layers": tuple(torch.randn(1, 99, 8) for _ in range(3)), "audio_samples": 32000}
    (features,) = run("EMO2AudioFromEncoderOutput", output, audio=voice(2))
    assert features.hidden.shape == (100, 3, 8) and features.loudness.any() and not outside.warnings
    (features,) = run("EMO2AudioFromEncoderOutput", output)
    assert not features.loudness.any() and "Loudness" in outside.warnings[0]
    with pytest.raises(EMO2Error, match=r"^EMO2 Audio From Encoder Output, audio_encoder_output: "):
        run("EMO2AudioFromEncoderOutput", output, audio=voice(9))


def test_same_sound_same_features():
    (handle,) = run("EMO2LoadAudioEncoder", SHIPPED)
    (again,) = run("EMO2LoadAudioEncoder", SHIPPED)
    first, _ = run("EMO2EncodeAudio", handle, voice(2))
    second, _ = run("EMO2EncodeAudio", again, voice(2))
    np.testing.assert_array_equal(first.hidden, second.hidden)
