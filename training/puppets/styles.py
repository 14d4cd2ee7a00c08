"""How each style holds and moves the hands: rest poses, where gestures happen, their size, pace and kinds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.errors import EMO2Error
from ...models.motion.config import STYLES
from .track import Pose, make_pose

SHARE = {"speaking": 0.5, "storytelling": 0.17, "singing": 0.12, "dance": 0.1, "instrument": 0.11}
"""How often each style is drawn."""


@dataclass(frozen=True)
class TalkingStyle:
    """Places for the right hand, metres from the neck root (x of the left one mirrored); times in seconds.

    centre, spread: where strokes happen, and how far that varies from gesture to gesture. size: length of a stroke at
    ordinary liveliness. stroke, prepare, retract: how long these take. gap: least time between two strokes. stay:
    strokes nearer than this belong to one gesture unit, without a return to rest. least: stress that earns a stroke.
    """

    rests: tuple[str, ...]
    centre: tuple[float, float, float]
    spread: tuple[float, float, float]
    size: float
    stroke: float
    prepare: float
    retract: float
    gap: float
    stay: float
    least: float
    kinds: dict[str, float]
    both: float
    slow: float


SPEAKING = TalkingStyle(
    rests=("belly", "clasped", "hanging", "pocket"),
    centre=(-0.15, 0.21, -0.27), spread=(0.03, 0.04, 0.03), size=0.12, stroke=0.22, prepare=0.6, retract=0.55,
    gap=0.48, stay=1.15, least=0.55,
    kinds={"beat": 0.34, "palm": 0.2, "point": 0.12, "pinch": 0.14, "fist": 0.1, "count": 0.1},
    both=0.55, slow=1.0,
)  # fmt: skip
STORYTELLING = TalkingStyle(
    rests=("ready",),
    centre=(-0.25, 0.1, -0.25), spread=(0.04, 0.05, 0.03), size=0.17, stroke=0.42, prepare=0.95, retract=0.9,
    gap=0.95, stay=2.4, least=0.6,
    kinds={"offer": 0.4, "wide": 0.35, "lift": 0.25},
    both=0.85, slow=0.84,
)  # fmt: skip


def check_style(style: str) -> str:
    """`style` itself; EMO2Error when it is not one of STYLES."""
    if style not in STYLES:
        raise EMO2Error("style", ", ".join(STYLES), repr(style), "Give one of these.")
    return style


def draw_style(rng: np.random.Generator) -> str:
    weights = np.array(list(SHARE.values()))
    return list(SHARE)[int(rng.choice(len(SHARE), p=weights / weights.sum()))]


def rest_pose(name: str, hand: int) -> Pose:
    """Where a hand lies when it has nothing to say."""
    wrist, fingers, palm, bend = RESTS[name]
    return make_pose(wrist, fingers, palm, hand, bend)


RESTS: dict[str, tuple[tuple, tuple, tuple, str | tuple[float, ...]]] = {
    "belly": ((-0.14, 0.35, -0.2), (0.75, -0.35, -0.4), (0.4, 0.1, 0.85), "relaxed"),
    "clasped": ((-0.085, 0.36, -0.2), (0.9, 0.1, -0.3), (0.1, -0.5, 0.85), (0.3, 0.6, 0.65, 0.7, 0.7)),
    "hanging": ((-0.225, 0.5, -0.06), (0.05, 1, -0.08), (1, 0, 0.15), "relaxed"),
    "pocket": ((-0.2, 0.47, -0.04), (0.25, 1, 0.1), (1, 0, 0.4), "relaxed"),
    "ready": ((-0.19, 0.25, -0.25), (0.15, -0.45, -0.85), (0.6, -0.75, 0.1), (0.15, 0.2, 0.25, 0.3, 0.3)),
    "heart": ((-0.06, 0.17, -0.17), (0.8, -0.5, 0.05), (0.15, 0.1, 0.95), (0.1, 0.12, 0.15, 0.2, 0.2)),
    "folded": ((-0.045, 0.3, -0.22), (0.55, -0.75, -0.3), (0.8, 0.4, 0.4), "relaxed"),
    "groove": ((-0.21, 0.13, -0.22), (0.25, -0.85, -0.4), (0.8, 0.2, -0.3), "fist"),
    "neck": ((-0.36, 0.14, -0.2), (0.25, -0.8, 0.2), (0.55, 0.1, 0.8), (0.5, 0.9, 0.9, 0.9, 0.8)),
    "strings": ((-0.03, 0.33, -0.21), (0.9, 0.35, -0.1), (0.1, -0.2, 0.95), (0.45, 0.75, 0.7, 0.75, 0.8)),
    "keys": ((-0.13, 0.3, -0.3), (0.05, 0.12, -1), (0.0, 1, 0.12), (0.15, 0.4, 0.4, 0.4, 0.45)),
}
"""For the right hand: wrist (m), where the fingers point, where the palm faces, finger pose."""

HANDSHAPES: dict[str, tuple[tuple, tuple, str | tuple[float, ...], float]] = {
    "beat": ((0.35, -0.5, -0.8), (0.85, 0.2, 0.2), (0.1, 0.15, 0.25, 0.3, 0.35), 0.1),
    "palm": ((-0.3, -0.35, -0.9), (0.25, -0.95, 0.1), "flat", 0.12),
    "point": ((0.1, -0.3, -0.95), (0.5, 0.8, -0.2), "point", 0.0),
    "pinch": ((0.3, -0.55, -0.75), (0.75, 0.3, -0.5), "pinch", 0.1),
    "fist": ((0.3, -0.6, -0.7), (0.9, 0.1, 0.1), "fist", 0.0),
    "count": ((0.05, -0.95, -0.2), (0.1, -0.1, -1), "victory", 0.15),
    "offer": ((-0.2, -0.3, -0.9), (0.2, -0.95, 0.1), "flat", 0.22),
    "wide": ((-0.45, -0.7, -0.5), (0.4, -0.4, -0.85), (0.05, 0.05, 0.08, 0.12, 0.15), 0.28),
    "lift": ((0.1, -0.85, -0.5), (0.75, -0.3, -0.5), (0.1, 0.15, 0.2, 0.25, 0.25), 0.2),
    "sung": ((-0.25, -0.75, -0.55), (0.5, -0.75, -0.3), (0.1, 0.1, 0.15, 0.22, 0.25), 0.15),
}
"""For the right hand: where the fingers point, where the palm faces, finger pose, spread (radians)."""

STROKES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "beat": ((0.0, -0.55, 0.1), (0.05, 0.5, -0.25)),
    "palm": ((0.4, -0.2, 0.25), (-0.55, 0.15, -0.3)),
    "point": ((0.05, -0.1, 0.45), (-0.15, 0.05, -0.55)),
    "pinch": ((0.0, -0.4, 0.0), (0.1, 0.4, -0.15)),
    "fist": ((0.0, -0.65, 0.15), (0.0, 0.55, -0.2)),
    "count": ((0.15, -0.15, 0.2), (-0.05, -0.75, -0.25)),
    "offer": ((0.5, 0.1, 0.2), (-0.5, -0.1, -0.25)),
    "wide": ((0.55, 0.2, 0.1), (-0.5, -0.4, -0.05)),
    "lift": ((0.1, 0.5, 0.05), (-0.1, -0.55, -0.1)),
}
"""Where a stroke starts and ends for the right hand, in stroke sizes from the gesture's place."""
