"""How each kind of action is done: keys of the hands, the trunk, the head and the feet from 0 s to the action's end.

Places are the right hand's, metres from the neck root in camera axes (x to the person's left, y down, z away from the
camera), as in `styles.RESTS`; the left hand does the mirror image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .curve import Curve
from .track import Pose, Track, make_pose

if TYPE_CHECKING:
    from .actions import Action

SNAP = 0.14
"""Seconds by which a stroke may be moved to land on an accent of the voice."""
Place = tuple[float, float, float]
Shape = tuple[Place, Place, Place, str | tuple[float, ...], float]
"""Wrist, where the fingers point, where the palm faces, finger pose, spread."""

OPEN: tuple[str, float] = ("flat", 0.16)
FIST: tuple[str, float] = ("fist", 0.0)
FINGERS: dict[int, tuple[float, ...]] = {
    1: (0.9, 0.0, 1.45, 1.45, 1.38), 2: (0.9, 0.0, 0.0, 1.45, 1.38), 3: (0.9, 0.0, 0.0, 0.0, 1.38),
}  # fmt: skip
POINTS: dict[str, tuple[Shape, Shape]] = {
    "camera": (((-0.2, 0.14, -0.2), (0.2, -0.4, -0.9), (0.5, 0.8, -0.2), "point", 0.0),
               ((-0.13, 0.04, -0.47), (0.08, -0.06, -1), (0.4, 0.9, 0), "point", 0.0)),
    "up": (((-0.25, 0.05, -0.24), (0.1, -0.8, -0.6), (0.3, 0, -1), "point", 0.0),
           ((-0.27, -0.42, -0.15), (0, -1, -0.1), (0.2, 0, -1), "point", 0.0)),
    "side": (((-0.26, 0.14, -0.26), (-0.2, -0.4, -0.9), (0.4, 0.8, -0.2), "point", 0.0),
             ((-0.62, 0.0, -0.16), (-1, -0.05, -0.15), (0, 0.5, -0.8), "point", 0.0)),
}  # fmt: skip
TOUCHES: dict[str, Shape] = {
    "chest": ((-0.06, 0.17, -0.15), (0.85, -0.45, 0), (0.1, 0.1, 1), "relaxed", 0.05),
    "head": ((-0.19, -0.27, -0.08), (0.9, -0.4, 0.1), (0.35, 0.85, 0.2), "relaxed", 0.08),
    "hips": ((-0.25, 0.42, -0.06), (0.6, 0.6, -0.4), (0.8, -0.2, 0.5), (0.2, 0.5, 0.55, 0.6, 0.6), 0.05),
}


class Score:
    """What moves when: tracks of the hands that take part, and what is added to trunk, head and feet.

    prepare, retract: seconds in which the hands come from what they did and go back to it. length: seconds in all.
    offset (3) and turn (3): the trunk's displacement (m) and rotation vector. head (3): nod, turn, tilt. feet (6): of
    the left and the right ankle (m).
    """

    def __init__(self, action: Action, rng: np.random.Generator, accents: np.ndarray):
        self.rng, self.accents, self.action = rng, accents, action
        self.size = float(np.exp(np.clip(rng.normal(0, 0.1), -0.2, 0.2)))
        self.pace = float(np.exp(np.clip(rng.normal(0, 0.15), -0.28, 0.28)))
        self.shift = rng.normal(0, 0.016, 3).clip(-0.03, 0.03)
        self.turned = rng.normal(0, 0.09, (2, 2, 3)).clip(-0.18, 0.18)
        self.prepare = float(rng.uniform(0.42, 0.6)) * self.pace
        self.retract = float(rng.uniform(0.5, 0.75)) * self.pace
        self.tracks: list[Track | None] = [Track() if hand in action.hands else None for hand in (0, 1)]
        self.offset, self.turn, self.head, self.feet = Curve(3), Curve(3), Curve(3), Curve(6)
        self.moves: list[tuple[int, Callable[[np.ndarray], np.ndarray]]] = []
        self.now = self.prepare
        self.length = 0.0

    def finish(self) -> Score:
        """The score with its end: `retract` seconds after the last thing that happened."""
        self.length = self.now + self.retract
        for curve in (self.offset, self.turn, self.head, self.feet):
            if curve.times:
                curve.key(max(self.length, curve.times[-1]), 0.0)
        return self

    def pose(self, shape: Shape, hand: int) -> Pose:
        """A hand in the shape, a little as this take has it."""
        wrist, fingers, palm, bend, spread = shape
        tilted = [tuple(np.asarray(d) + self.turned[hand, i]) for i, d in enumerate((fingers, palm))]
        return make_pose(np.asarray(wrist) + self.shift, tilted[0], tilted[1], hand, bend, spread)

    def key(self, time: float, shape: Shape) -> None:
        """All hands that take part are in the shape at `time`."""
        for hand in self.action.hands:
            track = self.tracks[hand]
            assert track is not None
            track.key(time, self.pose(shape, hand))

    def hold(self, seconds: float) -> None:
        """Nothing moves for so long, at an ordinary pace."""
        self.now += seconds * self.pace
        for track in self.tracks:
            if track is not None:
                track.hold(self.now)

    def stroke(self, seconds: float, shape: Shape) -> None:
        """From where the hands are to the shape in about so long, on an accent if there is one."""
        self.now = self.snapped(self.now + seconds * self.pace, self.now + 0.7 * seconds * self.pace)
        self.key(self.now, shape)

    def snapped(self, time: float, least: float) -> float:
        """`time`, or an accent near it that is not before `least`."""
        near = self.accents[(np.abs(self.accents - time) < SNAP) & (self.accents > least)]
        return float(near[np.argmin(np.abs(near - time))]) if len(near) else time

    def look(self, nod: float = 0.0, turn: float = 0.0, tilt: float = 0.0) -> None:
        """The head goes with the action: to there while the hands get ready, and back at the end."""
        if not self.head.times:
            self.head.key(0.0, 0.0)
        self.head.key(max(self.now, self.prepare), (nod, turn, tilt))

    def displacement(self, hand: int, times: np.ndarray) -> np.ndarray:
        """(F, 3) metres added to a wrist's keys."""
        total = np.zeros((len(times), 3))
        for mover, move in self.moves:
            if mover == hand:
                total += move(times)
        return total


