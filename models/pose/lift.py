"""A first estimate of both hands in space from their 21 points in the picture, frame by frame and without search.

The palm (wrist and four knuckles) is flat and rigid, so its picture is an affine image of it: the largest stretch is
the scale, hence the depth; the squeeze across is the tilt, known up to its sign (POS for planar objects, Oberkampf,
DeMenthon & Davis 1996). Both signs are tried; the one whose fingers can be bent to fit, that goes on from the forearm
and from the frame before, wins (Viterbi). Each finger's bend is the one of a table whose picture lies nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..hands.layer import HandModel
from ..hands.poses import finger_pose
from ..hands.quaternions import angle, continuous, from_matrix, slerp
from ..hands.rest import FINGERS, HANGING
from ..types import Framing
from .body import REST_WRISTS, SHOULDERS, WRISTS, arm_keypoints, body_joints, elbows
from .cheapest import cheapest
from .gaps import on_lines

PALM = (0, 5, 9, 13, 17)
"""Wrist and knuckles among the 21 points."""
BENDS = np.linspace(-0.15, 1.65, 13)
"""Finger bends (radians a joint) in the table."""
NEAREST, FARTHEST = -0.5, 0.15
"""How far before and behind the neck root a wrist may lie, metres."""
CHUNK = 2000


@dataclass(frozen=True)
class Lifted:
    """Hands in space: rotations (F, 2, 16, 4), wrists (F, 2, 3) camera metres, seen (F, 2) where there was enough to
    go by. Unseen stretches are filled from their neighbours.
    """

    rotations: np.ndarray
    wrists: np.ndarray
    seen: np.ndarray


def lift_hands(
    points: np.ndarray,
    scores: np.ndarray,
    body: np.ndarray,
    body_scores: np.ndarray,
    framing: Framing,
    fps: float,
    hands: HandModel,
    body_offset: np.ndarray | None = None,
) -> Lifted:
    """Hands from points (F, 2, 21, 2) with scores (F, 2, 21), and body (F, 18, 2) with body_scores (F, 18).

    Positions are normalised to the image; a score of 0 means unknown. The wrist's picture is kept exactly where it was.
    """
    count = len(points)
    pixels = np.array([framing.size[1], framing.size[0]], np.float64)
    offset = np.zeros((count, 3)) if body_offset is None else np.asarray(body_offset, np.float64)
    rotations = np.zeros((count, 2, 16, 4))
    wrists = np.zeros((count, 2, 3))
    seen = np.zeros((count, 2), bool)
    for hand in (0, 1):
        seen[:, hand] = (scores[:, hand, PALM] > 0).sum(1) >= 4
        seen[:, hand] &= scores[:, hand, 0] > 0
        table, bent = _table(hands, hand)
        place, place_known = _wrist_points(points[:, hand], scores[:, hand], body, body_scores, hand)
        rest = arm_keypoints(framing, (framing.root() + REST_WRISTS + offset[:, None]), offset)[0][:, WRISTS[hand]]
        place = on_lines(place, place_known) if place_known.any() else rest
        root_depth = framing.root()[2]
        if not seen[:, hand].any():
            depth = np.full(count, root_depth + REST_WRISTS[hand, 2])
            rotations[:, hand] = finger_pose("relaxed", hand)
            rotations[:, hand, 0] = HANGING[hand]
            wrists[:, hand] = _unproject(place * pixels, depth, framing)
            continue
        index = np.flatnonzero(seen[:, hand])
        image = points[index, hand] * pixels
        affine = _affine(image, scores[index, hand], table[0])
        largest = np.linalg.norm(affine, ord=2, axis=(1, 2))
        depth = _depths(framing.focal / np.maximum(largest, 1e-6), index, count, root_depth, fps)
        wrists[:, hand] = _unproject(place * pixels, depth, framing)
        scale = framing.focal / depth[index]
        # The scale may only be the affine's own or larger, or there is no rotation.
        scale = np.maximum(scale, largest)
        turns = np.stack([_rotation(affine, scale, sign) for sign in (1.0, -1.0)], axis=1)
        bends, misfit = _fingers(turns, image, scores[index, hand], scale, table)
        shoulders = body_joints(framing, wrists[index], offset[index])[:, SHOULDERS[hand]]
        towards = np.tile(np.array([0.5 if hand == 0 else -0.5, 0.6, 0.6]), (len(index), 1)) / 0.985
        forearm = wrists[index, hand] - elbows(shoulders, wrists[index, hand], towards)
        forearm /= np.maximum(np.linalg.norm(forearm, axis=-1, keepdims=True), 1e-6)
        along = np.einsum("fcij,j->fci", turns, FINGERS[hand])
        against = 1 - np.einsum("fci,fi->fc", along, forearm)
        wrist_turns = from_matrix(turns)
        choice = _path(misfit + 0.15 * against**2, wrist_turns, np.diff(index), fps)
        row = np.arange(len(index))
        chosen = np.concatenate([wrist_turns[row, choice][:, None], _bent(bends[row, choice], bent)], axis=1)
        rotations[:, hand] = _fill_rotations(chosen, index, count)
    return Lifted(rotations, wrists, seen)


def _table(hands: HandModel, hand: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (G, 21, 3) relative to the wrist and rotations (G, 16, 4) of a hand bent by each of BENDS."""
    rotations = np.zeros((len(BENDS), 2, 16, 4))
    rotations[..., 0] = 1
    for i, bend in enumerate(BENDS):
        rotations[i, hand] = finger_pose([0.55 * bend] + [bend] * 4, hand)
    joints = hands.pose(rotations, np.zeros((len(BENDS), 2, 3)))[1][:, hand]
    return joints - joints[:, :1], rotations[:, hand]


