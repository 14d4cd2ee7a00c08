"""The two branches of VersaAnimator's stage 1 (arXiv 2503.08714): masked transformers over motion tokens.

The text branch is MoMask's masked transformer (Guo et al. 2024, section 3.2) with cross-attention to the text's pieces;
the audio branch has its shape and turns to the voice. They are fused by adding the text branch's hidden states to the
audio branch's, layer by layer. Time is told by rotary embeddings, so that windows of any length need no table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..motion.transformer import SelfAttention, rotary, turn
from .conditions import Heard, Told
from .config import SOUND_STEPS, BranchConfig, TwoBranchConfig
from .residual import ResidualHead


@dataclass(frozen=True)
class Prepared:
    """What does not change over the sampling steps of a window. added (B, n, W): goes to the embedded tokens. memory:
    keys and values of each layer's cross-attention, (B, heads, S, W / heads). attend (B, 1, n or 1, S) bool or None:
    what of the memory a token may turn to. valid (B, 1, 1, n) bool or None. rotation: cosine and sine of the tokens'
    places. timed: whether the memory has the tokens' places, too."""

    added: Tensor
    memory: list[tuple[Tensor, Tensor]]
    attend: Tensor | None
    valid: Tensor | None
    rotation: tuple[Tensor, Tensor]
    timed: bool


