"""Which of 20 people is it? Told by the person alone: all 20 are painted before the same scene, in the same pose."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ...models.errors import EMO2Error
from ...training.puppets.identity import Identity
from .measured import Measured
from .puppet_truth import Truth, person_mask

FRAMES = 4
"""Frames of a clip that are looked at, evenly spread."""
BLUR = 0.02
"""Deviation of the smoothing before comparing, in picture widths: a head may be turned a little otherwise."""
REACH = 2
"""Pixels (at width 96) by which a candidate may be shifted to fit best."""


def identity_right(
    made: Sequence[np.ndarray], truths: Sequence[Truth], others: Sequence[Sequence[Identity]], frames: int = FRAMES
) -> Measured:
    """1 for each clip (F, H, W, 3) whose person is picked from itself and `others` (19 a clip, same split), else 0.

    Chance is 1 / 20. Higher is better.
    """
    values = []
    for clip, truth, crowd in zip(made, truths, others):
        distances = person_distances(clip, truth, [truth.identity, *crowd], frames)
        values.append(float(int(distances.argmin()) == 0))
    among = 1 + max((len(crowd) for crowd in others), default=19)
    return Measured(f"identity among {among}", "higher", values, note=f"chance is {1 / among:.2f}")


def crowd(identity: Identity, count: int = 19) -> list[Identity]:
    """`count` other people of the same split, always the same ones for one person."""
    first = 3_000_000 + (identity.seed % 100_000) * 1000
    return [Identity.draw(first + k, identity.split) for k in range(count)]


def person_distances(clip: np.ndarray, truth: Truth, people: Sequence[Identity], frames: int = FRAMES) -> np.ndarray:
    """How far the person in the clip is from each of `people`, (n,): the mean over frames of the colour distance.

    Every candidate is painted in the clip's true pose before the clip's scene. All are compared over the same pixels,
    those where any candidate stands, smoothed, in CIE Lab, at the shift of a few pixels that suits the candidate best.
    """
    truth.check(clip)
    if not people:
        raise EMO2Error("identity", "at least one person to compare with", "none", "Give some identities.")
    at = np.unique(np.linspace(0, len(clip) - 1, min(frames, len(clip))).round().astype(int))
    rendered = np.stack([truth.render(person, at) for person in people])
    mask = np.asarray(person_mask(rendered, truth.empty).any(0))
    total = np.zeros(len(people))
    for k, index in enumerate(at):
        # Only the rectangle in which anybody stands is smoothed and compared.
        rows, columns = (np.flatnonzero(mask[k].any(axis)) for axis in (1, 0))
        if not len(rows):
            continue
        box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        width = clip.shape[2]
        seen = _smooth(clip[index][box], width)
        total += [_nearest(seen, _smooth(candidate[k][box], width), mask[k][box], width) for candidate in rendered]
    return total / len(at)


def _nearest(seen: np.ndarray, candidate: np.ndarray, mask: np.ndarray, width: int) -> float:
    reach = round(REACH * width / 96)
    best = np.inf
    for down in range(-reach, reach + 1, max(reach, 1)):
        for right in range(-reach, reach + 1, max(reach, 1)):
            moved = np.roll(candidate, (down, right), (0, 1))
            best = min(best, float(np.linalg.norm(seen - moved, axis=-1)[mask].mean()))
    return best


def _smooth(picture: np.ndarray, width: int) -> np.ndarray:
    lab = cv2.cvtColor(np.ascontiguousarray(picture, np.uint8).astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return cv2.GaussianBlur(lab, (0, 0), BLUR * width)
