"""What puppets say and sing: the same every time, never in both splits, and where its events are said to be."""

import importlib.util
import sys

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.training.puppets.espeak import synthesise
from emo2.training.puppets.music import dance_music, play
from emo2.training.puppets.sentences import GRAMMARS, draw_sentence, split_of
from emo2.training.puppets.singing import SINGERS, sing
from emo2.training.puppets.sound import RATE, envelope, loudest, worn
from emo2.training.puppets.speech import talk
from emo2.training.puppets.voices import ACCENTS, VARIANTS, check_split, draw_voice
from hypothesis import given
from hypothesis import strategies as st

speaks = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the package espeakng-loader is not installed"
)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@speaks
def test_the_same_words_sound_the_same_whatever_was_said_before():
    first = synthesise("She sees sixteen foxes.", "en-us+f2")
    synthesise("Ganz etwas anderes.", "de+m3", rate=220, pitch=80)
    again = synthesise("She sees sixteen foxes.", "en-us+f2")
    assert np.array_equal(first.waveform, again.waveform)
    assert first.phonemes == again.phonemes


@speaks
def test_phonemes_come_with_their_times_and_stress():
    spoken = synthesise("A wonderful idea.", "en-us", rate=150)
    starts = [p.start for p in spoken.phonemes]
    assert starts == sorted(starts) and starts[-1] <= len(spoken.waveform) / spoken.rate
    stressed = [p.name for p in spoken.phonemes if p.stress == 2]
    assert len(stressed) == 2 and stressed[0].startswith("V")


@speaks
def test_a_slower_rate_takes_longer_and_a_higher_pitch_sounds_higher():
    calm, quick = (synthesise("The river is long and wide.", "en-us+m1", rate=r) for r in (120, 200))
    assert len(calm.waveform) > 1.3 * len(quick.waveform)
    low, high = (synthesise("Ah, yes, we all were there.", "en-us+f2", pitch=p) for p in (20, 80))
    assert _pitch(high.waveform, high.rate) > 1.2 * _pitch(low.waveform, low.rate)


@speaks
def test_a_voice_that_espeak_does_not_know_is_refused():
    with pytest.raises(EMO2Error, match="nobody"):
        synthesise("Hello.", "nobody")


def test_without_the_package_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(EMO2Error, match="pip install espeakng-loader"):
        synthesise("Hello.", "en-us")


def test_voices_of_the_splits_never_meet():
    assert not set(VARIANTS["train"]) & set(VARIANTS["held-out"])
    assert not set(SINGERS["train"]) & set(SINGERS["held-out"])
    drawn = {split: {draw_voice(rng(seed), split).name for seed in range(300)} for split in VARIANTS}
    assert not drawn["train"] & drawn["held-out"]
    assert len(drawn["train"]) > 60


@given(st.integers(0, 2**31), st.sampled_from(sorted(VARIANTS)), st.sampled_from(sorted(GRAMMARS)))
def test_a_sentence_belongs_to_the_split_it_was_drawn_for(seed, split, language):
    sentence = draw_sentence(rng(seed), split, language)
    assert split_of(sentence) == split
    assert sentence[-1] in ".!?" and "  " not in sentence
    assert not any(symbol in sentence.split() for symbol in GRAMMARS[language])


def test_there_are_many_sentences():
    said = {draw_sentence(rng(seed), "train") for seed in range(500)}
    assert len(said) > 480


def test_an_unknown_split_is_refused():
    with pytest.raises(EMO2Error, match="held-out"):
        check_split("test")


@speaks
@pytest.mark.parametrize("base", sorted({b for accents in ACCENTS.values() for b in accents}))
def test_every_accent_is_there_and_has_sentences(base):
    language = base.split("-")[0]
    assert len(synthesise(draw_sentence(rng(1), "train", language), f"{base}+m1").waveform) > RATE // 2


@speaks
@pytest.mark.parametrize("split", sorted(VARIANTS))
def test_every_variant_is_audible(split):
    plain = synthesise("My name is Peter.", "en-us")
    for variant in VARIANTS[split]:
        spoken = synthesise("My name is Peter.", f"en-us+{variant}")
        assert np.abs(spoken.waveform).max() > 0.05
        same = len(spoken.waveform) == len(plain.waveform) and np.array_equal(spoken.waveform, plain.waveform)
        assert not same, f"{variant} is not a variant"


