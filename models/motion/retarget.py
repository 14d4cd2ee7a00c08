"""A motion given to another body: by bone lengths and shoulder frame, so that a long-armed driver stretches nobody.

Each wrist is seen from its own shoulder in arm lengths, and stays there for the other body's shoulder and arm. Where a
hand is at the face, at the hips or at the other hand, being there matters more and takes over smoothly. Frame i stays
frame i. Points in the picture follow limb by limb (`retarget_points`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..easing import ease
from ..hands.quaternions import from_axis_angle, multiply, normalise, rotate
from ..hands.rest import FINGERS
from ..pose.body import FOREARM, SHOULDERS, UPPER_ARM, body_joints
from ..pose.gaps import on_lines
from ..pose.proportions import NECK, NOSE, Proportions, build_of, ratio
from ..types import SHOULDER_METRES, Framing, Motion
from .keep_in_picture import PALM, squeezed
from .retarget_points import Arms, head_and_trunk, moved_arms
from .vector import to_shoulders

KNEE = 0.97
"""Share of the arm from which on a stretched arm is held back softly; nothing passes its full length."""
DEPTH = 0.5
"""What a metre of depth counts for where nearness is judged: depth is the least certain, and unseen in the picture."""
FACE, HIP, HANDS = (0.12, 0.3), (0.1, 0.26), (0.1, 0.3)
"""Metres within which a hand is wholly at the face, at a hip, at the other hand, and beyond which not at all."""
_NOSE_AT = np.array([0.0, -0.205, -0.08])
_HIPS_AT = np.array([[0.17, 0.5, -0.03], [-0.17, 0.5, -0.03]])
LARGEST_ROLL = np.radians(30)
LARGEST_SHRUG = 0.12
"""Metres that a shoulder in the picture is believed to be away from the resting body's."""


@dataclass(frozen=True)
class Bodies:
    """Two builds in numbers that are all known: of the motion's own body and of the one that it is for."""

    source: Proportions
    target: Proportions

    @property
    def arm(self) -> float:
        return self.target.arm / self.source.arm

    def factor(self, name: str) -> float:
        """Target over source of one length; 1 where it is unknown."""
        return ratio(getattr(self.target, name), getattr(self.source, name))

    @property
    def turn(self) -> float:
        """Radians from one shoulder line to the other in the picture."""
        roll = self.target.roll - self.source.roll
        return float(np.clip(roll, -LARGEST_ROLL, LARGEST_ROLL)) if np.isfinite(roll) else 0.0


def bodies(motion: Motion, target: Proportions | None = None, source: Proportions | None = None) -> Bodies:
    """The two builds. source: None measures the motion's own points. target: None is an average arm and nothing else.

    Unknown arms are average ones. The source's arms are long enough for its wrists to be where they are, a little bent:
    an elbow of an arm that is quite straight leaps.
    """
    measured = source is None
    source = build_of(motion) if source is None else source
    target = Proportions() if target is None else target
    if not source.arm > 0:
        source = replace(source, upper_arm=UPPER_ARM, forearm=FOREARM)
    if measured:
        reach = np.linalg.norm(motion.wrists() - own_shoulders(motion), axis=-1)[motion.visible]
        need = float(np.percentile(reach, 99.5)) if len(reach) else 0.0
        more = float(np.clip(need / (KNEE * source.arm), 1.0, 1.3))
        source = replace(source, upper_arm=source.upper_arm * more, forearm=source.forearm * more)
    if not target.arm > 0:
        # Only the whole arm is known of an average body; it bends where the driver's does.
        whole = (UPPER_ARM + FOREARM) / source.arm
        target = replace(target, upper_arm=source.upper_arm * whole, forearm=source.forearm * whole)
    return Bodies(source, target)


