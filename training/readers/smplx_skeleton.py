"""SMPL-X bodies (Pavlakos et al. 2019) without their mesh: 22 body joints by forward kinematics, and `Motion` of them.

SMPL-X axes: x to the person's left, y up, z forwards; the rest pose is a T with palms down. Its hands are MANO's, so a
wrist's turn is that of MANO's hand. The camera stands in front of the person, at the height of the shoulders.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...models.body.kinematics import chain
from ...models.body.skeleton import BODY_JOINTS, BODY_PARENTS, CHEST, ELBOWS, HEAD, SHOULDERS, WRISTS
from ...models.errors import EMO2Error
from ...models.hands.quaternions import IDENTITY, conjugate, from_axis_angle, multiply, normalise, rotate
from ...models.pose.body import half_body
from ...models.types import BODY_POINTS, SHOULDER_METRES, Framing, Motion
from .arrays import load_arrays

PARENTS, JOINTS = BODY_PARENTS, BODY_JOINTS
MODEL_FILES = ("SMPLX_NEUTRAL_2020.npz", "SMPLX_NEUTRAL.npz", "SMPLX_*.npz")
SHAPES = 300
"""Shape directions of the newer SMPL-X files, which come before those of the face; older files have 10."""
FOLLOW = 2.0
"""Seconds: how slowly the camera follows somebody who walks about."""

_OFFSETS = np.array([
    [0, 0, 0], [0.06, -0.09, -0.01], [-0.06, -0.09, -0.01], [0, 0.11, -0.03], [0.05, -0.38, 0], [-0.05, -0.38, 0],
    [0, 0.14, 0], [-0.02, -0.4, -0.03], [0.02, -0.4, -0.03], [0, 0.06, 0.02], [0.03, -0.06, 0.12],
    [-0.03, -0.06, 0.12], [0, 0.17, -0.03], [0.05, 0.09, -0.02], [-0.05, 0.09, -0.02], [0, 0.15, 0.02],
    [0.12, 0.03, -0.01], [-0.12, 0.03, -0.01], [0.26, -0.03, -0.02], [-0.26, -0.03, -0.02], [0.25, 0.01, 0],
    [-0.25, 0.01, 0],
], np.float64)  # fmt: skip
# Each joint from its parent in metres: an average adult, rounded to centimetres. Not taken from any model file.

_FACE = np.array([[0, 0.06, 0.12], [0.032, 0.1, 0.09], [-0.032, 0.1, 0.09], [0.075, 0.08, 0], [-0.075, 0.08, 0]])
# Nose, left and right eye, left and right ear from the head joint.


@dataclass(frozen=True)
class Skeleton:
    """joints (22, 3): the rest pose, metres, SMPL-X axes. source: what it comes from, for messages."""

    joints: np.ndarray
    source: str

    @property
    def shoulder_width(self) -> float:
        return float(np.linalg.norm(self.joints[SHOULDERS[0]] - self.joints[SHOULDERS[1]]))


def approximate_skeleton() -> Skeleton:
    """An average adult. Arms of another length put the wrists a few centimetres off; turns are exact all the same."""
    joints = np.zeros((JOINTS, 3))
    for joint in range(1, JOINTS):
        joints[joint] = joints[PARENTS[joint]] + _OFFSETS[joint]
    return Skeleton(joints, "an approximate skeleton")


def read_skeleton(path: Path, betas: np.ndarray, where: str = "body model") -> Skeleton:
    """The rest joints of a person of shape `betas` (n,) from the user's SMPL-X file (`.npz`): J (v + S b), eq. 5-6."""
    arrays = load_arrays(path, ("v_template", "shapedirs", "J_regressor"), where, "Get SMPL-X from its own site.")
    template, directions, regressor = (arrays[k] for k in ("v_template", "shapedirs", "J_regressor"))
    vertices = len(template)
    fits = template.shape == (vertices, 3) and directions.ndim == 3 and directions.shape[:2] == (vertices, 3)
    if not (fits and regressor.ndim == 2 and regressor.shape[0] >= JOINTS and regressor.shape[1] == vertices):
        shapes = ", ".join(str(a.shape) for a in (template, directions, regressor))
        raise EMO2Error(where, "SMPL-X's v_template (V, 3), shapedirs (V, 3, n) and J_regressor (55, V)",
                        f"{shapes} in {path.name}", "Give an SMPL-X file.")  # fmt: skip
    count = min(SHAPES if directions.shape[2] > SHAPES else 10, directions.shape[2], len(betas))
    shaped = template + directions[:, :, :count] @ np.asarray(betas[:count], np.float64)
    return Skeleton(regressor[:JOINTS] @ shaped, path.name)


