"""From where a body's joints are to how they are turned: SMPL's 22 joints, y up, x to the person's left, z forwards.

Each bone's direction is taken over exactly. Its twist comes from the joint's other bones (pelvis, chest), from the
plane in which an elbow or a knee bends, from both neighbours (spine), or else from its parent.
"""

from __future__ import annotations

import numpy as np

from ...models.hands.quaternions import IDENTITY, conjugate, from_axis_angle, from_matrix, multiply, rotate, slerp
from .smplx_skeleton import JOINTS, PARENTS, Skeleton, approximate_skeleton

PELVIS, CHEST, NECK = 0, 9, 12
FANS = {PELVIS: (1, 2, 3), CHEST: (12, 13, 14)}
"""Joints with several children, which fix all of their turn."""
HINGES: dict[int, tuple[int, int, np.ndarray]] = {
    1: (4, 7, np.array([1.0, 0, 0])), 2: (5, 8, np.array([1.0, 0, 0])),
    16: (18, 20, np.array([0.0, -1, 0])), 17: (19, 21, np.array([0.0, 1, 0])),
}  # fmt: skip
"""Joints above a hinge: the joint of the hinge, the one below, and the hinge's axis in the rest pose."""
BENT = (0.12, 0.4)
"""Sines of the bend from which a hinge's plane begins to count, and from which it counts wholly."""
_CHILD = {3: 6, 6: 9, 12: 15, 13: 16, 14: 17, 1: 4, 2: 5, 4: 7, 5: 8, 7: 10, 8: 11, 16: 18, 17: 19, 18: 20, 19: 21}


def turns_from(places: np.ndarray, skeleton: Skeleton | None = None) -> np.ndarray:
    """Turns (F, 22, 4), the pelvis's global, the others local, of joints at `places` (F, 22, 3).

    skeleton: whose rest pose the turns are from; lengths do not matter. Head, wrists and toes keep their parents' turn.
    """
    rest = (skeleton or approximate_skeleton()).joints
    places = np.asarray(places, np.float64)
    count = len(places)
    whole = np.zeros((count, JOINTS, 4))
    for joint, children in FANS.items():
        whole[:, joint] = _fan(places, rest, joint, children)
    for joint in range(JOINTS):
        if joint in FANS:
            continue
        parent = whole[:, PARENTS[joint]]
        if joint in (3, 6):
            parent = slerp(whole[:, PELVIS], whole[:, CHEST], joint / 9)
        if joint not in _CHILD:
            whole[:, joint] = parent
            continue
        bone, rest_bone = _bone(places, joint, _CHILD[joint]), _bone(rest, joint, _CHILD[joint])
        turn = multiply(_swing(rotate(parent, rest_bone), bone), parent)
        if joint in HINGES:
            turn = multiply(_twist(turn, places, joint, bone), turn)
        whole[:, joint] = turn
    local = np.broadcast_to(IDENTITY, whole.shape).copy()
    local[:, 0] = whole[:, 0]
    above = list(PARENTS[1:])
    local[:, 1:] = multiply(conjugate(whole[:, above]), whole[:, 1:])
    return local


def _bone(places: np.ndarray, start: int, end: int) -> np.ndarray:
    """Unit vectors (..., 3) from one joint to another."""
    line = places[..., end, :] - places[..., start, :]
    return line / np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)


def _fan(places: np.ndarray, rest: np.ndarray, joint: int, children: tuple[int, ...]) -> np.ndarray:
    """Turns (F, 4) that fit a joint's bones best (Wahba's problem, by SVD)."""
    seen = np.stack([_bone(places, joint, child) for child in children], 1)
    wanted = np.stack([_bone(rest, joint, child) for child in children])
    # The line from the left to the right child says most about which way a body faces.
    across = lambda p: _bone(p, children[-1] if joint == CHEST else 2, children[-2] if joint == CHEST else 1)
    seen = np.concatenate([seen, across(places)[:, None]], 1)
    wanted = np.concatenate([wanted, across(rest)[None]])
    u, _, vt = np.linalg.svd(np.einsum("fki,kj->fij", seen, wanted))
    flip = np.ones((len(places), 3))
    flip[:, 2] = np.linalg.det(u @ vt)
    return from_matrix((u * flip[:, None]) @ vt)


def _swing(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The smallest turns (F, 4) that bring unit vectors `start` to `end` (F, 3)."""
    start = np.broadcast_to(start, end.shape)
    real = 1 + (start * end).sum(-1, keepdims=True)
    turn = np.concatenate([real, np.cross(start, end)], axis=-1)
    # Opposite vectors: half a turn about any axis at right angles.
    aside = np.cross(start, np.where(np.abs(start[..., :1]) < 0.9, [1.0, 0, 0], [0, 1.0, 0]))
    opposite = np.concatenate([np.zeros_like(real), aside], axis=-1)
    turn = np.where(real > 1e-8, turn, opposite)
    return turn / np.linalg.norm(turn, axis=-1, keepdims=True)


def _twist(turn: np.ndarray, places: np.ndarray, joint: int, bone: np.ndarray) -> np.ndarray:
    """Turns (F, 4) about a bone that bring the hinge at its end into line with the plane in which it bends."""
    middle, last, axis = HINGES[joint]
    normal = np.cross(bone, _bone(places, middle, last))
    sine = np.linalg.norm(normal, axis=-1, keepdims=True)
    normal = normal / np.maximum(sine, 1e-9)
    hinge = rotate(turn, np.broadcast_to(axis, bone.shape))
    hinge = hinge - (hinge * bone).sum(-1, keepdims=True) * bone
    angle = np.arctan2((np.cross(hinge, normal) * bone).sum(-1), (hinge * normal).sum(-1))
    share = np.clip((sine[:, 0] - BENT[0]) / (BENT[1] - BENT[0]), 0, 1)
    # Where the angle is near half a turn the joint bends the wrong way, which noise can do: no side is right there.
    share = share * np.clip((np.pi - np.abs(angle)) / 0.5, 0, 1)
    return from_axis_angle(bone * (angle * share)[:, None])
