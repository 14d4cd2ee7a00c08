"""Numbers over time: keys joined by minimum-jerk movements, as `Track` joins a hand's poses."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Curve:
    """Keys of `width` numbers in order of time; before the first and after the last one the outermost key stands."""

    width: int
    times: list[float] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)

    def key(self, time: float, value: object) -> None:
        """The numbers are `value` at `time` (s), which must not be earlier than the last key's."""
        if self.times and time < self.times[-1]:
            raise ValueError(f"a key at {time:g} s after one at {self.times[-1]:g} s")
        self.times.append(float(time))
        self.values.append(np.broadcast_to(np.asarray(value, np.float64), (self.width,)))

    def sample(self, times: np.ndarray) -> np.ndarray:
        """(F, width) at `times` (F,); zeros where there are no keys."""
        if not self.times:
            return np.zeros((len(times), self.width))
        keys, values = np.array(self.times), np.stack(self.values)
        before = np.clip(np.searchsorted(keys, times, side="right") - 1, 0, len(keys) - 1)
        after = np.minimum(before + 1, len(keys) - 1)
        u = minimum_jerk((times - keys[before]) / np.maximum(keys[after] - keys[before], 1e-9))
        return values[before] + u[:, None] * (values[after] - values[before])


def minimum_jerk(u: np.ndarray) -> np.ndarray:
    """The course of a reaching movement (Flash and Hogan 1985): 0 up to u = 0, 1 from u = 1 on, at rest at both."""
    u = np.clip(u, 0, 1)
    return u**3 * (10 - 15 * u + 6 * u * u)
