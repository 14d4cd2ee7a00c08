"""Sampling straight into a video file: clip after clip, with the memory of one clip whatever the length."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from . import job as jobs
from .clips import plan_clips
from .conditions import Conditions, Settings
from .decode import check_vae, decode_chunks
from .mp4 import CRF, writing
from .sampler import CPU, Compute, OnStep, sample_clips
from .sound import Sound
from .still import Still

if TYPE_CHECKING:
    from .model import VideoModel

KEPT = "The finished clips are kept: run it again to go on after them."


@dataclass(frozen=True)
class Streamed:
    """The finished file, its frames, and how many of its clips an earlier, interrupted run had made."""

    path: Path
    frames: int
    resumed: int


def stream_video(
    model: VideoModel,
    vae: Any,
    conditions: Conditions,
    settings: Settings,
    *,
    folder: Path,
    prefix: str,
    model_fingerprint: str,
    start: int = 0,
    count: int,
    sound: Sound | None = None,
    crf: int = CRF,
    chunk: int = 8,
    keep_still: float = 0.0,
    compute: Compute = CPU,
    on_step: OnStep | None = None,
) -> Streamed:
    """Make video frames start..start+count-1 and write them, clip by clip, to `<folder>/<prefix>_00001_.mp4`.

    sound: the whole sound track; the part that belongs to the frames is written. keep_still: strength 0..1 of
    `still.Still`, where there is a reference. An interrupted job with the same model, conditions and settings is
    continued, and ends in the same file as one that was never interrupted.
    """
    config = conditions.config
    check_vae(vae, config.latent_channels)
    plans = plan_clips(start, count, config.clip_frames, config.motion_frames)
    compute.check()
    still = Still.of(vae, conditions.reference, keep_still)
    identity = job_fingerprint(vae, conditions, settings, model_fingerprint, start, count, sound, crf, keep_still)
    track = None if sound is None else sound.cut(start / config.fps, (start + count) / config.fps)
    with ExitStack() as stack:
        with writing(folder):
            job = stack.enter_context(jobs.open_job(folder, prefix, identity, len(plans)))
            done = job.done()
        clips = sample_clips(
            model, conditions, settings, start=start, count=count, previous=job.carried(done) if done else None,
            skip=done, compute=compute, on_step=on_step,
        )  # fmt: skip
        for clip in clips:
            frames = decode_chunks(vae, clip.latents, chunk, compute.check, still.kept if still else None)
            with writing(folder, KEPT):
                job.commit(clip.index, frames, clip.carried, config.fps, crf)
        with writing(folder, KEPT):
            path = job.finish(config.fps, track)
    return Streamed(path, count, done)


def job_fingerprint(
    vae: Any,
    conditions: Conditions,
    settings: Settings,
    model_fingerprint: str,
    start: int,
    count: int,
    sound: Sound | None,
    crf: int,
    keep_still: float,
) -> str:
    """What makes two jobs the same job. A VAE has no name on its wire: a small picture that it paints stands for it."""
    config, reference = conditions.config, conditions.reference
    probe = torch.linspace(-1, 1, config.latent_channels * 16).reshape(1, config.latent_channels, 4, 4)
    painted = np.rint(vae.decode(probe).float().cpu().numpy() * 255).astype(np.int16)
    hands = conditions.hands
    return jobs.fingerprint(
        {
            "model": model_fingerprint,
            "config": config.to_dict(),
            "vae": painted,
            "reference": None if reference is None else {"latents": reference.latents, **reference.features},
            "identity": None if reference is None else reference.identity,
            "face": conditions.face,
            "motion": conditions.motion,
            "audio": conditions.audio,
            "hands": None if hands is None else [hands.left, hands.right],
            "settings": asdict(settings),
            "frames": [start, count, config.fps],
            "sound": None if sound is None else [sound.waveform, sound.source_rate],
            "crf": crf,
            "keep_still": [keep_still, None if reference is None else reference.image],
        }
    )
