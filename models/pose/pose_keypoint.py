"""`POSE_KEYPOINT`, the OpenPose JSON that ComfyUI's packs pass on: to and from a `Motion`.

One dict a frame: `canvas_width`, `canvas_height`, `people`, each with flat lists x, y, score: `pose_keypoints_2d` (18),
`face_keypoints_2d` (70), `hand_left_keypoints_2d`, `hand_right_keypoints_2d` (21). What is found in the wild is read
too: positions normalised or in pixels, absent or None parts and people, 25 or 17 body points, 68 face points, scores
above 1, and hands whose sides are swapped (some versions of ComfyUI's SDPose), which the body's wrists give away.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import EMO2Error
from ..hands.layer import HandModel
from ..types import BODY_POINTS, FACE_POINTS, HAND_POINTS, Framing, Motion
from .body import arm_keypoints
from .coco_wholebody import COCO_IN_OPENPOSE
from .detection import Seen
from .keypoint_motion import KNOWN, Points, framing_of, motion_of_points
from .sides import repair_sides
from .tracking import track

WHERE = "pose_keypoint"
_BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
_PARTS = {
    "pose_keypoints_2d": (BODY_POINTS, 25, 24, 17),
    "face_keypoints_2d": (FACE_POINTS, 68),
    "hand_left_keypoints_2d": (HAND_POINTS,),
    "hand_right_keypoints_2d": (HAND_POINTS,),
}


def to_pose_keypoint(motion: Motion, hands: HandModel, certain: bool = False) -> list[dict[str, Any]]:
    """One OpenPose dict a frame, one person, positions in pixels of the framing's size.

    The hands' 21 points are those of `hands` posed and projected, with the motion's scores; a hand that is not visible
    has zeros. Body points that are unknown come from the resting skeleton if no body is known at all, else they are
    zeros. certain: every known point gets score 1 (controlnet_aux draws nothing below that).
    """
    body, body_scores = motion.keypoints, motion.keypoint_scores
    if not (body_scores > 0).any():
        body, body_scores = arm_keypoints(motion.framing, motion.wrists(), motion.body_offset, motion.body_rotation)
    joints = hands.pose(motion.rotations, motion.wrists())[1]
    hand_scores = motion.hand_scores * motion.visible[..., None]
    points = Points(body, body_scores, motion.framing.project(joints), hand_scores, motion.face, motion.face_scores)
    return pose_keypoint_of(points, motion.framing.size, certain)


def pose_keypoint_of(points: Points, size: tuple[int, int], certain: bool = False) -> list[dict[str, Any]]:
    """One OpenPose dict a frame of one person's points, which are normalised to a picture of `size` (H, W).

    Unknown ones are zeros. certain: every known point gets score 1.
    """
    height, width = size
    pixels = np.array([width, height])
    parts = {
        "pose_keypoints_2d": (points.body, points.body_scores),
        "face_keypoints_2d": (points.face, points.face_scores),
        "hand_left_keypoints_2d": (points.hands[:, 0], points.hand_scores[:, 0]),
        "hand_right_keypoints_2d": (points.hands[:, 1], points.hand_scores[:, 1]),
    }
    count = len(points.body)
    flat = {}
    for name, (places, scores) in parts.items():
        known = scores > 0
        scores = known.astype(np.float64) if certain else scores.astype(np.float64)
        values = np.concatenate([places * pixels, scores[..., None]], axis=-1) * known[..., None]
        flat[name] = values.reshape(count, -1).tolist()
    return [
        {"people": [{name: rows[i] for name, rows in flat.items()}], "canvas_height": height, "canvas_width": width}
        for i in range(count)
    ]


def points_to_pose_keypoint(found: Points, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The same of points as they were found: a frame in which nothing is known has no person."""
    known = [scores.reshape(len(scores), -1) for scores in (found.body_scores, found.hand_scores, found.face_scores)]
    there = np.concatenate(known, axis=1).max(1) > 0
    return [frame if there[i] else {**frame, "people": []} for i, frame in enumerate(pose_keypoint_of(found, size))]


def from_pose_keypoint(
    frames: Any,
    fps: float,
    framing: Framing | None = None,
    hands: HandModel | None = None,
    person: int = 0,
    fit: bool = True,
    on_step: Callable[[int, int], None] | None = None,
) -> Motion:
    """A `Motion` from OpenPose dicts, one a frame (a single dict, or JSON text, is read too).

    framing: where the person is; None: the median neck and shoulder width of the clip. hands: the hand whose
    proportions are assumed (None: the neutral one). person: whose motion, counted in the first frame in which there are
    that many people; before and after they are followed through crossings and absences (`tracking`). Sides that were
    exchanged for some frames are put right (`sides`). Body and face keep their 2D points; hands come into space as
    `motion_of_points` says, which fit and on_step are for. Frames without a hand have it filled in, marked not visible.
    """
    found, size = points_of(frames, framing, person, fps)
    if framing is None:
        framing = framing_of(found.body, found.body_scores, size)
    return motion_of_points(found, fps, framing, hands, fit, on_step)


