"""Sample pictures of stage 2: what a puppet looks like, what it should look like, and what the network paints."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..models.audio import encode
from ..models.checkpoints.format import load_checkpoint
from ..models.types import Reference
from ..models.video import vae
from ..models.video.conditions import Conditions, Settings
from ..models.video.model import VideoModel
from ..models.video.sampler import Compute, sample_clips
from ..models.whole_files import whole_file
from .video_data import Puppets
from .video_face_data import face_of

log = logging.getLogger("emo2")
SHOWN = (0, 8, 16, 23)
"""Frames of the clip that the sheet shows."""


class Preview:
    """A contact sheet: for each of `count` puppets the reference, the truth of some frames, and the generated frames.

    The clip is sampled as users do it, with `steps` of DDIM. encoder: a voice encoder; without one there is no sound.
    """

    def __init__(self, puppets: Puppets, autoencoder: str, count: int, steps: int, encoder: Any = None):
        self.puppets, self.count, self.steps, self.encoder = puppets, count, steps, encoder
        self.vae, _ = load_checkpoint(autoencoder, "vae", vae.build, "config recipe.vae")

    def write(self, video: VideoModel, folder: Path) -> list[Path]:
        """The sheet `clips.png`; the mean PSNR of what is painted and of repeating the reference go to the log."""
        import cv2

        rows, scores = [], []
        for index in range(min(self.count, len(self.puppets))):
            record = self.puppets.cache[index]
            made, truth, reference = self.clip(video, index)
            scores.append((_psnr(made, truth), _psnr(np.broadcast_to(reference, truth.shape), truth)))
            shown = [frame for frame in SHOWN if frame < len(truth)]
            maps = record.maps_at(shown)
            above = [reference, *truth[shown]]
            below = [np.maximum(maps[0, ..., :3], maps[0, ..., 3:]), *made[shown]]
            rows += [np.concatenate(above, axis=1), np.concatenate(below, axis=1)]
        painted, repeated = np.mean(scores, axis=0)
        log.info("painted %.2f dB, the reference repeated %.2f dB", painted, repeated)
        target = folder / "clips.png"
        with whole_file(target) as temporary:
            temporary.write_bytes(cv2.imencode(".png", np.concatenate(rows)[..., ::-1])[1].tobytes())
        return [target]

    def clip(self, video: VideoModel, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(made, truth, reference) uint8: the first clip of a record as the network paints it."""
        from ..models.hands import load_hands

        config, record = self.puppets.config, self.puppets.cache[index]
        device = next(video.parameters()).device
        compute = Compute(device)
        latents = torch.from_numpy(record.reference_latents.astype(np.float32))[None]
        with torch.no_grad():
            features = video.encode_reference((latents * config.latent_scale).to(device))
        image = torch.from_numpy(record.reference)[None].float() / 255
        reference = Reference(latents, {name: value.cpu() for name, value in features.items()}, image, "training")
        sound = None
        if self.encoder is not None:
            begin = round(record.start * 16000 / config.fps)
            sound = encode(self.encoder, record.waveform[begin:])
        face = face_of(record) if config.face_control else None
        known = Conditions(config, reference, record.motion, sound, load_hands(None), face)
        count = min(config.clip_frames, len(record))
        settings = Settings(steps=self.steps, cfg=1.0)
        [made] = list(sample_clips(video, known, settings, count=count, compute=compute))
        pixels = (vae.decode(self.vae, made.latents) * 255).round().to(torch.uint8).numpy()
        return pixels, record.frames_at(range(count)), record.reference


def _psnr(made: np.ndarray, truth: np.ndarray) -> float:
    error = np.square(made.astype(np.float64) - truth).mean(axis=(1, 2, 3)).clip(1e-6)
    return float((10 * np.log10(255**2 / error)).mean())
