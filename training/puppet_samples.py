"""Pictures of puppets with what is where in them, and the damage that makes an estimator robust to made pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from ..models.hands.poses import POSES, finger_pose
from ..models.hands.quaternions import from_axis_angle, multiply
from ..models.hands.rest import SPEAKING
from ..models.maps.rasteriser import rasterise
from ..models.pose.body import ELBOWS, REST_WRISTS, SHOULDERS, WRISTS, arm_keypoints
from ..models.pose.puppet_estimator import MIRRORED
from ..models.types import Framing, Motion
from .puppets.emotions import emotion_track
from .puppets.hands import neutral_hands
from .puppets.identity import Identity
from .puppets.painter import Body, mouth_places, paint
from .puppets.world import SIZE, draw_framing
from .recipe import sample_rng

GROUP = 32
"""Samples that show moments of one performance, each with a person of its own: a performance costs as much as many
pictures."""
SEEN = 0.4
"""The share of a hand's pixels that must not lie behind the other hand for the hand to count as seen."""


@dataclass(frozen=True)
class Places:
    """Where things are in F frames. points (F, 9, 2) pixels in the order of `puppet_estimator.POINTS`; there (F, 9):
    inside the picture and, for hands, not hidden behind the other one; mouth (F, 2): opening and width."""

    points: np.ndarray
    there: np.ndarray
    mouth: np.ndarray


def places(
    identity: Identity, motion: Motion, head: np.ndarray, mouth: np.ndarray, size: tuple[int, int] = SIZE
) -> Places:
    """The truth about the pictures `paint` draws of `motion`. head (F, 3) radians, mouth (F, 2)."""
    body = Body(motion, size, 0, len(motion))
    fingers, uncovered = hands_in_picture(motion, size)
    hands = fingers.mean(2)
    arms = body.points[:, [*SHOULDERS, *ELBOWS, *WRISTS]]
    points = np.concatenate([hands, arms, mouth_places(identity, motion, head, size)[:, None]], 1)
    there = ((points >= 0) & (points < body.extent)).all(2)
    there[:, :2] &= uncovered >= SEEN
    return Places(points.astype(np.float32), there, np.asarray(mouth, np.float32))


