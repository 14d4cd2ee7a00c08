"""Whisper as a voice encoder: OpenAI's file and Hugging Face's folder hear the same, in pieces of any number."""

import json

import numpy as np
import pytest
import torch
from emo2.models.audio import encode, load_encoder
from emo2.models.audio.whisper import TINY, build_whisper, encode_whisper, log_mel
from emo2.models.checkpoints.whisper import PARTS, load_whisper
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

SMALL = {**TINY, "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 128}


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(3)
    return build_whisper(SMALL).eval()


def openai_file(encoder, path):
    """The encoder as OpenAI saves it, with a decoder beside it."""
    back = {ours: theirs for theirs, ours in PARTS.items()}
    tensors = {"decoder.token_embedding.weight": torch.zeros(4, 32)}
    for name, value in encoder.network.state_dict().items():
        if name == "embed_positions.weight":
            name = "positional_embedding"
        elif name.startswith("layers."):
            _, layer, *part, kind = name.split(".")
            name = f"blocks.{layer}.{back['.'.join(part)]}.{kind}"
        else:
            name = name.replace("layer_norm.", "ln_post.")
        tensors[f"encoder.{name}"] = value
    own = encoder.network.config
    sizes = {"n_mels": 80, "n_audio_ctx": 1500, "n_audio_state": own.d_model,
             "n_audio_head": own.encoder_attention_heads, "n_audio_layer": own.encoder_layers,
             "n_vocab": 4, "n_text_ctx": 8, "n_text_state": 32, "n_text_head": 2, "n_text_layer": 1}  # fmt: skip
    torch.save({"dims": sizes, "model_state_dict": tensors}, path)
    return path


def folder(encoder, path):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(SMALL))
    tensors = {f"model.encoder.{name}": value for name, value in encoder.network.state_dict().items()}
    save_file({**tensors, "model.decoder.embed_tokens.weight": torch.zeros(4, 32)}, path / "model.safetensors")
    return path


def voice(seconds, seed=0):
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * 16000)) / 16000
    return (0.3 * np.sin(2 * np.pi * 180 * times) + 0.05 * rng.normal(size=len(times))).astype(np.float32)


@pytest.mark.parametrize("make", [openai_file, folder])
def test_both_layouts_hear_the_same(encoder, tmp_path, make):
    loaded, header = load_encoder(make(encoder, tmp_path / ("tiny.pt" if make is openai_file else "whisper")))
    heard, wanted = encode(loaded, voice(1.3)), encode_whisper(encoder, voice(1.3))
    np.testing.assert_allclose(heard.hidden, wanted.hidden, atol=1e-5)
    assert heard.hidden.shape == (65, 3, 32) and heard.hidden.dtype == np.float32 and heard.rate == 50
    assert header.kind == "audio" and not any(p.requires_grad for p in loaded.parameters())


def test_a_long_sound_is_heard_in_pieces_of_thirty_seconds(encoder, tmp_path):
    """Each piece as if it came alone, but levelled by the loudest moment of the whole."""
    sound = voice(67.0)
    sound[: 30 * 16000] *= 0.01
    steps = []
    heard = encode_whisper(encoder, sound, spool=tmp_path, on_step=lambda *step: steps.append(step))
    assert heard.hidden.shape == (3350, 3, 32)
    assert steps == [(3000, 6700), (6000, 6700), (6700, 6700)]
    mel = log_mel(sound)
    for first, last in ((0, 3000), (3000, 6000), (6000, 6700)):
        piece = torch.nn.functional.pad(mel[:, first:last], (0, 3000 - (last - first)))
        with torch.inference_mode():
            wanted = encoder(piece[None])[0, : (last - first) // 2]
        np.testing.assert_allclose(heard.hidden[first // 2 : last // 2], wanted.numpy(), atol=2e-4)


def test_the_spectrogram_is_the_librarys(encoder):
    """transformers' own feature extractor, which pads to 30 s of silence first, agrees inside the sound."""
    from transformers import WhisperFeatureExtractor

    sound = voice(4.0)
    theirs = WhisperFeatureExtractor(feature_size=80)(sound, sampling_rate=16000, return_tensors="np")
    wanted = theirs["input_features"][0, :, :395]
    np.testing.assert_allclose(log_mel(sound)[:, :395].numpy(), wanted, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 2, 160, 399, 400, 641])
def test_very_short_sounds_are_heard(encoder, samples):
    heard = encode_whisper(encoder, voice(1.0)[:samples])
    assert len(heard.hidden) == max(samples // 320, 1) and np.isfinite(heard.hidden).all()


@given(st.integers(1, 400), st.sampled_from([24.0, 25.0, 30.0, 23.976]), st.integers(0, 300), st.integers(1, 60))
def test_half_frames_are_the_states_that_the_original_picks(count, fps, start, frames):
    hidden = np.arange(count, dtype=np.float32)[:, None, None]
    features = AudioFeatures(hidden, np.zeros(count), count / 50)
    made = features.half_frames(fps, start, frames)
    assert made.shape == (frames, 10, 1, 1)
    for row, frame in zip(made[:, :, 0, 0], range(start, start + frames)):
        centre = int(frame * 50 / fps)
        assert row.tolist() == [min(max(place, 0), count - 1) for place in range(centre - 4, centre + 6)]


@pytest.mark.parametrize("content, words", [
    ({"dims": {}, "model_state_dict": {}}, "sizes that lack"), ({"weights": torch.zeros(2)}, "without Whisper's sizes"),
    ([torch.zeros(2)], "without Whisper's sizes"),
])  # fmt: skip
def test_another_file_of_pytorchs_is_said_to_be(tmp_path, content, words):
    path = tmp_path / "other.pt"
    torch.save(content, path)
    with pytest.raises(EMO2Error, match=words):
        load_encoder(path)


def test_missing_tensors_are_named(encoder, tmp_path):
    path = openai_file(encoder, tmp_path / "tiny.pt")
    held = torch.load(path)
    del held["model_state_dict"]["encoder.conv1.weight"]
    torch.save(held, path)
    with pytest.raises(EMO2Error, match=r"1 missing \(conv1\.weight\)"):
        load_whisper(path)


def test_a_whisper_of_another_length_is_refused():
    with pytest.raises(EMO2Error, match="1500 positions"):
        build_whisper({**SMALL, "max_source_positions": 700})
    with pytest.raises(EMO2Error, match="model_type"):
        build_whisper({**SMALL, "model_type": "hubert"})


def test_it_is_converted_into_a_file_of_our_own(encoder, tmp_path, capsys):
    from emo2.runner.cli import main

    source, target = openai_file(encoder, tmp_path / "tiny.pt"), tmp_path / "whisper.safetensors"
    assert main(["convert", "whisper", str(source), "--out", str(target)]) == 0
    loaded, header = load_encoder(target)
    assert header.config["model_type"] == "whisper" and target.stat().st_size < source.stat().st_size + 20_000
    np.testing.assert_allclose(encode(loaded, voice(0.5)).hidden, encode(encoder, voice(0.5)).hidden, atol=1e-5)
