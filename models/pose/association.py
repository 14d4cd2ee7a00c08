"""Who is who from frame to frame: each person's points are predicted, and people are matched to the predictions.

The matching is the cheapest one over all people at once (Hungarian algorithm), as in SORT (Bewley et al. 2016), but on
keypoints instead of boxes: when two people cross, their boxes are one while their necks and shoulders are still apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .candidates import Candidates, distances

REACTION = 0.15
"""Seconds over which a velocity is measured."""
COASTING = 1.0
"""Seconds after which somebody unseen is thought to have slowed down to a third."""
GATE, GATE_RATE, WIDEST = 0.6, 4.0, 2.5
"""Farthest that somebody may be from where they are expected, in shoulder widths: at once, more for each second unseen
(1.5 m/s, a brisk walk), and at most."""
FORGOTTEN = 3.0
"""Seconds unseen after which somebody is no longer waited for; `stitching` may still find them."""
UNSURE = 1.5
"""Cost from which on a match is no better than none: it is taken where it takes nothing from anybody."""
STALE, GROWN, OTHER_LOOKS = 0.2, 0.5, 0.6
"""Costs in shoulder widths: of a second unseen, of e times the size, of wholly other colours."""
STEADY = 0.05
"""How quickly somebody's remembered colours follow what is seen."""


@dataclass
class _Track:
    points: np.ndarray
    weights: np.ndarray
    size: float
    time: float
    look: np.ndarray | None
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    members: list[int] = field(default_factory=list)

    def shift(self, time: float) -> np.ndarray:
        """How far it should have come by `time`."""
        return self.velocity * COASTING * (1 - np.exp(-(time - self.time) / COASTING))

    def take(self, people: Candidates, one: int, time: float, alone: bool) -> None:
        new, weights = people.points[one], people.weights[one]
        both = np.sqrt(self.weights * weights)
        moved = ((new - self.points) * both[:, None]).sum(0) / max(both.sum(), 1e-9)
        gap = max(time - self.time, 1e-6)
        blend = 1 - np.exp(-gap / REACTION)
        self.velocity += (moved / gap - self.velocity) * blend
        # A point that is not seen now comes along with the others, and counts for less.
        self.points = np.where(weights[:, None] > 0, new, self.points + moved)
        self.weights = np.where(weights > 0, weights, self.weights * 0.8)
        self.size += (people.size[one] - self.size) * blend
        self.time = time
        if self.look is not None and people.looks is not None and alone:
            self.look = self.look + (people.looks[one] - self.look) * STEADY
        self.members.append(one)


def associate(people: Candidates, times: np.ndarray) -> list[np.ndarray]:
    """The candidates (their indices, in order of time) that are one person each. times (F,): seconds of the frames."""
    live: list[_Track] = []
    done: list[_Track] = []
    for frame in range(len(times)):
        time = float(times[frame])
        done += [track for track in live if time - track.time > FORGOTTEN]
        live = [track for track in live if time - track.time <= FORGOTTEN]
        here = people.of(frame)
        alone = np.ones(len(here), bool)
        if len(here) > 1:
            part = people.points[here], people.weights[here]
            apart = distances(*part, people.size[here], *part) + np.eye(len(here)) * 9
            alone = apart.min(1) > 1.2
        matched = _matched(live, people, here, time)
        for row, column in matched:
            live[row].take(people, int(here[column]), time, bool(alone[column]))
        taken = {column for _, column in matched}
        for column, one in enumerate(here):
            if column not in taken:
                look = None if people.looks is None else people.looks[one].copy()
                new = _Track(people.points[one], people.weights[one], float(people.size[one]), time, look)
                new.members.append(int(one))
                live.append(new)
    return [np.array(track.members) for track in done + live]


def _matched(live: list[_Track], people: Candidates, here: np.ndarray, time: float) -> list[tuple[int, int]]:
    """(place in `live`, place in `here`) of whoever is seen again."""
    if not live or not len(here):
        return []
    from scipy.optimize import linear_sum_assignment

    shifts = np.array([track.shift(time) for track in live])
    points = np.array([track.points for track in live]) + shifts[:, None]
    weights = np.array([track.weights for track in live])
    size = np.array([track.size for track in live])
    gap = time - np.array([track.time for track in live])
    apart = distances(points, weights, size, people.points[here], people.weights[here])
    far = apart > np.minimum(GATE + GATE_RATE * gap, WIDEST)[:, None]
    cost = apart + STALE * np.minimum(gap, 1.0)[:, None]
    cost += GROWN * np.abs(np.log(people.size[here][None] / size[:, None]))
    if people.looks is not None:
        mine = np.array([track.look for track in live])
        cost += OTHER_LOOKS * unlike(mine[:, None], people.looks[here][None])
    # Were a match that cannot be far dearer than a bad one, a false finding would push people off their own tracks.
    capped = np.where(far, UNSURE, np.minimum(cost, UNSURE))
    rows, columns = linear_sum_assignment(capped + 0.01 * np.minimum(cost, 10) + 0.1 * far)
    return [(int(r), int(c)) for r, c in zip(rows, columns) if not far[r, c]]


def unlike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance 0..1 (Hellinger) between roots of histograms (..., C); means of roots are brought to length 1 first."""
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    return np.sqrt(np.clip(1 - (a * b).sum(-1) / np.maximum(lengths, 1e-9), 0, 1))