@speaks
def test_speech_has_the_length_asked_for_and_its_syllables_are_where_it_is_loud():
    sound = talk(rng(3), "train", 6.0)
    assert len(sound.waveform) == 6 * RATE
    level = envelope(sound.waveform)
    at = np.clip((sound.apexes * 200).astype(int), 0, len(level) - 1)
    assert np.median(level[at]) > 2 * np.median(level)
    strong = sound.syllables[:, 2] > 0.6
    assert 0.15 < strong.mean() < 0.75
    assert level[at][strong].mean() > 1.3 * level[at][~strong].mean()
    assert (sound.apexes >= sound.syllables[:, 0] - 0.01).all() and (sound.apexes <= sound.syllables[:, 1] + 0.01).all()


@pytest.mark.parametrize("seed", range(4))
def test_notes_are_sung_at_their_pitch(seed):
    sound = sing(rng(seed), "train", 6.0)
    pitches = [int("".join(c for c in word if c.isdigit())) for word in sound.sentence.split()]
    offsets = []
    for (start, end, _), pitch in zip(sound.syllables, pitches):
        steady = sound.waveform[int((start + 0.12) * RATE) : int((end - 0.05) * RATE)]
        if len(steady) > 2000:
            offsets.append(69 + 12 * np.log2(_pitch(steady, RATE) / 440) - pitch)
    # The melody, up to the singer's lowest note, which is the same throughout.
    assert len(offsets) > 3
    assert np.median(np.abs(np.array(offsets) - np.median(offsets))) < 0.35


@pytest.mark.parametrize("make", [play, dance_music, sing])
@pytest.mark.parametrize("split", sorted(VARIANTS))
def test_music_is_the_same_every_time_and_of_one_split(make, split):
    one, two = make(rng(5), split, 4.0), make(rng(5), split, 4.0)
    assert np.array_equal(one.waveform, two.waveform) and one.sentence == two.sentence
    assert split_of(one.sentence) == split
    assert len(one.waveform) == 4 * RATE and np.isfinite(one.waveform).all()
    assert 0.3 < np.abs(one.waveform).max() <= 1


@pytest.mark.parametrize("make", [play, dance_music])
def test_onsets_are_heard_where_the_beats_are(make):
    sound = make(rng(8), "train", 8.0)
    level = envelope(sound.waveform)
    rise = np.convolve(np.diff(level), np.ones(4), mode="same")
    at = (sound.syllables[:, 0] * 200).astype(int)
    near = np.array([rise[max(i - 4, 0) : i + 8].max() for i in at])
    # Between the beats (and the quiet half beats) nothing sets in.
    quarter = np.array([rise[max(i - 4, 0) : i + 8].max(initial=0) for i in at + round(sound.beat * 200 / 4)])
    assert np.median(near) > 4 * np.median(quarter)


@given(st.integers(0, 2**31), st.floats(0.0, 1.0))
def test_wear_keeps_the_length_and_the_peaks_place(seed, amount):
    clean = np.zeros(4000, np.float32)
    clean[1500:1600] = np.hanning(100) * np.sin(np.arange(100))
    heard = worn(clean, rng(seed), amount)
    assert heard.shape == clean.shape and np.isfinite(heard).all() and np.abs(heard).max() <= 1
    assert 1490 <= np.abs(heard).argmax() <= 1610


@given(st.floats(0.3, 1.7), st.floats(0.05, 0.25))
def test_the_loudest_moment_is_found(place, width):
    t = np.arange(2 * RATE) / RATE
    wave = np.exp(-(((t - place) / 0.03) ** 2)) * np.sin(2 * np.pi * 300 * t)
    assert abs(loudest(envelope(wave), place - width, place + width) - place) <= 0.008


def _pitch(waveform: np.ndarray, rate: float) -> float:
    """Median frequency (Hz) between 70 and 900 Hz by normalised autocorrelation of 64 ms pieces."""
    length, found = int(0.064 * rate), []
    for start in range(0, len(waveform) - length, length // 2):
        piece = waveform[start : start + length].astype(float)
        if np.abs(piece).max() < 0.05:
            continue
        spectrum = np.fft.rfft(piece * np.hanning(length), 4 * length)
        window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(length), 4 * length)) ** 2)
        echo = np.fft.irfft(np.abs(spectrum) ** 2)[: length // 2] / window[: length // 2]
        low, high = int(rate / 900), min(int(rate / 70), length // 2)
        # The first peak that is nearly as high as the highest: the period, not its double.
        peaks = [i for i in range(low + 1, high - 1) if echo[i] >= max(echo[i - 1], echo[i + 1])]
        peaks = [i for i in peaks if echo[i] > 0.87 * max(echo[j] for j in peaks)]
        if peaks:
            a, b, c = echo[peaks[0] - 1 : peaks[0] + 2]
            found.append(rate / (peaks[0] + 0.5 * (a - c) / (a - 2 * b + c)))
    return float(np.median(found))
