"""Features and loudness line up with video frames, at the start, after a minute and after ten."""

import numpy as np
import pytest
import torch
from emo2.models.audio import TINY, build, encode, prepare_waveform
from emo2.models.types import AudioFeatures

CLICKS = (0.0, 60.0, 600.0)
RATE = 22050


@pytest.fixture(scope="module")
def features() -> AudioFeatures:
    """A click of 5 ms at 0, 60 and 600 s in 601 s of silence, through a small random encoder, in 20 s chunks."""
    rng = np.random.default_rng(0)
    sound = np.zeros(601 * RATE, np.float32)
    for second in CLICKS:
        start = round(second * RATE)
        sound[start : start + RATE // 200] += rng.normal(size=RATE // 200).astype(np.float32) * 0.5
    torch.manual_seed(1)
    small = TINY | {"hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32, "conv_dim": [8] * 7}
    encoder = build(small).eval()
    audio = {"waveform": torch.from_numpy(sound)[None, None], "sample_rate": RATE}
    return encode(encoder, prepare_waveform(audio))


def change(states: np.ndarray) -> np.ndarray:
    """How far each frame's states (F, D) are from the usual ones, in units of their size."""
    usual = np.median(states, 0)
    return np.linalg.norm(states - usual, axis=1) / np.linalg.norm(usual)


@pytest.mark.parametrize("fps", [24, 25, 29.97, 30])
@pytest.mark.parametrize("second", CLICKS)
def test_a_click_peaks_in_its_frame(features, fps, second):
    expected = int(second * fps + 1e-9)
    start = max(0, expected - 22)
    for layer in range(features.layers):
        unusual = change(features.at_frames(fps, start, 44)[:, 0, layer])
        assert unusual.max() > 5 * np.median(unusual)
        assert abs(start + int(unusual.argmax()) - expected) <= 1
    loud = features.loudness_at(fps, start, 44)
    assert abs(start + int(loud.argmax()) - expected) <= 1


@pytest.mark.parametrize("second", CLICKS)
def test_at_50_hz_the_peak_is_on_the_spot(features, second):
    """A click that starts with state n's stretch of 20 ms is state n's, or its predecessor's, which hears the onset."""
    place = round(second * 50)
    start = max(0, place - 20)
    unusual = change(features.hidden[start : start + 40, 0].astype(np.float32))
    assert place - 1 <= start + int(unusual.argmax()) <= place
    assert abs(start + int(features.loudness[start : start + 40].argmax()) - place) <= 1
