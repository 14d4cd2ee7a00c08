"""Audio-to-motion retrieval: is the motion that was made for a sound the one, among many, that fits it best?

Two ways to score a pair. `accent_scores` needs nothing learned: the speed of the hands should go with the accents of
the sound. `AccentFilter` learns from training clips how a sound's accents turn into movement (a linear filter in time)
and asks which motion looks most like its prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...models.audio.prosody import loudness
from ...models.audio.waveform import RATE
from ...models.errors import EMO2Error
from ...models.types import Motion
from .points import filled, smoothed

LAG = 0.2
"""Seconds by which hands may lead or trail the sound in `accent_scores`."""
REACH = 0.8
"""Seconds of sound before and after a frame from which `AccentFilter` predicts its movement."""


@dataclass(frozen=True)
class Retrieval:
    """credit (n, 2): for each sound, whether its own motion came first, and among the first five (0..1; equal scores
    share the credit). rank (n,): its place, 1 the best. chance: the share a blind guess gets, (2,)."""

    credit: np.ndarray
    rank: np.ndarray
    chance: np.ndarray

    @property
    def top1(self) -> float:
        return float(self.credit[:, 0].mean())

    @property
    def top5(self) -> float:
        return float(self.credit[:, 1].mean())

    @property
    def times_chance(self) -> float:
        """top1 over chance. Higher is better."""
        return self.top1 / float(self.chance[0])


def retrieval(scores: np.ndarray) -> Retrieval:
    """From scores (n, n), scores[i, j]: how well motion j fits sound i, i's own motion being j = i. Higher is better.

    Scores that are NaN count as the lowest. Motions that do not differ (a still pose for every sound) get chance.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 2:
        raise EMO2Error("retrieval", "scores (n, n), n > 1", f"shape {scores.shape}", "Give two clips or more.")
    scores = np.where(np.isnan(scores), -np.inf, scores)
    own = np.diag(scores)[:, None]
    better, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    credit = np.stack([np.clip((k - better) / equal, 0, 1) for k in (1, 5)], axis=1)
    chance = np.minimum(np.array([1, 5]) / len(scores), 1)
    return Retrieval(credit, better + (equal + 1) / 2, chance)


def among(scores: np.ndarray, size: int = 32, rounds: int = 20, seed: int = 0) -> Retrieval:
    """`retrieval` among `size` clips drawn from more: each one's credit and rank are means over its rounds."""
    count = len(scores)
    if count <= size:
        return retrieval(scores)
    rng = np.random.default_rng(seed)
    credit, rank, seen = np.zeros((count, 2)), np.zeros(count), np.zeros(count)
    for _ in range(rounds):
        # Every round splits a shuffled list into sets, so that all clips are asked equally often.
        order = rng.permutation(count)
        for at in range(0, count - size + 1, size):
            chosen = order[at : at + size]
            found = retrieval(scores[np.ix_(chosen, chosen)])
            credit[chosen] += found.credit
            rank[chosen] += found.rank
            seen[chosen] += 1
    known = seen > 0
    share = np.minimum(np.array([1, 5]) / size, 1)
    return Retrieval(credit[known] / seen[known, None], rank[known] / seen[known], share)


def sound_curves(waveform: np.ndarray, fps: float, count: int) -> np.ndarray:
    """(count, 3) at video frames: loudness 0..1, its rise, and the onsets' strength. Frame i: at (i + 0.5) / fps s."""
    import librosa

    waveform = np.asarray(waveform, np.float32)
    level = loudness(waveform) if len(waveform) else np.zeros(1, np.float32)
    when = (np.arange(count) + 0.5) / fps
    soft = np.interp(when, (np.arange(len(level)) + 0.5) / 50, level, right=0)
    hop = 320
    if len(waveform) >= 4 * hop and np.abs(waveform).max() > 1e-4:
        strength = librosa.onset.onset_strength(y=waveform, sr=RATE, hop_length=hop)
        strength = np.interp(when, np.arange(len(strength)) * hop / RATE, strength, right=0)
        strength = strength / max(np.percentile(strength, 95), 1e-6)
    else:
        strength = np.zeros(count)
    rise = np.maximum(np.gradient(soft) * fps, 0) / 10 if count > 1 else np.zeros(count)
    return np.stack([soft, rise, strength], axis=1)


def motion_curves(motion: Motion) -> np.ndarray:
    """(F, 12) of a motion: for each hand its speed, its acceleration, the logarithms of both, how hard it brakes, and
    how fast it falls. Hidden frames are bridged."""
    count, fps = len(motion), motion.fps
    if count < 2:
        return np.zeros((count, 12))
    place = np.where(motion.visible[..., None], motion.translations.astype(np.float64), np.nan)
    place = filled(place.reshape(count, -1)).reshape(count, 2, 3)
    velocity = np.gradient(place, axis=0) * fps
    speed = np.linalg.norm(velocity, axis=-1)
    push = np.linalg.norm(np.gradient(velocity, axis=0) * fps, axis=-1)
    braking = -np.gradient(speed, axis=0) * fps
    # A stroke is ten times as fast as idling: logarithms let the small movements count as well.
    curves = [speed, push, np.log(0.05 + speed), np.log(0.5 + push), braking, velocity[..., 1]]
    return smoothed(np.concatenate(curves, axis=1), 0.5)