def compose(action: Action, rng: np.random.Generator, accents: np.ndarray) -> Score:
    """The score of an action; accents (n,): moments of the voice's accents, seconds from the action's beginning."""
    score = Score(action, rng, np.asarray(accents, float))
    MOVES[action.kind](score, action)
    return score.finish()


def _side(action: Action) -> float:
    """The x direction of an action's side: +1 the person's left, -1 the right, 0 both or none."""
    return {"left": 1.0, "right": -1.0}.get(action.side, 0.0)


def _wave(score: Score, action: Action) -> None:
    high = action.place == "high"
    x, y, z = (-0.31, -0.24, -0.2) if high else (-0.46, 0.22, -0.2)
    wide = (0.085 if high else 0.06) * score.size
    shape = lambda s: ((x - s * wide, y + 0.02 * abs(s), z), (-0.5 * s, -1, -0.15), (0, 0, -1), *OPEN)
    score.key(score.now, shape(0.0))
    score.look(tilt=0.1 * _side(action))
    for _ in range(action.count):
        score.stroke(0.27, shape(1.0))
        score.stroke(0.27, shape(-1.0))
    score.stroke(0.18, shape(0.0))
    score.hold(0.1)


def _point(score: Score, action: Action) -> None:
    before, after = POINTS[action.place]
    score.key(score.now, before)
    turn = 0.35 if action.place == "side" else 0.0
    score.look(nod=-0.22 if action.place == "up" else 0.0, turn=turn * _side(action))
    score.stroke(0.28, after)
    score.hold(score.rng.uniform(0.6, 1.0))


def _clap(score: Score, action: Action) -> None:
    apart = ((-0.05 - 0.14 * score.size, 0.18, -0.33), (0.25, -0.7, -0.65), (1, 0, 0), *OPEN)
    together = ((-0.025, 0.18, -0.33), (0.0, -0.75, -0.65), (1, 0, 0), "flat", 0.05)
    score.key(score.now, apart)
    for number in range(action.count):
        score.stroke(0.17, together)
        score.hold(0.05)
        score.stroke(0.22, apart if number + 1 < action.count else _between(together, apart, 0.5))
    score.hold(0.05)


