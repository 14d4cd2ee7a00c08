"""From the people that a detector sees in each frame to identities over time, and to the points of a chosen one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import EMO2Error
from ..types import BODY_POINTS, FACE_POINTS, HAND_POINTS
from .association import associate
from .candidates import MIDDLE, Candidates, gather
from .detection import Seen
from .encounters import necks, stitch, untangle
from .keypoint_motion import KNOWN, Points

FIRST_SECOND = 1.0
"""Seconds from somebody's appearance on over which their place and size are judged."""
SHORTEST = 0.15
"""Somebody who is seen for fewer seconds in all, and in less than a fifth of the clip, is a mistake of the detector."""
PICK_SECONDS, PICK_REACH = 0.5, 1.0
"""How far from a picked time and place somebody may be: seconds, and shoulder widths beyond their box."""


@dataclass(frozen=True)
class Tracks:
    """Everybody in a clip of F frames. seats (F, P): where person p is in frame f's list, -1 where they are missing.

    Person 0 is the most prominent one (`track` says how that is measured). weight (P,): their prominence.
    """

    seats: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return self.seats.shape[1]


def track(
    people: Sequence[Sequence[Seen]],
    times: np.ndarray,
    aspect: float = 1.0,
    looks: Sequence[Sequence[np.ndarray]] | None = None,
) -> Tracks:
    """Identities over all frames, through crossings, occlusions and absences.

    people: for each of F frames whoever is seen there; times (F,) seconds, rising; aspect: the picture's width over its
    height; looks: a histogram for everybody (`appearance.colours`), which tells people apart who wear different things.

    Persons are numbered by prominence, the most prominent first: how large they are in their first second (the width
    of the shoulders, or the trunk's and head's equivalent, as a share of the largest person's), times how central
    their neck is there (1 in the middle, 1/2 at the left or right edge), times the root of the share of the clip in
    which they are seen.
    """
    times = np.asarray(times, np.float64)
    flat = gather(people, aspect, looks)
    found = untangle(flat, associate(flat, times), times)
    found = stitch(flat, found, times)
    seats = np.full((len(people), len(found)), -1, np.int64)
    for p, members in enumerate(found):
        seats[flat.frame[members], p] = flat.place[members]
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1.0
    present = np.array([len(members) for members in found], np.float64)
    real = (present * step >= SHORTEST) | (present >= 0.2 * len(people))
    weight = np.array([_prominence(flat, members, times, aspect) for members in found])
    weight = weight * np.sqrt(present / max(len(people), 1))
    order = np.argsort(-weight, kind="stable") if len(found) else np.zeros(0, np.int64)
    order = order[real[order]]
    return Tracks(seats[:, order], weight[order])


def _prominence(flat: Candidates, members: np.ndarray, times: np.ndarray, aspect: float) -> float:
    begun = times[flat.frame[members]] - times[flat.frame[members[0]]] <= FIRST_SECOND
    first = members[begun]
    middle = flat.points[first, MIDDLE, 0]
    neck = necks(flat)[first, 0]
    off = np.abs(np.where(np.isnan(neck), middle, neck) / aspect - 0.5).clip(0, 0.5)
    return float(np.median(flat.size[first]) / flat.size.max() * (1 - np.median(off)))


def by_index(tracks: Tracks, person: int) -> int:
    """The person of that number, if there are that many."""
    if not 0 <= person < len(tracks):
        most = len(tracks)
        wanted = f"a number from 0 to {most - 1}" if most > 1 else "0"
        given = f"{person}, and {most} {'person is' if most == 1 else 'people are'} seen"
        raise EMO2Error("person", wanted, given, "Choose another, or pick a place.")
    return person


def by_place(
    tracks: Tracks,
    people: Sequence[Sequence[Seen]],
    times: np.ndarray,
    place: tuple[float, float],
    second: float = 0.0,
    aspect: float = 1.0,
) -> int:
    """The person at a place (x, y) 0..1 of the picture at a time in seconds: whose box holds it, or is the nearest.

    Of several boxes that hold it, the one whose middle is nearest for its size. Somebody who is missing in that very
    frame is looked for up to half a second before and after. EMO2Error: nobody is there.
    """
    times = np.asarray(times, np.float64)
    scale = np.array([aspect, 1.0])
    best, chosen = np.inf, -1
    for p in range(len(tracks)):
        seen = np.flatnonzero(tracks.seats[:, p] >= 0)
        frame = int(seen[np.abs(times[seen] - second).argmin()])
        late = abs(times[frame] - second)
        nearest_frame = np.abs(times - second).min()
        if late > PICK_SECONDS + nearest_frame:
            continue
        box = np.asarray(people[frame][int(tracks.seats[frame, p])].box, np.float64)
        low, high = box[:2] * scale, box[2:] * scale
        at = np.array(place) * scale
        out = float(np.linalg.norm(np.maximum(np.maximum(low - at, at - high), 0)))
        side = max(float(np.sqrt(np.prod(np.maximum(high - low, 1e-6)))), 1e-6)
        if out > PICK_REACH * side * 0.5:
            continue
        far = out / side * 10 + float(np.linalg.norm((at - (low + high) / 2) / np.maximum(high - low, 1e-6))) + late
        if far < best:
            best, chosen = far, p
    if chosen < 0:
        given = f"{place[0]:.2f}, {place[1]:.2f} at {second:.2f} s, where nobody is seen"
        raise EMO2Error("pick_x and pick_y", "a place on somebody", given, "Pick another place or time.")
    return chosen


def raw_points(people: Sequence[Sequence[Seen]], seats: np.ndarray) -> Points:
    """One person's points over F frames as the detector gave them; zeros where they are missing. seats (F,)."""
    count = len(seats)
    found = Points(
        np.zeros((count, BODY_POINTS, 2)), np.zeros((count, BODY_POINTS)),
        np.zeros((count, 2, HAND_POINTS, 2)), np.zeros((count, 2, HAND_POINTS)),
        np.zeros((count, FACE_POINTS, 2)), np.zeros((count, FACE_POINTS)),
    )  # fmt: skip
    for f in np.flatnonzero(seats >= 0):
        seen = people[int(f)][int(seats[f])]
        for array, values in zip(found, seen):
            array[f] = values
    for points, scores in ((0, 1), (2, 3), (4, 5)):
        bad = ~np.isfinite(found[points]).all(-1) | ~np.isfinite(found[scores])
        found[scores][bad] = 0
        np.clip(found[scores], 0, 1, out=found[scores])
        found[points][found[scores] == 0] = 0
    return found


def known_points(found: Points, least: float = KNOWN) -> Points:
    """The points with those below a score of `least` made unknown: score and position 0."""
    kept = []
    for points, scores in ((found.body, found.body_scores), (found.hands, found.hand_scores), (found.face, found.face_scores)):  # fmt: skip
        sure = scores >= least
        kept += [points * sure[..., None], scores * sure]
    return Points(*kept)
