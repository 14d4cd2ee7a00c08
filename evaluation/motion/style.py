"""Whether a motion's style can be read off it: a linear classifier on a motion's statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...models.errors import EMO2Error
from ...models.hands.quaternions import angle, to_axis_angle
from ...models.types import Motion
from .points import filled, speeds

BANDS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0)
"""Hz: edges of the bands in which the movement of the hands is weighed."""


def motion_statistics(motion: Motion) -> np.ndarray:
    """(D,) what a motion is like as a whole, whatever its length: places, amplitudes, rhythm, fingers, symmetry.

    Amplitudes and speeds as logarithms: a lively speaker is not a dancer for being twice as fast.
    """
    fps = motion.fps
    place = np.where(motion.visible[..., None], motion.translations.astype(np.float64), np.nan)
    place = filled(place.reshape(len(place), -1))
    speed = speeds(place.reshape(-1, 2, 3), fps)
    log = lambda x: np.log(np.maximum(x, 1e-4))
    away = place - place.mean(axis=0)
    numbers = [place.mean(axis=0), log(away.std(axis=0)), log(np.quantile(speed, (0.1, 0.25, 0.5, 0.75, 0.95), axis=0))]
    numbers.append([np.mean(speed < 0.02), np.mean(speed < 0.1)])
    moving = np.diff(place, axis=0) * fps if len(place) > 1 else np.zeros((1, 6))
    numbers.append(_bands(moving, fps))
    numbers.append([_rhythm(speed.mean(axis=1), fps)])
    numbers.append([_alike(place[:, k] * (-1 if k == 0 else 1), place[:, k + 3]) for k in range(3)])
    bend = np.linalg.norm(to_axis_angle(motion.rotations[:, :, 1:].astype(np.float64)), axis=-1)
    numbers += [bend.mean(axis=(0, 2)), log(bend.std(axis=0).mean(axis=-1)), bend.mean(axis=(0, 1))]
    turning = angle(motion.rotations[:-1], motion.rotations[1:]) * fps if len(motion) > 1 else np.zeros((1, 2, 16))
    numbers += [log(turning[:, :, 0].mean(axis=0)), log(turning[:, :, 1:].mean(axis=(0, 2)))]
    body = motion.body_offset.astype(np.float64)
    numbers += [log(body.std(axis=0)), _bands(np.diff(body, axis=0) * fps if len(body) > 1 else body, fps)]
    return np.concatenate([np.ravel(n) for n in numbers])


def _bands(curves: np.ndarray, fps: float) -> np.ndarray:
    """Share of the movement (F, K) in each band of BANDS."""
    power = np.abs(np.fft.rfft(curves - curves.mean(axis=0), axis=0)) ** 2
    rate = np.fft.rfftfreq(len(curves), 1 / fps)
    sums = np.array([power[(rate >= low) & (rate < high)].sum() for low, high in pairwise(BANDS)])
    return sums / max(sums.sum(), 1e-12)


def _rhythm(speed: np.ndarray, fps: float) -> float:
    """How regular the movement is: the highest self-correlation of the speed at 0.3 to 1.5 s."""
    away = speed - speed.mean()
    first, last = round(0.3 * fps), min(round(1.5 * fps), len(speed) - 2)
    if last <= first or away @ away < 1e-12:
        return 0.0
    return max(_alike(away[:-lag], away[lag:]) for lag in range(first, last + 1))


def _alike(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-12 else 0.0


@dataclass(frozen=True)
class StyleClassifier:
    """Multinomial logistic regression on standardised features. Fit it on TRAIN puppets, use it on held-out ones."""

    styles: tuple[str, ...]
    mean: np.ndarray
    deviation: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, styles: Sequence[str], decay: float = 1.0) -> StyleClassifier:
        """From features (n, D) (`motion_statistics`, or the gesture encoder's) and each one's style; `decay`: the
        weight of |W|^2 / 2 against the sum of the losses."""
        from scipy.optimize import minimize

        features = np.asarray(features, np.float64)
        names = tuple(sorted(set(styles)))
        if len(features) != len(styles) or len(names) < 2 or not np.isfinite(features).all():
            given = f"{len(features)} rows, {len(styles)} styles, {len(names)} different"
            raise EMO2Error("style classifier", "finite features and a style each, two styles or more", given,
                            "Give motions of several styles.")  # fmt: skip
        mean, deviation = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
        x = np.concatenate([(features - mean) / deviation, np.ones((len(features), 1))], axis=1)
        y = np.array([names.index(style) for style in styles])
        penalty = np.full((x.shape[1], 1), decay)
        penalty[-1] = 0

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            w = flat.reshape(x.shape[1], len(names))
            logits = x @ w
            top = logits.max(axis=1, keepdims=True)
            share = np.exp(logits - top)
            total = share.sum(axis=1, keepdims=True)
            value = (np.log(total[:, 0]) + top[:, 0] - logits[np.arange(len(y)), y]).sum()
            share /= total
            share[np.arange(len(y)), y] -= 1
            gradient = x.T @ share + penalty * w
            return value + 0.5 * float((penalty * w * w).sum()), gradient.ravel()

        found = minimize(loss, np.zeros(x.shape[1] * len(names)), jac=True, method="L-BFGS-B", options={"maxiter": 300})
        return cls(names, mean, deviation, found.x.reshape(x.shape[1], len(names)))

    def classify(self, features: np.ndarray) -> list[str]:
        """The most likely style of each row (n, D)."""
        x = (np.atleast_2d(np.asarray(features, np.float64)) - self.mean) / self.deviation
        # A feature far outside what was seen must not decide alone.
        x = np.concatenate([np.clip(x, -5, 5), np.ones((len(x), 1))], axis=1)
        return [self.styles[k] for k in (x @ self.weights).argmax(axis=1)]

    def right(self, features: np.ndarray, styles: Sequence[str]) -> np.ndarray:
        """(n,) 1.0 where the style is told rightly, else 0.0; the mean is the accuracy, higher is better."""
        return np.array([float(a == b) for a, b in zip(self.classify(features), styles, strict=True)])
