"""Whether the speed that is asked for is the speed that comes, for each hand by itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.errors import EMO2Error
from ...models.motion.vector import hand_variance
from ...models.ranks import mean_ranks
from ...models.types import Motion


@dataclass(frozen=True)
class SpeedControl:
    """own (2,): rank correlation of each hand's asked and measured amplitude, left and right; higher is better, 1 is
    monotone. crossed (2,): of the asked amplitude with the OTHER hand's measured one; near 0 means separate hands."""

    own: np.ndarray
    crossed: np.ndarray
    asked: np.ndarray
    measured: np.ndarray


def speed_control(asked: np.ndarray, measured: np.ndarray) -> SpeedControl:
    """Spearman's rank correlation between asked and measured speed, no unit.

    asked, measured (n, 2): variances in m^2 (or amplitudes: ranks do not mind) of left and right, one row a sample. Ask
    for left and right in independent orders, or `crossed` cannot tell the hands apart. `amplitude` measures a motion.
    """
    asked, measured = np.asarray(asked, np.float64), np.asarray(measured, np.float64)
    if asked.shape != measured.shape or asked.ndim != 2 or asked.shape[1] != 2 or len(asked) < 3:
        given = f"shapes {asked.shape} and {measured.shape}"
        raise EMO2Error("speed control", "asked and measured (n, 2), n > 2", given, "Give both hands of each sample.")
    own = np.array([spearman(asked[:, h], measured[:, h]) for h in (0, 1)])
    crossed = np.array([spearman(asked[:, h], measured[:, 1 - h]) for h in (0, 1)])
    return SpeedControl(own, crossed, asked, measured)


def amplitude(motion: Motion) -> np.ndarray:
    """(2,) metres: how far each hand typically is from its average place, the root of `vector.hand_variance`."""
    return np.sqrt(hand_variance(motion.translations))


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the ranks of a and b (n,), equal values sharing their mean rank; 0 where a side does not vary."""
    a, b = mean_ranks(np.asarray(a, np.float64)), mean_ranks(np.asarray(b, np.float64))
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(np.clip(a @ b / size, -1, 1)) if size > 0 else 0.0
