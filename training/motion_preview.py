"""Pictures of what stage 1 has learned: the motion of some takes, and below it what the network does to their sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..models.audio import encode
from ..models.motion import sample_motion, vector
from ..models.motion.picture import motion_picture
from ..models.types import AudioFeatures, Motion
from ..models.whole_files import whole_file
from .motion_data import Source, Take
from .motion_lesson import MotionLesson


def preview(module: MotionLesson, sources: Sequence[Source], folder: Path, step: int, count: int = 2) -> list[Path]:
    """PNG files for `count` takes, drawn truth over sample."""
    written = []
    for number in range(count):
        source = sources[number % len(sources)]
        take = source.takes[(number * 7919) % len(source.takes)]
        truth, sampled = pair(module, take)
        pictures = [motion_picture(motion, audio=features) for motion, features in (truth, sampled)]
        sheet = np.concatenate(pictures, axis=0)
        path = folder / f"motion_{step:07d}_{number}.png"
        with whole_file(path) as temporary:
            Image.fromarray(sheet).save(temporary, format="png")
        written.append(path)
    return written


def pair(
    module: MotionLesson, take: Take, seed: int = 0, steps: int = 25, cfg: float = 2.0, seconds: float = 12.0
) -> tuple[tuple[Motion, AudioFeatures], tuple[Motion, AudioFeatures]]:
    """(motion, sound) of a take's beginning, and of a sample for that sound in its style."""
    count = min(len(take), round(seconds * take.fps))
    waveform = take.waveform[: round(count / take.fps * 16000)]
    config = module.motion.config
    was = module.training
    module.eval()
    with torch.no_grad():
        features = encode(module.voice, waveform)
        style = take.style if take.style in config.styles else None
        sampled = sample_motion(module.motion, features, seed=seed, steps=steps, cfg=cfg, style=style)
    module.train(was)
    truth = vector.unpack(take.motion[:count], take.fps, visible=take.visible[:count])
    return (truth, features), (sampled, features)
