"""A puppet's head: skull, hair, eyes that blink, and a mouth that opens and widens with the sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .canvas import Canvas, shade
from .emotions import Expression
from .identity import Person

CHIN = 0.0
"""Where the neck meets the head, metres above the neck root."""


@dataclass(frozen=True)
class Pose:
    """One frame's head. centre: pixels; scale: pixels a metre; nod, turn, tilt: radians; opening, width, lid: 0..1.
    face: what an emotion adds, None: nothing."""

    centre: np.ndarray
    scale: float
    nod: float
    turn: float
    tilt: float
    opening: float
    width: float
    lid: float
    face: Expression | None = None


def head_height(person: Person) -> float:
    """Metres from the neck root up to the head's centre."""
    return CHIN + 0.045 + person.head[1]


def paint_back_hair(canvas: Canvas, person: Person, pose: Pose) -> None:
    """What hangs behind the neck and shoulders; drawn before the trunk."""
    at, wide, high = _frame(person, pose)
    if person.hair_style == "long":
        canvas.ellipse(at(0, 0.35), (wide * 1.22 * pose.scale, high * 1.35 * pose.scale), _degrees(pose), person.hair)
    elif person.hair_style in ("bob", "curly"):
        canvas.ellipse(at(0, 0.05), (wide * 1.25 * pose.scale, high * 1.02 * pose.scale), _degrees(pose), person.hair)


def paint_head(canvas: Canvas, person: Person, pose: Pose) -> None:
    """Skull, ears, face and front hair over what is there."""
    at, wide, high = _frame(person, pose)
    s, angle = pose.scale, _degrees(pose)
    for side in (-1, 1):
        canvas.circle(at(side * 0.98 - 0.25 * np.sin(pose.turn), 0.02), wide * 0.2 * s, shade(person.skin, 0.88))
    canvas.ellipse(at(0, 0), (wide * s, high * s), angle, person.skin)
    # Features slide over the skull as it turns and nods.
    slide_x, slide_y = 0.55 * np.sin(pose.turn), 0.5 * np.sin(pose.nod)
    face = lambda x, y: at(x * np.cos(pose.turn) + slide_x, y + slide_y)
    if person.beard:
        canvas.ellipse(face(0, 0.62), (wide * 0.74 * s, high * 0.42 * s), angle, person.hair)
    if pose.face is not None:
        _moods(canvas, person, pose.face, face, wide * s)
    _eyes(canvas, person, pose, face, wide)
    canvas.ellipse(face(0.02, 0.16), (wide * 0.11 * s, high * 0.1 * s), angle, shade(person.skin, 0.82))
    paint_mouth(canvas, person, pose, face(0, MOUTH_Y))
    _hair(canvas, person, pose, at, wide, high)
    if pose.face is not None:
        # Brows speak louder than hair: they show through it as far as there is something to say.
        tone = 0.8 - 0.35 * pose.face.strength if person.hair_style != "bald" else 0.8
        _brows(canvas, person, pose, face, wide, tone)


MOUTH_Y = 0.5
"""Where the mouth stands below the head's centre, in head heights."""


def mouth_place(person: Person, pose: Pose) -> np.ndarray:
    """The mouth's centre in pixels."""
    at, _, _ = _frame(person, pose)
    return at(0.55 * np.sin(pose.turn), MOUTH_Y + 0.5 * np.sin(pose.nod))


def face_points(person: Person, pose: Pose) -> np.ndarray:
    """The 70 points of a face, (70, 2) pixels, as a detector finds them: jaw, brows, nose, eyes, lips, pupils.

    In OpenPose's order, beginning at the picture's left. Eyes close and lips open as they are painted.
    """
    at, wide, _ = _frame(person, pose)
    s = pose.scale
    slide_x, slide_y = 0.55 * np.sin(pose.turn), 0.5 * np.sin(pose.nod)
    face = lambda x, y: at(x * np.cos(pose.turn) + slide_x, y + slide_y)
    jaw = [at(-np.cos(a), np.sin(a)) for a in np.linspace(0, np.pi, 17)]
    raised = lambda x: _raised(pose, -1 if x < 0 else 1, abs(x))
    brows = [
        face(x, -0.42 + 0.05 * abs(abs(x) - 0.41) - raised(x))
        for x in (*np.linspace(-0.62, -0.2, 5), *np.linspace(0.2, 0.62, 5))
    ]
    nose = [face(0.02, y) for y in np.linspace(-0.12, 0.1, 4)]
    nose += [face(0.02 + x, 0.2 + 0.06 * (x == 0)) for x in (-0.1, -0.05, 0.0, 0.05, 0.1)]
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)
    turned = lambda x, y: np.array([x * cos - y * sin, x * sin + y * cos])
    eyes, pupils = [], []
    for side in (-1, 1):
        middle, radius = face(side * 0.42, -0.12), wide * 0.185 * person.eye * s
        lids = radius * _open(pose, side)
        eyes += [
            middle + turned(radius * np.cos(a), -lids * np.sin(a)) for a in np.radians((180, 120, 60, 0, -60, -120))
        ]
        pupils.append(middle)
    centre, half, gap, lip = face(0, MOUTH_Y), *_lips(person, pose)
    outer = [(np.cos(a) * (half + lip), -np.sin(a) * (gap + lip)) for a in np.linspace(np.pi, -np.pi, 13)[:-1]]
    inner = [(np.cos(a) * half, -np.sin(a) * gap) for a in np.linspace(np.pi, -np.pi, 9)[:-1]]
    lips = [centre + turned(x, y) for x, y in _bent(np.array([*outer, *inner]), person, pose)]
    return np.stack([*jaw, *brows, *nose, *eyes, *lips, *pupils])


