"""Whole bodies of data sets in SMPL's joints as the pack's own `WholeBody`: turned to the camera, feet on its floor."""

from __future__ import annotations

import numpy as np

from ...models.body import skeleton as own
from ...models.body.whole_body import WholeBody
from ...models.hands.quaternions import conjugate, continuous, multiply, normalise, rotate
from .smplx_skeleton import JOINTS, TO_CAMERA, Skeleton, facing, followed, forward, upright

CHEST, HIP, KNEE, ANKLE = 9, 1, 4, 7


def smpl_body(
    turns: np.ndarray, trans: np.ndarray, fps: float, skeleton: Skeleton, fingers: np.ndarray | None = None
) -> WholeBody:
    """A body of SMPL's first 22 joints before a camera that faces it and follows it slowly.

    turns (F, 22, 4): local, the pelvis's global, from SMPL's T pose. trans (F, 3): metres. fingers (F, 2, 15, 4): turns
    of MANO's finger joints from the flat hand; None: the hands are unknown, and flat. Turns are taken over; the body's
    measures are the pack's own, and the pelvis moves by as much of a leg as it did.
    """
    turns = np.asarray(turns, np.float64)
    count = len(turns)
    whole, places = forward(turns, np.asarray(trans, np.float64), skeleton)
    up = upright(turns[:, 0])
    view = multiply(TO_CAMERA, multiply(facing(whole[:, CHEST], up), up))
    seen = multiply(multiply(view, whole), conjugate(TO_CAMERA))
    # A wrist's axes are those of MANO's hand, palm up at rest; the other joints keep those of the body.
    wrists = list(own.WRISTS)
    seen[:, wrists] = multiply(view, whole[:, wrists])
    rotations = np.zeros((count, own.JOINTS, 4))
    rotations[..., 0] = 1
    if fingers is not None:
        for hand in (0, 1):
            rotations[:, own.fingers(hand)] = fingers[:, hand]
    # Made local by the body's own tree; fingers are local already.
    body = np.concatenate([seen, np.tile([1.0, 0, 0, 0], (count, own.JOINTS - JOINTS, 1))], 1)
    rotations[:, :JOINTS] = own.local(body)[:, :JOINTS]
    scale = _leg(own.REST_JOINTS) / _leg(skeleton.joints)
    pelvis = rotate(view, places[:, 0]) * scale
    root = pelvis - followed(pelvis, fps)
    root[:, 1] = pelvis[:, 1] - _standing(rotate(view, places)[..., 1] * scale)
    known = None if fingers is not None else np.zeros((count, 2), bool)
    return WholeBody(continuous(normalise(rotations)), root, known, fps)


def _leg(joints: np.ndarray) -> float:
    """Metres from hip to ankle."""
    bone = lambda a, b: float(np.linalg.norm(joints[a] - joints[b]))
    return bone(HIP, KNEE) + bone(KNEE, ANKLE)


def _standing(heights: np.ndarray) -> float:
    """The height (y, down) of the pelvis of this body when it stands: above the lowest place of its ankles.

    heights (F, 22): of all joints, scaled to the pack's own body.
    """
    floor = float(np.percentile(heights[:, list(own.ANKLES)], 95))
    return floor - float(own.REST_JOINTS[ANKLE, 1] - own.REST_JOINTS[own.PELVIS, 1])
