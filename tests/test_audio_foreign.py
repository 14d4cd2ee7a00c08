"""ComfyUI's AUDIO_ENCODER_OUTPUT becomes the same features as our own encoding."""

import numpy as np
import pytest
import torch
from emo2.models.audio import TINY, build, encode, from_encoder_output, prepare_waveform
from emo2.models.errors import EMO2Error


def sound(seconds=2.0, rate=16000):
    generator = torch.Generator().manual_seed(0)
    return {"waveform": torch.randn(1, 2, round(seconds * rate), generator=generator) * 0.1, "sample_rate": rate}


def output(states=99, layers=5, width=8, samples=32000):
    tensors = tuple(torch.randn(1, states, width, generator=torch.Generator().manual_seed(i)) for i in range(layers))
    return {"encoded_audio": tensors[-1], "encoded_audio_all_layers": tensors, "audio_samples": samples}


def test_states_are_taken_as_they_are_and_the_last_is_repeated():
    given = output()
    features = from_encoder_output(given, sound())
    assert features.hidden.shape == (100, 5, 8) and features.hidden.dtype == np.float16
    for layer, tensor in enumerate(given["encoded_audio_all_layers"]):
        np.testing.assert_array_equal(features.hidden[:99, layer], tensor[0].half().numpy())
    np.testing.assert_array_equal(features.hidden[99], features.hidden[98])
    assert features.duration == 2.0 and features.loudness.any() and features.encoder == "comfyui 5x8"


def test_it_is_what_our_own_encoding_gives():
    """The same network without our padding, as ComfyUI calls it: the same states, 2.5 ms apart."""
    torch.manual_seed(0)
    encoder = build(TINY | {"do_normalize": False}).eval()
    waveform = torch.from_numpy(np.copy(prepare_waveform(sound())))
    with torch.no_grad():
        states = encoder(waveform[None])[0]
    assert len(states) == 99
    given = {"encoded_audio_all_layers": tuple(states[None, :, i] for i in range(5)), "audio_samples": 32000}
    theirs = from_encoder_output(given, sound())
    ours = encode(encoder, np.roll(waveform.numpy(), -40))
    inner = slice(20, 80)
    difference = np.abs(theirs.hidden[inner, 0].astype(np.float32) - ours.hidden[inner, 0])
    assert difference.max() < 0.02


def test_without_the_sound_the_length_is_known_and_loudness_is_not():
    features = from_encoder_output(output(samples=31999))
    assert features.duration == 31999 / 16000 and len(features.hidden) == 100 and not features.loudness.any()


def test_samples_may_be_the_sound_itself():
    waveform = prepare_waveform(sound())
    features = from_encoder_output(output() | {"audio_samples": torch.from_numpy(np.copy(waveform))[None, None]})
    np.testing.assert_array_equal(features.loudness, from_encoder_output(output(), sound()).loudness)


def test_padded_encoders_lose_their_surplus():
    features = from_encoder_output(output(states=1500), sound())
    assert len(features.hidden) == 100


def test_long_features_may_be_spooled(tmp_path):
    features = from_encoder_output(output(), sound(), spool=tmp_path)
    assert isinstance(features.hidden, np.memmap)
    np.testing.assert_array_equal(features.hidden, from_encoder_output(output(), sound()).hidden)


def test_half_precision_overflow_is_clipped():
    given = output()
    given["encoded_audio_all_layers"][0][0, 3, 2] = 1e6
    assert np.isfinite(from_encoder_output(given, sound()).hidden).all()


def broken(how):
    given = output()
    layers = given["encoded_audio_all_layers"]
    if how == "nothing":
        return None
    if how == "no layers":
        return {"encoded_audio": layers[0]}
    if how == "shapes differ":
        return given | {"encoded_audio_all_layers": (*layers[:-1], layers[0][:, :50])}
    if how == "a batch":
        return given | {"encoded_audio_all_layers": tuple(layer.expand(2, -1, -1) for layer in layers)}
    if how == "NaN":
        layers[2][0, 5, 1] = float("nan")
        return given
    return {"too short": output(states=50), "another sound": output(samples=64000)}[how]


@pytest.mark.parametrize(
    "how", ["nothing", "no layers", "shapes differ", "a batch", "NaN", "too short", "another sound"]
)
def test_broken_outputs_are_refused(how, tmp_path):
    with pytest.raises(EMO2Error) as caught:
        from_encoder_output(broken(how), sound(), spool=tmp_path)
    assert caught.value.input == "audio_encoder_output" and "\n" not in str(caught.value)