def _between(one: Shape, two: Shape, share: float) -> Shape:
    """A wrist between two shapes' wrists; the rest is the first one's."""
    wrist = tuple((1 - share) * np.asarray(one[0]) + share * np.asarray(two[0]))
    return (wrist, *one[1:])


def _thumbs_up(score: Score, action: Action) -> None:
    low = ((-0.22, 0.24, -0.26), (0.8, -0.1, -0.6), (0.6, 0, 0.8), "thumb up", 0.0)
    up = ((-0.22, 0.05, -0.36), (0.8, 0, -0.6), (0.6, 0, 0.8), "thumb up", 0.0)
    score.key(score.now, low)
    score.look(nod=0.12)
    score.stroke(0.24, up)
    score.hold(score.rng.uniform(0.6, 1.0))


def _punch(score: Score, action: Action) -> None:
    if action.place == "high":
        back = ((-0.29, -0.08, -0.2), (0.1, -0.95, -0.2), (0.8, 0, -0.5), *FIST)
        out = ((-0.24, -0.46, -0.12), (0.05, -1, -0.05), (0.8, 0, -0.5), *FIST)
        score.look(nod=-0.15)
    else:
        back = ((-0.21, 0.13, -0.13), (0.1, -0.25, -1), (0.7, 0.7, 0), *FIST)
        out = ((-0.11, 0.03, -0.48), (0.15, -0.05, -1), (0.2, 1, 0), *FIST)
    score.key(score.now, back)
    for number in range(action.count):
        if number:
            score.stroke(0.27, back)
        score.stroke(0.17, out)
        score.hold(0.12)
    score.hold(0.25 if action.place == "high" else 0.05)


def _open_palms(score: Score, action: Action) -> None:
    before = ((-0.17, 0.25, -0.27), (0.1, -0.3, -0.9), (0.5, -0.9, 0), "flat", 0.1)
    after = ((-0.2 - 0.26 * score.size, 0.2, -0.25), (-0.6, -0.15, -0.8), (0.1, -1, 0), "flat", 0.22)
    score.key(score.now, before)
    score.look(nod=-0.08)
    score.stroke(0.4, after)
    score.hold(score.rng.uniform(0.5, 0.9))


def _shrug(score: Score, action: Action) -> None:
    before = ((-0.3, 0.26, -0.18), (-0.4, -0.1, -0.8), (0.2, -1, 0), "flat", 0.12)
    after = ((-0.42, 0.02, -0.13), (-0.85, -0.1, -0.4), (0.1, -1, -0.1), "flat", 0.2)
    score.key(score.now, before)
    score.look(nod=0.05, tilt=float(score.rng.choice([-1, 1])) * 0.24)
    score.offset.key(score.now, 0.0)
    score.stroke(0.3, after)
    score.offset.key(score.now, (0.0, -0.018, 0.0))
    score.hold(score.rng.uniform(0.35, 0.6))
    score.offset.key(score.now, (0.0, -0.018, 0.0))


def _show_fingers(score: Score, action: Action) -> None:
    bend = FINGERS[action.count]
    low = ((-0.22, 0.16, -0.26), (0.2, -0.8, -0.5), (0.3, 0, -1), "fist", 0.0)
    up = ((-0.25, -0.1, -0.3), (0, -1, -0.1), (0, 0, -1), bend, 0.17)
    score.key(score.now, low)
    score.stroke(0.32, up)
    score.hold(score.rng.uniform(0.7, 1.1))