def _lips(person: Person, pose: Pose) -> tuple[float, float, float]:
    """Half the mouth's width, half its opening, and the lips' thickness, pixels."""
    wide = person.head[0] * pose.scale
    width, opening = pose.width, pose.opening
    if pose.face is not None:
        # The whole of a voice's opening is kept: a mouth that stands open opens from there.
        width = width + pose.face.width
        opening = pose.face.opening + opening * (1 - 0.5 * min(max(pose.face.opening, 0.0), 1.0))
    return wide * (0.3 + 0.22 * width), wide * 0.5 * opening, wide * 0.075


def _bent(points: np.ndarray, person: Person, pose: Pose) -> np.ndarray:
    """A mouth's points (n, 2), pixels from its centre before the head's tilt, as an emotion bends them."""
    if pose.face is None:
        return points
    wide, (half, _, lip) = person.head[0] * pose.scale, _lips(person, pose)
    across = points[:, 0] / (half + lip)
    corner = np.where(across > 0, pose.face.corner_right, pose.face.corner_left)
    level = 0.35 * (pose.face.corner_left + pose.face.corner_right) / 2
    up = corner * across**2 - level + np.where(points[:, 1] <= 0, pose.face.lip * (1 - across**2), 0)
    return np.stack([points[:, 0], points[:, 1] - wide * up], 1)


def _raised(pose: Pose, side: int, x: float) -> float:
    """How far a brow is raised at `x` (0.2 its inner, 0.62 its outer end), in half heights of the head."""
    if pose.face is None:
        return 0.0
    share = (x - 0.2) / 0.42
    return (1 - share) * pose.face.inner(side) + share * pose.face.outer(side)


def _open(pose: Pose, side: int) -> float:
    """How far an eye is open: 0 shut, 1 as usual, more when it is wide."""
    usual = max(1 - pose.lid, 0.0)
    return usual if pose.face is None else usual * (1 + pose.face.lids(side))


def paint_mouth(canvas: Canvas, person: Person, pose: Pose, centre: np.ndarray) -> None:
    """Lips round a dark opening: its height is 0.55 of the head's half width at full opening."""
    angle = _degrees(pose)
    half, gap, lip = _lips(person, pose)
    if pose.face is not None:
        _mood_mouth(canvas, person, pose, centre)
        return
    canvas.ellipse(centre, (half + lip, gap + lip), angle, person.lips)
    if gap > 0.15:
        canvas.ellipse(centre, (half, gap), angle, (58, 14, 22))
    if gap > lip * 1.5:
        bottom = centre + np.array([0, gap * 0.55])
        canvas.ellipse(bottom, (half * 0.55, gap * 0.35), angle, (196, 84, 92))


def _mood_mouth(canvas: Canvas, person: Person, pose: Pose, centre: np.ndarray) -> None:
    """The mouth of `paint_mouth`, bent by an emotion."""
    half, gap, lip = _lips(person, pose)
    around = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)

    def shape(x: float, y: float, down: float = 0.0) -> np.ndarray:
        points = _bent(np.stack([x * np.cos(around), down - y * np.sin(around)], 1), person, pose)
        return centre + np.stack([points[:, 0] * cos - points[:, 1] * sin, points[:, 0] * sin + points[:, 1] * cos], 1)

    canvas.polygon(shape(half + lip, gap + lip), person.lips)
    if gap > 0.15:
        canvas.polygon(shape(half, gap), (58, 14, 22))
    if gap > lip * 1.5:
        canvas.polygon(shape(half * 0.55, gap * 0.35, gap * 0.55), (196, 84, 92))