class MotionBranch(nn.Module):
    """Says what stands at masked motion tokens, from the other tokens and from a text or a sound.

    Codes are 0..codes-1; `mask` (= codes) stands where one is to be found.
    """

    def __init__(self, config: BranchConfig):
        super().__init__()
        self.config, self.mask = config, config.codes
        width = config.width
        self.embed = nn.Embedding(config.codes + 1, width)
        self.listen: TextMemory | SoundMemory = TextMemory(config) if config.listens == "text" else SoundMemory(config)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, config.codes)
        self.residual = ResidualHead(config) if config.levels > 1 else None
        nn.init.normal_(self.embed.weight, std=0.5)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    @torch.no_grad()
    def begin_with_codes(self, books: Tensor) -> None:
        """Let like codes begin alike: embeddings and outputs from the tokenizer's codebooks (levels, codes, C)."""
        width = self.config.width
        turn = torch.randn(books.shape[-1], width) / books.shape[-1] ** 0.5
        books = books.float() if books.shape[-1] == width else books.float() @ turn
        books = (books - books.mean(1, keepdim=True)) / books.std(dim=(1, 2), keepdim=True).clamp_min(1e-6)
        self.embed.weight[: self.config.codes] = 0.5 * books[0]
        self.out.weight.copy_(0.1 * books[0])
        if self.residual is not None:
            self.residual.embed.weight.copy_(0.5 * books[1 : self.config.levels].flatten(0, 1))

    def prepare(self, batch: int, count: int, given: Told | Heard | None, valid: Tensor | None = None) -> Prepared:
        """Everything of `hidden` that does not depend on the codes. valid (B, n) bool: False marks padding."""
        added, memory, attend = self.listen(given, batch, count, valid)
        rotation = rotary(count, self.config.width // self.config.heads, added.device)
        timed = self.config.listens == "audio"
        keys = [layer.cross.keys_values(memory, rotation if timed else None) for layer in self._layers()]
        return Prepared(added, keys, attend, _shown(valid), rotation, timed)

    def hidden(self, codes: Tensor, prepared: Prepared, added: list[Tensor | None] | None = None) -> list[Tensor]:
        """Hidden states (B, n, W) after each layer, of codes (B, n); `added`: what another branch adds after each."""
        x = self.embed(codes) + prepared.added
        states = []
        for index, layer in enumerate(self._layers()):
            x = layer(x, prepared, index)
            more = added[index] if added else None
            x = x if more is None else x + more
            states.append(x)
        return states

    def logits(self, state: Tensor) -> Tensor:
        """(B, n, codes) of the last hidden state (B, n, W)."""
        return self.out(self.norm(state))

    def forward(self, codes: Tensor, given: Told | Heard | None = None, valid: Tensor | None = None) -> Tensor:
        """Logits (B, n, codes) of codes (B, n); without `given` those of no text (no sound)."""
        batch, count = codes.shape
        return self.logits(self.hidden(codes, self.prepare(batch, count, given, valid))[-1])

    def _layers(self) -> list[Layer]:
        return cast("list[Layer]", list(self.layers))


class TwoBranch(nn.Module):
    """The audio branch with the text branch's hidden states in it. The text branch is frozen while this one learns."""

    def __init__(self, text: MotionBranch | None, audio: MotionBranch, fusion: str = "layers"):
        super().__init__()
        held = BranchConfig.from_dict({**audio.config.to_dict(), "listens": "text"}) if text is None else text.config
        self.config = TwoBranchConfig(held, audio.config, fusion)
        self.text = None if fusion == "none" else text
        self.audio = audio
        if fusion != "none" and text is None:
            raise ValueError(f"fusion {fusion!r} needs a text branch")

    @property
    def mask(self) -> int:
        """The code that stands where one is to be found."""
        return self.audio.mask

    @property
    def residual(self) -> ResidualHead | None:
        """The head for residual tokens, where there are any."""
        return self.audio.residual

    def prepare(
        self, batch: int, count: int, told: Told | None, heard: Heard | None, valid: Tensor | None = None
    ) -> tuple[Prepared | None, Prepared]:
        """Both branches' `Prepared`."""
        text = None if self.text is None else self.text.prepare(batch, count, told, valid)
        return text, self.audio.prepare(batch, count, heard, valid)

    def hidden(self, codes: Tensor, prepared: tuple[Prepared | None, Prepared]) -> Tensor:
        """The audio branch's last hidden state (B, n, W)."""
        text, audio = prepared
        added: list[Tensor | None] | None = None
        if self.text is not None and text is not None:
            states = self.text.hidden(codes, text)
            last = len(states) - 1
            added = [state if self.config.fusion == "layers" or i == last else None for i, state in enumerate(states)]
        return self.audio.hidden(codes, audio, added)[-1]

    def logits(self, state: Tensor) -> Tensor:
        """(B, n, codes) of the last hidden state."""
        return self.audio.logits(state)

    def forward(
        self, codes: Tensor, told: Told | None = None, heard: Heard | None = None, valid: Tensor | None = None
    ) -> Tensor:
        """Logits (B, n, codes) of codes (B, n)."""
        batch, count = codes.shape
        return self.logits(self.hidden(codes, self.prepare(batch, count, told, heard, valid)))


class Layer(nn.Module):
    """Self-attention over the tokens, cross-attention to text or sound, MLP; norms in front (pre-norm)."""

    def __init__(self, config: BranchConfig):
        super().__init__()
        width = config.width
        self.norm_self, self.norm_cross, self.norm_mlp = (nn.LayerNorm(width) for _ in range(3))
        self.attend = SelfAttention(width, config.heads)
        self.cross = CrossAttention(width, config.heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, config.mlp_ratio * width), nn.GELU(), nn.Linear(config.mlp_ratio * width, width)
        )
        self.drop = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, prepared: Prepared, index: int) -> Tensor:
        x = x + self.drop(self.attend(self.norm_self(x), prepared.rotation, prepared.valid))
        places = prepared.rotation if prepared.timed else None
        x = x + self.drop(self.cross(self.norm_cross(x), prepared.memory[index], prepared.attend, places))
        return x + self.drop(self.mlp(self.norm_mlp(x)))


class CrossAttention(nn.Module):
    """Attention from tokens to a memory. A memory with places (sound) is turned by them, one without (text) is not."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)

    def keys_values(self, memory: Tensor, places: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Keys and values (B, heads, S, W / heads) of a memory (B, S, W)."""
        k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.kv(memory).chunk(2, dim=-1))
        return (k if places is None else turn(k, places)), v

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor], attend: Tensor | None, places: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        q = q if places is None else turn(q, places)
        found = F.scaled_dot_product_attention(q, *memory, attn_mask=attend)
        return self.out(found.transpose(1, 2).flatten(2))