def _wrist_points(
    points: np.ndarray, scores: np.ndarray, body: np.ndarray, body_scores: np.ndarray, hand: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the wrist is in the picture (F, 2), from the hand's points or else the body's, and whether it is known."""
    own, arm = scores[:, 0] > 0, body_scores[:, WRISTS[hand]] > 0
    return np.where(own[:, None], points[:, 0], body[:, WRISTS[hand]]), own | arm


def _affine(image: np.ndarray, scores: np.ndarray, flat: np.ndarray) -> np.ndarray:
    """Least-squares maps (N, 2, 2) from the palm's plane (MANO's x and z axes, metres) to pixels."""
    plane = flat[list(PALM)][:, [0, 2]]
    target, weight = image[:, PALM], scores[:, PALM].astype(np.float64)
    weight = weight / weight.sum(1, keepdims=True)
    centre = np.einsum("nk,kc->nc", weight, plane)
    middle = np.einsum("nk,nkc->nc", weight, target)
    p, q = plane[None] - centre[:, None], target - middle[:, None]
    pp = np.einsum("nk,nki,nkj->nij", weight, p, p) + np.eye(2) * 1e-9
    qp = np.einsum("nk,nki,nkj->nij", weight, q, p)
    return qp @ np.linalg.inv(pp)


def _depths(raw: np.ndarray, index: np.ndarray, count: int, root: float, fps: float) -> np.ndarray:
    """Depths (F,) metres from raw ones at some frames: evened out, within an arm's reach of the body.

    People's hands differ in size by a tenth, which would be a hand's breadth of depth for all frames alike; so the
    clip's median is kept in the range where gesturing hands are, and only the differences are taken as measured.
    """
    order = np.arange(count)
    window = max(int(0.2 * fps) | 1, 1)
    padded = np.pad(raw, window // 2, mode="edge")
    calm = np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=-1)
    middle = np.median(calm)
    calm = calm - middle + np.clip(middle, root - 0.35, root)
    depth = np.interp(order, index, np.clip(calm, root + NEAREST, root + FARTHEST))
    kernel = np.hanning(window + 2)[1:-1]
    return np.convolve(np.pad(depth, window // 2, mode="edge"), kernel / kernel.sum(), mode="valid")


def _unproject(pixels: np.ndarray, depth: np.ndarray, framing: Framing) -> np.ndarray:
    middle = np.array([framing.size[1] / 2, framing.size[0] / 2])
    return np.concatenate([(pixels - middle) * depth[:, None] / framing.focal, depth[:, None]], axis=1)


def _rotation(affine: np.ndarray, scale: np.ndarray, sign: float) -> np.ndarray:
    """The rotation (N, 3, 3) whose first and third column project to `affine` / `scale`; `sign`: which way it tilts."""
    x, z = affine[:, :, 0] / scale[:, None], affine[:, :, 1] / scale[:, None]
    depth_x = np.sqrt(np.maximum(1 - (x**2).sum(-1), 0)) * sign
    depth_z = np.sqrt(np.maximum(1 - (z**2).sum(-1), 0)) * sign
    depth_z = depth_z * np.where((x * z).sum(-1) > 0, -1, 1)
    first = np.concatenate([x, depth_x[:, None]], axis=1)
    third = np.concatenate([z, depth_z[:, None]], axis=1)
    middle = np.cross(third, first)
    u, _, v = np.linalg.svd(np.stack([first, middle, third], axis=-1))
    u[:, :, 2] *= np.linalg.det(u @ v)[:, None]
    return u @ v


def _fingers(
    turns: np.ndarray, image: np.ndarray, scores: np.ndarray, scale: np.ndarray, table: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best bend of each finger (N, 2, 5) as a place in the table, and what does not fit (N, 2), in hand lengths."""
    bends, misfits = [], []
    length = np.linalg.norm(table[0, 12])
    for start in range(0, len(turns), CHUNK):
        part = slice(start, start + CHUNK)
        posed = np.einsum("ncij,gkj->ncgki", turns[part, :, :2], table[:, 1:])
        wanted = (image[part, 1:] - image[part, :1]) / scale[part, None, None]
        weight = scores[part, None, None, 1:].astype(np.float64)
        error = ((posed - wanted[:, None, None]) ** 2).sum(-1) * weight
        error = error.reshape(*error.shape[:3], 5, 4).sum(-1) / length**2
        best = error.argmin(2)
        # A parabola through the best place and its neighbours.
        inner = np.clip(best, 1, len(BENDS) - 2)
        take = lambda shift: np.take_along_axis(error, (inner + shift)[:, :, None], 2)[:, :, 0]  # noqa: B023
        low, mid, high = take(-1), take(0), take(1)
        curve = low - 2 * mid + high
        shift = np.where(curve > 1e-12, 0.5 * (low - high) / np.where(curve > 1e-12, curve, 1), best - inner)
        bends.append(np.clip(inner + np.clip(shift, -1, 1), 0, len(BENDS) - 1))
        misfits.append(error.min(2).sum(-1))
    return np.concatenate(bends), np.concatenate(misfits)


