"""What a motion tokenizer's checkpoint says about its network."""

from __future__ import annotations

from dataclasses import dataclass

from ..checkpoints.json_config import JsonConfig

DOWNSAMPLING = 4
"""Frames a token stands for: two halvings."""


@dataclass(frozen=True)
class TokenizerConfig(JsonConfig):
    """Config of a `MotionTokenizer`, kept as JSON in its checkpoint.

    width, depth: channels, and residual blocks at each of the two resolutions, with dilation growing by `dilation`.
    kernel: of the first and the last convolution. codes, code_width: of a codebook. residual: further codebooks that
    tell what the first one leaves over. fps: frame rate of the motion; a token lasts four frames.
    """

    width: int = 512
    depth: int = 3
    dilation: int = 3
    kernel: int = 3
    codes: int = 512
    code_width: int = 512
    residual: int = 0
    fps: float = 25.0

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.dilation, self.kernel, self.code_width) < 1 or self.codes < 2:
            raise ValueError("width, depth, dilation, kernel and code_width must be above 0, and codes above 1")
        if self.kernel % 2 == 0 or self.residual < 0 or not self.fps > 0:
            raise ValueError("kernel must be odd, residual 0 or more, fps above zero")

    @property
    def levels(self) -> int:
        """Codebooks in all."""
        return 1 + self.residual

    @classmethod
    def paper(cls) -> TokenizerConfig:
        """T2M-GPT's and MoMask's size: width 512, 512 codes of width 512, one codebook."""
        return cls()

    @classmethod
    def tiny(cls) -> TokenizerConfig:
        """The shipped size: width 96, and five residual codebooks for the hands."""
        return cls(width=96, depth=2, kernel=1, code_width=64, residual=5)