def forward(turns: np.ndarray, trans: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Global turns (F, 22, 4) and places (F, 22, 3) of all joints from local turns (F, 22, 4) and `trans` (F, 3)."""
    return chain(turns, skeleton.joints[0] + trans, skeleton.joints, PARENTS)


def body_motion(
    body: np.ndarray,
    trans: np.ndarray,
    fingers: np.ndarray,
    fps: float,
    skeleton: Skeleton,
    framing: Framing | None = None,
) -> Motion:
    """A `Motion` of an SMPL-X body as a camera before it sees it.

    body (F, 22, 3): axis-angle of the body's joints, the root first. trans (F, 3) metres. fingers (F, 2, 15, 4): turns
    of MANO's finger joints from the flat hand. The neck root is the point between the shoulders, carried by the chest:
    a shrug moves the hands, not the root. Lengths are scaled so that the shoulders are 0.38 m apart, as every framing
    has it. The camera faces the person's average heading and follows slowly; whichever way is up in the data (y, -y as
    in camera axes, z) becomes up in the picture. Keypoints are the body's own joints.
    """
    framing = framing or Framing()
    turns, places = forward(from_axis_angle(body.astype(np.float64)), trans.astype(np.float64), skeleton)
    up = upright(turns[:, 0])
    view = multiply(TO_CAMERA, multiply(facing(turns[:, CHEST], up), up))
    rest, chest = skeleton.joints, places[:, CHEST]
    middle = (rest[SHOULDERS[0]] + rest[SHOULDERS[1]]) / 2
    root = chest + rotate(turns[:, CHEST], middle - rest[CHEST])
    scale = SHOULDER_METRES / skeleton.shoulder_width
    seen = lambda points: rotate(view, points) * scale
    wrists = seen(places[:, WRISTS] - root[:, None])
    rotations = np.concatenate([multiply(view, turns[:, WRISTS])[:, :, None], fingers], axis=2)
    offset = seen(root)
    offset = offset - followed(offset, fps)
    points = seen(_openpose(turns, places) - root[:, None]) + offset[:, None] + framing.root()
    scores = half_body(framing)[1]
    scores[1:8] = 1
    return Motion(
        rotations=normalise(rotations),
        translations=wrists,
        fps=fps,
        framing=framing,
        body_rotation=multiply(multiply(view, turns[:, CHEST]), conjugate(TO_CAMERA)),
        body_offset=offset,
        keypoints=framing.project(points),
        keypoint_scores=np.tile(scores, (len(points), 1)),
    )


TO_CAMERA = np.array([0.0, 1.0, 0.0, 0.0])
"""Half a turn about x: y up and z forwards become y down and z away."""


def upright(root: np.ndarray) -> np.ndarray:
    """The turn (4,) that brings the world's axis nearest to the body's average up to +y; the world stays level."""
    up = rotate(root, np.array([0.0, 1.0, 0.0])).mean(axis=0)
    axis = int(np.abs(up).argmax())
    half = np.sqrt(0.5)
    table = {
        (1, True): IDENTITY, (1, False): (0, 1, 0, 0), (2, True): (half, -half, 0, 0), (2, False): (half, half, 0, 0),
        (0, True): (half, 0, 0, half), (0, False): (half, 0, 0, -half),
    }  # fmt: skip
    return np.array(table[axis, bool(up[axis] > 0)], np.float64)


def facing(chest: np.ndarray, up: np.ndarray) -> np.ndarray:
    """The turn (4,) about y that brings the chest's average heading to +z."""
    forwards = rotate(multiply(up, chest), np.array([0.0, 0.0, 1.0])).mean(axis=0)
    heading = np.arctan2(forwards[0], forwards[2])
    return np.array([np.cos(heading / 2), 0.0, -np.sin(heading / 2), 0.0])


def followed(offset: np.ndarray, fps: float) -> np.ndarray:
    """Where the camera aims (F, 3): sideways and in depth it follows slowly, its height is the average."""
    from scipy.ndimage import gaussian_filter1d

    path = gaussian_filter1d(offset, FOLLOW * fps, axis=0, mode="nearest")
    path[:, 1] = offset[:, 1].mean()
    return path


def _openpose(turns: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(F, 18, 3) OpenPose's body points from the joints; the neck is the point between the shoulders."""
    points = np.zeros((len(places), BODY_POINTS, 3))
    for sides, joints in (((5, 2), SHOULDERS), ((6, 3), ELBOWS), ((7, 4), WRISTS), ((11, 8), (1, 2)), ((12, 9), (4, 5)),
                          ((13, 10), (7, 8))):  # fmt: skip
        points[:, sides] = places[:, joints]
    points[:, 1] = places[:, SHOULDERS].mean(axis=1)
    face = places[:, HEAD, None] + rotate(turns[:, HEAD, None], _FACE)
    points[:, (0, 15, 14, 17, 16)] = face
    return points
