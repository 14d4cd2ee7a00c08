"""Second thoughts about tracks, with the whole clip known: were two people mistaken for each other when they met, and
who is the same after a long absence?

Both questions compare what was seen before with what is seen after: where each was going, how large they were and what
they wore.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .association import unlike
from .candidates import Candidates

NEAR = 0.9
"""Necks closer than this (shoulder widths) are a meeting."""
SPAN, REACH = 0.4, 1.5
"""Seconds of a track that say where it is going, and how long before or after the moment they may lie."""
PLACE, PLACE_RATE, SPEED = 0.12, 0.6, 0.8
"""How well a place (shoulder widths; more for each second in between) and a speed (widths a second) go on."""
LOOKS, SIZE = 0.12, 0.12
"""How well colours (Hellinger distance) and the logarithm of the size stay."""
MARGIN = 4.0
"""How much likelier a mistake must be than none (in the sums of squares) before tracks are changed."""
LONGEST_GAP, LINKED = 3.0, 9.0
"""Seconds after which a place says nothing more, and the greatest cost of a link over an absence."""


class _Moment(NamedTuple):
    """A track just before or after an instant. doubt: variances of place and velocity, from how the points tremble."""

    time: float
    place: np.ndarray
    velocity: np.ndarray
    doubt: tuple[float, float]
    size: float
    look: np.ndarray | None


def necks(people: Candidates) -> np.ndarray:
    """(N, 2) the pit of the neck, or the middle of the shoulders, in picture heights; NaN where neither is known."""
    known = people.weights > 0
    both = (known[:, 2] & known[:, 5])[:, None]
    shoulders = np.where(both, people.points[:, [2, 5]].mean(1), np.nan)
    return np.where(known[:, 1, None], people.points[:, 1], shoulders)


def untangle(people: Candidates, tracks: list[np.ndarray], times: np.ndarray) -> list[np.ndarray]:
    """The tracks (candidates in order of time), with those changed back that were exchanged at a meeting."""
    place = necks(people)
    tracks = [track.copy() for track in tracks]
    for a in range(len(tracks)):
        for b in range(a):
            after = 0
            while (frame := _mistaken(people, place, tracks[a], tracks[b], times, after)) is not None:
                one, two = tracks[a], tracks[b]
                cut_one, cut_two = (np.searchsorted(people.frame[track], frame) for track in (one, two))
                tracks[a] = np.concatenate([one[:cut_one], two[cut_two:]])
                tracks[b] = np.concatenate([two[:cut_two], one[cut_one:]])
                after = frame + 1
    return [track for track in tracks if len(track)]


def _mistaken(
    people: Candidates, place: np.ndarray, one: np.ndarray, two: np.ndarray, times: np.ndarray, after: int
) -> int | None:
    """The frame from which on two tracks are each other's, not before frame `after`; None if they never are."""
    for first, last in _meetings(people, place, one, two, times, after):
        gains = []
        frames = np.arange(first, last + 1)
        if len(frames) > 60:  # a long meeting is looked at in steps
            frames = np.unique(np.linspace(first, last, 60).round().astype(int))
        for frame in frames.tolist():
            before = [_before(people, place, track, times, frame) for track in (one, two)]
            behind = [_after(people, place, track, times, frame) for track in (one, two)]
            costs = [[_change(x, y) for y in behind] for x in before]
            kept, changed = costs[0][0] + costs[1][1], costs[0][1] + costs[1][0]
            gains.append(kept - changed)
        if gains and max(gains) > MARGIN:
            return int(frames[int(np.argmax(gains))])
    return None


def _meetings(
    people: Candidates, place: np.ndarray, one: np.ndarray, two: np.ndarray, times: np.ndarray, after: int
) -> list[tuple[int, int]]:
    """(first, last) frames of each stretch in which two tracks are close; between their frames they go on lines."""
    first = max(people.frame[one[0]], people.frame[two[0]], after)
    last = min(people.frame[one[-1]], people.frame[two[-1]])
    if last - first < 1:
        return []
    frames = np.arange(first, last + 1)
    at = []
    for track in (one, two):
        track = track[np.isfinite(place[track, 0])]
        if not len(track):
            return []
        known = times[people.frame[track]]
        at.append(np.stack([np.interp(times[frames], known, place[track, axis]) for axis in (0, 1)], 1))
    size = 0.5 * (np.median(people.size[one]) + np.median(people.size[two]))
    near = np.linalg.norm(at[0] - at[1], axis=-1) < NEAR * size
    edges = np.flatnonzero(np.diff(np.concatenate([[False], near, [False]]).astype(int)))
    spans = [(int(frames[a]), int(frames[b - 1])) for a, b in zip(edges[::2], edges[1::2])]
    joined: list[tuple[int, int]] = []
    for span in spans:
        if joined and times[span[0]] - times[joined[-1][1]] < SPAN:
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


