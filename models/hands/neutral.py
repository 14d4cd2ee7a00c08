"""The pack's own hand: MANO's joints and array names, at most its vertex count, and no licence that forbids sharing.

MANO's files may not be shipped, so this hand serves where the user has none. `build_neutral` makes a right hand from
measures (anatomy), a mesh of rings pressed onto the flesh (plan), and weights that pass from bone to bone around each
joint; `write_neutral` writes the shipped file. The result is the same every time.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..easing import ease
from ..whole_files import whole_file
from .anatomy import FINGERS, SHAPE_STEPS, Measures, chain, skeleton
from .layer import FINGER_JOINTS, PARENTS
from .plan import Mesh, make_mesh
from .poses import finger_pose
from .quaternions import to_axis_angle
from .rest import RIGHT

REACH = 0.75
"""Half the length over which weights pass between two finger bones, in half-thicknesses of the finger."""


def build_neutral() -> dict[str, Any]:
    """The arrays of a MANO file for the right hand, and `fingertips` (5,), thumb first."""
    m = Measures()
    mesh = make_mesh(m)
    vertices = np.stack(mesh.vertices)
    faces = np.array(mesh.triangles)
    joints, _ = skeleton(m)
    weights = _weights(mesh, m, vertices, faces)
    shapes = []
    for field, step in zip(fields(Measures), SHAPE_STEPS):
        varied = np.stack(make_mesh(replace(m, **{field.name: 1 + step})).vertices)
        shapes.append(varied - vertices)
    relaxed = to_axis_angle(finger_pose("relaxed", RIGHT)[1:]).ravel()
    parents = np.array(PARENTS)
    parents[0] = 4294967295
    return {
        "v_template": vertices.astype(np.float32),
        "f": faces.astype(np.uint32),
        "weights": weights.astype(np.float32),
        "J_regressor": _regressor(vertices, joints).astype(np.float32),
        "shapedirs": np.stack(shapes, axis=-1).astype(np.float32),
        "posedirs": np.zeros((len(vertices), 3, 135), np.float32),
        "kintree_table": np.stack([parents, np.arange(len(PARENTS))]),
        "hands_components": np.eye(45, dtype=np.float32),
        "hands_mean": relaxed.astype(np.float32),
        "fingertips": np.array(mesh.tips),
    }


def write_neutral(path: Path) -> Path:
    """Write the hand as a MANO-format .npz, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **build_neutral())
    return path


def _weights(mesh: Mesh, m: Measures, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Skinning weights (V, 16): each bone its own stretch, passing smoothly to the next around the joint."""
    joints, tips = skeleton(m)
    part, column, reach = np.array(mesh.part), np.array(mesh.column), np.array(mesh.reach)
    palm = part == "palm"
    weights = np.zeros((len(vertices), len(PARENTS)))
    for i, finger in enumerate(("thumb", *FINGERS)):
        points, radii = chain(m, finger, joints, tips)
        bones = FINGER_JOINTS[finger]
        lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
        axis = (points[1] - points[0]) / lengths[0]
        tube = part == finger
        far = np.where(tube, reach, (vertices - points[0]) @ axis)
        if finger == "thumb":
            away = np.linalg.norm(vertices - points[0] - np.outer(np.clip(far, 0, lengths[0]), axis), axis=1)
            near = np.where(tube, 1.0, ease(1 - (away - 0.011) / 0.020) * palm)
            first = near * ease((far + 0.010) / 0.026)
        else:
            share = np.clip(1 - np.abs(column - (2 * i - 1)) / 2, 0, 1) * palm
            # The outer edges belong to their fingers alone.
            share[palm & (column == (0 if i == 1 else 8 if i == 4 else -1))] = 1.0
            first = np.where(tube, 1.0, share) * ease((far + 0.011) / 0.024)
        second = ease((far - lengths[0]) / (2 * REACH * radii[1]) + 0.5) * tube
        third = ease((far - lengths[0] - lengths[1]) / (2 * REACH * radii[2]) + 0.5) * tube
        weights[:, bones[0]] = first * (1 - second)
        weights[:, bones[1]] = first * second * (1 - third)
        weights[:, bones[2]] = first * second * third
    total = weights.sum(1, keepdims=True)
    weights = weights / np.maximum(total, 1)
    weights[:, 0] = 1 - weights[:, 1:].sum(1)
    return _smoothed(weights, faces, palm)


def _smoothed(weights: np.ndarray, faces: np.ndarray, where: np.ndarray, rounds: int = 3) -> np.ndarray:
    """Weights averaged with those of the neighbouring vertices, on the palm only."""
    count = len(weights)
    neighbours = np.zeros((count, count))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        neighbours[faces[:, a], faces[:, b]] = neighbours[faces[:, b], faces[:, a]] = 1
    neighbours /= neighbours.sum(1, keepdims=True)
    for _ in range(rounds):
        weights = np.where(where[:, None], 0.5 * weights + 0.5 * neighbours @ weights, weights)
    weights[weights < 1e-3] = 0
    return weights / weights.sum(1, keepdims=True)


def _regressor(vertices: np.ndarray, joints: np.ndarray, nearest: int = 24) -> np.ndarray:
    """(16, V): each joint as the most even combination of the vertices around it that gives it exactly."""
    rows = np.zeros((len(joints), len(vertices)))
    for row, joint in zip(rows, joints):
        ring = np.argsort(np.linalg.norm(vertices - joint, axis=1), kind="stable")[:nearest]
        system = np.concatenate([vertices[ring].T, np.ones((1, nearest))])
        even = np.full(nearest, 1 / nearest)
        row[ring] = even + np.linalg.pinv(system) @ (np.append(joint, 1) - system @ even)
    return rows