def _circle(score: Score, action: Action) -> None:
    shape = ((-0.27, 0.1, -0.33), (0.1, -0.5, -0.85), (0.5, 0.7, -0.4), "point", 0.0)
    score.key(score.now, shape)
    begin, seconds = score.now, 0.85 * score.pace * action.count
    radius, turns = 0.105 * score.size, action.count
    sign = 1.0 if score.rng.random() < 0.5 else -1.0

    def round_and_round(times: np.ndarray) -> np.ndarray:
        # The speed rises and falls at the ends only, so that the circles are even.
        u = np.clip((times - begin) / seconds, 0, 1)
        soft = 0.5 / (turns + 1)
        angle = 2 * np.pi * turns * (_trapezoid(u, soft))
        return radius * np.stack([sign * np.sin(angle), 1 - np.cos(angle), 0 * angle], 1) * np.array([1.0, -1.0, 1.0])

    score.moves += [(hand, round_and_round) for hand in action.hands]
    score.now = begin + seconds
    score.key(score.now, shape)


def _trapezoid(u: np.ndarray, soft: float) -> np.ndarray:
    """A way from 0 to 1 at even speed but for the first and the last `soft` of the time, where it starts and stops."""
    rising, falling = np.minimum(u, soft), np.maximum(u - (1 - soft), 0)
    middle = np.clip(u - soft, 0, 1 - 2 * soft)
    return (rising**2 / (2 * soft) + middle + falling - falling**2 / (2 * soft)) / (1 - soft)


def _push(score: Score, action: Action) -> None:
    back = ((-0.19, 0.1, -0.15), (0, -1, -0.05), (0.1, 0, -1), *OPEN)
    out = ((-0.19, 0.05, -0.46), (0, -1, -0.2), (0.05, 0, -1), *OPEN)
    score.key(score.now, back)
    score.hold(0.08)
    score.stroke(0.33, out)
    score.hold(score.rng.uniform(0.35, 0.6))


def _touch(score: Score, action: Action) -> None:
    shape = TOUCHES[action.place]
    near = (tuple(np.asarray(shape[0]) + np.array([-0.07, 0.0, -0.07])), *shape[1:])
    score.key(score.now, near)
    if action.place == "head":
        score.look(nod=0.1, tilt=0.12)
    score.stroke(0.25, shape)
    score.hold(score.rng.uniform(0.8, 1.3))


def _raise(score: Score, action: Action) -> None:
    low = ((-0.3, 0.05, -0.22), (-0.1, -0.9, -0.4), (0.2, 0, -1), *OPEN)
    up = ((-0.25, -0.47, -0.1), (0, -1, -0.05), (0.15, 0, -1), *OPEN)
    score.key(score.now, low)
    score.look(nod=-0.06)
    score.stroke(0.42, up)
    score.hold(score.rng.uniform(0.7, 1.1))


def _salute(score: Score, action: Action) -> None:
    side = ((-0.36, 0.0, -0.2), (0.4, -0.8, -0.3), (0.4, 0.5, -0.7), "flat", 0.0)
    brow = ((-0.24, -0.17, -0.15), (0.85, -0.5, 0.05), (0.3, 0.55, -0.75), "flat", 0.0)
    score.key(score.now, side)
    score.stroke(0.26, brow)
    score.hold(score.rng.uniform(0.6, 0.9))
    score.stroke(0.2, side)


HANGING: Shape = ((-0.22, 0.46, -0.07), (0.05, 1, -0.08), (1, 0, 0.15), "relaxed", 0.05)
DOWN = 0.52
"""Metres from the neck root down to the hips, which stay where they are in a bow."""


def _bow(score: Score, action: Action) -> None:
    angle = 0.62 * score.size
    bent = (0.0, DOWN * (1 - np.cos(angle)), -DOWN * np.sin(angle))
    for curve in (score.offset, score.turn, score.head):
        curve.key(0.3 * score.prepare, 0.0)
    score.key(score.prepare, HANGING)
    score.now = score.prepare + 0.55 * score.pace
    for time in (score.now, score.now + 0.4 * score.pace):
        score.offset.key(time, bent)
        score.turn.key(time, (angle, 0.0, 0.0))
        score.head.key(time, (0.45, 0.0, 0.0))
    score.hold(0.4)
    score.retract += 0.3 * score.pace


def _nod(score: Score, action: Action) -> None:
    _head(score, action.count, np.array([0.42, 0.0, 0.0]), np.array([-0.1, 0.0, 0.0]))


