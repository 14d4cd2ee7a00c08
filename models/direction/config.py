"""What the checkpoints of directed motion say about their networks: text encoder, branches, fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..checkpoints.json_config import JsonConfig

DEFAULT_TEXT = "A person is giving a speech."
"""What holds where nobody says anything (VersaAnimator, section 3.2)."""
FUSIONS = ("layers", "last", "none")
LISTENS = ("text", "audio")
SOUND_STEPS = 8
"""Voice states a motion token: 50 states and 25 / 4 tokens a second."""


@dataclass(frozen=True)
class TextConfig(JsonConfig):
    """A CLIP text encoder. width C, layers, heads, mlp: the transformer. length: most pieces of a text, begin and end
    included. activation: of the MLP. pieces: the byte-pair encoding as the JSON of the `tokenizers` library."""

    width: int = 512
    layers: int = 12
    heads: int = 8
    mlp: int = 2048
    length: int = 77
    activation: str = "quick_gelu"
    pieces: str = ""

    def __post_init__(self) -> None:
        if min(self.width, self.layers, self.heads, self.mlp) < 1 or self.width % self.heads or self.length < 3:
            raise ValueError("sizes must be above 0, length above 2, and width a multiple of heads")

    @classmethod
    def tiny(cls, pieces: str = "") -> TextConfig:
        """The shipped size: 2 layers of width 64."""
        return cls(width=64, layers=2, heads=4, mlp=128, length=48, pieces=pieces)


@dataclass(frozen=True)
class BranchConfig(JsonConfig):
    """One branch of the masked transformer.

    listens: to what its cross-attention turns, "text" or "audio". width, layers, heads, mlp_ratio, dropout: the
    transformer. codes: entries of the motion codebook. levels: codebooks, the residual ones included; above 1 a second
    head, `residual_layers` deep, says the further ones. text_width: of the text encoder. audio_layers, audio_width:
    hidden states and their size, as `AudioFeatures` brings them. rate: tokens a second. window, overlap: tokens that
    are sampled at once, and how many of them the window before has made. reach: tokens that a text's beginning and end
    are told from.
    """

    listens: str = "text"
    width: int = 384
    layers: int = 8
    heads: int = 6
    mlp_ratio: int = 4
    dropout: float = 0.1
    codes: int = 512
    levels: int = 1
    residual_layers: int = 2
    text_width: int = 512
    audio_layers: int = 13
    audio_width: int = 768
    rate: float = 6.25
    window: int = 64
    overlap: int = 16
    reach: int = 48

    def __post_init__(self) -> None:
        if self.listens not in LISTENS:
            raise ValueError(f"listens must be one of {', '.join(LISTENS)}, not {self.listens!r}")
        sizes = (self.width, self.layers, self.heads, self.mlp_ratio, self.codes, self.levels, self.text_width)
        if min(*sizes, self.audio_layers, self.audio_width, self.reach, self.residual_layers) < 1:
            raise ValueError("all sizes must be above 0")
        if self.width % self.heads or (self.width // self.heads) % 2:
            raise ValueError(f"width {self.width} is not an even number times {self.heads} heads")
        if not 0 < self.overlap < self.window:
            raise ValueError(f"overlap ({self.overlap}) must lie between 0 and window ({self.window})")
        if not self.rate > 0 or not 0 <= self.dropout < 1:
            raise ValueError("rate must be above 0, and dropout from 0 up to 1")

    @classmethod
    def paper(cls, listens: str = "text") -> BranchConfig:
        """8 layers of width 384, CLIP ViT-B/32 texts and wav2vec 2.0 base."""
        return cls(listens)

    @classmethod
    def tiny(cls, listens: str = "text") -> BranchConfig:
        """The shipped size: 8 layers of width 64, with the pack's own small text and voice encoders."""
        return cls(
            listens, width=64, heads=4, mlp_ratio=3, dropout=0.0, text_width=64, audio_layers=5, audio_width=96
        )  # fmt: skip


@dataclass(frozen=True)
class TwoBranchConfig(JsonConfig):
    """text, audio: the branches. fusion: where the text branch's hidden states are added to the audio branch's: after
    each layer ("layers"), after the last ("last"), or nowhere ("none": no text branch)."""

    text: BranchConfig = field(default_factory=lambda: BranchConfig("text"))
    audio: BranchConfig = field(default_factory=lambda: BranchConfig("audio"))
    fusion: str = "layers"

    def __post_init__(self) -> None:
        for name in LISTENS:
            value = getattr(self, name)
            if isinstance(value, Mapping):
                object.__setattr__(self, name, BranchConfig.from_dict(value))
            if getattr(self, name).listens != name:
                raise ValueError(f"the {name} branch listens to {getattr(self, name).listens}")
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, not {self.fusion!r}")
        for name in ("width", "layers", "codes", "levels", "rate"):
            a, b = getattr(self.text, name), getattr(self.audio, name)
            if self.fusion != "none" and a != b:
                raise ValueError(f"the branches differ in {name}: {a} and {b}")
