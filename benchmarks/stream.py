"""Memory of the streaming node: how much a job adds to the process that has everything loaded, by length of the job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SMALL = {
    "size": (32, 32), "latent_channels": 4, "widths": (32, 32), "attention_levels": (True, True), "layers_per_block": 1,
    "heads": 2, "temporal_heads": 2, "norm_groups": 8, "audio_dim": 96, "audio_layers": 5, "audio_width": 32,
    "guider_channels": (8, 8, 8, 16), "positions": 36, "prediction_type": "v_prediction",
}  # fmt: skip
"""A network as small as the architecture allows: the length is what is measured, not the network."""


def measure(seconds: float, small: bool = True, steps: int = 1, twice: bool = False) -> dict[str, float]:
    """Run a streaming job of `seconds` in a process of its own: {"growth", "second" (MB), "seconds", "frames"}.

    Growth is the job's peak resident memory minus that of the same process with models and inputs loaded. `second` is
    the same for the job run once more, when compiled kernels and buffers are there already. Linux only.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", __name__, str(seconds), str(int(small)), str(steps), str(int(twice)), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def run(quick: bool) -> list[dict]:
    long, size = 60 if quick else 600, "smallest network"
    short_job, long_job = measure(10), measure(long)
    return [
        {"name": f"stream: memory growth, {seconds} s", "value": job["growth"], "unit": "MB", "note": size}
        for seconds, job in ((10, short_job), (long, long_job))
    ] + [
        {"name": f"stream: memory growth, {long} s over 10 s", "value": long_job["growth"] / short_job["growth"],
         "unit": "x", "note": "flat is 1"},
        {"name": "stream: frames a second, one step", "value": long_job["frames"] / long_job["seconds"],
         "unit": "1/s", "note": size},
    ]  # fmt: skip


def process_memory(key: str) -> float:
    """A memory figure of this process in MB, from /proc."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def _job(seconds: float, small: bool, steps: int, twice: bool, folder: Path) -> dict[str, float]:
    import numpy as np
    import torch

    from ..models.checkpoints.format import save_checkpoint
    from ..models.types import Framing, Motion
    from ..models.video.config import VideoConfig
    from ..nodes import NODE_CLASS_MAPPINGS as nodes
    from ..nodes import host

    torch.set_num_threads(min(2, os.cpu_count() or 1))
    host.outside.output, host.outside.models, host.outside.quiet = folder / "out", [folder], True
    call = lambda name, **inputs: getattr(nodes[name](), nodes[name].FUNCTION)(**inputs)
    model_name, vae_name = "emo2_video_tiny.safetensors", "emo2_vae_tiny.safetensors"
    if small:
        config = VideoConfig(**SMALL).to_dict()
        model_name = save_checkpoint(folder / "emo2" / "small.safetensors", "video", config, {}, untrained=1).name
    with torch.inference_mode():
        (model,) = call("EMO2LoadVideoModel", model_name=model_name)
        vae = _Blocks() if small else call("EMO2LoadVAE", vae_name=vae_name)[0]
        (encoder,) = call("EMO2LoadAudioEncoder", encoder="emo2_audio_tiny.safetensors")
        reference = call("EMO2EncodeReference", model=model, vae=vae, image=torch.rand(1, 64, 48, 3))[0]

        def inputs(length: float) -> dict:
            samples = torch.randn(1, 1, round(length * 16000), generator=torch.Generator().manual_seed(1)) * 0.05
            audio = {"waveform": samples, "sample_rate": 16000}
            features = call("EMO2EncodeAudio", audio_encoder=encoder, audio=audio)[0]
            frames = round(length * 25)
            times = np.linspace(0, length, frames)[:, None]
            rotations = np.tile(np.array([1, 0, 0, 0], np.float32), (frames, 2, 16, 1))
            places = np.zeros((frames, 2, 3))
            places[..., 0], places[..., 2] = [0.1, -0.1], -0.3
            places[..., 1] = 0.3 + 0.1 * np.sin(times + np.array([0, 1]))
            motion = Motion(rotations, places, 25.0, Framing(size=model.module.config.size))
            return {"audio": audio, "audio_features": features, "motion": motion}

        def stream(prefix: str, given: dict) -> None:
            call("EMO2StreamVideo", model=model, reference=reference, vae=vae, seed=1, steps=steps, cfg=1.0,
                 scheduler="ddim", reference_strength=1.0, audio_strength=1.0, pose_strength=1.0, start_second=0.0,
                 end_second=0.0, quick_preview=False, filename_prefix=prefix, crf=20, **given)  # fmt: skip

        given = inputs(seconds)
        growth, took = [], 0.0
        for name in ("first", "second"):
            loaded = process_memory("VmRSS")
            Path("/proc/self/clear_refs").write_text("5")
            begin = time.perf_counter()
            stream(name, given)
            took = time.perf_counter() - begin
            growth.append(process_memory("VmHWM") - loaded)
            if not twice:
                break
    return {"growth": growth[0], "second": growth[-1], "seconds": took, "frames": len(given["motion"])}


class _Blocks:
    """A VAE of four channels and factor 8 that costs nothing: averages down, repeats up."""

    def encode(self, pixels):
        import torch

        small = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), 8)
        return torch.cat([small, small[:, :1]], 1)

    def decode(self, latents):
        return latents[:, :3].repeat_interleave(8, 2).repeat_interleave(8, 3).movedim(1, -1).clamp(0, 1)


if __name__ == "__main__":
    length, small_network, step_count, again, out = sys.argv[1:]
    print(json.dumps(_job(float(length), small_network == "1", int(step_count), again == "1", Path(out))))