def points_of(
    frames: Any, framing: Framing | None = None, person: int = 0, fps: float = 25.0
) -> tuple[Points, tuple[int, int]]:
    """(points, (H, W) of their picture) of one person in OpenPose dicts, as `from_pose_keypoint` reads them.

    framing: has the picture's size where positions in pixels come without a canvas.
    """
    people, canvas = _people(frames, person, fps)
    body, body_scores = _part(people, "pose_keypoints_2d")
    face, face_scores = _part(people, "face_keypoints_2d")
    left, right = (_part(people, f"hand_{side}_keypoints_2d") for side in ("left", "right"))
    points, scores = np.stack([left[0], right[0]], 1), np.stack([left[1], right[1]], 1)
    if not (body_scores.any() or scores.any()):
        given = f"{len(people)} frames with nobody in them"
        raise EMO2Error(WHERE, "a person with known points in at least one frame", given, "Check the detector.")
    sizes = _pixels(canvas, [(body, body_scores), (face, face_scores), (points, scores)], framing)
    for array in (body, face, points):
        array /= sizes.reshape((-1,) + (1,) * (array.ndim - 2) + (2,))
    found = Points(body, body_scores, points, scores, face, face_scores)
    size = framing.size if framing is not None else _own_size(frames, sizes)
    return repair_sides(found, np.arange(len(body)) / max(fps, 1e-3), size[1] / size[0]), _own_size(frames, sizes)


def _frames(value: Any) -> list[Any]:
    """The frames as a flat list of dicts or None."""
    if isinstance(value, (str, bytes)):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise EMO2Error(WHERE, "OpenPose JSON", f"text that is no JSON ({error})", "Check the file.") from error
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, Sequence) and len(value) == 1 and isinstance(value[0], (list, tuple)):
        value = value[0]
    good = isinstance(value, Sequence) and all(frame is None or isinstance(frame, dict) for frame in value)
    if not good or not value or all(frame is None for frame in value):
        given = (
            f"{type(value).__name__} of length {len(value)}" if isinstance(value, Sequence) else type(value).__name__
        )
        raise EMO2Error(WHERE, "a list with one OpenPose dict a frame", given, "Connect a POSE_KEYPOINT output.")
    return list(value)


def _people(value: Any, person: int, fps: float) -> tuple[list[dict[str, Any]], list[tuple[float, float]]]:
    """One person's dict a frame ({} where they are missing), and the canvas (width, height), NaN where unknown."""
    frames = _frames(value)
    if person < 0:
        raise EMO2Error("person", "0 for the first person, 1 for the second, ...", person, "Give 0 or more.")
    sizes, crowd = [], []
    for frame in frames:
        frame = frame or {}
        sizes.append((float(frame.get("canvas_width") or math.nan), float(frame.get("canvas_height") or math.nan)))
        crowd.append([p for p in frame.get("people") or [] if isinstance(p, dict)])
    most = max(len(people) for people in crowd)
    if most == 0:
        given = f"{len(frames)} frames with nobody in them"
        raise EMO2Error(WHERE, "a person in at least one frame", given, "Check the detector.")
    if most <= person:
        raise EMO2Error("person", f"a number below {most} (the most people in one frame)", person, "Choose another.")
    if most == 1:  # nobody else to be mistaken for
        return [people[0] if people else {} for people in crowd], sizes
    first = next(i for i, people in enumerate(crowd) if len(people) > person)
    seats = _follow(crowd, sizes, first, person, fps)
    return [people[seat] if seat >= 0 else {} for people, seat in zip(crowd, seats)], sizes


def _follow(
    crowd: list[list[dict[str, Any]]], sizes: list[tuple[float, float]], first: int, person: int, fps: float
) -> list[int]:
    """Where in each frame's list the person is that is number `person` in frame `first`; -1 where they are missing."""
    seen = [[_seen(one) for one in people] for people in crowd]
    known = [size for size in sizes if all(side > 0 for side in size)]
    # Points are as they came, in pixels or normalised; only the shape of the picture matters here.
    normalised = all(np.abs(one.body).max() <= 2 for people in seen for one in people)
    aspect = known[0][0] / known[0][1] if known and normalised else 1.0
    tracks = track(seen, np.arange(len(crowd)) / max(fps, 1e-3), aspect)
    mine = np.flatnonzero(tracks.seats[first] == person)
    if not len(mine):  # nothing is known of them there, or they are somebody else found twice
        return [person if i == first else -1 for i in range(len(crowd))]
    return [int(seat) for seat in tracks.seats[:, mine[0]]]


