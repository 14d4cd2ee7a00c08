"""Which emotions a person in a video shows, by how brows, lids and mouth have left their places.

Each emotion is a displacement of eight measures of the 70 face points, after the action units that Ekman and Friesen
(1978) give it; a face is the mixture of them that explains best what is measured. Speech moves the mouth faster than
moods do: half a second is looked at together, and the mouth's opening counts little.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d
from scipy.optimize import nnls

from ..errors import EMO2Error
from ..maps.face import EYES
from ..types import Motion
from ..video.face_track import EMOTIONS, NEUTRAL

MEASURES = ("inner", "outer", "lids", "corners", "aslant", "width", "opening", "lip")
"""In distances between the eyes: how far the brows' inner and outer ends stand above the eyes, the eyes' opening, how
far the mouth's corners are raised, how much further on one side than on the other, the mouth's width and opening, and
how far the upper lip is raised to the nose."""
NEEDED = (17, 21, 22, 26, 33, 48, 51, 54, 57)
SCALES = np.array([0.05, 0.05, 0.03, 0.04, 0.03, 0.08, 0.15, 0.04])
"""A displacement that counts as one: of people's faces, by which measures with much and with little play are alike."""
FACES = {
    "happy": (0.01, 0.01, -0.02, 0.08, 0.0, 0.14, 0.0, 0.0),
    "sad": (0.08, -0.05, -0.02, -0.09, 0.0, -0.03, 0.0, 0.0),
    "angry": (-0.09, 0.03, -0.02, -0.05, 0.0, -0.08, 0.0, 0.0),
    "surprised": (0.12, 0.11, 0.04, 0.0, 0.0, -0.12, 0.2, 0.0),
    "fearful": (0.12, 0.01, 0.04, -0.03, 0.0, 0.14, 0.08, 0.0),
    "disgusted": (-0.05, -0.04, -0.05, -0.03, 0.0, 0.02, 0.0, 0.06),
    "contempt": (0.0, 0.0, -0.01, 0.02, 0.08, 0.0, 0.0, 0.0),
}
"""What an emotion shown wholly adds to MEASURES."""
SECONDS = 0.5
LEAST_KNOWN = 0.2
"""Share of the frames in which the face must be seen."""
PLAY = 0.6
"""Displacement, in SCALES, that a calm face has, too; only what is beyond it is a mood."""


def measures(motion: Motion) -> np.ndarray:
    """MEASURES (F, 8) of a motion's face, upright whatever the head's tilt; NaN where a needed point is unknown."""
    points = motion.face.astype(np.float64) * np.array([motion.framing.size[1], motion.framing.size[0]])
    needed = [*NEEDED, *range(EYES[0].start, EYES[1].stop)]
    known = (motion.face_scores[:, needed] > 0).all(1)
    eyes = np.stack([points[:, eye].mean(1) for eye in EYES], 1)
    across = eyes[:, 1] - eyes[:, 0]
    unit = np.linalg.norm(across, axis=-1)
    known &= unit > 1e-9
    x = across / np.maximum(unit, 1e-9)[:, None]
    y = np.stack([-x[:, 1], x[:, 0]], -1)
    down = lambda places, from_: ((places - from_) * y).sum(-1)
    at = lambda number: points[:, number]
    above = lambda left, right: -(down(at(left), eyes[:, 0]) + down(at(right), eyes[:, 1])) / 2
    opened = [np.mean([down(at(e.start + b), at(e.start + a)) for a, b in ((1, 5), (2, 4))], 0) for e in EYES]
    middle = (at(51) + at(57)) / 2
    left, right = -down(at(48), middle), -down(at(54), middle)
    found = np.stack(
        [
            above(21, 22), above(17, 26), np.mean(opened, 0), (left + right) / 2, np.abs(left - right),
            np.linalg.norm(at(54) - at(48), axis=-1), down(at(57), at(51)), -down(at(51), at(33)),
        ], -1,
    )  # fmt: skip
    return np.where(known[:, None], found / np.maximum(unit, 1e-9)[:, None], np.nan)


def emotions_seen(motion: Motion, calm: Motion | None = None) -> np.ndarray:
    """Weights (F, 8) of EMOTIONS, each row adding up to 1, of a motion whose face was found in a video.

    calm: the same person with a calm face, a frame or more; None: what the face mostly is like in the video itself is
    taken for calm. Where no face is seen, lines run between the frames around. EMO2Error where there is hardly a face.
    """
    found = _seen(motion, "motion")
    usual = np.median(found if calm is None else _seen(calm, "calm"), axis=0)
    moved = (_slow(found, motion.fps) - usual) / SCALES
    moved = np.sign(moved) * np.maximum(np.abs(moved) - PLAY, 0)
    table = np.array([FACES[name] for name in EMOTIONS if name in FACES]).T / SCALES[:, None]
    columns = [EMOTIONS.index(name) for name in FACES]
    weights = np.zeros((len(motion), len(EMOTIONS)))
    for frame, row in enumerate(moved):
        weights[frame, columns] = nnls(table, row)[0]
    weights /= np.maximum(weights.sum(1, keepdims=True), 1)
    weights[:, NEUTRAL] = 1 - weights.sum(1)
    return np.clip(weights, 0, 1).astype(np.float32)


def _seen(motion: Motion, where: str) -> np.ndarray:
    """Measures (F, 8) with lines between the frames in which the face is seen."""
    found = measures(motion)
    frames = np.flatnonzero(np.isfinite(found).all(1))
    if len(frames) < max(1, LEAST_KNOWN * len(motion)):
        raise EMO2Error(
            where, "a motion whose face was found in a video", f"a face in {len(frames)} of {len(motion)} frames",
            "Take one from EMO2 Extract Pose with a detector that finds faces, or choose an emotion.",
        )  # fmt: skip
    return np.stack([np.interp(np.arange(len(motion)), frames, column[frames]) for column in found.T], -1)


def _slow(found: np.ndarray, fps: float) -> np.ndarray:
    """The measures without blinks and syllables."""
    width = max(1, round(SECONDS * fps)) | 1
    return uniform_filter1d(median_filter(found, (width, 1), mode="nearest"), width, axis=0, mode="nearest")