def _shake_head(score: Score, action: Action) -> None:
    _head(score, action.count, np.array([0.0, 0.5, 0.0]), np.array([0.0, -0.5, 0.0]))


def _head(score: Score, count: int, one: np.ndarray, other: np.ndarray) -> None:
    """The head goes to and fro."""
    score.prepare, score.retract = 0.2 * score.pace, 0.35 * score.pace
    score.now = score.prepare
    score.head.key(score.now, 0.0)
    for _ in range(count):
        for way in (one, other):
            score.now = score.snapped(score.now + 0.26 * score.pace, score.now + 0.16 * score.pace)
            score.head.key(score.now, way * score.size)


def _step(score: Score, action: Action) -> None:
    """Aside, a moment there, and back: the foot of that side first, the weight follows, the other foot closes up."""
    side = _side(action)
    way = 0.24 * score.size * side
    first, second = (0, 1) if side > 0 else (1, 0)
    where = np.zeros((2, 3))
    score.now = 0.15
    score.offset.key(score.now, 0.0)
    score.feet.key(score.now, 0.0)
    for order, target in (((first, second), way), ((second, first), 0.0)):
        for number, foot in enumerate(order):
            mid = where.copy()
            mid[foot] = ((where[foot, 0] + target) / 2, -0.07, 0.0)
            where = where.copy()
            where[foot] = (target, 0.0, 0.0)
            score.feet.key(score.now + 0.2 * score.pace, mid.ravel())
            score.now += 0.4 * score.pace
            score.feet.key(score.now, where.ravel())
            score.offset.key(score.now, (where[:, 0].mean(), 0.012 * (number == 0), 0.0))
        if target:
            score.now += 0.25 * score.pace
            score.feet.key(score.now, where.ravel())
            score.offset.key(score.now, (target, 0.0, 0.0))
    score.retract = 0.15


def _raise_knee(score: Score, action: Action) -> None:
    side = _side(action)
    up = np.zeros((2, 3))
    up[0 if side > 0 else 1] = (0.0, -0.34 * score.size, -0.16)
    weight = (-0.055 * side, 0.0, 0.01)
    score.now = 0.15
    score.offset.key(score.now, 0.0)
    score.now += 0.3 * score.pace
    score.offset.key(score.now, weight)
    score.feet.key(score.now - 0.1, 0.0)
    score.now = score.snapped(score.now + 0.45 * score.pace, score.now + 0.3 * score.pace)
    for _ in range(2):
        score.feet.key(score.now, up.ravel())
        score.offset.key(score.now, weight)
        score.now += 0.4 * score.pace
    score.now -= 0.4 * score.pace
    score.feet.key(score.now + 0.45 * score.pace, 0.0)
    score.offset.key(score.now + 0.3 * score.pace, weight)
    score.retract = 0.6 * score.pace


def _squat(score: Score, action: Action) -> None:
    depth, lean = 0.3 * score.size, 0.3
    low = (0.0, depth + DOWN * (1 - np.cos(lean)), 0.1 - DOWN * np.sin(lean))
    ahead = ((-0.17, 0.06, -0.44), (0.1, 0.05, -1), (0, 1, 0.05), "flat", 0.05)
    for curve in (score.offset, score.turn):
        curve.key(0.4 * score.prepare, 0.0)
    score.key(score.prepare, HANGING)
    score.now = score.prepare + 0.6 * score.pace
    score.key(score.now, ahead)
    for time in (score.now, score.now + 0.3 * score.pace):
        score.offset.key(time, low)
        score.turn.key(time, (lean, 0.0, 0.0))
    score.hold(0.3)
    score.retract += 0.25 * score.pace


MOVES: dict[str, Callable[[Score, Action], None]] = {
    "wave": _wave, "point": _point, "clap": _clap, "thumbs up": _thumbs_up, "punch": _punch,
    "open palms": _open_palms, "shrug": _shrug, "show fingers": _show_fingers, "circle": _circle, "push": _push,
    "touch": _touch, "raise": _raise, "salute": _salute, "bow": _bow, "nod": _nod, "shake head": _shake_head,
    "step": _step, "raise knee": _raise_knee, "squat": _squat,
}  # fmt: skip
"""How each kind is done."""
