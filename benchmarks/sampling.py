"""How fast the two stages sample at the tiny size, and what computing the unchanging conditions once is worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch
from emo2.models.audio import BASE, build, encode
from emo2.models.motion import Conditions, MotionConfig, MotionTransformer, sample_motion
from emo2.models.types import AudioFeatures
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel


def run(quick: bool) -> list[dict]:
    """Rows {name, value, unit, note}. `quick`: fewer repetitions, and no network of the paper's size."""
    with torch.inference_mode():
        return [*voice(quick), *hand_motion(quick), *video(quick)]


def seconds(work: Callable[[], object], rounds: int) -> float:
    """Median time of one call, after one that is not counted."""
    work()
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return median(times)


def paired(one: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """(median time of `one`, of `other`, median ratio other / one), taken in turn so that a slow spell hits both."""
    one(), other()
    pairs = []
    for _ in range(rounds):
        begin = time.perf_counter()
        one()
        middle = time.perf_counter()
        other()
        pairs.append((middle - begin, time.perf_counter() - middle))
    a, b = zip(*pairs)
    return median(a), median(b), median(y / x for x, y in pairs)


def voice(quick: bool) -> list[dict]:
    """wav2vec 2.0 base, random weights: the encoder that real use needs."""
    if quick:
        return []
    encoder, sound = build(BASE).eval(), np.random.default_rng(1).normal(0, 0.1, 30 * 16000).astype(np.float32)
    took = seconds(lambda: encode(encoder, sound), 2)
    return [row("wav2vec 2.0 base, all states", 30 / took, "x real time", "30 s of sound in chunks")]


def hand_motion(quick: bool) -> list[dict]:
    config, rounds = MotionConfig.tiny(), 3 if quick else 9
    torch.manual_seed(1)
    model = MotionTransformer(config).eval()
    frames = config.window + config.carried
    noisy, told = (
        torch.randn(1, frames, 170),
        Conditions(audio=torch.randn(1, frames, config.audio_layers, config.audio_width)),
    )
    when = torch.tensor([500])
    known = model.prepare(noisy, told)
    once, anew, ratio = paired(lambda: model.denoise(noisy, when, known), lambda: model(noisy, when, told), rounds)
    length = 12.0
    states = np.random.default_rng(2).normal(size=(int(50 * length), config.audio_layers, config.audio_width))
    sound = AudioFeatures(states.astype(np.float16), np.full(len(states), 0.5), length)
    took = seconds(lambda: sample_motion(model, sound, steps=25, cfg=2.0), 1 if quick else 3)
    rows = [
        row("hand motion, tiny, one step of 312 frames", once * 1000, "ms", "conditions prepared"),
        row("hand motion, conditions anew each step", ratio, "x the time", f"{anew * 1000:.1f} ms a step"),
        row("hand motion, tiny, 25 guided steps", length / took, "x real time", "12 s of sound"),
    ]
    if not quick:
        paper = MotionConfig.paper()
        model = MotionTransformer(paper).eval()
        told = Conditions(audio=torch.randn(1, frames, paper.audio_layers, paper.audio_width))
        known = model.prepare(noisy, told)
        took = seconds(lambda: model.denoise(noisy, when, known), 3)
        rows.append(
            row("hand motion, paper size, one step of 312 frames", took * 1000, "ms", "24 x 512, conditions prepared")
        )
    return rows


def video(quick: bool) -> list[dict]:
    config, rounds = VideoConfig.tiny(), 2 if quick else 7
    torch.manual_seed(1)
    model = VideoModel(config).eval()
    height, width = config.latent_size
    draw = lambda *shape: torch.randn(*shape)
    noisy, clip = draw(1, config.latent_channels, config.clip_frames, height, width), config.clip_frames
    reference = model.encode_reference(draw(1, config.latent_channels, height, width))
    carried = draw(1, config.latent_channels, config.motion_frames, height, width)
    windows = draw(1, clip, config.audio_window, config.audio_layers, config.audio_dim)
    maps, sure = torch.rand(1, config.map_channels, clip, *config.size), torch.ones(1, clip, 2)

    def told() -> dict:
        return {
            "reference": reference,
            "motion_frames": model.encode_motion_frames(carried),
            "audio": model.encode_audio(windows),
            "pose": model.encode_maps(maps, sure),
        }

    known = model.prepare(rows=1, **told())
    once, anew, ratio = paired(lambda: model(noisy, 500, conditions=known), lambda: model(noisy, 500, **told()), rounds)
    apart, joint, joined = paired(
        lambda: (model(noisy, 500, conditions=known), model(noisy, 500, conditions=known.null())),
        lambda: model(noisy.expand(2, *noisy.shape[1:]), 500, conditions=known.with_unconditional()),
        rounds,
    )
    size = f"{config.size[0]} x {config.size[1]}, {clip} frames"
    return [
        row("video, tiny, one step", once * 1000, "ms", f"{size}, conditions prepared"),
        row("video, conditions anew each step", ratio, "x the time", f"{anew * 1000:.0f} ms a step"),
        row(
            "video, guidance in one batch",
            joined,
            "x the time",
            f"{joint * 1000:.0f} ms, {apart * 1000:.0f} ms in two passes",
        ),
        row("video, tiny, 20 guided steps", clip / config.fps / (20 * apart), "x real time", "sampling alone"),
    ]


def row(name: str, value: float, unit: str, note: str) -> dict:
    """One line of the table."""
    return {"name": name, "value": float(value), "unit": unit, "note": note}
