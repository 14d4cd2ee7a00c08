"""What a puppet can be told to do: actions = kind x hand x place x count, and an action inside a speech performance.

The hands leave what they do for the action and come back to it; outside its span nothing of the hands changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...models.errors import EMO2Error
from ...models.hands.quaternions import continuous, from_axis_angle, multiply, slerp
from ...models.pose.portrait import inside
from ...models.types import HAND_POINTS
from .choreography import Score, compose
from .curve import minimum_jerk
from .legs import full_keypoints
from .performance import Performance, idle_waves, within_reach

HANDS: dict[str, tuple[int, ...]] = {"left": (0,), "right": (1,), "both": (0, 1), "": ()}
"""Hands by the name that an action gives them; 0 left, 1 right."""


@dataclass(frozen=True)
class Action:
    """kind: a name of `choreography.MOVES`. side: "left", "right" or "both" hands (feet, knees), "" where the body has
    one only. place: where ("high", "low", ...), "" where the kind has one place. count: how often, or how many
    fingers are shown; 0 where the kind is not counted."""

    kind: str
    side: str = ""
    place: str = ""
    count: int = 0

    @property
    def name(self) -> str:
        """All of it in one word or more: "wave right high 3"."""
        return " ".join(str(part) for part in (self.kind, self.side, self.place, self.count or "") if part)

    @property
    def hands(self) -> tuple[int, ...]:
        """The hands that take part."""
        return () if self.kind in FEET else HANDS[self.side] or ((0, 1) if self.kind in TWO_HANDED else ())


FEET = ("step", "raise knee")
"""Kinds whose side is a leg's."""
TWO_HANDED = ("bow", "squat")
"""Kinds of the whole body that take both hands along."""

ACTIONS: tuple[Action, ...] = (
    Action("wave", "right", "high", 1), Action("wave", "right", "high", 3), Action("wave", "left", "high", 1),
    Action("wave", "left", "high", 3), Action("wave", "both", "high", 2), Action("wave", "right", "low", 2),
    Action("point", "right", "camera"), Action("point", "left", "camera"), Action("point", "right", "up"),
    Action("point", "left", "up"), Action("point", "right", "side"), Action("point", "left", "side"),
    Action("clap", "both", "", 1), Action("clap", "both", "", 2), Action("clap", "both", "", 3),
    Action("thumbs up", "right"), Action("thumbs up", "left"), Action("thumbs up", "both"),
    Action("punch", "right", "high", 1), Action("punch", "left", "high", 1),
    Action("punch", "right", "front", 2), Action("punch", "left", "front", 2),
    Action("open palms", "both"), Action("shrug", "both"),
    Action("show fingers", "right", "", 1), Action("show fingers", "right", "", 2),
    Action("show fingers", "right", "", 3),
    Action("circle", "right", "", 2), Action("circle", "left", "", 2),
    Action("push", "right"), Action("push", "left"), Action("push", "both"),
    Action("touch", "right", "chest"), Action("touch", "left", "chest"), Action("touch", "right", "head"),
    Action("touch", "both", "hips"),
    Action("raise", "right"), Action("raise", "left"), Action("raise", "both"),
    Action("salute", "right"), Action("bow"), Action("nod", "", "", 2), Action("shake head", "", "", 2),
    Action("step", "left"), Action("step", "right"), Action("raise knee", "left"), Action("raise knee", "right"),
    Action("squat"),
)  # fmt: skip
"""All actions; the names are different, and so are the movements."""


@dataclass(frozen=True)
class Acted:
    """An action and its span in a performance, seconds."""

    action: Action
    start: float
    end: float


def by_name(name: str) -> Action:
    """The action of that name; EMO2Error when there is none."""
    for action in ACTIONS:
        if action.name == name:
            return action
    names = ", ".join(action.name for action in ACTIONS)
    raise EMO2Error("action", names, repr(name), "Give one of these names.")


