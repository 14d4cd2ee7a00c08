"""What a stage-1 checkpoint says about its network: sizes, conditions, frame rate, windows, diffusion."""

from __future__ import annotations

from dataclasses import dataclass

from ..checkpoints.json_config import JsonConfig

STYLES = ("speaking", "singing", "dance", "instrument", "storytelling")
"""The styles of the pack's own configs; a checkpoint may list others. Without a style the null embedding is used."""

PREDICTIONS = ("epsilon", "motion")

SPEED_CENTRES = (0.0, 0.0005, 0.0015, 0.003, 0.006, 0.012, 0.024, 0.048)
SPEED_RADII = (0.0005, 0.0005, 0.001, 0.0015, 0.003, 0.006, 0.012, 0.024)
"""Speed buckets in square metres: geometric, because a calm hand's variance is a hundredth of a lively one's. Each
bucket reaches as far as its neighbour's centre, so no amount between the buckets looks like another."""


@dataclass(frozen=True)
class MotionConfig(JsonConfig):
    """Config of a `MotionTransformer`, kept as JSON in its checkpoint.

    width, depth, heads, mlp_ratio: the transformer. audio_layers, audio_width: hidden states and their size, as
    `AudioFeatures` brings them. image_width: size of the CLIP class embedding (`image_embeds`), 0 for a network without
    it. styles: names in the order of the embedding table. speed_centres, speed_radii: buckets c_d, r_d in m^2.
    ordinary_speed: variance (m^2) of the hands of somebody who speaks with ordinary liveliness, the unit of the node's
    widgets. fps: frame rate of the motion. window, carried: new frames a window, and frames carried over from the one
    before. diffusion_steps, beta_start, beta_end: DDPM with linear betas. clip: clean motion is kept within that many
    standard deviations while sampling. predicts: what the last layer gives, "epsilon" (the paper) or "motion", the
    clean motion, from which the epsilon follows. Noise is as wide as the vector (170), motion is not: a network
    narrower than that cannot carry the noise through to its output, and what is lost of it would shake the hands.
    audio_aligned: the sound around a frame is also added to that frame, beside the paper's cross-attention.
    """

    width: int = 512
    depth: int = 24
    heads: int = 8
    mlp_ratio: int = 4
    audio_layers: int = 13
    audio_width: int = 768
    image_width: int = 768
    styles: tuple[str, ...] = STYLES
    speed_centres: tuple[float, ...] = SPEED_CENTRES
    speed_radii: tuple[float, ...] = SPEED_RADII
    ordinary_speed: float = 0.005
    fps: float = 25.0
    window: int = 300
    carried: int = 12
    diffusion_steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    clip: float = 5.0
    predicts: str = "epsilon"
    audio_aligned: bool = False

    def __post_init__(self) -> None:
        for name in ("styles", "speed_centres", "speed_radii"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} is not an even number times {self.heads} heads")
        if len(self.speed_centres) != len(self.speed_radii) or not all(r > 0 for r in self.speed_radii):
            raise ValueError("speed_centres and speed_radii must be as many, and the radii above zero")
        if not 0 < self.carried < self.window:
            raise ValueError(f"carried ({self.carried}) must lie between 0 and window ({self.window})")
        if not (self.fps > 0 and self.clip > 0 and 0 < self.beta_start <= self.beta_end < 1):
            raise ValueError("fps and clip must be above zero, and the betas between 0 and 1")
        if self.predicts not in PREDICTIONS:
            raise ValueError(f"predicts must be one of {', '.join(PREDICTIONS)}, not {self.predicts!r}")

    @classmethod
    def paper(cls) -> MotionConfig:
        """EMO2 section 3.3: 24 blocks of width 512, wav2vec 2.0 base, CLIP ViT-L/14."""
        return cls()

    @classmethod
    def tiny(cls) -> MotionConfig:
        """The shipped size: 4 blocks of width 128, with the pack's own small voice and image encoders."""
        return cls(width=128, depth=4, heads=4, audio_layers=5, audio_width=96, image_width=64)

    def variance(self, amount: float) -> float:
        """The variance w (m^2) that stands for `amount` times an ordinary speaker's reach of movement."""
        return amount * amount * self.ordinary_speed
