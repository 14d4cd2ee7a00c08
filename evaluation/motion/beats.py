"""BA: whether the hands' beats fall on the sound's, always beside the same score for sound shifted in time.

Beats of speech come every fifth of a second and beats of hands every half: much agrees by chance, and the score of
real recordings is hardly above that of the wrong sound. So a BA alone says nothing; its distance from the shifted ones,
in their standard deviations, does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...models.audio.prosody import loudness
from ...models.audio.waveform import RATE
from ...models.errors import EMO2Error
from .points import filled, smoothed

SIGMA = 0.1
"""Seconds. Two frames and a half; EMAGE's 0.3 s is longer than the time between two beats and gives 0.9 to anything."""
SHIFTS = 20
LEAST_SHIFT = 1.0
"""Seconds: a sound shifted by less is still nearly the right one."""
KINDS = ("onsets", "accents")
DIRECTIONS = ("motion to audio", "audio to motion")
HOP = 320


def audio_beats(waveform: np.ndarray, kind: str = "onsets") -> np.ndarray:
    """Beats of a sound (T,) at 16 kHz, seconds (n,).

    kind "onsets": librosa's onsets (peaks of spectral flux), hop 20 ms, its own peak picking: the definition of BEAT's
    benchmark (Liu et al. 2022), whose hop is 32 ms. About five a second in speech. "accents": peaks of the prosodic
    loudness that stand out by a fifth of its range: the hearts of the stronger syllables, where strokes land (Loehr
    2012). Silence has none.
    """
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 1 or not np.isfinite(waveform).all():
        raise EMO2Error("sound", "a finite mono waveform (T,)", f"shape {waveform.shape}", "Read the sound again.")
    if kind not in KINDS:
        raise EMO2Error("beats", f"one of {', '.join(KINDS)}", repr(kind), "Choose one of them.")
    if len(waveform) < 4 * HOP or np.abs(waveform).max() < 1e-4:
        return np.zeros(0)
    if kind == "onsets":
        import librosa

        return librosa.onset.onset_detect(y=waveform, sr=RATE, hop_length=HOP, units="time").astype(np.float64)
    from scipy.signal import find_peaks

    level = smoothed(loudness(waveform), 1.5)
    return (find_peaks(level, prominence=0.2, distance=5)[0] + 0.5) / 50


def motion_beats(points: np.ndarray, fps: float, drop: float = 0.5, gap: float = 0.24) -> list[np.ndarray]:
    """Beats of each hand, seconds: the minima of its speed at which a stroke lands.

    points (F, hands, K, 3) metres: the speed of a hand is the mean over its K points, between frames, under a Gaussian
    of half a frame; hidden frames (NaN) are bridged. A minimum counts when the speed has fallen by `drop` times its
    mean over the clip (at least 0.02 m/s) since the minimum before; of those nearer than `gap` seconds the deepest
    fall stays, so that the rebound after a stroke is no beat of its own. Frame i is the instant (i + 0.5) / fps. EMAGE
    takes all minima of joint rotations' speed; strokes show in positions. Hardly smoothed: a landing is a sharp dip.
    """
    points = np.asarray(points, np.float64)
    if len(points) < 4:
        return [np.zeros(0) for _ in range(points.shape[1])]
    way = np.linalg.norm(np.diff(points, axis=0), axis=-1) * fps
    known = np.isfinite(way)
    mean = np.where(known, way, 0).sum(axis=-1) / np.maximum(known.sum(axis=-1), 1)
    curves = smoothed(filled(np.where(known.any(axis=-1), mean, np.nan)), 0.5)
    return [_landings(speed, drop, gap * fps) / fps for speed in curves.T]


def _landings(speed: np.ndarray, drop: float, gap: float) -> np.ndarray:
    """Places of the minima of a speed (n,) between frames, as frame numbers counted from the clip's start."""
    low = np.flatnonzero((speed[1:-1] <= speed[:-2]) & (speed[1:-1] < speed[2:])) + 1
    starts = np.concatenate([[0], low[:-1]]) if len(low) else low
    fall = np.array([speed[a : b + 1].max() - speed[b] for a, b in zip(starts, low)])
    enough = fall > max(drop * speed.mean(), 0.02)
    low, fall = low[enough], fall[enough]
    kept: list[int] = []
    for place in low[np.argsort(-fall, kind="stable")]:
        if all(abs(place - other) >= gap for other in kept):
            kept.append(int(place))
    # The step between frames k and k + 1 is at (k + 1) / fps.
    return np.sort(np.array(kept, np.float64)) + (1.0 if kept else 0.0)