def accent_scores(waveforms: Sequence[np.ndarray], motions: Sequence[Motion]) -> np.ndarray:
    """(n, n) the highest correlation, over lags up to 0.2 s, of the hands' mean speed with the sound's accents.

    Accents are loudness and onset strength under a Gaussian of 0.1 s. All are cut to the shortest clip: the length must
    not give a motion away. Motions of one frame rate.
    """
    count, fps = _common(waveforms, motions)
    accents, moving = [], []
    for waveform, motion in zip(waveforms, motions):
        curves = sound_curves(waveform[: int(count / fps * RATE)], fps, count)
        accents.append(smoothed(curves[:, 0] + 0.5 * curves[:, 2], 0.1 * fps))
        moving.append(smoothed(motion_curves(motion.frames(0, count))[:, :2].mean(axis=1), 0.1 * fps))
    sounds, hands = np.array(accents), np.array(moving)
    best = np.full((len(sounds), len(hands)), -1.0)
    for lag in range(-round(LAG * fps), round(LAG * fps) + 1):
        a = _standard(sounds[:, max(-lag, 0) : count - max(lag, 0)])
        b = _standard(hands[:, max(lag, 0) : count - max(-lag, 0)])
        best = np.maximum(best, a @ b.T / a.shape[1])
    return best


@dataclass(frozen=True)
class AccentFilter:
    """How a sound's accents turn into movement: ridge regression from REACH seconds of sound around a frame to the
    movement in it (a temporal response function). Fit it on TRAIN clips."""

    weights: np.ndarray
    fps: float

    @classmethod
    def fit(cls, waveforms: Sequence[np.ndarray], motions: Sequence[Motion], decay: float = 100.0) -> AccentFilter:
        """From training clips; `decay` is the ridge's weight, relative to one standardised frame. Each clip's curves
        are standardised by themselves, so that loud voices and lively hands weigh no more than others."""
        fps = _one_rate(motions)
        moments, shared = 0.0, 0.0
        for waveform, motion in zip(waveforms, motions, strict=True):
            x = _heard(waveform, fps, len(motion))
            y = _standard(motion_curves(motion).T).T
            moments = moments + x.T @ x
            shared = shared + x.T @ y
        size = np.asarray(moments).shape[0]
        return cls(np.linalg.solve(moments + decay * np.eye(size), shared), fps)

    def predict(self, waveform: np.ndarray, count: int) -> np.ndarray:
        """(count, 12) the movement that a sound leads to expect, as `motion_curves`, standardised units."""
        return _heard(waveform, self.fps, count) @ self.weights

    def scores(self, waveforms: Sequence[np.ndarray], motions: Sequence[Motion]) -> np.ndarray:
        """(n, n) how much motion j is like what sound i leads to expect: correlation of each curve, weighted by how
        much of it can be foretold. All are cut to the shortest clip."""
        count, fps = _common(waveforms, motions)
        if fps != self.fps:
            raise EMO2Error("retrieval", f"motion at {self.fps:g} fps", f"{fps:g} fps", "Resample the motion.")
        samples = int(count / fps * RATE)
        expected = np.array([self.predict(w[:samples], count) for w in waveforms])
        moving = np.array([_standard(motion_curves(m.frames(0, count)).T).T for m in motions])
        # What cannot be foretold comes out small: leaving its size in gives it little weight.
        expected = expected - expected.mean(axis=1, keepdims=True)
        size = np.sqrt(np.square(expected).sum(axis=(1, 2)))
        products = np.einsum("itk,jtk->ij", expected, moving)
        own = np.sqrt(np.square(moving).sum(axis=(1, 2)))
        return products / np.maximum(size[:, None] * own[None], 1e-12)


def _heard(waveform: np.ndarray, fps: float, count: int) -> np.ndarray:
    """(count, (2 r + 1) 9) what `AccentFilter` predicts from: standardised curves of the r frames around each frame.

    Beside loudness, its rise and the onsets: how far a frame stands out of its neighbourhood (0.12, 0.3 and 0.8 s),
    since a stroke goes to the syllable that is louder than those around it; squares, since the strongest count most.
    """
    curves = sound_curves(waveform, fps, count)
    level, onset = curves[:, :1], curves[:, 2:]
    out = [level - smoothed(level, seconds * fps) for seconds in (0.12, 0.3, 0.8)]
    fall = -np.gradient(smoothed(level, 1), axis=0) if count > 1 else np.zeros_like(level)
    curves = _standard(np.concatenate([curves, *out, np.maximum(out[2], 0) ** 2, onset**2, fall], axis=1).T).T
    r = round(REACH * fps)
    padded = np.pad(curves, ((r, r), (0, 0)))
    return np.concatenate([padded[k : k + count] for k in range(2 * r + 1)], axis=1)


def _standard(curves: np.ndarray) -> np.ndarray:
    """Rows (K, F) with mean 0 and deviation 1; a row that does not vary becomes 0."""
    away = curves - curves.mean(axis=-1, keepdims=True)
    deviation = away.std(axis=-1, keepdims=True)
    return np.where(deviation > 1e-9, away / np.maximum(deviation, 1e-9), 0.0)


def _one_rate(motions: Sequence[Motion]) -> float:
    rates = {motion.fps for motion in motions}
    if len(rates) != 1:
        given = ", ".join(f"{rate:g}" for rate in sorted(rates)) or "no motion"
        raise EMO2Error("retrieval", "motions of one frame rate", given, "Resample them to the same rate.")
    return rates.pop()


def _common(waveforms: Sequence[np.ndarray], motions: Sequence[Motion]) -> tuple[int, float]:
    """(frames of the shortest clip, frame rate)."""
    if len(waveforms) != len(motions) or len(motions) < 2:
        given = f"{len(waveforms)} sounds and {len(motions)} motions"
        raise EMO2Error("retrieval", "as many sounds as motions, two or more", given, "Give a motion for each sound.")
    fps = _one_rate(motions)
    return min(min(len(m) for m in motions), min(int(len(w) / RATE * fps) for w in waveforms)), fps
