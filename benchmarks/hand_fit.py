"""How long it takes to fit both hands to keypoints, and how near the truth they come, on puppets at 704 x 512."""

from __future__ import annotations

import time

import numpy as np

from ..models.hands import load_hands
from ..models.pose.fit import fit_hands
from ..models.pose.lift import lift_hands
from ..models.types import Framing
from ..training.puppets.performance import perform

FRAMING = Framing((0.5, 0.41), 0.38, (704, 512))
SECONDS = 60.0
"""Most that 60 s of 25 fps video may take on two cores."""
CASES = (("clean points", 0.0, 0.0, 5.0), ("3 pixels of noise, 20 % missing", 3.0, 0.2, 10.0))


def run(quick: bool) -> list[dict]:
    """Rows {name, value, unit, note}. `quick`: a shorter clip, of fewer puppets."""
    hands, rng = load_hands(), np.random.default_rng(0)
    size = float(np.linalg.norm(hands.right.v_template[hands.right.tips[2]] - hands.right.joints[0]))
    pixels = np.array(FRAMING.size[::-1])
    rows, seconds = [], 6.0 if quick else 60.0
    for number, (name, noise, missing, most) in enumerate(CASES):
        errors = []
        for seed in range(300, 302 if quick else 312):
            motion = perform(seed, "held-out", FRAMING, seconds=4.0).motion
            joints = hands.pose(motion.rotations, motion.wrists())[1]
            points = FRAMING.project(joints) + rng.normal(0, 1, (*joints.shape[:-1], 2)) * noise / pixels
            scores = (rng.random(points.shape[:-1]) >= missing).astype(float)
            given = (points * scores[..., None], scores, motion.keypoints, motion.keypoint_scores, FRAMING, 25.0, hands,
                     motion.body_offset)  # fmt: skip
            errors.append([measured(motion, joints, hands, size, way(*given)) for way in (fit_hands, lift_hands)])
        relative, place, off = np.mean(errors, 0).T * [[100], [100], [1]]
        aim = f"at most {most:.0f}: {'met' if relative[0] <= most else 'MISSED'}; quick: {relative[1]:.1f}"
        rows += [
            {"name": f"joints from the wrist, {name}", "value": relative[0], "unit": "% of hand size", "note": aim},
            {"name": f"joints in space, {name}", "value": place[0], "unit": "% of hand size",
             "note": f"depth is known from the hand's size; quick: {place[1]:.1f}"},
            {"name": f"projected joints, {name}", "value": off[0], "unit": "pixels", "note": f"quick: {off[1]:.1f}"},
        ]  # fmt: skip
        if number:
            motion = perform(1, "held-out", FRAMING, seconds=seconds).motion
            points = FRAMING.project(hands.pose(motion.rotations, motion.wrists())[1])
            points = points + rng.normal(0, 1, points.shape) * noise / pixels
            scores = (rng.random(points.shape[:-1]) >= missing).astype(float)
            begin, used = time.perf_counter(), time.process_time()
            fit_hands(
                points, scores, motion.keypoints, motion.keypoint_scores, FRAMING, 25.0, hands, motion.body_offset
            )
            took, used = (time.perf_counter() - begin) * 60 / seconds, (time.process_time() - used) * 60 / seconds
            note = f"at most {SECONDS:.0f}: {'met' if took <= SECONDS else 'MISSED'}; {used:.0f} s of one core"
            rows.append({"name": "fitting 60 s of two hands at 25 fps", "value": took, "unit": "s", "note": note})
    return rows


def measured(motion, joints, hands, size, lifted) -> tuple[float, float, float]:
    """Mean error of the 21 joints relative to the wrist and in space, in hand sizes, and in the picture, pixels."""
    found = hands.pose(lifted.rotations, lifted.wrists)[1]
    away = lambda a, b: float(np.linalg.norm(a - b, axis=-1).mean())
    off = (FRAMING.project(found) - FRAMING.project(joints)) * np.array(FRAMING.size[::-1])
    relative = away(found - found[:, :, :1], joints - joints[:, :, :1])
    return relative / size, away(found, joints) / size, float(np.linalg.norm(off, axis=-1).mean())
