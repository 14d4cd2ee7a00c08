"""Confidence intervals by bootstrap (Efron and Tibshirani 1993): the clips are drawn again and again, with repeats.

What is drawn are whole clips, never frames: the frames of a clip resemble each other, and an interval over frames would
be far too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..models.errors import EMO2Error

Statistic = Callable[[np.ndarray], float]
METHODS = ("bca", "percentile")


@dataclass(frozen=True)
class Interval:
    """`value` of the data themselves, `low`..`high` at `confidence`, over `count` clips."""

    value: float
    low: float
    high: float
    count: int
    confidence: float = 0.95

    @property
    def pair(self) -> tuple[float, float]:
        """(low, high), as a report's row takes it."""
        return self.low, self.high


def bootstrap(
    values: np.ndarray,
    statistic: Statistic | None = None,
    *,
    confidence: float = 0.95,
    samples: int = 2000,
    seed: int = 0,
    method: str = "bca",
) -> Interval:
    """The interval of a statistic of `values` (n, ...), one entry a clip; entries that are NaN are left out.

    statistic(values) -> number; None: the mean. method: "bca" corrects bias and skew (Efron 1987; its acceleration from
    the jackknife), "percentile" takes the quantiles as they are. The same seed gives the same interval. Fewer than two
    clips give the value itself as both ends. Raises EMO2Error when nothing is left to measure.
    """
    values = np.asarray(values, np.float64)
    values = values[np.isfinite(values).all(axis=tuple(range(1, values.ndim)))]
    if not len(values):
        raise EMO2Error("bootstrap", "at least one measured clip", "none", "Evaluate more clips.")
    rows = np.arange(len(values))
    if statistic is None:
        if values.ndim > 1:
            raise EMO2Error("bootstrap", "one number a clip for a mean", f"shape {values.shape}", "Give a statistic.")
        # One matrix of means at a time instead of thousands of calls.
        draws = np.concatenate([values[d].mean(axis=1) for d in _draws(len(values), samples, seed)])
        leave = (values.sum() - values) / max(len(values) - 1, 1)
        return _interval(float(values.mean()), draws, leave, len(values), confidence, method)
    found = statistic
    return over_clips(lambda chosen: found(values[chosen]), len(rows), confidence, samples, seed, method)


def over_clips(
    measure: Callable[[np.ndarray], float | None],
    count: int,
    confidence: float = 0.95,
    samples: int = 500,
    seed: int = 0,
    method: str = "bca",
) -> Interval:
    """The interval of a measure of a whole set: measure(indices (n,)) -> number for any choice of clips, with repeats.

    For Frechet distances, rank correlations and other figures that are no mean over clips. Draws for which the measure
    has no number (None or NaN) are left out.
    """
    if count < 1:
        raise EMO2Error("bootstrap", "at least one measured clip", "none", "Evaluate more clips.")
    number = lambda chosen: float("nan") if (m := measure(chosen)) is None else float(m)
    value = number(np.arange(count))
    draws = np.array([number(chosen) for block in _draws(count, samples, seed) for chosen in block])
    bca = method == "bca" and 2 < count <= samples
    leave = np.array([number(np.delete(np.arange(count), i)) for i in range(count)]) if bca else np.zeros(0)
    return _interval(value, draws, leave, count, confidence, method if bca or method not in METHODS else "percentile")


def paired_difference(
    first: np.ndarray, second: np.ndarray, *, confidence: float = 0.95, samples: int = 2000, seed: int = 0
) -> Interval:
    """The interval of mean(first - second) for two measurements (n,) of the same clips.

    Clips differ far more from each other than two models do on one clip: pairing takes that out.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        given = f"shapes {first.shape} and {second.shape}"
        raise EMO2Error("bootstrap", "two measurements of the same clips", given, "Measure both on the same clips.")
    return bootstrap(first - second, confidence=confidence, samples=samples, seed=seed)


def _draws(count: int, samples: int, seed: int) -> list[np.ndarray]:
    """`samples` draws of `count` indices with repeats, in blocks (k, count) of bounded memory."""
    rng = np.random.default_rng(seed)
    block = max(1, 2_000_000 // count)
    return [rng.integers(0, count, (min(block, samples - at), count)) for at in range(0, samples, block)]


def _interval(
    value: float, draws: np.ndarray, leave: np.ndarray, count: int, confidence: float, method: str
) -> Interval:
    if method not in METHODS:
        raise EMO2Error("bootstrap", f"one of {', '.join(METHODS)}", repr(method), "Choose one of them.")
    if not 0 < confidence < 1:
        raise EMO2Error("bootstrap", "a confidence between 0 and 1", confidence, "0.95 is usual.")
    draws = draws[np.isfinite(draws)]
    if count < 2 or not len(draws) or not np.isfinite(value):
        return Interval(value, value, value, count, confidence)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    if method == "bca":
        tails = _corrected(tails, value, draws, leave)
    low, high = np.quantile(draws, tails)
    return Interval(value, float(low), float(high), count, confidence)


def _corrected(tails: np.ndarray, value: float, draws: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """The quantiles that BCa reads instead of `tails` (Efron 1987, equation 2.3)."""
    from scipy.special import ndtr, ndtri

    # Draws equal to the value count half: with few clips or counts as values there are many.
    # Equal up to rounding, or another unit would give another interval.
    equal = np.abs(draws - value) <= 1e-9 * np.ptp(draws)
    below = (np.sum((draws < value) & ~equal) + 0.5 * np.sum(equal)) / len(draws)
    bias = ndtri(np.clip(below, 0.5 / len(draws), 1 - 0.5 / len(draws)))
    leave = leave[np.isfinite(leave)]
    away = leave.mean() - leave if len(leave) else np.zeros(1)
    spread = np.sum(away**2) ** 1.5
    skew = np.sum(away**3) / (6 * spread) if spread > 1e-300 else 0.0
    shifted = bias + ndtri(tails)
    return ndtr(bias + shifted / np.maximum(1 - skew * shifted, 1e-6))
