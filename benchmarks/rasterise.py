"""How fast two hands become MANO maps at 704 x 512, beside two plain ways of doing the same, in one run.

Figures are the best of a few rounds, so that other work on the machine disturbs them little.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from emo2.models.hands import HandModel, finger_pose, load_hands, rest
from emo2.models.maps import keypoint_maps, mano_maps, openpose_maps
from emo2.models.maps.rasteriser import THREADS
from emo2.models.types import Framing, Motion

SIZE = (704, 512)
FLOOR = 100.0
"""Frames a second that two hands must reach on two cores."""


def run(quick: bool) -> list[dict]:
    """Rows {name, value, unit, note}. `quick`: fewer frames."""
    frames = 48 if quick else 240
    motion, hands = gesture(frames), load_hands()
    mano_maps(motion, hands, SIZE, 0, 2)
    posing = per_second(lambda: hands.pose(motion.rotations, motion.wrists()), frames)
    drawing = per_second(lambda: openpose_maps(motion, hands, SIZE), frames)
    ours = per_second(lambda: mano_maps(motion, hands, SIZE), frames)
    plain = per_second(lambda: torch_maps(motion, hands, frames // 4), frames // 4)
    painter = per_second(lambda: painters_maps(motion, hands, frames // 4), frames // 4)
    rows = [
        row("MANO maps, two hands, 704 x 512", ours, "frames/s",
            f"skinning and z-buffer, {THREADS} threads; floor {FLOOR:.0f}: {'met' if ours >= FLOOR else 'MISSED'}"),
        row("skinning alone", posing, "frames/s", "two hands, double precision"),
        row("painter's algorithm in OpenCV", painter, "frames/s", "wrong where surfaces interlock; one thread"),
        row("z-buffer in plain PyTorch", plain, "frames/s", "depth alone, no colours"),
        row("MANO maps against the painter", ours / painter, "times", "higher is better"),
        row("MANO maps against PyTorch", ours / plain, "times", "higher is better"),
        row("keypoint maps", per_second(lambda: keypoint_maps(motion, SIZE), frames), "frames/s", "one thread"),
        row("OpenPose drawing", drawing, "frames/s", "one thread"),
    ]  # fmt: skip
    return rows


def row(name: str, value: float, unit: str, note: str) -> dict:
    """One line of the table."""
    return {"name": name, "value": round(float(value), 2), "unit": unit, "note": note}


def per_second(work: Callable[[], object], count: int, rounds: int = 3) -> float:
    """How many of `count` things a second, in the best round."""
    best = np.inf
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return count / best


def gesture(frames: int) -> Motion:
    """Both hands of a half-body speaker, opening and closing."""
    swing = np.sin(np.linspace(0, 6 * np.pi, frames))
    poses = [np.stack([finger_pose([0.4 * (1 + s)] * 5, hand) for hand in (0, 1)]) for s in swing]
    rotations = np.stack(poses)
    rotations[:, :, 0] = rest.SPEAKING
    places = np.tile(np.array([[0.16, 0.2, -0.2], [-0.16, 0.2, -0.2]]), (frames, 1, 1))
    places[..., 1] += 0.1 * swing[:, None]
    return Motion(rotations, places, 25.0, Framing(size=SIZE))


def _projected(motion: Motion, hands: HandModel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (F, N, 2), depths (F, N) and triangles (T, 3) of both hands as one mesh."""
    vertices, _ = hands.pose(motion.rotations[:count], motion.wrists()[:count])
    each = vertices.shape[2]
    pixels = motion.framing.project(vertices).reshape(count, -1, 2) * np.array(SIZE[::-1])
    return pixels, vertices[..., 2].reshape(count, -1), np.concatenate([hands.faces[0], hands.faces[1] + each])


def painters_maps(motion: Motion, hands: HandModel, count: int) -> np.ndarray:
    """Flat triangles drawn from back to front."""
    pixels, depths, faces = _projected(motion, hands, count)
    maps = np.zeros((count, *SIZE, 3), np.uint8)
    for picture, points, depth in zip(maps, np.rint(pixels * 16).astype(np.int32), depths):
        for face in np.argsort(-depth[faces].mean(1)):
            cv2.fillConvexPoly(picture, points[faces[face]], (int(face % 200) + 50, 128, 128), shift=4)
    return maps


def torch_maps(motion: Motion, hands: HandModel, count: int) -> torch.Tensor:
    """Depth alone: every pixel of every triangle's box is tested, and the nearest kept by a scatter."""
    pixels, depths, faces = _projected(motion, hands, count)
    maps = torch.zeros(count, SIZE[0] * SIZE[1])
    limits = torch.tensor(SIZE[::-1])
    for picture, points, depth in zip(maps, torch.from_numpy(pixels), torch.from_numpy(depths)):
        corners, inverse = points[faces], (1 / depth)[faces]
        low = torch.minimum(corners.amin(1).floor().long().clamp(min=0), limits)
        span = (torch.minimum(corners.amax(1).ceil().long(), limits) - low).clamp(min=0)
        boxes = span.prod(1)
        owner = torch.repeat_interleave(torch.arange(len(faces)), boxes)
        place = torch.arange(len(owner)) - torch.repeat_interleave(boxes.cumsum(0) - boxes, boxes)
        column, line = low[owner, 0] + place % span[owner, 0], low[owner, 1] + place // span[owner, 0]
        spot = torch.stack([column, line], -1) + 0.5
        a, b, c = corners[owner].unbind(1)
        cross = [_cross(v - u, spot - u) for u, v in ((b, c), (c, a), (a, b))]
        shares = torch.stack(cross, -1) / sum(cross)[:, None]
        near = torch.where((shares >= 0).all(-1), (shares * inverse[owner]).sum(-1), 0).float()
        picture.scatter_reduce_(0, line * SIZE[1] + column, near, "amax")
    return maps.unflatten(1, SIZE)


def _cross(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]
