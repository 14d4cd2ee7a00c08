"""The detector that needs nothing but the pack: MediaPipe's networks, with a pipeline of our own around them.

People by the pose detector, 33 points of each, hands where the arms put them, the face by its mesh. Over consecutive
frames everybody is followed, which is quicker and finds more than looking anew.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import EMO2Error
from ..types import FACE_POINTS, HAND_POINTS
from .detection import Seen
from .offline_body import SHOULDERS, Body, find_body, find_people, openpose_body, same_person
from .offline_face import HEAD, Face, find_face, ibug_face, region_of_body
from .offline_hand_search import Before, Hands, find_hands
from .offline_networks import Networks
from .offline_regions import Picture

MOST = 5
"""People in one picture."""
SEARCH = 25
"""New people are sought in every so many frames, and as soon as somebody is lost."""
FACELESS = 0.7
"""Somebody whose face is not seen must be at least this sure to the pose detector."""
KNOWN = 0.1
"""A body's point less sure than this was not found."""


@dataclass(frozen=True)
class Person:
    """Somebody in one frame. away: for how many frames each hand has not been found."""

    body: Body
    face: Face | None
    hands: Hands
    away: tuple[int, int]

    @property
    def score(self) -> float:
        """That there is a person, times how well the head and the shoulders are seen."""
        return self.body.score * float(self.body.scores[: HEAD.stop + 2].mean())


class OfflineDetector:
    """Finds up to five people; see `Detector`. threads: of the networks, 0 as many as there are cores (at most four).

    The networks are opened when they are first needed.
    """

    name = "offline"

    def __init__(self, threads: int = 0):
        self._networks = Networks(threads)
        self._people: list[Person] = []
        self._rest = 0

    def reset(self) -> None:
        """Forget earlier frames."""
        self._people = []
        self._rest = 0

    def detect(self, frames: np.ndarray) -> list[list[Seen]]:
        """People in each of `frames` (N, H, W, 3) uint8 RGB, consecutive ones of one video, the surest first."""
        if not (
            isinstance(frames, np.ndarray) and frames.ndim == 4 and frames.shape[3] == 3 and 0 not in frames.shape[1:]
        ):
            given = f"shape {getattr(frames, 'shape', type(frames).__name__)}"
            raise EMO2Error("frames", "pictures (N, H, W, 3)", given, "Connect an image or a video.")
        if frames.dtype != np.uint8:
            raise EMO2Error("frames", "pixels of type uint8", frames.dtype, "Give colours from 0 to 255.")
        return [self._seen(Picture(frame)) for frame in frames]

    def _seen(self, picture: Picture) -> list[Seen]:
        people: list[Person] = []
        for person in self._people:
            body = find_body(self._networks, picture, person.body.region)
            if body is not None and not any(one_body(body, other.body) for other in people):
                people.append(self._person(picture, body, self._face(picture, body, person), person))
        self._rest -= 1
        if self._rest <= 0 or len(people) < len(self._people):
            people.extend(self._new(picture, people))
            self._rest = SEARCH if people else 0
        self._people = sorted(people, key=lambda person: -person.score)
        return [seen(person, picture) for person in self._people]

    def _new(self, picture: Picture, known: list[Person]) -> list[Person]:
        """People who are not among those that are known."""
        found: list[Person] = []
        for region, sure in find_people(self._networks, picture, 2 * MOST):
            others = [person.body for person in known + found]
            if len(others) >= MOST or any(same_person(region, other.region) for other in others):
                continue
            body = find_body(self._networks, picture, region)
            if body is None or any(one_body(body, other) for other in others):
                continue
            face = self._face(picture, body, None)
            # Arms and patterns pass for bodies at times. They have no face, and lie on somebody or are not sure.
            if face is None and (sure < FACELESS or any(on_body(body, other) for other in others)):
                continue
            # A second look at the place that the first gave is a little more exact.
            body = find_body(self._networks, picture, body.region) or body
            found.append(self._person(picture, body, face, None))
        return found

    def _person(self, picture: Picture, body: Body, face: Face | None, before: Person | None) -> Person:
        last = Before(before.body, before.hands, before.away) if before else None
        hands = find_hands(self._networks, picture, body, last)
        away = [0 if hand else count + 1 for hand, count in zip(hands, before.away if before else (0, 0))]
        return Person(body, face, hands, (away[0], away[1]))

    def _face(self, picture: Picture, body: Body, before: Person | None) -> Face | None:
        """The face where it was; else where the body's head is, looked at twice."""
        rough = region_of_body(body)
        if before and before.face:
            face = find_face(self._networks, picture, before.face.region)
            if face and _near(face, body):
                return face
        if not (0 < rough.x < picture.width and 0 < rough.y < picture.height):
            return None
        face = find_face(self._networks, picture, rough)
        again = face and find_face(self._networks, picture, face.region)
        return again if again and _near(again, body) else None


def _near(face: Face, body: Body) -> bool:
    """Whether a face is the body's own."""
    head = region_of_body(body)
    apart = np.linalg.norm(face.points.mean(0) - (head.x, head.y))
    return bool(apart < 0.5 * head.size)


def one_body(a: Body, b: Body) -> bool:
    """Whether two bodies are the same one: heads and shoulders a third of a shoulder width apart or less."""
    upper = slice(0, HEAD.stop + 2)
    apart = np.median(np.linalg.norm(a.points[upper] - b.points[upper], axis=1))
    return bool(apart < max(a.shoulder_width, b.shoulder_width) / 3)


def on_body(body: Body, other: Body) -> bool:
    """Whether the middle of a body's shoulders lies within the box of another's head, trunk and arms."""
    middle = body.points[list(SHOULDERS)].mean(0)
    known = other.points[: HEAD.stop + 14]
    return bool((middle > known.min(0)).all() and (middle < known.max(0)).all())


def seen(person: Person, picture: Picture) -> Seen:
    """A person as detectors give one: what lies outside the picture was not found."""
    body, body_scores = openpose_body(person.body)
    body_scores = np.where(body_scores >= KNOWN, body_scores, 0)
    hands, hand_scores = np.zeros((2, HAND_POINTS, 2)), np.zeros((2, HAND_POINTS))
    for side, hand in enumerate(person.hands):
        if hand is not None:
            hands[side], hand_scores[side] = hand.points, hand.score
    face, face_scores = np.zeros((FACE_POINTS, 2)), np.zeros(FACE_POINTS)
    if person.face is not None:
        face, face_scores[:] = ibug_face(person.face), person.face.score
    given = ((body, body_scores), (hands, hand_scores), (face, face_scores))
    parts = [_normalised(points, scores, picture) for points, scores in given]
    known = np.concatenate([points[scores > 0] for points, scores in parts])
    box = np.concatenate([known.min(0), known.max(0)]) if len(known) else np.zeros(4)
    return Seen(*parts[0], *parts[1], *parts[2], box, person.score)


def _normalised(points: np.ndarray, scores: np.ndarray, picture: Picture) -> tuple[np.ndarray, np.ndarray]:
    points = points / picture.size
    there = (scores > 0) & ((points >= 0) & (points <= 1)).all(-1)
    return np.where(there[..., None], points, 0.0), np.where(there, scores.clip(0, 1), 0.0)


__all__ = ["OfflineDetector"]
