"""Pictures of a puppet: scene, legs, trunk, head, arms and, from the pack's own meshes, the hands.

Everything is drawn twice as large and scaled down, so edges are smooth. About 4 ms a frame at 128 x 96.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...models.pose.body import ELBOWS, SHOULDERS, WRISTS, body_joints
from ...models.types import SHOULDER_METRES, Motion
from .canvas import Canvas, shade
from .emotions import expression
from .hands import hand_maps, paint_hands
from .head import Pose, head_height, mouth_place, paint_back_hair, paint_head
from .head import face_points as head_points
from .identity import Identity, Person, Scene
from .legs import standing
from .scenery import paint_scene

OVER = 2
"""How much larger than asked everything is drawn first."""


def paint(
    identity: Identity,
    motion: Motion,
    *,
    mouth: np.ndarray,
    blink: np.ndarray,
    head: np.ndarray,
    blur: np.ndarray | None = None,
    feet: np.ndarray | None = None,
    emotion: np.ndarray | None = None,
    size: tuple[int, int] = (128, 96),
    start: int = 0,
    count: int | None = None,
    scene: Scene | None = None,
) -> np.ndarray:
    """Frames start..start+count-1 as (F, H, W, 3) uint8.

    motion: F frames, its framing fitted to `size` (H, W). mouth (F, 2) opening and width, blink (F,), head (F, 3) nod,
    turn and tilt in radians, blur (F, 2) of each hand in pixels of a picture 96 wide. feet, emotion: as in
    `Performance`. scene: another background.
    """
    count = len(motion) - start if count is None else count
    large = (size[0] * OVER, size[1] * OVER)
    body = Body(motion, large, start, count, feet)
    empty = paint_scene(scene or identity.scene, large)
    maps = hand_maps(motion, large, start, count)
    smear = np.zeros((len(motion), 2)) if blur is None else np.asarray(blur) * (large[1] / 96)
    frames = np.empty((count, *size, 3), np.uint8)
    for index in range(count):
        at = start + index
        canvas = Canvas(empty.copy())
        pose = body.head(
            identity.person, index, head[at], mouth[at], float(blink[at]), None if emotion is None else emotion[at]
        )
        _paint_person(canvas, identity.person, body, index, pose)
        paint_hands(canvas.pixels, maps[index], identity.person.skin, smear[at], body.travel[index])
        frames[index] = cv2.resize(canvas.pixels, size[::-1], interpolation=cv2.INTER_AREA)
    return frames


def mouth_places(identity: Identity, motion: Motion, head: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Where the mouth is in every frame, (F, 2) pixels of `size`."""
    body = Body(motion, size, 0, len(motion))
    poses = (body.head(identity.person, i, head[i], np.zeros(2), 0.0) for i in range(len(motion)))
    return np.stack([mouth_place(identity.person, pose) for pose in poses])