def hand_points(motion: Motion, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The 21 points of both hands in the picture, (F, 2, 21, 2) pixels of `size`, OpenPose order."""
    return hands_in_picture(motion, size)[0]


def hands_in_picture(motion: Motion, size: tuple[int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """The 21 points (F, 2, 21, 2) of both hands in pixels of `size`, and the share (F, 2) of each hand that is not
    covered by the other one."""
    framing, hands = motion.framing.fitted(size), neutral_hands()
    vertices, joints = hands.pose(motion.rotations, motion.wrists())
    points = framing.project(np.asarray(joints)) * np.array(size[::-1], float)
    shares = np.ones((len(motion), 2))
    # Only hands whose rectangles meet can cover one another; drawing them costs as much as the rest of the picture.
    low, high = points.min(2), points.max(2)
    margin = 0.3 * (high - low).max(2).max(1)
    gap = np.maximum(low[:, 0] - high[:, 1], low[:, 1] - high[:, 0]).max(1)
    meet = np.flatnonzero(gap < margin)
    if len(meet):
        labels = np.broadcast_to(np.array([[[1]], [[2]]], np.uint8)[..., 0], hands.face_parts.shape)
        draw = lambda *shown: rasterise(
            vertices[meet], hands.faces, np.tile(shown, (len(meet), 1)), labels, framing.size, framing.focal
        )[..., 2]
        both = draw(True, True)
        for hand, alone in enumerate((draw(True, False), draw(False, True))):
            whole = (alone > 0).sum((1, 2))
            shares[meet, hand] = (both == hand + 1).sum((1, 2)) / np.maximum(whole, 1)
    return points, shares


def picture(
    seed: int,
    index: int,
    split: str = "train",
    free: float = 0.35,
    framings: Mapping[str, float] | None = None,
    moods: float = 0.0,
) -> tuple[np.ndarray, Places]:
    """Sample `index` of a run: one picture (H, W, 3) uint8 of a person of its own, and what is where in it (F = 1).

    free: the share of samples with hands anywhere, in any pose, where no performance would ever put them. framings: the
    share of some of FRAMINGS; the others are framed as puppets are. moods: the share of faces with emotions.
    """
    rng, more = sample_rng(seed, index), sample_rng(seed, 2**34 + index)
    identity = Identity.draw(int(rng.integers(2**31)), split)
    emotion = emotion_track(more, 1) if more.random() < moods else None
    if rng.random() < free:
        motion, mouth, blink, head = _anywhere(rng, split, _kind(more, framings))
        blur = None
    else:
        group = index // GROUP
        performance = _performance(seed, group, split, _kind(sample_rng(seed, 2**35 + group), framings))
        at = int(rng.integers(len(performance.motion)))
        motion = performance.motion.frames(at, at + 1)
        mouth, blink, head = (a[at : at + 1] for a in (performance.mouth, performance.blink, performance.head))
        blur = performance.blur[at : at + 1]
    frame = paint(identity, motion, mouth=mouth, blink=blink, head=head, blur=blur, emotion=emotion)[0]
    return frame, places(identity, motion, head, mouth)


def _kind(rng: np.random.Generator, framings: Mapping[str, float] | None) -> str | None:
    """Which framing a sample has, None for any."""
    left = rng.random()
    for name, share in (framings or {}).items():
        if left < share:
            return name
        left -= share
    return None


@lru_cache(maxsize=8)
def _performance(seed: int, group: int, split: str, kind: str | None):  # type: ignore[no-untyped-def]
    from .puppets.performance import perform

    number = int(sample_rng(seed, 2**32 + group).integers(2**31))
    return perform(number, split, draw_framing(number, split, kind), seconds=6.0)


def _anywhere(
    rng: np.random.Generator, split: str, kind: str | None
) -> tuple[Motion, np.ndarray, np.ndarray, np.ndarray]:
    """One frame with both hands at random places before the body, turned and bent at random."""
    framing: Framing = draw_framing(int(rng.integers(2**31)), split, kind)
    reach = np.array([[0.19, 0.12, -0.22], [-0.19, 0.12, -0.22]])
    wrists = np.where(rng.random() < 0.3, REST_WRISTS, reach) + rng.normal(0, (0.1, 0.13, 0.08), (2, 3))
    rotations = np.stack([
        finger_pose(np.array(POSES[list(POSES)[rng.integers(len(POSES))]]) + rng.normal(0, 0.15, 5), hand,
                    rng.normal(0, 0.12))
        for hand in range(2)
    ])  # fmt: skip
    rotations[:, 0] = SPEAKING
    rotations[:, 0] = np.stack([multiply(from_axis_angle(rng.normal(0, 0.5, 3)), turn) for turn in rotations[:, 0]])
    offset = rng.normal(0, (0.012, 0.006, 0.01), (1, 3))
    lean = from_axis_angle(rng.normal(0, (0.05, 0.08, 0.05)))[None]
    keypoints, scores = arm_keypoints(framing, (framing.root() + offset + wrists)[:, :], offset, lean)
    motion = Motion(
        rotations[None], wrists[None], 25.0, framing, keypoints=keypoints, keypoint_scores=scores,
        body_offset=offset, body_rotation=lean,
    )  # fmt: skip
    mouth = np.array([[max(rng.uniform(-0.3, 1), 0.0), rng.uniform(0, 1)]])
    return motion, mouth, np.array([float(rng.random() < 0.1)]), rng.normal(0, (0.1, 0.16, 0.08), (1, 3))


def mirrored(frame: np.ndarray, truth: Places) -> tuple[np.ndarray, Places]:
    """The picture in a mirror: left and right change places."""
    points = truth.points[:, MIRRORED].copy()
    points[..., 0] = frame.shape[1] - points[..., 0]
    return np.ascontiguousarray(frame[:, ::-1]), replace(truth, points=points, there=truth.there[:, MIRRORED])


def damaged(frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The picture as an autoencoder or a diffusion model might give it: other tones, blurred, blocky, noisy."""
    picture = frame.astype(np.float32)
    picture = (picture - 128) * rng.uniform(0.85, 1.15) + 128 + rng.normal(0, 8, 3) + rng.normal(0, 8)
    kind = rng.random()
    if kind < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.5))
    elif kind < 0.55:
        height, width = frame.shape[:2]
        factor = rng.uniform(1.3, 3.0)
        small = cv2.resize(picture, (round(width / factor), round(height / factor)), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.35:
        rough = rng.normal(0, rng.uniform(2, 14), (*frame.shape[:2], 3)).astype(np.float32)
        picture += rough if rng.random() < 0.5 else cv2.GaussianBlur(rough, (0, 0), 1.5) * 3
    picture = picture.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 80))])
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return picture
