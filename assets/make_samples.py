"""Paints `portrait.png`, speaks `speech.flac`, and films `driver.mp4`: the samples that workflows start from (needs the
extra `training`).

    python assets/make_samples.py

The picture is a puppet that no training has seen, in its reference pose; `workflows/templates.py` has its framing. The
sentences are in no grammar of the training's, and the voice is one of those that are kept out of it. The driver is
another such puppet, large enough for detectors of people, who talks and gestures.
"""

from pathlib import Path

import cv2
import numpy as np
import soundfile
import torch
from emo2.models.types import Framing
from emo2.models.video.mp4 import write_mp4
from emo2.models.video.sound import sound_of
from emo2.training.puppets.performance import FPS
from emo2.training.puppets.sound import RATE
from emo2.training.puppets.speech import say
from emo2.training.puppets.voices import Voice
from emo2.training.puppets.world import Puppet

HERE = Path(__file__).resolve().parent
PUPPET, SPLIT = 4415, "held-out"
SIZE = (704, 528)
DRIVER, DRIVER_SIZE, DRIVER_SECONDS = 5503, (640, 480), 5.0
SENTENCES = ("Hello! I am only a puppet.", "But look: when I speak, my hands speak too!")
VOICE = Voice("en-us+m7", rate=155, pitch=50, pitch_range=70)
START, PAUSE, END = 0.25, 0.45, 0.35
"""Seconds of silence before, between and after the sentences."""


def portrait() -> tuple[np.ndarray, Framing]:
    """(704, 528, 3) RGB, and where its neck and shoulders are."""
    puppet = Puppet.draw(PUPPET, SPLIT, seconds=1.0)
    return puppet.reference(SIZE), puppet.framing.fitted(SIZE)


def speech() -> np.ndarray:
    """The sentences as (T,) float at 16 kHz."""
    silence = lambda seconds: np.zeros(round(seconds * RATE), np.float32)
    parts = [silence(START)]
    for sentence in SENTENCES:
        parts += [say(sentence, VOICE)[0], silence(PAUSE)]
    waveform = np.concatenate([*parts[:-1], silence(END)])
    return waveform * (0.8 / np.abs(waveform).max())


def driver() -> tuple[np.ndarray, np.ndarray]:
    """(F, 640, 480, 3) RGB at 25 frames a second, and what is heard, (T,) at 16 kHz."""
    puppet = Puppet.draw(DRIVER, SPLIT, seconds=DRIVER_SECONDS, style="speaking", speed=(1.2, 1.2))
    return puppet.video(DRIVER_SIZE), puppet.performance.waveform


if __name__ == "__main__":
    cv2.imwrite(str(HERE / "portrait.png"), portrait()[0][..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    soundfile.write(HERE / "speech.flac", speech(), RATE)
    frames, waveform = driver()
    heard = {"waveform": torch.from_numpy(waveform)[None, None], "sample_rate": RATE}
    write_mp4(HERE / "driver.mp4", frames, FPS, sound_of(heard), crf=20)
