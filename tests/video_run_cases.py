"""A small video network with random non-zero weights, and conditions of matching sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from emo2.models.types import AudioFeatures, Framing, Motion, Reference
from emo2.models.video.conditions import Conditions
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel

CONFIG = VideoConfig(
    size=(32, 32), clip_frames=6, motion_frames=3, positions=9, latent_channels=12, latent_scale=0.7, widths=(16, 32),
    attention_levels=(True, True), layers_per_block=1, heads=2, norm_groups=4, temporal_heads=2, audio_dim=12,
    audio_layers=3, audio_radius=1, audio_width=12, guider_channels=(4, 6, 8, 8), prediction_type="v_prediction",
    beta_schedule="linear", zero_terminal_snr=True, timestep_spacing="trailing",
)  # fmt: skip
LATENTS = (CONFIG.latent_channels, *CONFIG.latent_size)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Layers this small run faster on one thread, many times so where other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fill(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random weights, none of them zero, that keep activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(1 + 0.1 * noise if name.endswith("weight") else 0.05 * noise)
    return module.eval().requires_grad_(False)


def network(seed: int = 0) -> VideoModel:
    return fill(VideoModel(CONFIG), seed)


def reference(
    model: VideoModel, seed: int = 3, fingerprint: str = "model", framing: Framing | None = None
) -> Reference:
    latents = draw(1, *LATENTS, seed=seed)
    with torch.no_grad():
        features = model.encode_reference(latents * CONFIG.latent_scale)
    image = torch.rand(1, *CONFIG.size, 3, generator=torch.Generator().manual_seed(seed))
    return Reference(latents, features, image, fingerprint, framing)


def sound(frames: int, seed: int = 5, fps: float = CONFIG.fps) -> AudioFeatures:
    """Random states, two for each frame, that last exactly `frames` frames."""
    hidden = np.random.default_rng(seed).standard_normal((2 * frames, CONFIG.audio_layers, CONFIG.audio_dim))
    return AudioFeatures(hidden.astype(np.float16), np.zeros(2 * frames), frames / fps, rate=2 * fps, encoder="test")


def motion(frames: int, seed: int = 7, fps: float = CONFIG.fps) -> Motion:
    """Open hands that wander about in front of the chest."""
    rng = np.random.default_rng(seed)
    rotations = np.zeros((frames, 2, 16, 4), np.float32)
    rotations[..., 0] = 1
    path = np.cumsum(rng.normal(0, 0.03, (frames, 2, 3)), axis=0).clip(-0.1, 0.1)
    return Motion(
        rotations,
        np.array([[0.12, 0.15, -0.2], [-0.12, 0.15, -0.2]]) + path,
        fps,
        Framing((0.5, 0.4), 0.4, CONFIG.size),
        confidence=rng.random((frames, 2)),
    )


def conditions(model: VideoModel, frames: int) -> Conditions:
    from emo2.models.hands import load_hands

    return Conditions(CONFIG, reference(model), motion(frames), sound(frames), load_hands(None))


class LinearVAE:
    """A VAE in two lines: exact, quick, and as it stands on the wire."""

    latent_channels = CONFIG.latent_channels

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        pooled = torch.nn.functional.avg_pool2d(pixels.movedim(-1, 1), CONFIG.vae_factor) * 2 - 1
        return pooled.repeat(1, 4, 1, 1)[:, : self.latent_channels]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        small = latents[:, :3].sigmoid()
        return torch.nn.functional.interpolate(small, scale_factor=CONFIG.vae_factor, mode="bilinear").movedim(1, -1)


def track(seconds: float, rate: int = 16000, channels: int = 1, seed: int = 11) -> dict:
    """AUDIO: noise below a quarter of the rate with a slow swell, so that its place in time can be told."""
    count = round(seconds * rate)
    noise = np.random.default_rng(seed).standard_normal((channels, count))
    spectrum = np.fft.rfft(noise)
    keep = np.fft.rfftfreq(count, 1 / rate) < min(rate / 5, 4000)
    wave = np.fft.irfft(spectrum * keep, count) * (0.6 + 0.4 * np.sin(np.arange(count) / rate * 9))
    wave = (0.5 * wave / np.abs(wave).max()).astype(np.float32)
    return {"waveform": torch.from_numpy(wave)[None], "sample_rate": rate}


def files(folder: Path) -> list[str]:
    """Names of all files below `folder`, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
