"""A hand as five chains of hinges: where its 21 points are for given angles, and how they move with each of them.

Every finger has six hinges: three at its first joint (sideways, along the bone, bending), two at the second (sideways,
bending) and one at the last (bending). Bending axes are those of `poses.FLEXION`. Only the 21 points are computed, not
the mesh: fingertips move with the last joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..hands.layer import FINGER_JOINTS, HandModel
from ..hands.poses import FLEXION
from ..hands.quaternions import from_axis_angle, multiply, normalise, to_axis_angle
from ..hands.rest import LEFT

FINGERS, HINGES = 5, 6
"""Fingers in OpenPose's order (thumb first), and hinges of each."""
JOINT_HINGES = ((0, 1, 2), (3, 4), (5,))
"""The hinges of a finger's first, second and last joint, in the order in which they turn."""
BENDING = (2, 4, 5)
"""The hinge of each joint that bends the finger."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Both hands' chains (hand 0 left). axes (2, 5, 6, 3): of the flat hand; bases (2, 5, 3): first joints, and bones
    (2, 5, 3, 3): from each joint to the next and to the tip, metres from the wrist. float64.
    """

    axes: Tensor
    bases: Tensor
    bones: Tensor

    @property
    def length(self) -> float:
        """Wrist to the tip of the flat hand's middle finger, metres: the hand's size."""
        return float(torch.linalg.norm(self.bases[1, 2] + self.bones[1, 2].sum(0)))


class Posed(NamedTuple):
    """points (N, 2, 5, 4, 3): base, middle, last joint and tip of each finger, relative to the wrist, metres; axes
    (N, 2, 5, 6, 3): of the hinges. Both in camera axes.
    """

    points: Tensor
    axes: Tensor


def chains_of(hands: HandModel) -> Chains:
    """The chains of a pair of hands at rest."""
    flat = np.zeros((1, 2, 16, 4))
    flat[..., 0] = 1
    joints = hands.pose(flat, np.zeros((1, 2, 3)))[1][0, :, 1:].reshape(2, FINGERS, 4, 3)
    axes = np.zeros((2, FINGERS, HINGES, 3))
    for finger, name in enumerate(FINGER_JOINTS):
        for joint, hinges in enumerate(JOINT_HINGES):
            bend = np.array(FLEXION[name][joint], np.float64)
            bend /= np.linalg.norm(bend)
            along = joints[1, finger, joint + 1] - joints[1, finger, joint]
            along -= (along @ bend) * bend
            along /= np.linalg.norm(along)
            side = np.cross(along, bend)
            axes[1, finger, hinges] = [(side, along, bend), (side, bend), (bend,)][joint]
    axes[LEFT] = axes[1] * [1, -1, -1]  # turns as a mirror shows them
    tensor = torch.from_numpy
    return Chains(tensor(axes), tensor(joints[:, :, 0]), tensor(np.diff(joints, axis=2)))


def skew(v: Tensor) -> Tensor:
    """The matrices (..., 3, 3) whose product with a vector is the cross product of v (..., 3) with it."""
    zero = torch.zeros_like(v[..., 0])
    x, y, z = v.unbind(-1)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def posed(chains: Chains, wrist: Tensor, angles: Tensor) -> Posed:
    """Points and axes for wrist rotations (N, 2, 3, 3) and hinge angles (N, 2, 5, 6) in radians."""
    axis = chains.axes
    across = skew(axis)
    sine, cosine = angles.sin()[..., None, None], angles.cos()[..., None, None]
    turns = torch.eye(3, dtype=angles.dtype) + sine * across + (1 - cosine) * (across @ across)
    place = (wrist @ chains.bases.transpose(1, 2)).transpose(2, 3)
    frame = wrist[:, :, None].expand(-1, -1, FINGERS, -1, -1)
    points, axes = [place], []
    for joint, hinges in enumerate(JOINT_HINGES):
        for hinge in hinges:
            axes.append((frame @ axis[:, :, hinge, :, None])[..., 0])
            frame = frame @ turns[:, :, :, hinge]
        place = place + (frame @ chains.bones[:, :, joint, :, None])[..., 0]
        points.append(place)
    return Posed(torch.stack(points, 3), torch.stack(axes, 3))


def derivatives(hand: Posed) -> Tensor:
    """How each finger's points move with its hinges: (N, 2, 5, 4, 3, 6), metres a radian (a turning point's speed is
    axis x lever)."""
    points = hand.points
    moves = points.new_zeros(*points.shape, HINGES)
    for joint, hinges in enumerate(JOINT_HINGES):
        lever = points[..., joint + 1 :, :] - points[..., joint : joint + 1, :]
        for hinge in hinges:
            axis = hand.axes[..., hinge, None, :].expand_as(lever)
            moves[..., joint + 1 :, :, hinge] = torch.linalg.cross(axis, lever)
    return moves


def angles_of(chains: Chains, rotations: np.ndarray) -> Tensor:
    """Hinge angles (N, 2, 5, 6) of joint rotations (N, 2, 16, 4): exact where only one hinge of a joint turns."""
    angles = torch.zeros(len(rotations), 2, FINGERS, HINGES, dtype=torch.float64)
    for finger, joints in enumerate(FINGER_JOINTS.values()):
        for joint, hinges in zip(joints, JOINT_HINGES):
            turn = torch.from_numpy(to_axis_angle(np.asarray(rotations[:, :, joint], np.float64)))
            angles[:, :, finger, hinges] = torch.einsum("nhc,hkc->nhk", turn, chains.axes[:, finger, hinges])
    return angles


def rotations_of(chains: Chains, angles: Tensor, wrist: np.ndarray) -> np.ndarray:
    """Joint rotations (N, 2, 16, 4) of hinge angles (N, 2, 5, 6) under wrist quaternions (N, 2, 4)."""
    turns = from_axis_angle((angles[..., None] * chains.axes).numpy())
    rotations = np.zeros((len(angles), 2, 16, 4))
    rotations[:, :, 0] = wrist
    for finger, joints in enumerate(FINGER_JOINTS.values()):
        for joint, hinges in zip(joints, JOINT_HINGES):
            whole = turns[:, :, finger, hinges[0]]
            for hinge in hinges[1:]:
                whole = multiply(whole, turns[:, :, finger, hinge])
            rotations[:, :, joint] = normalise(whole)
    return rotations
