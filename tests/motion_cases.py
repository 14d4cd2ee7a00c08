"""Motion for tests: smooth random gestures with everything a motion can hold."""

import numpy as np
from emo2.models.hands import finger_pose
from emo2.models.hands.quaternions import from_axis_angle, multiply, normalise, to_axis_angle
from emo2.models.hands.rest import SPEAKING
from emo2.models.pose.body import REST_WRISTS, arm_keypoints
from emo2.models.types import Framing, Motion


def gestures(seed=0, count=30, fps=25.0, framing=None, noise=0.0, sway=0.02):
    """A motion of `count` frames: hands in front of the body, fingers bending, a swaying body, face points, scores."""
    rng = np.random.default_rng(seed)
    framing = framing or Framing((0.45, 0.4), 0.33)
    time = np.arange(count) / fps

    def wave(*shape, size):
        rate, phase = rng.uniform(0.2, 0.9, shape), rng.uniform(0, 2 * np.pi, shape)
        values = size * np.sin(2 * np.pi * rate * time.reshape(-1, *[1] * len(shape)) + phase)
        return values + rng.normal(0, noise * size, values.shape)

    # A finger's joints turn about fixed axes, so a bend of b radians is b times the turn of one radian.
    turns = np.stack([to_axis_angle(finger_pose([1.0] * 5, hand)) for hand in (0, 1)])
    finger_of = [0, 1, 1, 1, 2, 2, 2, 4, 4, 4, 3, 3, 3, 0, 0, 0]
    bends = 0.55 + wave(2, 5, size=0.4)
    rotations = from_axis_angle(turns * bends[:, :, finger_of, None])
    rotations[:, :, 0] = multiply(from_axis_angle(wave(2, 3, size=0.4)), SPEAKING[None])
    translations = REST_WRISTS + np.array([0, -0.1, 0]) + wave(2, 3, size=0.07)
    offset = wave(3, size=sway)
    turn = normalise(from_axis_angle(wave(3, size=0.05)))
    wrists = framing.root() + offset[:, None] + translations
    keypoints, scores = arm_keypoints(framing, wrists, offset, turn)
    face = np.array(framing.neck) - [0, 0.2] + rng.normal(0, 0.04, (70, 2)) + wave(70, 2, size=0.002)
    return Motion(
        normalise(rotations), translations, fps, framing, turn, offset, keypoints, scores, face,
        rng.uniform(0.5, 1, (count, 70)), rng.uniform(0.5, 1, (count, 2, 21)), rng.random((count, 2)) > 0.1,
        rng.uniform(0, 1, (count, 2)),
    )  # fmt: skip
