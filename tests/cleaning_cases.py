"""A person's keypoints with a known truth, and ways to spoil them as detectors do."""

import numpy as np
from emo2.models.hands import load_hands
from emo2.models.pose.cleaning import shoulder_unit
from emo2.models.pose.keypoint_motion import Points
from motion_cases import gestures

NAMES = ("body", "hands", "face")


def scores_of(points, name):
    return getattr(points, "hand_scores" if name == "hands" else f"{name}_scores")


def person(seed=0, count=150, fps=25.0):
    """(points, (H, W), motion): a gesturing person, every point known with score 0.9, and the motion it shows."""
    motion = gestures(seed, count, fps)
    hands = motion.framing.project(load_hands().pose(motion.rotations, motion.wrists())[1])
    # The face is one that speaks: no point of it trembles.
    still = motion.face[:1] + 0.003 * np.sin(2 * np.pi * 3 * np.arange(count) / fps)[:, None, None]
    body = motion.keypoints.astype(np.float64)
    sure = lambda points: np.full(points.shape[:-1], 0.9)
    points = Points(body, sure(body), hands, sure(hands), still.astype(np.float64), sure(still))
    return points, motion.framing.size, motion


def spoil(points, size, seed=0, noise=0.01, rate=0.02, lost=0.08):
    """Points with noise and outliers of a shoulder width (in shoulder widths), and a share of them lost.

    `rate`: share of entries at which an outlier begins; it lasts one to three frames.
    """
    rng, unit = np.random.default_rng(seed), shoulder_unit(points, size)
    found = {name: np.array(value) for name, value in points._asdict().items()}
    for name in NAMES:
        places, scores = found[name], scores_of(points, name).copy()
        places += rng.normal(0, noise, places.shape) / unit
        bad = rng.random(scores.shape) < rate
        bad[1:] |= bad[:-1] & (rng.random(bad[1:].shape) < 0.4)
        places[bad] += rng.normal(0, 1, places[bad].shape) / unit
        gone = rng.random(scores.shape) < lost
        places[gone], scores[gone] = 0, 0
        found["hand_scores" if name == "hands" else f"{name}_scores"] = scores
    return Points(**found)


def error(points, truth, name, size):
    """Root mean square distance of what is known, in shoulder widths."""
    away = np.linalg.norm((getattr(points, name) - getattr(truth, name)) * shoulder_unit(truth, size), axis=-1)
    return float(np.sqrt((away[(scores_of(points, name) > 0) & (scores_of(truth, name) > 0)] ** 2).mean()))


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b))
