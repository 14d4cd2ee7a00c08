"""What a text says: CLIP's text encoder (Radford et al. 2021, section 2.4) over byte-pair pieces, from a config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .config import TextConfig

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
"""CLIP's own marks, so that its tokenizer files fit."""


@dataclass(frozen=True)
class TextFeatures:
    """What B texts say: tokens (B, L, C), one a piece; mask (B, L) bool, False behind a text's end; pooled (B, C), the
    state at the end of the text, which has seen all of it."""

    tokens: Tensor
    mask: Tensor
    pooled: Tensor

    def __len__(self) -> int:
        return len(self.tokens)

    def rows(self, index: Tensor | Sequence[int]) -> TextFeatures:
        """Some of the texts, in that order, with no more columns than they need."""
        at = torch.as_tensor(index, device=self.tokens.device)
        mask = self.mask[at]
        columns = max(1, int(mask.sum(1).max())) if len(at) else 1
        return TextFeatures(self.tokens[at, :columns], mask[:, :columns], self.pooled[at])

    def to(self, like: Tensor) -> TextFeatures:
        """On the device and of the type of `like`."""
        return TextFeatures(self.tokens.to(like), self.mask.to(like.device), self.pooled.to(like))


class Pieces:
    """Cuts texts into numbered pieces, words the data had many of whole, any other text down to its bytes."""

    def __init__(self, pieces: str, length: int):
        from tokenizers import Tokenizer

        self._pieces, self.length = Tokenizer.from_str(pieces), length
        begin, end = self._pieces.token_to_id(BEGIN), self._pieces.token_to_id(END)
        if begin is None or end is None:
            raise ValueError(f"the pieces of a text encoder need {BEGIN} and {END}")
        self.begin, self.end = int(begin), int(end)
        self._pieces.no_padding()
        self._pieces.no_truncation()

    def __len__(self) -> int:
        return int(self._pieces.get_vocab_size())

    def cut(self, texts: Sequence[str], length: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers (B, L) int64 and mask (B, L) bool of texts; L is `length`, or what the longest text needs.

        Each text stands between BEGIN and END; one that is too long loses its end. Padding is END, as in CLIP.
        """
        most = min(length or self.length, self.length)
        found = self._pieces.encode_batch(list(texts), add_special_tokens=False)
        rows = [[self.begin, *encoding.ids[: most - 2], self.end] for encoding in found]
        total = length or max((len(row) for row in rows), default=1)
        numbers = np.full((len(rows), total), self.end, np.int64)
        mask = np.zeros((len(rows), total), bool)
        for number, row in enumerate(rows):
            numbers[number, : len(row)], mask[number, : len(row)] = row, True
        return numbers, mask

    def words(self, text: str) -> list[str]:
        """The pieces of a text, without BEGIN and END, as the vocabulary writes them."""
        return list(self._pieces.encode(text, add_special_tokens=False).tokens)


def train_pieces(texts: Iterable[str], size: int = 1024) -> str:
    """JSON of a byte-pair encoding learned from `texts` (Sennrich et al. 2016), with at most `size` pieces.

    Texts are lower-cased and their white space is made one. All 256 bytes are pieces, so that no text is unknown. The
    same texts give the same pieces.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip(), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=max(size, len(alphabet) + 2), special_tokens=[BEGIN, END], initial_alphabet=alphabet,
        show_progress=False, min_frequency=2,
    )  # fmt: skip
    tokenizer.train_from_iterator(sorted(texts), trainer)
    return str(tokenizer.to_str())


class TextEncoder(nn.Module):
    """transformers' CLIP text encoder with its pieces; `config.pieces` cuts the texts."""

    def __init__(self, config: TextConfig):
        from transformers import CLIPTextConfig, CLIPTextModel

        super().__init__()
        self.config = config
        self.pieces = Pieces(config.pieces, config.length)
        sizes = CLIPTextConfig(
            vocab_size=len(self.pieces), hidden_size=config.width, intermediate_size=config.mlp,
            num_hidden_layers=config.layers, num_attention_heads=config.heads,
            max_position_embeddings=config.length, hidden_act=config.activation, projection_dim=config.width,
            bos_token_id=self.pieces.begin, eos_token_id=self.pieces.end, pad_token_id=self.pieces.end,
            attention_dropout=0.0,
        )  # fmt: skip
        network = CLIPTextModel(sizes)
        # Older versions of transformers keep the same parts one level deeper.
        self.network: Any = getattr(network, "text_model", network)

    def forward(self, numbers: Tensor, mask: Tensor) -> TextFeatures:
        """Features of pieces (B, L) with mask (B, L), as `Pieces.cut` gives them.

        CLIP's attention looks back only, so what stands behind the end changes nothing before it.
        """
        states = self.network(input_ids=numbers).last_hidden_state
        end = mask.long().sum(1).clamp_min(1) - 1
        return TextFeatures(states, mask, states[torch.arange(len(states), device=states.device), end])

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> TextFeatures:
        """Features of texts, on the encoder's device. An empty text is one without words, not an error."""
        device = self.network.final_layer_norm.weight.device
        numbers, mask = self.pieces.cut(texts)
        return self(torch.from_numpy(numbers).to(device), torch.from_numpy(mask).to(device))

    @cached_property
    def width(self) -> int:
        """C of the features."""
        return self.config.width


def build(config: Mapping[str, Any]) -> TextEncoder:
    """The encoder of a checkpoint's config, freshly initialised from torch's default generator."""
    return TextEncoder(TextConfig.from_dict(config))


def new_encoder(config: TextConfig, texts: Iterable[str], size: int = 1024) -> TextEncoder:
    """An untrained encoder whose pieces are learned from `texts`."""
    return TextEncoder(replace(config, pieces=train_pieces(texts, size)))
