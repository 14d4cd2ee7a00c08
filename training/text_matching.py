"""The trainer of the network behind R-precision (Guo et al. 2022, section 5.1): recipe `text-matching`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..models.body import vector
from ..models.checkpoints.format import save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.direction.config import TextConfig
from ..models.direction.matching import MatchingConfig, TextMatching
from ..models.direction.text import Pieces, train_pieces
from ..models.errors import EMO2Error
from .directed_clips import Drawn, Saying, sayings
from .kept_clips import KeptClips, check_clips, open_kept
from .options import check_names
from .recipe import Recipe, sample_rng
from .weighted import WeightedDraw

OPTIONS: dict[str, Any] = {
    "data": None, "clips": None, "network": {}, "text": {}, "vocabulary": 1024, "pieces": 32, "jitter": 0.1,
    "name": "tiny",
}  # fmt: skip
"""data, clips, text, vocabulary, name: as in `text_motion.OPTIONS`. network: fields of
MatchingConfig. pieces: most pieces of a text. jitter: how far a span's ends are moved, a share of its length; a made
motion does not begin on the frame either."""


class TextMatchingRecipe(Recipe):
    name: ClassVar[str] = "text-matching"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        check_names(options, OPTIONS)
        merged = OPTIONS | self.options
        self.entries = check_clips(merged["data"], merged["clips"])
        try:
            self.text = TextConfig.from_dict(TextConfig.tiny().to_dict() | dict(merged["text"]))
            self.config = MatchingConfig.from_dict(dict(merged["network"]) | {"text": self.text})
        except (ValueError, TypeError) as error:
            wanted = "fields of a matching network's config"
            raise EMO2Error("config recipe.network", wanted, error, "Correct it.") from error
        for name, low in (("vocabulary", 258), ("pieces", 3)):
            if isinstance(merged[name], bool) or not isinstance(merged[name], int) or merged[name] < low:
                raise EMO2Error(f"config recipe.{name}", f"at least {low}", repr(merged[name]), "Correct it.")
        self.vocabulary, self.pieces = merged["vocabulary"], merged["pieces"]
        self.jitter = merged["jitter"]
        if isinstance(self.jitter, bool) or not isinstance(self.jitter, (int, float)) or not 0 <= self.jitter < 0.5:
            raise EMO2Error("config recipe.jitter", "a share from 0 to below 0.5", repr(self.jitter), "Correct it.")
        self.label = str(merged["name"])
        self._sources: list[Drawn] | None = None
        self._pieces: str | None = None

    def sources(self) -> list[Drawn]:
        """The data, opened once; clips that are missing are made."""
        if self._sources is None:
            opened = open_kept(self.entries, self.config.fps)
            self._sources = [Drawn(SaidClips(kept), float(e["weight"])) for e, kept in zip(self.entries, opened)]
        return self._sources

    def vocabulary_json(self) -> str:
        """The pieces, learned from all that is said of the data."""
        if self._pieces is None:
            said = {one for source in self.sources() for one in source.clips.texts()}
            self._pieces = train_pieces(said, self.vocabulary)
        return self._pieces

    def build(self) -> MatchingLesson:
        text = dataclasses.replace(self.text, pieces=self.vocabulary_json())
        network = TextMatching(dataclasses.replace(self.config, text=text))
        mean, deviation = statistics(self.sources())
        network.mean.copy_(torch.from_numpy(mean))
        network.deviation.copy_(torch.from_numpy(deviation))
        return MatchingLesson(network)

    def dataset(self) -> SaidSpans:
        pieces = Pieces(self.vocabulary_json(), self.text.length)
        return SaidSpans(self.sources(), self.config.longest, pieces, self.pieces, self.jitter, self.seed)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        assert isinstance(module, MatchingLesson)
        what = {"description": "Texts and motion in one space, for R-precision.", "profile": self.label}
        path = folder / f"emo2_text_matching_{self.label}.safetensors"
        network = module.network
        config, tensors = network.config.to_dict(), packed(network.state_dict())
        return [save_checkpoint(path, "text_matching", config, tensors, notes=dict(notes) | what)]


@dataclass(frozen=True)
class SaidClip:
    """vectors (F, 384) and known (F, 2) of a clip; sayings, their spans in frames."""

    sayings: tuple[Saying, ...]
    vectors: np.ndarray
    known: np.ndarray


@dataclass(frozen=True)
class SaidClips:
    """Kept clips with what is said of them."""

    kept: KeptClips

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> SaidClip:
        clip = self.kept[index]
        return SaidClip(sayings(clip.texts, self.kept.fps, len(clip.vectors)), clip.vectors, clip.known)

    def texts(self) -> list[str]:
        """Everything that is said, each once."""
        return self.kept.texts()


def statistics(sources: Sequence[Drawn], most: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """(mean, deviation), (numbers,) float32 each, of up to `most` clips of every source, evenly spread."""
    total, square, count = 0.0, 0.0, 0
    for source in sources:
        size = len(source.clips)
        for index in np.unique(np.linspace(0, size - 1, min(most, size)).round().astype(int)):
            vectors = source.clips[int(index)].vectors.astype(np.float64)
            total, square, count = total + vectors.sum(0), square + np.square(vectors).sum(0), count + len(vectors)
    mean = np.asarray(total) / count
    deviation = np.sqrt(np.maximum(np.asarray(square) / count - mean**2, 0))
    return mean.astype(np.float32), np.maximum(deviation, 0.02).astype(np.float32)


class SaidSpans(Dataset[dict[str, Tensor]]):
    """Sample i: a saying of a clip with its motion. vectors (longest, numbers) not normalised, valid (longest,) bool,
    known (longest, numbers) bool, pieces (L,) and mask (L,)."""

    def __init__(self, sources: Sequence[Drawn], longest: int, pieces: Pieces, length: int, jitter: float, seed: int):
        self.sources, self.longest, self.pieces, self.length = list(sources), longest + -longest % 4, pieces, length
        self.jitter, self.seed = jitter, seed
        self.draw = WeightedDraw(self.sources)

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        place = self.draw(rng)
        clips = self.sources[place].clips
        clip = clips[int(rng.integers(len(clips)))]
        if not clip.sayings:
            raise EMO2Error("data", "clips of which something is said", "one without a text", "Leave it out.")
        saying = clip.sayings[int(rng.integers(len(clip.sayings)))]
        move = rng.uniform(-self.jitter, self.jitter, 2) * (saying.end - saying.start)
        first = int(np.clip(round(saying.start + move[0]), 0, len(clip.vectors) - 1))
        last = int(np.clip(round(saying.end + move[1]), first + 1, len(clip.vectors)))
        found = clip.vectors[first:last][: self.longest].astype(np.float32)
        vectors = np.zeros((self.longest, found.shape[1]), np.float32)
        vectors[: len(found)] = found
        known = np.zeros_like(vectors, bool)
        known[: len(found)] = vector.known_numbers(clip.known[first:last][: self.longest])
        text = saying.choices[int(rng.integers(len(saying.choices)))]
        pieces, mask = self.pieces.cut([text], min(self.length, self.pieces.length))
        return {
            "vectors": torch.from_numpy(vectors), "valid": torch.from_numpy(np.arange(self.longest) < len(found)),
            "known": torch.from_numpy(known), "pieces": torch.from_numpy(pieces[0]), "mask": torch.from_numpy(mask[0]),
        }  # fmt: skip


class MatchingLesson(nn.Module):
    """`module(batch)` -> (losses (B,), parts): each text finds its motion in the batch, and each motion its text.

    Rows with the same words count as right, too.
    """

    def __init__(self, network: TextMatching):
        super().__init__()
        self.network = network

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        moved = self.network.motion(batch["vectors"].float(), batch["valid"], batch["known"])
        said = self.network.said(batch["pieces"], batch["mask"])
        scores = (said @ moved.T).float() * self.network.scale.exp().clamp_max(100)
        same = (batch["pieces"][:, None] == batch["pieces"][None]).all(-1).float()
        wanted = same / same.sum(1, keepdim=True)
        losses = sum(-(F.log_softmax(s, dim=1) * wanted).sum(1) for s in (scores, scores.T)) / 2
        best = scores.argmax(1)
        right = same[torch.arange(len(same), device=same.device), best]
        return torch.as_tensor(losses), {"right": right.detach()}
