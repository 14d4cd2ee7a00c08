"""Takes for tests of stage 1's trainer: clicks in noise, and hands that move to them."""

import numpy as np
from emo2.models.hands.quaternions import normalise
from emo2.models.motion.config import STYLES
from emo2.training.motion_data import Source, Take, TakeList
from emo2.training.motion_windows import WindowOptions
from motion_cases import gestures

NO_DROP = dict.fromkeys(("audio", "style", "speed", "image", "mask", "offset", "all"), 0.0)
PLAIN = {"first": 0.0, "short": 0.0, "sound_change": 0.0, "shift": 0.0, "one_hand": 0.0, "drop": NO_DROP}
"""Window options that leave a take as it is."""


def take(seed=0, count=90, style=None, picture=True):
    rng = np.random.default_rng(seed)
    motion = gestures(seed, count)
    motion = motion.replace(rotations=normalise(motion.rotations.astype(np.float64)))
    wave = rng.normal(0, 0.01, count * 640)
    for at in rng.integers(0, len(wave) - 2000, 8):
        wave[at : at + 2000] += rng.normal(0, 0.3, 2000) * np.hanning(2000)
    looks = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) if picture else None
    return Take.of(wave.astype(np.float32), motion, style or STYLES[seed % len(STYLES)], looks)


def sources(*seeds, count=90):
    return [Source("puppets", TakeList([take(seed, count) for seed in seeds or (0, 1, 2)]))]


def options(**changes):
    return WindowOptions(**{"frames": 50, "draws": 2, "context": 5, **changes})