def _moods(canvas: Canvas, person: Person, mood: Expression, face: Callable[..., np.ndarray], wide: float) -> None:
    """Red cheeks, tears, and lines from the nose's sides and between the brows."""
    for side in (-1, 1):
        if mood.cheeks > 0.05:
            blush = np.array(person.skin) * (1 - 0.3 * mood.cheeks) + np.array((226, 92, 84)) * 0.3 * mood.cheeks
            red, green, blue = (int(v) for v in blush)
            canvas.circle(face(side * 0.56, 0.22), wide * 0.2, (red, green, blue))
        if mood.wrinkle > 0.05:
            dark = shade(person.skin, 1 - 0.45 * mood.wrinkle)
            canvas.capsule(face(side * 0.17, 0.1), face(side * 0.4, 0.34), (wide * 0.045,) * 2, dark)
        if mood.furrow > 0.05:
            dark = shade(person.skin, 1 - 0.5 * mood.furrow)
            canvas.capsule(face(side * 0.08, -0.36), face(side * 0.1, -0.16), (wide * 0.04,) * 2, dark)
        if mood.tears > 0.05:
            radii = (wide * 0.03 * mood.tears, wide * 0.085 * mood.tears)
            canvas.capsule(face(side * 0.5, 0.06), face(side * 0.54, 0.28), radii, (150, 205, 245))


def _eyes(canvas: Canvas, person: Person, pose: Pose, face: Callable[..., np.ndarray], wide: float) -> None:
    s, angle = pose.scale, _degrees(pose)
    for side in (-1, 1):
        middle = face(side * 0.42, -0.12)
        radius = wide * 0.185 * person.eye * s
        open_part = _open(pose, side)
        if open_part > 0.15:
            canvas.ellipse(middle, (radius, radius * open_part), angle, (250, 250, 248))
            canvas.ellipse(middle, (radius * 0.55, radius * min(0.55, open_part)), angle, person.iris)
            canvas.ellipse(middle, (radius * 0.26, radius * min(0.26, open_part)), angle, (16, 14, 16))
        else:
            canvas.ellipse(middle, (radius, radius * 0.2), angle, shade(person.skin, 0.5))
        _brow(canvas, person, pose, face, wide, side, 0.8)
        if person.glasses:
            canvas.ellipse(middle, (wide * 0.3 * s, wide * 0.28 * s), angle, (40, 40, 48), line=wide * 0.07 * s)
    if person.glasses:
        canvas.line([face(-0.14, -0.12), face(0.14, -0.12)], wide * 0.07 * s, (40, 40, 48))


def _brows(
    canvas: Canvas, person: Person, pose: Pose, face: Callable[..., np.ndarray], wide: float, tone: float
) -> None:
    for side in (-1, 1):
        _brow(canvas, person, pose, face, wide, side, tone)


def _brow(
    canvas: Canvas, person: Person, pose: Pose, face: Callable[..., np.ndarray], wide: float, side: int, tone: float
) -> None:
    inner, outer = (face(side * x, y - _raised(pose, side, x)) for x, y in ((0.2, -0.4), (0.62, -0.42)))
    canvas.capsule(inner, outer, (wide * 0.055 * person.brow * pose.scale,) * 2, shade(person.hair, tone))


def _hair(canvas: Canvas, person: Person, pose: Pose, at: Callable[..., np.ndarray], wide: float, high: float) -> None:
    s, angle, style = pose.scale, _degrees(pose), person.hair_style
    if style == "bald":
        return
    top = at(0.12 * np.sin(pose.turn), -0.16)
    depth = {"crop": 0.86, "cap": 0.9}.get(style, 0.93)
    # The upper half of an ellipse, drawn as its arc's polygon.
    canvas.ellipse(top, (wide * 1.07 * s, high * depth * s), angle, person.hair, span=(188.0, 352.0))
    if style == "cap":
        canvas.capsule(at(-1.0, -0.42), at(1.2, -0.42), (wide * 0.13 * s,) * 2, person.second)
    if style == "bun":
        canvas.circle(at(0, -1.08), wide * 0.42 * s, person.hair)
    if style in ("short", "bob", "long"):
        canvas.capsule(at(-0.95, -0.35), at(-0.98, 0.1), (wide * 0.16 * s, wide * 0.1 * s), person.hair)
        canvas.capsule(at(0.95, -0.35), at(0.98, 0.1), (wide * 0.16 * s, wide * 0.1 * s), person.hair)
    if style == "curly":
        for turn in np.linspace(-2.9, -0.25, 8):
            canvas.circle(at(np.cos(turn), np.sin(turn) * 0.85 - 0.1), wide * 0.34 * s, person.hair)


def _frame(person: Person, pose: Pose) -> tuple[Callable[..., np.ndarray], float, float]:
    """A function from head coordinates (1 = a half axis) to pixels, and the half axes in metres."""
    wide, high = person.head
    cos, sin = np.cos(pose.tilt), np.sin(pose.tilt)

    def at(x: float, y: float) -> np.ndarray:
        x, y = x * wide * pose.scale, y * high * pose.scale
        return pose.centre + np.array([x * cos - y * sin, x * sin + y * cos])

    return at, wide, high


def _degrees(pose: Pose) -> float:
    return float(np.degrees(pose.tilt))
