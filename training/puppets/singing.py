"""Singing: syllables on the notes of a melody, by a voice of our own (pulse source, formants, vibrato)."""

from __future__ import annotations

import numpy as np

from .sentences import split_of
from .sound import RATE, Sound, envelope, loudest

VOWELS = {
    "a": (760, 1220, 2600), "e": (480, 1900, 2550), "i": (310, 2250, 3000), "o": (500, 880, 2550),
    "u": (340, 800, 2400),
}  # fmt: skip
"""Formants in Hz of an adult male voice."""
CONSONANTS = ("l", "m", "n", "d", "b", "s", "h", "r", "")
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 4, 7, 9))
SINGERS = {
    "train": {"baritone": (45, 1.0), "tenor": (50, 1.04), "alto": (56, 1.14), "soprano": (62, 1.2)},
    "held-out": {"bass": (42, 0.96), "mezzo": (58, 1.17)},
}
"""Lowest note (MIDI) and how much shorter the throat is (a factor on the formants)."""


def sing(rng: np.random.Generator, split: str, seconds: float) -> Sound:
    """Exactly `seconds` of a song without words, by a singer of a split. Melodies of the two splits never meet."""
    singers = SINGERS[split]
    name = list(singers)[rng.integers(len(singers))]
    lowest, throat = singers[name]
    while True:
        beat = 60 / rng.integers(66, 121)
        notes = _melody(rng, seconds, beat)
        sentence = " ".join(f"{c}{v}{p}" for _, _, p, c, v, _ in notes)
        if split_of(sentence) == split:
            break
    lowest += int(rng.integers(0, 5))
    rate, depth, breath = rng.uniform(4.8, 6.2), rng.uniform(0.15, 0.45), rng.uniform(0.004, 0.02)
    noise = np.random.default_rng(int(rng.integers(2**31)))
    total = round(seconds * RATE)
    frequency = _glide(notes, lowest, total, rate, depth)
    source = _pulses(frequency) + breath * noise.standard_normal(total)
    waveform = np.zeros(total + RATE)
    for start, end, _, consonant, vowel, accent in notes:
        _put(waveform, source, start, end, consonant, vowel, accent, throat, noise)
    waveform = waveform[:total]
    if rng.uniform() < 0.4:
        waveform = waveform + 0.12 * _drone(notes, lowest, total)
    waveform = (0.8 * waveform / max(np.abs(waveform).max(), 1e-6)).astype(np.float32)
    level = envelope(waveform)
    table = np.array([(a, b, s) for a, b, _, _, _, s in notes])
    apexes = np.array([loudest(level, a, min(b, a + 0.3)) for a, b, _ in table])
    pitches = np.array([p for _, _, p, _, _, _ in notes], float)
    height = (pitches - pitches.min()) / max(np.ptp(pitches), 5.0)
    return Sound(waveform, table, apexes, height, name, sentence, beat)


Note = tuple[float, float, int, str, str, float]
"""start s, end s, semitones above the lowest note, consonant, vowel, stress 0..1."""