def _path(cost: np.ndarray, turns: np.ndarray, steps: np.ndarray, fps: float) -> np.ndarray:
    """The cheapest sequence (N,) of candidates: cost (N, 2), wrist quaternions (N, 2, 4), frames between (N-1,)."""
    seconds = np.maximum(steps / fps, 1 / fps)
    jump = angle(turns[:-1, :, None], turns[1:, None]) ** 2
    return cheapest(cost, jump * np.minimum(0.04 / seconds, 1)[:, None, None])


def _bent(places: np.ndarray, rotations: np.ndarray) -> np.ndarray:
    """Finger joints (N, 15, 4) for places (N, 5) in the table (thumb first), between its entries by slerp."""
    finger_of = np.array([1, 1, 1, 2, 2, 2, 4, 4, 4, 3, 3, 3, 0, 0, 0])
    place = places[:, finger_of]
    low = np.minimum(place.astype(np.int64), len(BENDS) - 2)
    joint = np.arange(1, 16)[None]
    return slerp(rotations[low, joint], rotations[low + 1, joint], place - low)


def _fill_rotations(values: np.ndarray, index: np.ndarray, count: int) -> np.ndarray:
    """Rotations (F, 16, 4) from those at some frames, between them by slerp, held beyond them."""
    values = continuous(values)
    place = np.interp(np.arange(count), index, np.arange(len(index)))
    low = np.floor(place).astype(np.int64)
    return slerp(values[low], values[np.minimum(low + 1, len(values) - 1)], (place - low)[:, None])
