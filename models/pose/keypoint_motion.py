"""A motion from keypoints in the picture, whatever file or wire they came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..errors import EMO2Error
from ..hands.layer import HandModel
from ..types import SHOULDER_METRES, Framing, Motion
from .body import WRISTS
from .gaps import on_lines
from .lift import lift_hands

KNOWN = 0.3
"""Scores below this count as unknown, as in DWPose."""


class Points(NamedTuple):
    """One person's points over F frames, normalised to the picture, with scores 0..1; 0 is unknown.

    body (F, 18, 2) in OpenPose's order, hands (F, 2, 21, 2) left then right, face (F, 70, 2).
    """

    body: np.ndarray
    body_scores: np.ndarray
    hands: np.ndarray
    hand_scores: np.ndarray
    face: np.ndarray
    face_scores: np.ndarray


def motion_of_points(
    found: Points, fps: float, framing: Framing, hands: HandModel | None = None, fit: bool = True,
    on_step: Callable[[int, int], None] | None = None,
) -> Motion:  # fmt: skip
    """Body and face keep their 2D points; hands come into space.

    fit: by optimisation over the whole clip (`fit_hands`, about half as long as the clip lasts), or as a first
    estimate frame by frame (`lift_hands`, far quicker). Hands that lie at each other's wrists over the clip change
    sides. hands: whose proportions are assumed (None: the neutral hand). Frames without a hand have it filled in,
    marked not visible. on_step(done, total): called while fitting, may raise to stop.
    """
    body, body_scores, points, scores, face, face_scores = found
    if _swapped(points, scores, body, body_scores):
        points, scores = points[:, ::-1], scores[:, ::-1]
    offset = _neck_offset(body, body_scores, framing)
    if hands is None:
        from ..hands import load_hands

        hands = load_hands(None)
    if fit:
        from .fit import fit_hands

        lifted = fit_hands(points, scores, body, body_scores, framing, fps, hands, offset, on_step)
    else:
        lifted = lift_hands(points, scores, body, body_scores, framing, fps, hands, offset)
    scores = scores * lifted.seen[..., None]
    confidence = np.where(lifted.seen, scores.mean(-1), 0)
    return Motion(
        rotations=lifted.rotations,
        translations=lifted.wrists - framing.root() - offset[:, None],
        fps=fps,
        framing=framing,
        body_offset=offset,
        keypoints=body,
        keypoint_scores=body_scores,
        face=face,
        face_scores=face_scores,
        hand_scores=scores,
        visible=lifted.seen,
        confidence=confidence,
    )


def _swapped(points: np.ndarray, scores: np.ndarray, body: np.ndarray, body_scores: np.ndarray) -> bool:
    """Whether over the clip the hands lie nearer to each other's wrists than to their own."""
    own = cross = 0.0
    for hand in (0, 1):
        for side in (0, 1):
            known = (scores[:, hand, 0] > 0) & (body_scores[:, WRISTS[0]] > 0) & (body_scores[:, WRISTS[1]] > 0)
            gaps = np.linalg.norm(points[known, hand, 0] - body[known, WRISTS[side]], axis=-1)
            own, cross = (own + gaps.sum(), cross) if side == hand else (own, cross + gaps.sum())
    return own > cross


def framing_of(body: np.ndarray, scores: np.ndarray, size: tuple[int, int]) -> Framing:
    """Median neck and shoulder width of the clip. Points normalised to a picture of `size` (H, W)."""
    both = (scores[:, 2] > 0) & (scores[:, 5] > 0)
    pixels = np.array([size[1], size[0]])
    width = (
        np.median(np.linalg.norm((body[both, 2] - body[both, 5]) * pixels, axis=-1)) / size[1] if both.any() else 0.0
    )
    if width < 0.005:
        raise EMO2Error(
            "framing", "both shoulders known in at least one frame, or a framing",
            "a person without shoulders" if not both.any() else "shoulders that are one point",
            "Connect EMO2 Set Framing.",
        )  # fmt: skip
    neck_known = scores[:, 1] > 0
    neck = body[neck_known, 1] if neck_known.any() else (body[both, 2] + body[both, 5]) / 2
    x, y = np.median(neck, axis=0)
    return Framing((float(x), float(y)), float(width), size)


def _neck_offset(body: np.ndarray, scores: np.ndarray, framing: Framing) -> np.ndarray:
    """The neck's displacement in the picture plane (F, 3) metres, from the frames in which it is known."""
    known = scores[:, 1] > 0
    offset = np.zeros((len(body), 3))
    if known.any():
        shoulder = framing.shoulder_width * framing.size[1]
        scale = np.array([framing.size[1], framing.size[0]]) * SHOULDER_METRES / shoulder
        offset[:, :2] = on_lines((body[:, 1] - np.array(framing.neck)) * scale, known)
    return offset