def retarget(
    motion: Motion,
    framing: Framing | None = None,
    target: Proportions | None = None,
    source: Proportions | None = None,
    contacts: bool = True,
    hands_together: bool = True,
    keep_in_picture: bool = False,
    margin: float = 0.02,
) -> Motion:
    """The motion for the body `target` in `framing` (None: where it is), frame for frame.

    source: the motion's own build; None: measured from its points. contacts: hands at the face and the hips stay there.
    hands_together: hands near each other keep their distance. keep_in_picture: hands are drawn in from the picture's
    edges, less `margin` (a share of its width). No wrist is further from its shoulder than the arm is long. Rotations
    change by the turn of the shoulder line alone. For its own body and framing the motion comes back bit for bit.
    """
    framing = motion.framing if framing is None else framing
    two = bodies(motion, target, source)
    if framing == motion.framing and _same(two):
        return _kept(motion, two, margin) if keep_in_picture else motion
    offset = motion.body_offset.astype(np.float64)
    neck = motion.framing.root() + offset
    here = lambda points: points - neck[:, None]
    shoulders, wrists = here(own_shoulders(motion)), here(motion.wrists())
    new_shoulders = shoulders * two.factor("shoulders")
    new = new_shoulders + (wrists - shoulders) * two.arm
    palms = PALM * _forward(motion)
    if contacts:
        new = new + _towards_body(motion, two, wrists + palms, new + palms)
    if hands_together:
        new = new + _towards_each_other(wrists + palms, new + palms)
    new = within(new, new_shoulders, two.target.arm)
    spin = from_axis_angle(np.array([0.0, 0.0, two.turn]))
    rotations, body_rotation = motion.rotations.astype(np.float64), motion.body_rotation.astype(np.float64)
    if two.turn:
        turned = lambda v: rotate(spin, v)
        new, new_shoulders, offset = turned(new), turned(new_shoulders), turned(offset)
        rotations[:, :, 0] = normalise(multiply(spin, rotations[:, :, 0]))
        body_rotation = normalise(multiply(spin, body_rotation))
    moved = motion.replace(
        framing=framing, translations=new, rotations=rotations, body_offset=offset, body_rotation=body_rotation
    )
    if keep_in_picture:
        drawn_in = squeezed(moved, margin)
        held = within(drawn_in.translations, new_shoulders, two.target.arm)
        moved = moved if drawn_in is moved else drawn_in.replace(translations=held)
    return _with_points(motion, moved, two, new_shoulders)


def within(wrists: np.ndarray, shoulders: np.ndarray, arm: float) -> np.ndarray:
    """Wrists (F, 2, 3) no further from their shoulders than an arm; softly from KNEE of it on, nearer ones stay."""
    line = wrists - shoulders
    far = np.linalg.norm(line, axis=-1, keepdims=True) / arm
    over = np.maximum(far - KNEE, 0) / (1 - KNEE)
    soft = KNEE + (1 - KNEE) * np.tanh(over)
    return np.where(far > KNEE, shoulders + line * (soft / np.maximum(far, 1e-9)), wrists)


def own_shoulders(motion: Motion) -> np.ndarray:
    """Left and right shoulder (F, 2, 3), camera metres: the resting body's, moved to where the picture has them."""
    wrists = motion.wrists()
    rest = body_joints(motion.framing, wrists, motion.body_offset, motion.body_rotation)[:, SHOULDERS]
    shown = to_shoulders(motion.framing.project(rest), motion.framing)
    seen = to_shoulders(motion.keypoints[:, SHOULDERS], motion.framing)
    known = motion.keypoint_scores[:, SHOULDERS] > 0
    depth = rest[..., 2:] / motion.framing.root()[2]
    shift = np.zeros((*known.shape, 3))
    shift[..., :2] = (seen - shown) * depth * SHOULDER_METRES
    for side in (0, 1):
        at = known[:, side]
        shift[:, side] = on_lines(shift[:, side], at) if at.any() else 0
    length = np.linalg.norm(shift, axis=-1, keepdims=True)
    return rest + shift * np.minimum(1, LARGEST_SHRUG / np.maximum(length, 1e-9))


