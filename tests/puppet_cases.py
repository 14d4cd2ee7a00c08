"""Small motions and puppets for the tests of the procedural world."""

import numpy as np
from emo2.models.hands.poses import finger_pose
from emo2.models.hands.rest import PALMS_UP, SPEAKING
from emo2.models.types import Framing, Motion


def still_motion(count=2, framing=None, wrists=None):
    """A speaker who stands still with hands before the belly."""
    framing = framing or Framing((0.5, 0.4), 0.38, (128, 96))
    rotations = np.stack([finger_pose("relaxed", hand) for hand in (0, 1)])
    rotations[:, 0] = SPEAKING
    places = np.array([[0.16, 0.26, -0.22], [-0.16, 0.26, -0.22]]) if wrists is None else np.asarray(wrists, float)
    return Motion(np.tile(rotations, (count, 1, 1, 1)), np.tile(places, (count, 1, 1)), 25.0, framing)


def waving_motion(count=8):
    """The right hand goes up and down."""
    motion = still_motion(count)
    translations = motion.translations.copy()
    translations[:, 1, 1] += 0.2 * np.sin(np.arange(count)) - 0.1
    rotations = motion.rotations.copy()
    rotations[:, 1, 0] = PALMS_UP[1]
    return motion.replace(translations=translations, rotations=rotations)
