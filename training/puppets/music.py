"""Instrumental music: a strummed guitar, a piano, a band with drums to dance to; and when each note or beat falls."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .sentences import split_of
from .sound import RATE, Sound, envelope, loudest

CHORDS = {
    "C": (48, 52, 55, 60, 64), "G": (43, 47, 50, 55, 59), "Am": (45, 52, 57, 60, 64), "F": (41, 48, 53, 57, 60),
    "Dm": (50, 57, 62, 65, 69), "Em": (40, 47, 52, 55, 59), "D": (50, 57, 62, 66, 69), "A": (45, 52, 57, 61, 64),
}  # fmt: skip
STRUMS = ("D.DU.UDU", "D.D.D.DU", "D.DUD.DU", "D...D.DU", "DUDUDUDU", "D.U.D.U.")
"""Eighths of a bar: down, up, nothing."""
SLACK = 0.03


def play(rng: np.random.Generator, split: str, seconds: float) -> Sound:
    """Exactly `seconds` of one instrument, guitar or piano; syllables are its strums (chords)."""
    guitar = bool(rng.uniform() < 0.5)
    while True:
        beat, chords, start = _plan(rng)
        pattern = STRUMS[rng.integers(len(STRUMS))]
        sentence = f"{'guitar' if guitar else 'piano'} {round(60 / beat)} {pattern} {' '.join(chords)}"
        if split_of(sentence) == split:
            break
    total = round(seconds * RATE)
    out = np.zeros(total + 4 * RATE)
    brightness = int(rng.integers(0, 4))
    events: list[tuple[float, float, float, float]] = []
    eighth = beat / 2
    for i in range(int((seconds - start) / eighth) + 1):
        at, mark = start + i * eighth, pattern[i % 8]
        chord = CHORDS[chords[(i // 8) % len(chords)]]
        if mark == "." or at > seconds - 0.1:
            continue
        strength = (1.0 if i % 4 == 0 else 0.75) if mark == "D" else 0.45
        strength *= rng.uniform(0.9, 1.1)
        if guitar:
            strings = chord if mark == "D" else chord[:1:-1]
            for k, note in enumerate(strings):
                _add(out, _pluck(note, brightness), at + 0.006 * k, strength)
        else:
            top = chord[2 + int(rng.integers(0, 3))] + 12
            for note in (chord[0], *((chord[2], chord[3]) if mark == "D" else ()), top):
                _add(out, _hammer(note, brightness), at, strength * (0.8 if note == top else 0.6))
        pitch = (chord[0] - 40) / 12 if guitar else (top - 60) / 24
        events.append((at, min(at + eighth, seconds), min(strength, 1.0), pitch))
    return _finish(out[:total], events, "guitar" if guitar else "piano", sentence, beat, seconds)


def dance_music(rng: np.random.Generator, split: str, seconds: float) -> Sound:
    """Exactly `seconds` of drums, bass and chords; syllables are the beats, the first of each bar the strongest."""
    while True:
        beat, chords, start = _plan(rng, 92, 138)
        style = ("four", "rock", "half")[rng.integers(3)]
        sentence = f"band {round(60 / beat)} {style} {' '.join(chords)}"
        if split_of(sentence) == split:
            break
    total = round(seconds * RATE)
    out = np.zeros(total + 4 * RATE)
    hats, pad, kind = rng.uniform(0.15, 0.4), rng.uniform(0.04, 0.1), int(rng.integers(0, 4))
    events: list[tuple[float, float, float, float]] = []
    for i in range(int((seconds - start) / beat) + 1):
        at, place = start + i * beat, i % 4
        if at > seconds - 0.1:
            break
        chord = CHORDS[chords[(i // 4) % len(chords)]]
        snare = place == 2 if style == "half" else place in (1, 3)
        if style == "four" or not snare:
            _add(out, _drum("kick"), at, 1.0)
        if snare:
            _add(out, _drum("snare"), at, 0.7)
        for half in (0.0, 0.5):
            _add(out, _drum("hat"), at + half * beat, hats * (1.0 if half else 0.6))
        _add(out, _pluck(chord[0] - 12 if chord[0] > 46 else chord[0], kind), at, 0.8)
        if place == 0:
            for note in chord[1:4]:
                _add(out, _pad(note, round(4 * beat * RATE)), at, pad)
        events.append((at, min(at + beat, seconds), (1.0, 0.7, 0.85, 0.7)[place], (0.0, 0.33, 0.66, 1.0)[place]))
    return _finish(out[:total], events, f"band {kind}", sentence, beat, seconds)


def _plan(rng: np.random.Generator, slowest: int = 72, fastest: int = 112) -> tuple[float, list[str], float]:
    """Seconds a beat, four chords, when the music starts."""
    names = list(CHORDS)
    chords = [names[rng.integers(len(names))] for _ in range(4)]
    return 60 / int(rng.integers(slowest, fastest + 1)), chords, float(rng.uniform(0.1, 0.6))


def _finish(
    out: np.ndarray, events: list[tuple[float, float, float, float]], voice: str, sentence: str, beat: float,
    seconds: float,
) -> Sound:  # fmt: skip
    waveform = (0.8 * out / max(np.abs(out).max(), 1e-6)).astype(np.float32)
    table = np.array(events, np.float64).reshape(-1, 4)
    level = envelope(waveform)
    apexes = np.array([loudest(level, a, min(a + 0.06, seconds)) for a in table[:, 0]])
    return Sound(waveform, table[:, :3], apexes, np.clip(table[:, 3], 0, 1), voice, sentence, beat)


def _add(out: np.ndarray, note: np.ndarray, at: float, gain: float) -> None:
    start = round(at * RATE)
    part = note[: len(out) - start]
    out[start : start + len(part)] += gain * part


@lru_cache(maxsize=256)
def _pluck(note: int, brightness: int) -> np.ndarray:
    """A plucked string (Karplus and Strong 1983), 1.6 s."""
    period = round(RATE / (440 * 2 ** ((note - 69) / 12)))
    noise = np.random.default_rng([note, brightness]).uniform(-1, 1, period)
    for _ in range(4 - brightness):
        noise = 0.5 * (noise + np.roll(noise, 1))
    rows = [noise / np.abs(noise).max()]
    for _ in range(int(1.6 * RATE / period)):
        rows.append(0.996 * 0.5 * (rows[-1] + np.roll(rows[-1], 1)))
    return _faded(np.concatenate(rows))


@lru_cache(maxsize=256)
def _hammer(note: int, brightness: int) -> np.ndarray:
    """A piano-like tone, 1.5 s: partials that die the faster the higher they are."""
    t = np.arange(int(1.5 * RATE)) / RATE
    base = 440 * 2 ** ((note - 69) / 12)
    tone = np.zeros(len(t))
    for k in range(1, 9):
        f = base * k * np.sqrt(1 + 0.0004 * k * k)
        if f < 7500:
            tone += np.sin(2 * np.pi * f * t) * np.exp(-t * (1.6 + 1.1 * k)) / k ** (1.8 - 0.2 * brightness)
    return _faded(tone * np.clip(t / 0.004, 0, 1))


@lru_cache(maxsize=256)
def _pad(note: int, length: int) -> np.ndarray:
    t = np.arange(length) / RATE
    base = 440 * 2 ** ((note - 69) / 12)
    tone = sum(np.sin(2 * np.pi * base * k * (1 + d) * t) / k for k in (1, 2, 3) for d in (0, 0.003))
    return np.asarray(tone) * np.clip(t / 0.15, 0, 1) * np.clip((t[-1] - t) / 0.15, 0, 1)


@lru_cache(maxsize=8)
def _drum(name: str) -> np.ndarray:
    t = np.arange(int(0.35 * RATE)) / RATE
    noise = np.random.default_rng(len(name)).standard_normal(len(t))
    if name == "kick":
        return np.sin(2 * np.pi * (48 * t + 5.5 * (1 - np.exp(-t * 30)))) * np.exp(-t * 14)
    if name == "snare":
        return (0.5 * noise + 0.5 * np.sin(2 * np.pi * 190 * t)) * np.exp(-t * 22)
    return np.diff(noise, prepend=0.0) * np.exp(-t * 60)


def _faded(tone: np.ndarray) -> np.ndarray:
    end = RATE // 20
    tone[-end:] *= np.linspace(1, 0, end)
    return tone
