"""Posed hands: linear blend skinning of MANO-format meshes (Romero et al. 2017, section 3; Loper et al. 2015, eq. 2-9).

Both hands of all frames are posed together in PyTorch, so gradients flow to rotations, translations and shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)
"""MANO's joints: wrist, then three each of index, middle, little, ring finger and thumb."""
FINGER_JOINTS = {
    "thumb": (13, 14, 15),
    "index": (1, 2, 3),
    "middle": (4, 5, 6),
    "ring": (10, 11, 12),
    "little": (7, 8, 9),
}
"""MANO joints of each finger from base to tip, fingers in OpenPose order."""
OPENPOSE = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
"""Where OpenPose's 21 hand points stand among MANO's 16 joints followed by the tips, thumb first."""
CHUNK = 256


@dataclass(frozen=True, eq=False, repr=False)
class Hand:
    """One hand's mesh. V vertices, T triangles, B shape components; metres, MANO's axes.

    v_template (V, 3); faces (T, 3) int, counter-clockwise from outside; weights (V, 16); j_regressor (16, V);
    shapedirs (V, 3, B); posedirs (V, 3, 135); tips (5,) vertex numbers of the fingertips, thumb first.
    """

    v_template: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    j_regressor: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    tips: np.ndarray

    def __post_init__(self) -> None:
        for name, array in vars(self).items():
            array = np.array(array, dtype=np.int64 if name in ("faces", "tips") else np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def mirrored(self) -> Hand:
        """The other side's hand: this one in a mirror at x = 0."""
        flip = np.array([-1.0, 1.0, 1.0])
        # A mirrored rotation matrix is M R M, so entry (i, j) of the pose feature changes sign by flip_i flip_j.
        feature = np.tile(np.outer(flip, flip).ravel(), 15)
        return Hand(
            self.v_template * flip,
            self.faces[:, ::-1],
            self.weights,
            self.j_regressor,
            self.shapedirs * flip[:, None],
            self.posedirs * flip[:, None] * feature,
            self.tips,
        )

    @property
    def joints(self) -> np.ndarray:
        """(16, 3): the joints of the flat hand."""
        return self.j_regressor @ self.v_template


@dataclass(frozen=True, eq=False)
class HandModel:
    """A left and a right hand of equal vertex count (wire EMO2_HANDS). `name` says where they come from."""

    left: Hand
    right: Hand
    name: str = "neutral"
    _tensors: dict[Any, Mapping[str, torch.Tensor]] = field(default_factory=dict, repr=False)

    @property
    def v_template(self) -> np.ndarray:
        """(2, V, 3) metres."""
        return np.stack([self.left.v_template, self.right.v_template])

    @property
    def faces(self) -> np.ndarray:
        """(2, T, 3)."""
        return np.stack([self.left.faces, self.right.faces])

    @property
    def weights(self) -> np.ndarray:
        """(2, V, 16)."""
        return np.stack([self.left.weights, self.right.weights])

    @property
    def face_parts(self) -> np.ndarray:
        """(2, T): the MANO joint (0..15) that moves most of each triangle."""
        return np.stack([hand.weights[hand.faces].sum(1).argmax(1) for hand in (self.left, self.right)])

    def tensors(self, dtype: torch.dtype, device: torch.device) -> Mapping[str, torch.Tensor]:
        """The arrays of both hands stacked, on a device; kept for the next call."""
        key = (dtype, str(device))
        if key not in self._tensors:
            pair = (self.left, self.right)
            stack = lambda f: torch.as_tensor(np.stack([f(h) for h in pair]), dtype=dtype, device=device)
            self._tensors[key] = {
                "template": stack(lambda h: h.v_template),
                "weights": stack(lambda h: h.weights),
                "regressor": stack(lambda h: h.j_regressor),
                # (2, 135, V*3) and (2, B, V*3): one matrix product each.
                "posedirs": stack(lambda h: h.posedirs.reshape(-1, h.posedirs.shape[-1]).T),
                "shapedirs": stack(lambda h: h.shapedirs.reshape(-1, h.shapedirs.shape[-1]).T),
            }
        return self._tensors[key]

    def pose(self, rotations: Any, translations: Any, betas: Any = None) -> tuple[Any, Any]:
        """Vertices (F, 2, V, 3) and 21 joints (F, 2, 21, 3) of both hands, metres, in the axes of the inputs.

        rotations (F, 2, 16, 4): quaternions wxyz, hand 0 left; joint 0 the wrist, 1..15 relative to their parents,
        identity = flat hand; they need not have length 1. translations (F, 2, 3): where the WRIST JOINT is (not MANO's
        origin). betas: shape, broadcasts to (F, 2, B). Joints come in OpenPose order: wrist, then base to tip of thumb,
        index, middle, ring and little finger.

        NumPy arrays give float64 arrays, computed in double precision so that every machine rounds to the same pixels;
        tensors give tensors of their own dtype and device, differentiable.
        """
        if not isinstance(rotations, torch.Tensor):
            return self._pose_arrays(rotations, translations, betas)
        t = self.tensors(rotations.dtype, rotations.device)
        count = rotations.shape[0]
        vertices = t["template"].expand(count, -1, -1, -1)
        if betas is not None:
            betas = torch.as_tensor(betas, dtype=rotations.dtype, device=rotations.device).expand(count, 2, -1)
            shape = torch.einsum("fhb,hbv->fhv", betas, t["shapedirs"][:, : betas.shape[-1]])
            vertices = vertices + shape.unflatten(-1, (-1, 3))
        rest = torch.einsum("hjv,fhvc->fhjc", t["regressor"], vertices)
        local = to_matrix(rotations)
        feature = (local[:, :, 1:] - torch.eye(3, dtype=local.dtype, device=local.device)).flatten(2)
        offsets = torch.bmm(feature.transpose(0, 1), t["posedirs"]).transpose(0, 1)
        vertices = vertices + offsets.unflatten(-1, (-1, 3)) - rest[:, :, :1]
        turn, joints = forward_kinematics(local, rest)
        joints = joints + translations[:, :, None]
        # x -> turn_j (x - rest_j) + joint_j, blended over the joints j.
        origins = rest - rest[:, :, :1]
        shift = joints - (turn @ origins[..., None])[..., 0]
        affine = torch.cat([turn, shift[..., None]], dim=-1).flatten(3)
        blended = torch.matmul(t["weights"], affine).unflatten(-1, (3, 4))
        vertices = (blended[..., :3] @ vertices[..., None])[..., 0] + blended[..., 3]
        tips = torch.stack([vertices[:, 0, self.left.tips.copy()], vertices[:, 1, self.right.tips.copy()]], dim=1)
        return vertices, torch.cat([joints, tips], dim=2)[:, :, list(OPENPOSE)]

    def _pose_arrays(self, rotations: Any, translations: Any, betas: Any) -> tuple[np.ndarray, np.ndarray]:
        """`pose` for NumPy arrays, in stretches of CHUNK frames so that a long motion needs little memory."""
        rotations = torch.from_numpy(np.array(rotations, np.float64))
        translations = torch.from_numpy(np.array(translations, np.float64))
        if betas is not None:
            betas = torch.from_numpy(np.array(betas, np.float64)).expand(len(rotations), 2, -1)
        pieces = []
        with torch.no_grad():
            for start in range(0, len(rotations), CHUNK):
                part = slice(start, start + CHUNK)
                posed = self.pose(rotations[part], translations[part], None if betas is None else betas[part])
                pieces.append([piece.numpy() for piece in posed])
        if not pieces:
            return np.zeros((0, *self.v_template.shape)), np.zeros((0, 2, len(OPENPOSE), 3))
        vertices, joints = zip(*pieces)
        return np.concatenate(vertices), np.concatenate(joints)


def to_matrix(q: torch.Tensor) -> torch.Tensor:
    """Quaternions (..., 4) of any length above zero to rotation matrices (..., 3, 3)."""
    w, x, y, z = (q * (2 / (q * q).sum(-1, keepdim=True)).sqrt()).unbind(-1)
    rows = [1 - y * y - z * z, x * y - w * z, x * z + w * y,
            x * y + w * z, 1 - x * x - z * z, y * z - w * x,
            x * z - w * y, y * z + w * x, 1 - x * x - y * y]  # fmt: skip
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def forward_kinematics(local: torch.Tensor, rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Turns (..., 16, 3, 3) and places (..., 16, 3) of all joints, the wrist at the origin.

    local (..., 16, 3, 3): rotations relative to the parents; rest (..., 16, 3): joints of the flat hand.
    """
    turns, places = [local[..., 0, :, :]], [torch.zeros_like(rest[..., 0, :])]
    for joint in range(1, len(PARENTS)):
        parent = PARENTS[joint]
        bone = rest[..., joint, :] - rest[..., parent, :]
        places.append(places[parent] + (turns[parent] @ bone[..., None])[..., 0])
        turns.append(turns[parent] @ local[..., joint, :, :])
    return torch.stack(turns, dim=-3), torch.stack(places, dim=-2)
