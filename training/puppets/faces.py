"""Heads of puppets as a face encoder sees them: one person in other clothes, places, moods and moments."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import cv2
import numpy as np

from ...models.pose.body import REST_WRISTS
from ...models.pose.face_crop import head_cut
from ...models.types import Motion
from ...models.video.face_track import weights
from .emotions import emotion_track
from .identity import Identity
from .painter import paint
from .world import SIZE, draw_framing

WORN = ("top", "second", "pattern", "neckline", "sleeve", "trousers", "build")
"""What of a person is no part of the face."""
KINDS = ("half", "half", "head")
"""Framings of the pictures: a face encoder mostly meets half bodies."""
ASTRAY, ZOOM = 0.02, 0.1
"""Metres (deviation) by which a cut-out misses the head, and by how much it is too large or too small."""


def head_picture(number: int, split: str, view: int, side: int, astray: bool = True) -> np.ndarray:
    """View `view` of puppet `number`'s head, (side, side, 3) uint8, always the same one.

    Clothes and place are another puppet's; head, mouth, lids and emotion are of some moment. astray: the cut-out misses
    the head a little, as a framing does.
    """
    return head_moment(number, split, view, side, astray)[0]


def head_moment(
    number: int, split: str, view: int, side: int, astray: bool = True, acted: bool = False
) -> tuple[np.ndarray, float, np.ndarray]:
    """The picture of `head_picture`, how far its eyes are closed (0..1), and its emotion's weights (8,).

    acted: every picture shows some emotion, and eyes are anything from open to closed; otherwise most are open.
    """
    rng = np.random.default_rng([number, view, 31 + (split == "held-out")])
    person, other = Identity.draw(number, split), Identity.draw(int(rng.integers(2**31)), split)
    worn = {name: getattr(other.person, name) for name in WORN}
    shown = Identity(replace(person.person, **worn), other.scene, person.seed, person.split)
    framing = draw_framing(int(rng.integers(2**31)), split, KINDS[int(rng.integers(len(KINDS)))])
    motion = Motion(_still_hands(), REST_WRISTS[None], 25.0, framing, body_offset=rng.normal(0, 0.008, (1, 3)))
    mouth = np.array([[max(rng.uniform(-0.5, 1), 0.0), rng.uniform(0, 1)]])
    blink = float(np.clip(rng.uniform(-0.4, 1.2) if acted else rng.uniform(-3, 1), 0, 1))
    head = rng.normal(0, (0.08, 0.14, 0.07), (1, 3))
    emotion = emotion_track(rng, 1) if acted or rng.random() < 0.6 else weights("neutral")[None]
    frame = paint(shown, motion, mouth=mouth, blink=np.array([blink]), head=head, emotion=emotion, size=SIZE)[0]
    shift = (float(rng.normal(0, ASTRAY)), float(rng.normal(0, ASTRAY)), float(np.exp(rng.normal(0, ZOOM))))
    return head_cut(frame, framing, side, shift if astray else (0, 0, 1)), blink, emotion[0]


@lru_cache(maxsize=1)
def _still_hands() -> np.ndarray:
    """Rotations (1, 2, 16, 4) of hands at rest."""
    rotations = np.zeros((1, 2, 16, 4), np.float32)
    rotations[..., 0] = 1
    return rotations


def toned(head: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A head (side, side, 3) uint8 as another camera, an autoencoder or a diffusion model gives it."""
    picture = (head.astype(np.float32) - 128) * rng.uniform(0.9, 1.1) + 128 + rng.normal(0, 4, 3) + rng.normal(0, 6)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.3))
    if rng.random() < 0.3:
        picture = picture + rng.normal(0, rng.uniform(1, 8), picture.shape)
    return picture.clip(0, 255).astype(np.uint8)


__all__ = ["head_moment", "head_picture", "toned"]
