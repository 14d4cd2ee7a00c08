"""Motion of a whole body: what text directs and tokens tell (VersaAnimator, section 3), and its way to `Motion`.

All is in the measures of the pack's own skeleton (`skeleton.py`), so it fits any framing from head to full figure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..audio.timing import frame_count
from ..errors import EMO2Error
from ..hands.quaternions import conjugate, continuous, from_axis_angle, multiply, normalise, rotate, slerp
from ..types import BODY_POINTS, HAND_POINTS, HANDS, Framing, Motion
from . import arms, skeleton
from .skeleton import CHEST, HEAD, JOINTS, LEGS, NECK, PELVIS, SPINE, WRISTS, fingers

REMAKE = "Make it again with what produces it."


@dataclass(frozen=True)
class WholeBody:
    """F frames of a body of 52 joints (see `skeleton.py`); validates itself, never changes.

    rotations (F, 52, 4): unit quaternions local to the parent, joint 0's global; identity everywhere is a T pose, palms
    up. root (F, 3): the pelvis from where a resting body of the framing has it, metres, camera axes. hands (F, 2) bool:
    whether a hand's wrist turn and fingers are known; None: they are. fps: frames a second.
    """

    rotations: np.ndarray
    root: np.ndarray
    hands: np.ndarray | Any = None
    fps: float = 25.0

    def __post_init__(self) -> None:
        rotations = _numbers("rotations", self.rotations, (None, JOINTS, 4))
        count = len(rotations)
        off = float(np.abs(np.linalg.norm(rotations, axis=-1) - 1).max(initial=0.0))
        if count == 0 or off > 1e-3:
            given = f"a length off by {off:.3g}" if count else "no frames"
            raise EMO2Error("body.rotations", "unit quaternions for at least one frame", given, REMAKE)
        root = _numbers("root", self.root, (count, 3))
        hands = np.ones((count, HANDS), bool) if self.hands is None else np.array(self.hands, bool)
        if hands.shape != (count, HANDS):
            raise EMO2Error("body.hands", f"shape ({count}, {HANDS})", f"shape {hands.shape}", REMAKE)
        hands.setflags(write=False)
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise EMO2Error("body.fps", "a positive number of frames a second", self.fps, REMAKE)
        for name, value in (("rotations", rotations), ("root", root), ("hands", hands), ("fps", float(self.fps))):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.rotations)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    def replace(self, **changes: Any) -> WholeBody:
        """A new body motion with some fields changed; the new one is validated again."""
        return replace(self, **changes)

    def frames(self, start: int, stop: int) -> WholeBody:
        """Frames start..stop-1 as a motion of their own."""
        span = slice(start, stop)
        return self.replace(rotations=self.rotations[span], root=self.root[span], hands=self.hands[span])

    def forward(self) -> tuple[np.ndarray, np.ndarray]:
        """Global turns (F, 52, 4) and places (F, 52, 3): see `skeleton.forward`."""
        return skeleton.forward(self.rotations, self.root)

    @classmethod
    def from_motion(
        cls,
        motion: Motion,
        head: np.ndarray | None = None,
        legs: np.ndarray | None = None,
        pelvis: np.ndarray | None = None,
    ) -> WholeBody:
        """The body behind a `Motion`: trunk and wrists exactly as it says, elbows as `body_joints` has them.

        head (F, 3): nod (down), turn (to the picture's right) and tilt (clockwise in the picture) in radians, from the
        chest; None: straight. legs (F, 8, 4): local turns of the joints `LEGS`; None: at rest. pelvis (F, 4): its
        global turn; the spine bends from there to the chest's, `motion.body_rotation`. None: the trunk is stiff and
        turns as a whole about the neck root, as `body_joints` draws it. Unseen hands (`visible`) are unknown.
        """
        count = len(motion)
        chest = normalise(motion.body_rotation.astype(np.float64))
        rotations = np.zeros((count, JOINTS, 4))
        rotations[..., 0] = 1
        rotations[:, PELVIS] = chest if pelvis is None else normalise(_shaped("pelvis", pelvis, (count, 4)))
        bend = multiply(conjugate(rotations[:, PELVIS]), chest)
        third = slerp(rotations[:, SPINE[0]], bend, 1 / len(SPINE))
        rotations[:, list(SPINE)] = third[:, None]
        if head is not None:
            half = slerp(rotations[:, HEAD], from_head(_shaped("head", head, (count, 3))), 0.5)
            rotations[:, NECK] = rotations[:, HEAD] = half
        if legs is not None:
            rotations[:, list(LEGS)] = normalise(_shaped("legs", legs, (count, len(LEGS), 4)))
        turns, places = skeleton.forward(rotations, np.zeros((count, 3)))
        root = motion.body_offset - skeleton.neck_root(turns, places)
        shoulders = places[:, skeleton.SHOULDERS] + root[:, None]
        wrists = motion.body_offset[:, None].astype(np.float64) + motion.translations
        upper, fore = arms.turns(shoulders, wrists, chest)
        wrist = motion.rotations[:, :, 0].astype(np.float64)
        collar = turns[:, skeleton.COLLARS]
        rotations[:, skeleton.SHOULDERS] = multiply(conjugate(collar), upper)
        rotations[:, skeleton.ELBOWS] = multiply(conjugate(upper), fore)
        rotations[:, WRISTS] = multiply(conjugate(fore), wrist)
        for hand in range(HANDS):
            rotations[:, fingers(hand)] = motion.rotations[:, hand, 1:]
        return cls(continuous(normalise(rotations)), root, motion.visible, motion.fps)

    def to_motion(self, framing: Framing | None = None) -> Motion:
        """The `Motion` of this body in a framing: hands, neck root, and 18 keypoints with scores; no face.

        Scores are 1 for neck and arms, for other points where a resting body has them in the picture. A hand is visible
        where it is known and in the picture; confidence is 1 there and 0 elsewhere.
        """
        from ..pose.body import half_body
        from ..pose.portrait import inside

        framing = framing or Framing()
        turns, places = self.forward()
        neck = skeleton.neck_root(turns, places)
        scores = half_body(framing)[1]
        scores[1:8] = 1
        wrists = places[:, WRISTS]
        hands = np.stack([self.rotations[:, fingers(hand)] for hand in range(HANDS)], axis=1)
        motion = Motion(
            rotations=continuous(normalise(np.concatenate([turns[:, WRISTS][:, :, None], hands], axis=2))),
            translations=wrists - neck[:, None],
            fps=self.fps,
            framing=framing,
            body_rotation=continuous(normalise(turns[:, CHEST])),
            body_offset=neck,
            keypoints=framing.project(skeleton.body_points(turns, places) + framing.root()),
            keypoint_scores=np.broadcast_to(scores, (len(self), BODY_POINTS)),
        )
        seen = self.hands & inside(motion)
        sure = seen.astype(np.float32)
        return motion.replace(visible=seen, confidence=sure, hand_scores=np.repeat(sure[..., None], HAND_POINTS, 2))

    def head(self) -> np.ndarray:
        """(F, 3): nod, turn and tilt of the head from the chest in radians, as `from_motion` takes them."""
        return to_head(multiply(self.rotations[:, NECK].astype(np.float64), self.rotations[:, HEAD]))

    def resampled(self, fps: float) -> WholeBody:
        """At another frame rate, as long as before: ceil(duration x fps) frames; frame j shows (j + 0.5) / fps."""
        if fps == self.fps:
            return self
        places = (np.arange(frame_count(self.duration, fps)) + 0.5) * (self.fps / fps) - 0.5
        return self.at_places(places).replace(fps=fps)

    def at_places(self, places: np.ndarray) -> WholeBody:
        """The motion at fractional frame numbers `places` (N,), held beyond its ends."""
        places = np.clip(places, 0, len(self) - 1)
        low = np.floor(places).astype(np.int64)
        return self._gather(low).blend(self._gather(np.minimum(low + 1, len(self) - 1)), places - low)

    def blend(self, other: WholeBody, weight: np.ndarray | float) -> WholeBody:
        """This motion where `weight` (F,) is 0, `other`, of the same length and rate, where it is 1.

        Joints turn the shorter way, the root moves on a line; hands are known as in the nearer one.
        """
        if len(other) != len(self) or other.fps != self.fps:
            given = f"{len(other)} at {other.fps:g} fps"
            raise EMO2Error(
                "body", f"{len(self)} frames at {self.fps:g} fps to blend with", given, "Resample and cut it."
            )
        share = np.clip(np.broadcast_to(np.asarray(weight, np.float64), (len(self),)), 0, 1)
        rotations = slerp(self.rotations.astype(np.float64), other.rotations, share[:, None])
        root = self.root * (1 - share[:, None]) + other.root * share[:, None]
        known = np.where(share[:, None] < 0.5, self.hands, other.hands)
        return self.replace(rotations=continuous(rotations), root=root, hands=known)

    def mirrored(self) -> WholeBody:
        """The same motion by the other side of the body, as a mirror shows it."""
        rotations = self.rotations[:, list(skeleton.MIRRORED)] * np.array([1, 1, -1, -1], np.float32)
        return self.replace(rotations=rotations, root=self.root * [-1, 1, 1], hands=self.hands[:, ::-1])

    def _gather(self, index: np.ndarray) -> WholeBody:
        return self.replace(rotations=self.rotations[index], root=self.root[index], hands=self.hands[index])


def join(first: WholeBody, second: WholeBody) -> WholeBody:
    """One motion after the other, frame for frame; both have one frame rate."""
    if first.fps != second.fps:
        raise EMO2Error("body", f"{first.fps:g} frames a second in both parts", f"{second.fps:g}", "Resample it.")
    both = lambda name: np.concatenate([getattr(first, name), getattr(second, name)])
    return first.replace(rotations=both("rotations"), root=both("root"), hands=both("hands"))


def standing(count: int, fps: float = 25.0) -> WholeBody:
    """A body at rest, its hands before the belly: what untold frames may be filled with."""
    from ..hands.poses import finger_pose
    from ..hands.rest import SPEAKING
    from ..pose.body import REST_WRISTS

    hands = np.stack([finger_pose("relaxed", hand) for hand in range(HANDS)])
    hands[:, 0] = SPEAKING
    one = WholeBody.from_motion(Motion(hands[None], REST_WRISTS[None], fps))
    return one._gather(np.zeros(count, np.int64))


def from_head(head: np.ndarray) -> np.ndarray:
    """Turns (..., 4) of a head that nods, turns and tilts (..., 3) by so many radians: tilt after turn after nod."""
    axis = lambda values, direction: from_axis_angle(values[..., None] * np.array(direction, np.float64))
    nod, turn, tilt = np.moveaxis(np.asarray(head, np.float64), -1, 0)
    return multiply(axis(tilt, [0, 0, 1]), multiply(axis(turn, [0, -1, 0]), axis(nod, [1, 0, 0])))


def to_head(turns: np.ndarray) -> np.ndarray:
    """Nod, turn and tilt (..., 3) of turns (..., 4): the inverse of `from_head` for turns under a right angle."""
    side, back = (rotate(turns, np.array(v, np.float64)) for v in ([1, 0, 0], [0, 0, 1]))
    down = rotate(turns, np.array([0.0, 1, 0]))
    turn = np.arcsin(np.clip(side[..., 2], -1, 1))
    return np.stack([np.arctan2(down[..., 2], back[..., 2]), turn, np.arctan2(side[..., 1], side[..., 0])], axis=-1)


def _numbers(name: str, value: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.array(value, np.float32)
    _check(name, array, shape)
    if not np.isfinite(array).all():
        raise EMO2Error(f"body.{name}", "finite numbers", "NaN or infinity", REMAKE)
    array.setflags(write=False)
    return array


def _shaped(name: str, value: np.ndarray, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.asarray(value, np.float64)
    _check(name, array, shape)
    return array


def _check(name: str, array: np.ndarray, shape: tuple[int | None, ...]) -> None:
    if array.ndim != len(shape) or any(w is not None and w != h for w, h in zip(shape, array.shape)):
        wanted = ", ".join("F" if n is None else str(n) for n in shape)
        raise EMO2Error(f"body.{name}", f"shape ({wanted})", f"shape {array.shape}", REMAKE)