def beat_score(audio: np.ndarray, motion: np.ndarray, sigma: float = SIGMA, direction: str = DIRECTIONS[0]) -> float:
    """Mean over beats b of one side of exp(-(distance of b to the other side's nearest beat)^2 / (2 sigma^2)), 0..1.

    direction "motion to audio": over the motion's beats, each looking for one of the sound (AIST++, Li et al. 2021,
    equation 7), which does not ask for a gesture on every syllable; "audio to motion": over the sound's beats (EMAGE's
    BC). audio, motion: beats in seconds. 0 where a side has no beats. Higher is better.
    """
    if direction not in DIRECTIONS:
        raise EMO2Error("direction", f"one of {', '.join(DIRECTIONS)}", repr(direction), "Choose one of them.")
    looking, found = (motion, audio) if direction == DIRECTIONS[0] else (audio, motion)
    if not len(looking) or not len(found):
        return 0.0
    found = np.sort(found)
    place = np.searchsorted(found, looking)
    before, after = found[np.maximum(place - 1, 0)], found[np.minimum(place, len(found) - 1)]
    distance = np.minimum(np.abs(looking - before), np.abs(looking - after))
    return float(np.exp(-(distance**2) / (2 * sigma**2)).mean())


@dataclass(frozen=True)
class BeatAlignment:
    """BA of a set of clips. clips (n,): each one's score, the mean over its hands that have beats. null (20,): the
    set's score, each clip's sound shifted by a random time of its own."""

    clips: np.ndarray
    null: np.ndarray
    sigma: float
    direction: str

    @property
    def score(self) -> float:
        return float(np.nanmean(self.clips)) if np.isfinite(self.clips).any() else float("nan")

    @property
    def null_mean(self) -> float:
        return float(self.null.mean())

    @property
    def null_deviation(self) -> float:
        return float(self.null.std(ddof=1))

    @property
    def z(self) -> float:
        """(score - mean of the null) / its standard deviation; 0 where the null does not vary. Higher is better."""
        return (self.score - self.null_mean) / self.null_deviation if self.null_deviation > 1e-12 else 0.0

    def text(self) -> str:
        """The score with all that belongs to it."""
        return (
            f"BA {self.score:.3f}; {len(self.null)} time shifts: {self.null_mean:.3f} +- {self.null_deviation:.3f}, "
            f"z = {self.z:.1f} ({self.direction}, sigma {self.sigma:g} s, against the landings of the hands)"
        )


def beat_alignment(
    audio: Sequence[np.ndarray],
    motion: Sequence[Sequence[np.ndarray]],
    seconds: Sequence[float],
    *,
    sigma: float = SIGMA,
    direction: str = DIRECTIONS[0],
    shifts: int = SHIFTS,
    seed: int = 0,
) -> BeatAlignment:
    """BA of clips with its null. Higher is better, no unit.

    audio: each clip's `audio_beats`; motion: each clip's `motion_beats`, a list of hands; seconds: each clip's length.
    A clip's score is the mean of `beat_score` over the hands that have beats, NaN (left out of the mean) where no hand
    or the sound has none. The null turns each clip's audio beats round by a random time between 1 s (a quarter of clips
    below 4 s) and as much before the end, what leaves the end coming in at the beginning; `shifts` rounds, from `seed`.
    """
    if not len(audio) == len(motion) == len(seconds) or not len(audio):
        given = f"{len(audio)}, {len(motion)} and {len(seconds)}"
        raise EMO2Error("BA", "audio beats, motion beats and a length for each clip", given, "Give one of each a clip.")
    rng = np.random.default_rng(seed)
    true = np.array([_clip(a, m, sigma, direction) for a, m in zip(audio, motion)])
    null = np.zeros(shifts)
    for k in range(shifts):
        scores = []
        for a, m, length in zip(audio, motion, seconds):
            least = min(LEAST_SHIFT, length / 4)
            turned = np.sort((np.asarray(a) + rng.uniform(least, length - least)) % length)
            scores.append(_clip(turned, m, sigma, direction))
        null[k] = np.nanmean(scores) if np.isfinite(scores).any() else 0.0
    return BeatAlignment(true, null, sigma, direction)


def _clip(audio: np.ndarray, hands: Sequence[np.ndarray], sigma: float, direction: str) -> float:
    scores = [beat_score(audio, beats, sigma, direction) for beats in hands if len(beats)]
    return float(np.mean(scores)) if scores and len(audio) else float("nan")