def face_points(
    identity: Identity, motion: Motion, mouth: np.ndarray, blink: np.ndarray, head: np.ndarray, size: tuple[int, int],
    emotion: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """The face in every frame, (F, 70, 2) pixels of `size`; arguments as `paint` takes them."""
    body = Body(motion, size, 0, len(motion))
    person, shown = identity.person, [None] * len(motion) if emotion is None else emotion
    poses = (body.head(person, i, head[i], mouth[i], float(blink[i]), shown[i]) for i in range(len(motion)))
    return np.stack([head_points(person, pose) for pose in poses])


class Body:
    """Where a body's parts are in the picture. points (F, 18, 2) pixels; scale (F,) pixels a metre at the neck."""

    def __init__(self, motion: Motion, size: tuple[int, int], start: int, count: int, feet: np.ndarray | None = None):
        part = motion.frames(start, start + count)
        framing = part.framing.fitted(size)
        self.framing, self.extent = framing, np.array(size[::-1], float)
        self.joints = body_joints(framing, part.wrists(), part.body_offset, part.body_rotation)
        if feet is not None:
            self.joints = standing(self.joints, framing, feet[start : start + count], part.body_rotation)
        self.points = framing.project(self.joints) * self.extent
        self.scale = framing.focal / np.maximum(self.joints[:, 1, 2], 0.1)
        wrists = self.points[:, WRISTS]
        self.travel = np.gradient(wrists, axis=0) if count > 1 else np.zeros_like(wrists)

    def head(
        self, person: Person, index: int, angles: np.ndarray, mouth: np.ndarray, lid: float,
        emotion: np.ndarray | None = None,
    ) -> Pose:  # fmt: skip
        """The head on the neck: it turns about its own centre and leans with the shoulders."""
        shoulders = self.points[index, SHOULDERS[0]] - self.points[index, SHOULDERS[1]]
        lean = float(np.arctan2(shoulders[1], shoulders[0]))
        nod, turn, tilt = (float(a) for a in angles)
        up = np.array([np.sin(lean + tilt * 0.5), -np.cos(lean + tilt * 0.5)])
        centre = self.points[index, 1] + up * head_height(person) * self.scale[index]
        centre = centre + np.array([0.02 * np.sin(turn), 0.05 * np.sin(nod)]) * self.scale[index]
        face = None if emotion is None else expression(emotion)
        return Pose(
            centre, float(self.scale[index]), nod, turn, lean + tilt, float(mouth[0]), float(mouth[1]), lid, face
        )


def _paint_person(canvas: Canvas, person: Person, body: Body, index: int, pose: Pose) -> None:
    points, s = body.points[index], float(body.scale[index])
    paint_back_hair(canvas, person, pose)
    _legs(canvas, person, points, s)
    _trunk(canvas, person, points, s, pose)
    paint_head(canvas, person, pose)
    depths = body.joints[index, WRISTS, 2]
    for hand in np.argsort(-depths):
        _arm(canvas, person, points, s, int(hand))


def _legs(canvas: Canvas, person: Person, points: np.ndarray, s: float) -> None:
    for hip, knee, ankle in ((8, 9, 10), (11, 12, 13)):
        canvas.capsule(points[hip], points[knee], (0.105 * s, 0.075 * s), person.trousers)
        canvas.capsule(points[knee], points[ankle], (0.07 * s, 0.05 * s), person.trousers)
        canvas.ellipse(points[ankle] + [0, 0.05 * s], (0.075 * s, 0.045 * s), 0, shade(person.trousers, 0.45))
    canvas.capsule(points[8], points[11], (0.11 * s, 0.11 * s), person.trousers)


def _trunk(canvas: Canvas, person: Person, points: np.ndarray, s: float, pose: Pose) -> None:
    left, right, neck = points[5], points[2], points[1]
    down = (points[8] + points[11]) / 2 - neck
    across = (left - right) / SHOULDER_METRES
    wide = person.build
    at = lambda x, y: neck + across * x * wide + down * y
    outline = [(-0.19, 0.0), (-0.1, -0.09), (0.1, -0.09), (0.19, 0.0), (0.2, 0.25), (0.165, 0.62), (0.185, 1.06)]
    outline += [(-x, y) for x, y in outline[:3:-1]]
    for shoulder in (left, right):
        canvas.circle(shoulder, 0.062 * s * wide, person.top)
    canvas.polygon(np.array([at(x, y) for x, y in outline]), person.top)
    _pattern(canvas, person, at, s)
    canvas.capsule(
        neck + np.array([0, 0.02 * s]), pose.centre, (0.058 * s * wide**0.5, 0.05 * s), shade(person.skin, 0.8)
    )
    if person.neckline == "v":
        canvas.polygon(np.array([at(-0.07, -0.1), at(0.07, -0.1), at(0, 0.2)]), shade(person.skin, 0.92))
    elif person.neckline == "collar":
        for side in (-1, 1):
            canvas.polygon(
                np.array([at(side * 0.02, -0.02), at(side * 0.1, -0.12), at(side * 0.1, 0.12)]), person.second
            )
    elif person.neckline == "scarf":
        canvas.capsule(at(-0.08, -0.05), at(0.08, -0.05), (0.045 * s,) * 2, person.second)
    else:
        canvas.ellipse(at(0, -0.07), (0.075 * s, 0.045 * s), 0, shade(person.skin, 0.85))


def _pattern(canvas: Canvas, person: Person, at: object, s: float) -> None:
    place = at  # a function from trunk coordinates to pixels
    if person.pattern == "stripes":
        for x in (-0.12, -0.04, 0.04, 0.12):
            canvas.capsule(place(x, 0.1), place(x * 0.95, 1.0), (0.013 * s,) * 2, person.second)  # type: ignore[operator]
    elif person.pattern == "bands":
        for y in (0.22, 0.45, 0.68, 0.91):
            canvas.capsule(place(-0.15, y), place(0.15, y), (0.022 * s,) * 2, person.second)  # type: ignore[operator]
    elif person.pattern == "badge":
        canvas.circle(place(0.0, 0.42), 0.06 * s, person.second)  # type: ignore[operator]
    elif person.pattern == "panel":
        corners = [(-0.075, -0.05), (0.075, -0.05), (0.085, 1.05), (-0.085, 1.05)]
        canvas.polygon(np.array([place(x, y) for x, y in corners]), person.second)  # type: ignore[operator]


def _arm(canvas: Canvas, person: Person, points: np.ndarray, s: float, hand: int) -> None:
    shoulder, elbow, wrist = points[SHOULDERS[hand]], points[ELBOWS[hand]], points[WRISTS[hand]]
    # A darker tone than the trunk's keeps an arm apart from what is behind it.
    cloth, skin = shade(person.top, 0.8), shade(person.skin, 0.93)
    upper = cloth if person.sleeve != "none" else skin
    fore = cloth if person.sleeve == "long" else skin
    if person.sleeve == "none":
        canvas.circle(shoulder, 0.058 * s, person.top)
    canvas.capsule(shoulder, elbow, (0.056 * s * person.build**0.5, 0.045 * s), upper)
    canvas.capsule(elbow, wrist, (0.044 * s, 0.031 * s), fore)
    if person.sleeve == "long":
        cuff = wrist + (elbow - wrist) * 0.1
        canvas.capsule(cuff, wrist, (0.036 * s,) * 2, shade(person.second, 0.9))


__all__ = ["OVER", "Body", "face_points", "mouth_places", "paint"]