def _melody(rng: np.random.Generator, seconds: float, beat: float) -> list[Note]:
    scale = SCALES[rng.integers(len(SCALES))]
    at, degree, count = rng.uniform(0.1, 0.5), int(rng.integers(2, 6)), 0
    notes: list[Note] = []
    phrase = int(rng.integers(4, 9))
    while at < seconds - 0.3:
        length = float(rng.choice([0.5, 1.0, 1.0, 1.5, 2.0]))
        last = count == phrase - 1
        length = 2.0 if last else length
        step = int(rng.choice([-3, -2, -1, -1, 1, 1, 2, 3]))
        degree = degree + step if 0 <= degree + step <= 9 else degree - step
        pitch = 12 * (degree // len(scale)) + scale[degree % len(scale)]
        consonant, vowel = CONSONANTS[rng.integers(len(CONSONANTS))], "aeiou"[rng.integers(5)]
        stress = float(np.clip(0.35 + 0.3 * (length >= 1) + 0.2 * (length >= 1.5) + rng.uniform(-0.1, 0.15), 0, 1))
        end = min(at + length * beat * 0.94, seconds)
        notes.append((at, end, pitch, consonant, vowel, stress))
        at, count = at + length * beat, count + 1
        if last:
            at, count, phrase = at + beat * rng.integers(1, 3), 0, int(rng.integers(4, 9))
    return notes


def _glide(notes: list[Note], lowest: int, total: int, rate: float, depth: float) -> np.ndarray:
    """Frequency (total,) in Hz: notes joined by short glides, vibrato growing on each after a fifth of a second."""
    times = np.arange(0, total, 80) / RATE
    pitch, vibrato = np.full(len(times), float(notes[0][2])), np.zeros(len(times))
    for start, end, semitones, *_ in notes:
        pitch[times >= start - 0.02] = semitones
        inside = (times >= start) & (times < end)
        vibrato[inside] = np.clip((times[inside] - start - 0.2) / 0.25, 0, 1)
    window = np.hanning(13)[1:-1]
    pitch = np.convolve(np.pad(pitch, 5, mode="edge"), window / window.sum(), mode="valid")
    pitch = pitch + depth * vibrato * np.sin(2 * np.pi * rate * times)
    return np.interp(np.arange(total), np.arange(0, total, 80), 440 * 2 ** ((pitch + lowest - 69) / 12))


def _pulses(frequency: np.ndarray) -> np.ndarray:
    """A band-limited sawtooth (polyBLEP) with a voice's fall of about 12 dB an octave."""
    from scipy.signal import lfilter

    step = frequency / RATE
    phase = np.cumsum(step) % 1
    saw = 2 * phase - 1
    early, late = phase < step, phase > 1 - step
    t = phase[early] / step[early]
    saw[early] -= 2 * t - t * t - 1
    t = (phase[late] - 1) / step[late]
    saw[late] -= t * t + 2 * t + 1
    return lfilter([0.25], [1.0, -0.85], saw)


def _put(
    out: np.ndarray, source: np.ndarray, start: float, end: float, consonant: str, vowel: str, accent: float,
    throat: float, noise: np.random.Generator,
) -> None:  # fmt: skip
    """Add one sung syllable to `out`: the source through the vowel's formants, with its consonant in front."""
    from scipy.signal import sosfilt

    first, last = max(round((start - 0.06) * RATE), 0), min(round((end + 0.05) * RATE), len(source))
    onset = round(start * RATE) - first
    n = last - first
    if n < 400:
        return
    piece = source[first:last]
    voiced = sosfilt(_formants(VOWELS[vowel], throat), piece)
    t = (np.arange(n) - onset) / RATE
    length = end - start
    swell = np.clip(t / 0.07, 0, 1) * (1 - 0.45 * np.clip((t - 0.09) / max(length, 0.1), 0, 1))
    swell *= np.clip((length + 0.03 - t) / 0.08, 0, 1)
    voiced = voiced * swell * 10 ** (9 * (accent - 0.6) / 20)
    if consonant in ("m", "n", "l", "r"):
        murmur = sosfilt(_formants((270, 1100 if consonant == "m" else 1500, 2300), throat), piece)
        voiced += 0.25 * murmur * np.clip(1 - np.abs(t + 0.02) / 0.05, 0, 1)
    elif consonant:
        burst = noise.standard_normal(n)
        burst = np.diff(burst, prepend=0.0) if consonant == "s" else burst
        width, loud = {"s": (0.06, 0.05), "h": (0.06, 0.03)}.get(consonant, (0.012, 0.12))
        voiced += loud * burst * np.clip(1 - np.abs(t + width / 2) / width, 0, 1)
    out[first:last] += voiced


def _formants(formants: tuple[int, ...], throat: float) -> np.ndarray:
    """Second-order sections: resonators in a row at the formants, 60 to 160 Hz wide, gain 1 at 0 Hz."""
    sections = []
    for centre, width in zip((*formants, 3500), (70, 100, 140, 200)):
        radius = np.exp(-np.pi * width / RATE)
        b = -2 * radius * np.cos(2 * np.pi * min(centre * throat, 7000) / RATE)
        sections.append([1 + b + radius * radius, 0, 0, 1, b, radius * radius])
    return np.array(sections)


def _drone(notes: list[Note], lowest: int, total: int) -> np.ndarray:
    """A quiet fifth under the melody."""
    t = np.arange(total) / RATE
    base = 440 * 2 ** ((lowest - 69) / 12)
    swell = np.clip(t / 0.5, 0, 1)
    return swell * sum(np.sin(2 * np.pi * base * k * t) / k for k in (1, 1.5, 2, 3))