def act(performance: Performance, action: Action, start: float, rng: np.random.Generator) -> Performance:
    """`performance` with the action in it from `start` (s) on; `Performance.acted` tells its span.

    How fast, how large and in what exact place is drawn from `rng`; strokes land on accents of the sound where one is
    near. The feet stand on the ground from now on. The span may not lie outside the performance, nor meet another
    action's: EMO2Error.
    """
    times = (np.arange(len(performance.motion)) + 0.5) / performance.motion.fps
    accents = performance.syllables[performance.syllables[:, 2] >= 0.55]
    score = compose(action, rng, (accents[:, 0] + accents[:, 1]) / 2 - start)
    end, last = start + score.length, float(times[-1])
    if start < 0 or end > last:
        given = f"{start:.2f} to {end:.2f} s of {last:.2f} s"
        raise EMO2Error(
            "start", f"a moment that leaves {score.length:.2f} s for {action.name}", given, "Begin earlier."
        )
    for other in performance.acted:
        if start < other.end and end > other.start:
            given = f"{start:.2f} to {end:.2f} s, and {other.action.name} from {other.start:.2f} to {other.end:.2f} s"
            raise EMO2Error("start", "actions one after the other", given, "Begin later.")
    return replace(
        _moved(performance, score, times - start, rng), acted=(*performance.acted, Acted(action, start, end))
    )


def _moved(performance: Performance, score: Score, times: np.ndarray, rng: np.random.Generator) -> Performance:
    """The performance with the score's movements; times (F,) from the score's beginning."""
    before = performance.motion
    weights = np.stack([_weight(times, score, hand) for hand in (0, 1)], 1)
    idle = idle_waves(times, rng, 12).reshape(-1, 2, 6)
    wrists, rotations = np.array(before.translations, float), np.array(before.rotations, float)
    for hand, track in enumerate(score.tracks):
        if track is None:
            continue
        places, turns = track.sample(times)
        places = places + score.displacement(hand, times) + 0.004 * idle[:, hand, :3]
        turns[:, 0] = multiply(from_axis_angle(0.03 * idle[:, hand, 3:]), turns[:, 0])
        share = weights[:, hand, None]
        wrists[:, hand] += share * (places - wrists[:, hand])
        rotations[:, hand] = slerp(rotations[:, hand], turns, share)
    changed = weights > 0
    wrists = np.where(changed[..., None], within_reach(wrists), before.translations)
    rotations = continuous(np.where(changed[..., None, None], rotations, before.rotations))
    offset = before.body_offset + score.offset.sample(times)
    turn = multiply(from_axis_angle(score.turn.sample(times)), np.array(before.body_rotation, float))
    feet = np.zeros((len(times), 2, 3)) if performance.feet is None else performance.feet
    feet = feet + score.feet.sample(times).reshape(-1, 2, 3)
    motion = before.replace(translations=wrists, rotations=rotations, body_offset=offset, body_rotation=turn)
    points, scores = full_keypoints(motion, feet)
    blur = performance.blur * (1 - weights)
    # A hand that acts is looked at: out of its pocket, sharp, and only missing where it leaves the picture.
    visible = np.where(weights > 0.2, inside(motion), before.visible)
    confidence = np.where(visible, before.confidence + weights * (1 - before.confidence), 0.0)
    motion = motion.replace(
        keypoints=points, keypoint_scores=scores, visible=visible, confidence=confidence,
        hand_scores=np.repeat(confidence[..., None], HAND_POINTS, axis=2),
    )  # fmt: skip
    head = performance.head + score.head.sample(times)
    return replace(
        performance, motion=motion, head=head.astype(np.float32), blur=blur.astype(np.float32),
        feet=feet.astype(np.float32),
    )  # fmt: skip


def _weight(times: np.ndarray, score: Score, hand: int) -> np.ndarray:
    """(F,): how much of the hand is the action's, 0 outside the span, 1 between its soft ends."""
    if score.tracks[hand] is None:
        return np.zeros(len(times))
    weight = minimum_jerk(times / score.prepare) * minimum_jerk((score.length - times) / score.retract)
    return np.where(weight < 1e-4, 0.0, weight)