def _before(
    people: Candidates, place: np.ndarray, track: np.ndarray, times: np.ndarray, frame: int
) -> _Moment | None:
    """A track as it was just before a frame."""
    end = int(np.searchsorted(people.frame[track], frame))
    return _moment(people, place, track[:end][::-1], times, float(times[frame]))


def _after(
    people: Candidates, place: np.ndarray, track: np.ndarray, times: np.ndarray, frame: int
) -> _Moment | None:
    """A track as it goes on from a frame on."""
    start = int(np.searchsorted(people.frame[track], frame))
    return _moment(people, place, track[start:], times, float(times[frame]))


def _moment(
    people: Candidates, place: np.ndarray, members: np.ndarray, times: np.ndarray, instant: float
) -> _Moment | None:
    """From candidates, the nearest in time first: a line through the nearest of them, the middle of the rest."""
    if not len(members) or abs(times[people.frame[members[0]]] - instant) > REACH:
        return None
    members = members[: 1 + np.searchsorted(np.abs(times[people.frame[members]] - instant), 2 * REACH)]
    size = float(np.median(people.size[members[:50]]))
    look = None if people.looks is None else people.looks[members[:50]].mean(0)
    when = times[people.frame[members]]
    near = (np.abs(when - when[0]) <= SPAN) & np.isfinite(place[members, 0])
    if not near.any():
        return None
    t, points = when[near] - when[0], place[members[near]]
    velocity, doubt, middle = np.zeros(2), (0.0, 0.0), points.mean(0)
    if len(t) > 2:
        centred = t - t.mean()
        spread = float((centred**2).sum())
        velocity = (centred[:, None] * points).sum(0) / spread
        tremble = float(((points - middle - centred[:, None] * velocity) ** 2).sum()) / (len(t) - 2)
        doubt = tremble * (1 / len(t) + float(t.mean()) ** 2 / spread), tremble / spread
    return _Moment(float(when[0]), middle - velocity * t.mean(), velocity, doubt, size, look)


def _change(before: _Moment | None, after: _Moment | None) -> float:
    """How unlikely it is that one person was so before and is so after: a sum of squares."""
    if before is None or after is None:
        return 0.0
    size = 0.5 * (before.size + after.size)
    gap = max(after.time - before.time, 0.0)
    jump = after.place - before.place - 0.5 * gap * (before.velocity + after.velocity)
    turn = after.velocity - before.velocity
    doubt = [x + y for x, y in zip(before.doubt, after.doubt)]
    far = (size * (PLACE + PLACE_RATE * gap)) ** 2 + doubt[0] + 0.25 * gap**2 * doubt[1]
    cost = float((jump**2).sum()) / far + float((turn**2).sum()) / ((size * SPEED) ** 2 + doubt[1])
    return cost + _otherness(before, after)


def _otherness(before: _Moment, after: _Moment) -> float:
    cost = (np.log(after.size / before.size) / SIZE) ** 2
    if before.look is not None and after.look is not None:
        cost += (float(unlike(before.look, after.look)) / LOOKS) ** 2
    return float(cost)


def stitch(people: Candidates, tracks: list[np.ndarray], times: np.ndarray) -> list[np.ndarray]:
    """The tracks, those joined that are one person before and after an absence, the likeliest first."""
    place = necks(people)
    ends = [_moment(people, place, track[::-1], times, float(times[people.frame[track[-1]]])) for track in tracks]
    starts = [_moment(people, place, track, times, float(times[people.frame[track[0]]])) for track in tracks]
    cost = np.full((len(tracks), len(tracks)), np.inf)
    for a, end in enumerate(ends):
        for b, start in enumerate(starts):
            if end is not None and start is not None and end.time < start.time:
                cost[a, b] = _link(end, start)
    joined = list(tracks)
    while cost.size and cost.min() < LINKED:
        a, b = (int(n) for n in np.unravel_index(cost.argmin(), cost.shape))
        joined[a] = np.concatenate([joined[a], joined[b]])
        joined[b] = joined[b][:0]
        # What b went on to is what the two together go on to.
        cost[a] = cost[b]
        cost[b] = cost[:, b] = np.inf
    return [track for track in joined if len(track)]


def _link(before: _Moment, after: _Moment) -> float:
    """How unlikely it is that a track goes on with another, which begins after its end."""
    gap = after.time - before.time
    size = 0.5 * (before.size + after.size)
    # Somebody may have gone on as they went, or stopped.
    went = min(gap, 1.0) * 0.5 * (before.velocity + after.velocity)
    jump = min(float(np.linalg.norm(after.place - before.place - way)) for way in (went, 0 * went)) / size
    cost = (jump / (0.3 + 0.7 * min(gap, LONGEST_GAP))) ** 2
    if gap > LONGEST_GAP and before.look is not None:
        cost = min(cost, LINKED / 3)  # after a long time only the clothes count
    return float(cost + _otherness(before, after))
