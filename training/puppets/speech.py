"""Talking: sentences with pauses between them, and where every syllable lies, how stressed it is, when it peaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .espeak import Utterance, synthesise
from .sentences import draw_sentence
from .sound import RATE, Sound, envelope, loudest
from .voices import Voice, draw_voice

VOWELS = frozenset("aeiouyAEIOUVQ@3&0YW")
ACCENT_DB = 4.5
"""How much louder an accented syllable is made: synthetic voices stress too evenly for gestures to follow."""


def talk(rng: np.random.Generator, split: str, seconds: float, slow: float = 1.0) -> Sound:
    """Exactly `seconds` of speech by one voice of a split; `slow` scales its speed and lengthens its pauses (below 1).

    Starts with a short silence; a sentence that is too long is cut off where the time ends.
    """
    voice = draw_voice(rng, split, slow)
    total = round(seconds * RATE)
    waveform = np.zeros(total, np.float32)
    at = rng.uniform(0.05, 0.6)
    syllables: list[tuple[float, float, float]] = []
    said = []
    while at < seconds - 0.2:
        sentence = draw_sentence(rng, split, voice.language)
        samples, found = say(sentence, voice)
        start = round(at * RATE)
        part = samples[: total - start]
        waveform[start : start + len(part)] = part
        syllables += [(a + at, b + at, s) for a, b, s in found if b + at < seconds]
        said.append(sentence)
        at += len(samples) / RATE + rng.uniform(0.15, 0.9) / slow
    peak = float(np.abs(waveform).max(initial=0.0))
    waveform = waveform * np.float32(0.8 / max(peak, 1e-4))
    table = np.array(syllables, np.float64).reshape(-1, 3)
    level = envelope(waveform)
    apexes = np.array([loudest(level, a, b) for a, b, _ in table])
    return Sound(waveform, _weighed(table, apexes, level), apexes, np.zeros(len(table)), voice.name, " ".join(said))


def say(sentence: str, voice: Voice) -> tuple[np.ndarray, list[tuple[float, float, float]]]:
    """One sentence at 16 kHz, its accented syllables made louder, and (start, end, stress) of each vowel in seconds."""
    utterance = _sized(synthesise(sentence, voice.name, voice.rate, voice.pitch, voice.pitch_range), voice.size)
    samples, found = _at_16k(utterance), _syllables(utterance)
    return samples * _accents(found, len(samples)), found


def _sized(utterance: Utterance, size: float) -> Utterance:
    """The utterance by a speaker who is `size` times as large: all of it slower and lower."""
    phonemes = tuple(replace(p, start=p.start * size) for p in utterance.phonemes)
    return Utterance(utterance.waveform, utterance.rate / size, phonemes)


def _at_16k(utterance: Utterance) -> np.ndarray:
    """The samples at 16 kHz, exactly to the utterance's own rate, which need not be a whole number."""
    import soxr

    return np.asarray(soxr.resample(utterance.waveform, utterance.rate, RATE, quality="HQ"), np.float32)


def _syllables(utterance: Utterance) -> list[tuple[float, float, float]]:
    """(start, end, stress) of each vowel, in seconds; the stress is the language's: 1 primary, 0.5 secondary, else 0.

    A word of one syllable counts as stressed only where espeak says so, which leaves out articles and prepositions.
    """
    phonemes = utterance.phonemes
    end = len(utterance.waveform) / utterance.rate
    found = []
    for i, phoneme in enumerate(phonemes):
        if phoneme.name[:1] not in VOWELS:
            continue
        stop = phonemes[i + 1].start if i + 1 < len(phonemes) else end
        if stop - phoneme.start > 0.02:
            found.append((phoneme.start, stop, (0.0, 0.5, 1.0)[phoneme.stress]))
    return found


def _accents(syllables: list[tuple[float, float, float]], length: int) -> np.ndarray:
    """A gain (length,) that makes stressed syllables louder and the others a little quieter, without a click."""
    times = (np.arange(-(-length // 80)) + 0.5) / 200
    boost = np.zeros(len(times))
    for start, end, stress in syllables:
        boost[(times >= start - 0.02) & (times <= end)] = ACCENT_DB * (stress - 0.4)
    window = np.hanning(13)[1:-1]
    boost = np.convolve(boost, window / window.sum(), mode="same")
    return (10 ** (np.interp(np.arange(length) / RATE, times, boost) / 20)).astype(np.float32)


def _weighed(table: np.ndarray, apexes: np.ndarray, level: np.ndarray) -> np.ndarray:
    """The syllables with a stress that also hears how loud each really is, compared with the loudest of the sound."""
    if not len(table):
        return table
    index = np.minimum((apexes * 200).astype(int), len(level) - 1)
    decibels = 20 * np.log10(level[index] + 1e-6)
    loud = np.clip((decibels - np.percentile(decibels, 95)) / 18 + 1, 0, 1)
    stressed = np.clip(0.65 * table[:, 2] + 0.35 * loud, 0, 1)
    return np.column_stack([table[:, :2], stressed])