class TextMemory(nn.Module):
    """A text's pieces to turn to, its summary and how far its beginning and end are, to add to the tokens it is for.

    Without a text there is one learned piece, and nothing is added.
    """

    WAVES = 6

    def __init__(self, config: BranchConfig):
        super().__init__()
        self.reach = config.reach
        self.project = nn.Linear(config.text_width, config.width)
        self.summary = nn.Linear(config.text_width, config.width)
        self.edges = nn.Linear(4 * self.WAVES, config.width)
        self.nothing = nn.Parameter(torch.randn(config.width) * 0.02)

    def forward(
        self, told: Told | Heard | None, batch: int, count: int, valid: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        nothing = self.nothing.expand(batch, 1, -1)
        if told is None:
            attend = nothing.new_ones(batch, 1, count, 1, dtype=torch.bool)
            return nothing.new_zeros(batch, count, nothing.shape[-1]), nothing, attend
        assert isinstance(told, Told)
        memory = torch.cat([nothing, self.project(told.tokens).flatten(1, 2)], dim=1)
        keep = told.keep[:, None, None]
        row = torch.arange(told.tokens.shape[1], device=told.rows.device)
        own = (told.rows[:, :, None] == row)[..., None] & told.mask[:, None]
        attend = torch.cat([~keep.expand(batch, count, 1), own.flatten(2) & keep], dim=2)[:, None]
        pooled = self.summary(told.pooled)
        pooled = pooled.gather(1, told.rows[..., None].expand(-1, -1, pooled.shape[-1]))
        return (pooled + self.edges(self._waves(told.edges))) * keep, memory, attend

    def _waves(self, edges: Tensor) -> Tensor:
        """(B, n, 24) of edges (B, n, 2): slow and fast waves of the distance, which stays at `reach` beyond it."""
        share = edges.clamp(0, self.reach)[..., None] / self.reach
        angles = share * torch.pi * 2.0 ** torch.arange(self.WAVES, device=edges.device, dtype=edges.dtype)
        return torch.cat([angles.cos(), angles.sin()], dim=-1).flatten(-2)


class SoundMemory(nn.Module):
    """Voice states at eight a token through a temporal convolution block to one a token; they are added to their token
    too, since cross-attention learns late where a token's own moment is. Without sound each token hears the same."""

    def __init__(self, config: BranchConfig):
        super().__init__()
        width = config.width
        self.mix = nn.Parameter(torch.zeros(config.audio_layers))
        self.norm = nn.LayerNorm(config.audio_width)
        self.enter = nn.Linear(config.audio_width, width)
        halvings = SOUND_STEPS.bit_length() - 1
        self.down = nn.ModuleList(nn.Conv1d(width, width, 4, stride=2, padding=1) for _ in range(halvings))
        self.aligned = nn.Sequential(nn.Conv1d(width, width, 7, padding=3, groups=width), nn.Conv1d(width, width, 1))
        self.nothing = nn.Parameter(torch.randn(width) * 0.02)

    def forward(
        self, heard: Told | Heard | None, batch: int, count: int, valid: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        sound = self.nothing.expand(batch, count, -1)
        if heard is not None:
            assert isinstance(heard, Heard)
            mixed = torch.einsum("bsld,l->bsd", heard.states, self.mix.softmax(0).to(heard.states))
            x = _masked(self.enter(self.norm(mixed)).transpose(1, 2), valid)
            for convolution in self.down:
                x = _masked(convolution(F.gelu(x)), valid)
            sound = torch.where(heard.keep[:, None, None], x.transpose(1, 2), sound)
        around = _masked(F.gelu(sound).transpose(1, 2), valid)
        return self.aligned(around).transpose(1, 2), sound, _shown(valid)


def _masked(x: Tensor, valid: Tensor | None) -> Tensor:
    """x (B, W, k n) with zeros at padding, valid (B, n): what a convolution finds past the end of a shorter one."""
    return x if valid is None else x * valid.repeat_interleave(x.shape[-1] // valid.shape[1], 1)[:, None]


def _shown(valid: Tensor | None) -> Tensor | None:
    return None if valid is None else valid[:, None, None, :]


def build_branch(config: Mapping[str, Any]) -> MotionBranch:
    """The branch of a checkpoint's config."""
    return MotionBranch(BranchConfig.from_dict(config))


def build(config: Mapping[str, Any]) -> TwoBranch:
    """The two branches of a checkpoint's config."""
    own = TwoBranchConfig.from_dict(config)
    return TwoBranch(None if own.fusion == "none" else MotionBranch(own.text), MotionBranch(own.audio), own.fusion)