def _seen(person: dict[str, Any]) -> Seen:
    """What tracking needs of a person: the body's points and the box around all that is known."""
    body, scores = _points(person, "pose_keypoints_2d")
    parts = [(body, scores), *(_points(person, f"hand_{side}_keypoints_2d") for side in ("left", "right"))]
    known = np.concatenate([points[sure > 0] for points, sure in parts])
    box = np.concatenate([known.min(0), known.max(0)]) if len(known) else np.zeros(4)
    none = np.zeros((2, HAND_POINTS, 2)), np.zeros((2, HAND_POINTS)), np.zeros((FACE_POINTS, 2)), np.zeros(FACE_POINTS)
    return Seen(body, scores, *none, box, float(scores.mean()))


def _part(people: list[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    pairs = [_points(person, name) for person in people]
    return np.stack([p for p, _ in pairs]), np.stack([s for _, s in pairs])


def _points(person: dict[str, Any], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 2) as given and scores (P,) 0..1 of one part of one person; all unknown when it is absent."""
    wanted = _PARTS[name][0]
    values = person.get(name)
    if values is None or len(values) == 0:
        return np.zeros((wanted, 2)), np.zeros(wanted)
    try:
        flat = np.array(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        flat = np.zeros(1)
    if len(flat) % 3 or len(flat) // 3 not in _PARTS[name]:
        lengths = " or ".join(str(3 * n) for n in _PARTS[name])
        raise EMO2Error(WHERE, f"{lengths} numbers (x, y, score) in {name}", f"{len(flat)}", "Check the detector.")
    rows = flat.reshape(-1, 3)
    lost = ~np.isfinite(rows).all(1) | ((rows[:, :2] == 0).all(1)) | (rows[:, 2] < KNOWN)
    rows = np.where(lost[:, None], 0.0, rows)
    points, scores = rows[:, :2], np.clip(rows[:, 2], 0, 1)
    if name == "pose_keypoints_2d":
        points, scores = _body_18(points, scores)
    elif len(points) < wanted:
        pad = wanted - len(points)
        points, scores = np.pad(points, ((0, pad), (0, 0))), np.pad(scores, (0, pad))
    return points, scores


def _body_18(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """OpenPose's 18 points from 25 (BODY_25), 24 (18 and the feet) or 17 (COCO; the neck is between the shoulders)."""
    if len(points) == 25:
        return points[list(_BODY_25)], scores[list(_BODY_25)]
    if len(points) == 17:
        points, scores = points[list(COCO_IN_OPENPOSE)], scores[list(COCO_IN_OPENPOSE)]
        points[1], scores[1] = points[[2, 5]].mean(0), scores[[2, 5]].min()
        if scores[1] == 0:
            points[1] = 0
    return points[:BODY_POINTS], scores[:BODY_POINTS]


def _pixels(sizes: list, parts: list[tuple[np.ndarray, np.ndarray]], framing: Framing | None) -> np.ndarray:
    """What to divide positions by, (F, 2): the canvas, or 1 when they are normalised already."""
    known = np.concatenate([points[scores > 0].reshape(-1) for points, scores in parts])
    canvas = np.array(sizes, np.float64)
    if np.percentile(np.abs(known), 95) <= 2:
        return np.ones((len(sizes), 2))
    given = np.isfinite(canvas).all(1) & (canvas > 0).all(1)
    if given.any():
        canvas[~given] = canvas[given][0]
        return canvas
    if framing is None:
        remedy = "Connect a framing, which has the picture's size."
        raise EMO2Error(WHERE, "canvas_width and canvas_height in its frames", "pixel positions without them", remedy)
    return np.tile(np.array([framing.size[1], framing.size[0]], np.float64), (len(sizes), 1))


def _own_size(frames: Any, sizes: np.ndarray) -> tuple[int, int]:
    """(H, W) of the first canvas that is known; 704 x 512 when positions are normalised and none is."""
    for frame in _frames(frames):
        width, height = (frame or {}).get("canvas_width"), (frame or {}).get("canvas_height")
        if width and height:
            return max(int(height), 1), max(int(width), 1)
    return Framing().size if (sizes == 1).all() else (int(sizes[0, 1]), int(sizes[0, 0]))
