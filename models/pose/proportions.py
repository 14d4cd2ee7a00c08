"""A person's build, measured from points in the picture: what retargeting goes by.

Lengths are in the metres of the framing, in which the framing's shoulder width is 0.38. A picture shows a bone at most
as long as it is, so the longest that is seen counts; both arms are taken to be alike, and no bone is taken for shorter
than a body's other ones allow. So an arm that points at the camera in the one picture there is does not become a stump.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..types import Framing, Motion
from .body import FOREARM, SHOULDERS, UPPER_ARM
from .limbs import ARM_BONES, FOREARM_SHARE, longest_seen

NOSE, NECK, HIPS, EYES, EARS = 0, 1, (11, 8), (15, 14), (17, 16)
_UPPER, _FORE = (0.75 * UPPER_ARM, 1.5 * UPPER_ARM), (0.7 * FOREARM, 1.5 * FOREARM)
EYES_TO_EARS = 2.3
"""Distance of the ears in distances of the eyes."""


@dataclass(frozen=True)
class Proportions:
    """Lengths in metres, NaN where unknown. roll: slope of the shoulder line in the picture, radians.

    shoulders: from one to the other. nose: from the neck. head: from ear to ear. torso: from the neck to a hip.
    """

    shoulders: float = math.nan
    upper_arm: float = math.nan
    forearm: float = math.nan
    nose: float = math.nan
    head: float = math.nan
    torso: float = math.nan
    roll: float = math.nan

    @property
    def arm(self) -> float:
        """Shoulder to wrist, stretched."""
        return self.upper_arm + self.forearm


def measure(keypoints: np.ndarray, scores: np.ndarray, framing: Framing, fps: float = 25.0) -> Proportions:
    """Proportions from body points (F, 18, 2), normalised to the framing's picture, with scores (F, 18), 0 unknown."""
    size = np.array([framing.size[1], framing.size[0]], np.float64)
    points = (keypoints - np.array(framing.neck)) * size / framing.pixels_per_metre
    known = scores > 0
    longest = lambda *bones: float(longest_seen(points, known, bones, fps).max())
    ears = max(longest(EARS), EYES_TO_EARS * longest(EYES))
    upper, fore = longest(*ARM_BONES[:2]), longest(*ARM_BONES[2:])
    upper = float(np.clip(upper, *_UPPER)) if upper > 0 else math.nan
    fore = float(np.clip(max(fore, FOREARM_SHARE * upper), *_FORE)) if fore > 0 and upper > 0 else math.nan
    if math.isnan(fore):
        fore = upper * FOREARM / UPPER_ARM
    gap = lambda a, b: np.where(known[:, a] & known[:, b], np.linalg.norm(points[:, a] - points[:, b], axis=-1), np.nan)
    line = points[:, SHOULDERS[0]] - points[:, SHOULDERS[1]]
    both = known[:, SHOULDERS[0]] & known[:, SHOULDERS[1]]
    return Proportions(
        shoulders=longest(SHOULDERS) or math.nan,
        upper_arm=upper,
        forearm=fore,
        nose=_median(gap(NOSE, NECK)),
        head=ears or math.nan,
        torso=_median(np.fmax(gap(HIPS[0], NECK), gap(HIPS[1], NECK))),
        roll=_median(np.where(both, np.arctan2(line[:, 1], line[:, 0]), np.nan)),
    )


def build_of(motion: Motion) -> Proportions:
    """The build that a motion's body points show."""
    return measure(motion.keypoints, motion.keypoint_scores, motion.framing, motion.fps)


def ratio(target: float, source: float, low: float = 0.5, high: float = 2.0) -> float:
    """target / source within sensible bounds; 1 where one of them is unknown."""
    return float(np.clip(target / source, low, high)) if target > 0 and source > 0 else 1.0


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


__all__ = ["Proportions", "build_of", "measure", "ratio"]
