"""How much arithmetic EchoMimicV2 is at 768 x 768, counted, and what of it the choices leave out."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..models.video.condition_batch import InnerLevels
from ..models.video.config import VideoConfig
from ..models.video.model import VideoModel
from ..models.video.windows import WindowOptions, context_windows

FRAMES = 120
A100 = 312e12
"""Operations a second of NVIDIA's A100 in half precision, by its data sheet."""


def run(quick: bool) -> list[dict]:
    config = replace(VideoConfig.echomimic_v2(), size=(256, 256)) if quick else VideoConfig.echomimic_v2()
    operations = window_operations(config)
    loop = len(context_windows(FRAMES, WindowOptions()))
    cut = len(context_windows(FRAMES, WindowOptions(closed_loop=False)))
    clips = -(-FRAMES // config.clip_frames)
    all_of_it = loop * steps(operations, 30)
    height, width = config.size
    whole, without, outer, _ = operations
    note = f"12 frames, conditional; {without / 1e12:.1f} unconditional; {outer / whole:.0%} in the outer level"
    rows = [{"name": f"EchoMimicV2 arithmetic, {width} x {height}: a window", "value": whole / 1e12, "unit": "Tflop",
             "note": note}]  # fmt: skip
    ways = [
        ("30 steps, guidance 2.5", all_of_it, "closed loop, as the original"),
        ("no closed loop", cut * steps(operations, 30), f"{cut} windows instead of {loop}"),
        ("motion frames", clips * steps(operations, 30), f"{clips} clips of 12, motion frames not counted"),
        ("accelerated pair, 6 steps", loop * 6 * whole, "guidance 1"),
    ]
    for inner, guidance in ((2, 1), (3, 1), (1, 2), (1, 3), (2, 2), (3, 3)):
        count = loop * steps(operations, 30, inner, guidance)
        ways.append((f"inner_every {inner}, guidance_every {guidance}", count, ""))
    for name, count, note in ways:
        text = f"{all_of_it / count:.2f} x less; at least {count / A100:.0f} s on an A100; {note}".rstrip("; ")
        rows.append({"name": f"EchoMimicV2 arithmetic, {FRAMES} frames: {name}", "value": count / 1e15,
                     "unit": "Pflop", "note": text})  # fmt: skip
    return rows


def steps(operations: tuple[int, ...], count: int, inner_every: int = 1, guidance_every: int = 1) -> int:
    """Operations of one window over `count` steps; guidance_every is a multiple of inner_every, or one of them is 1."""
    whole, without, outer, outer_without = operations
    total = 0
    for step in range(count):
        inner, guided = step % inner_every == 0, step % guidance_every == 0
        total += (whole if inner else outer) + (without if inner else outer_without) * guided
    return total


def window_operations(config: VideoConfig) -> tuple[int, ...]:
    """Operations of a window: with conditions, with none, and of the outer level alone with and with none."""
    frames, (height, width) = config.clip_frames, config.latent_size
    with torch.device("meta"), torch.no_grad():
        model = VideoModel(config).eval().requires_grad_(False)
        reference = model.encode_reference(torch.empty(1, config.latent_channels, height, width))
        audio = model.encode_audio(
            torch.empty(1, frames, config.audio_window, config.audio_layers, config.audio_dim)
        )  # fmt: skip
        pose = torch.empty(1, config.widths[0], frames, height, width)
        known = model.prepare(reference=reference, audio=audio, pose=pose)
        noisy, time = torch.empty(1, config.latent_channels, frames, height, width), torch.tensor(1.0)
        inner = InnerLevels()
        model(noisy, time, conditions=known, inner=inner)  # fills it
        counts = []
        for kept in (None, inner):
            for conditions in (known, known.null()):
                with FlopCounterMode(display=False) as counter:
                    model(noisy, time, conditions=conditions, inner=kept)
                counts.append(counter.get_total_flops())
    return tuple(counts)