def _same(two: Bodies) -> bool:
    names = ("shoulders", "upper_arm", "forearm", "nose", "head", "torso")
    return two.turn == 0 and all(abs(two.factor(name) - 1) < 1e-6 for name in names)


def _forward(motion: Motion) -> np.ndarray:
    """Where each hand's fingers point (F, 2, 3)."""
    return rotate(motion.rotations[:, :, 0].astype(np.float64), np.broadcast_to(FINGERS, (len(motion), 2, 3)))


def _near(away: np.ndarray, bounds: tuple[float, float]) -> np.ndarray:
    """How near (..., 1) something `away` (..., 3) metres is: 1 within the first bound, 0 beyond the second."""
    far = np.linalg.norm(away * np.array([1, 1, DEPTH]), axis=-1, keepdims=True)
    return ease((bounds[1] - far) / (bounds[1] - bounds[0]))


def _towards_body(motion: Motion, two: Bodies, before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """What is to be added (F, 2, 3) so that palms `before` (from the neck) at face and hips stay there."""
    nose, torso, wide = two.factor("nose"), two.factor("torso"), two.factor("shoulders")
    turn = motion.body_rotation.astype(np.float64)[:, None]
    face = rotate(turn, np.broadcast_to(_NOSE_AT, (len(motion), 1, 3)))
    known = np.asarray((motion.keypoint_scores[:, [NOSE, NECK]] > 0).all(1))
    if known.any():
        seen = to_shoulders(motion.keypoints[:, NOSE], motion.framing) - to_shoulders(
            motion.keypoints[:, NECK], motion.framing
        )
        face[:, 0, :2] = on_lines(SHOULDER_METRES * seen, known)
    hips = rotate(turn, np.broadcast_to(_HIPS_AT, (len(motion), 2, 3)))
    anchors = (
        (face, face * nose, two.factor("head"), FACE),
        (hips, hips * np.array([wide, torso, wide]), torso, HIP),
    )
    total, weight = np.zeros(now.shape), np.zeros((*now.shape[:2], 1))
    for old, new, size, bounds in anchors:
        near = _near((before - old) / size**0.5, bounds)
        total += near * (new + (before - old) * size - now)
        weight += near
    return total / np.maximum(weight, 1)


def _towards_each_other(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """What is to be added (F, 2, 3) so that palms near each other `before` are as near now; half of it by each hand.

    Hands have one size in metres in every framing, so their distance in metres is kept.
    """
    was, gap = before[:, 0] - before[:, 1], now[:, 0] - now[:, 1]
    half = _near(was, HANDS) * (was - gap) / 2
    return np.stack([half, -half], axis=1)


def _kept(motion: Motion, two: Bodies, margin: float) -> Motion:
    """Hands drawn into the picture, nothing else changed."""
    drawn_in = squeezed(motion, margin)
    if drawn_in is motion:
        return motion
    neck = motion.framing.root() + motion.body_offset
    return _with_points(motion, drawn_in, two, own_shoulders(motion) - neck[:, None])


def _with_points(before: Motion, after: Motion, two: Bodies, shoulders: np.ndarray) -> Motion:
    """`after` with the 2D points of `before` carried over; shoulders (F, 2, 3): the new ones, from the neck."""
    neck = after.framing.root() + after.body_offset
    keypoints, face = head_and_trunk(before, after.framing, two.factor, two.turn)
    old = Arms(before, own_shoulders(before), two.source.upper_arm, two.source.forearm)
    new = Arms(after, shoulders + neck[:, None], two.target.upper_arm, two.target.forearm)
    keypoints = moved_arms(before, keypoints, old, new, two.turn)
    unknown = before.keypoint_scores[..., None] <= 0
    return after.replace(
        keypoints=np.where(unknown, before.keypoints, keypoints),
        face=np.where(before.face_scores[..., None] > 0, face, before.face),
    )


__all__ = ["Bodies", "bodies", "own_shoulders", "retarget", "within"]
