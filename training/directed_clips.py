"""What the branches learn from: clips as motion tokens, with what is said of them and how their sound is heard.

The clips themselves are kept (`kept_clips`) for every tokenizer; how a voice encoder hears them is kept beside, in a
folder of its own for each encoder, so that nothing stale is learned from.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from ..models import audio
from ..models.body import vector
from ..models.body.config import DOWNSAMPLING
from ..models.direction.conditions import listen
from ..models.errors import EMO2Error
from ..models.whole_files import whole_file
from .kept_clips import KeptClips, open_kept

KEEP = 4096
"""Clips that stay in memory once they were read."""


@dataclass(frozen=True)
class Saying:
    """What is said of the tokens from `start` to `end` (tokens, fractions too), in one of the `choices`."""

    choices: tuple[str, ...]
    start: float
    end: float


@dataclass(frozen=True)
class DirectedClip:
    """codes (levels, n). sayings: in order of their start. vectors (F, 384) float16: the motion itself, F = 4 n or
    less, and known (F, 2) bool: which hands are. sound (8 n, L, D) float16: hidden states, or None without a sound."""

    codes: np.ndarray
    sayings: tuple[Saying, ...]
    vectors: np.ndarray
    known: np.ndarray
    sound: np.ndarray | None = None

    def __len__(self) -> int:
        return self.codes.shape[-1]


class Tokens(Protocol):
    """The part of a motion tokenizer that is used here: `MotionTokenizer`."""

    config: Any

    def encode(self, x: Any, mask: Any) -> Any: ...


def sayings(texts: Sequence[Any], rate: float, count: int) -> tuple[Saying, ...]:
    """What is said of n tokens: `texts` (text, start s, end s) with the same span are choices of one saying.

    A span that is not longer than nothing stands for the whole clip, as in HumanML3D.
    """
    spans: dict[tuple[float, float], list[str]] = {}
    for told in texts:
        whole = not told.end > told.start
        span = (0.0, float(count)) if whole else (told.start * rate, min(told.end * rate, float(count)))
        spans.setdefault(span, []).append(told.text)
    return tuple(Saying(tuple(spans[span]), *span) for span in sorted(spans))


class ClipFolder:
    """Kept clips as `DirectedClip`s of a tokenizer, heard by a voice encoder where there is one.

    key: names the voice encoder; what it heard is kept in the folder `heard-KEY`.
    """

    def __init__(self, kept: KeptClips, tokenizer: Tokens, voice: Any | None = None, key: str = "voice"):
        self.kept, self.tokenizer, self.voice, self.key = kept, tokenizer, voice, key
        self._read: OrderedDict[int, DirectedClip] = OrderedDict()

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> DirectedClip:
        if index not in self._read:
            self._read[index] = self._told(index)
            if len(self._read) > KEEP:
                self._read.popitem(last=False)
        self._read.move_to_end(index)
        return self._read[index]

    def _told(self, index: int) -> DirectedClip:
        clip = self.kept[index]
        values = torch.from_numpy(clip.vectors.astype(np.float32))
        mask = torch.from_numpy(vector.known_numbers(clip.known))
        codes = self.tokenizer.encode(values[None], mask[None])[0].numpy()
        rate, count = self.kept.fps / DOWNSAMPLING, codes.shape[-1]
        return DirectedClip(
            codes, sayings(clip.texts, rate, count), clip.vectors, clip.known, self._heard(index, count)
        )

    def _heard(self, index: int, count: int) -> np.ndarray | None:
        """What the voice encoder hears of a clip, from its file or into it."""
        path = self.kept.folder / f"heard-{self.key}" / f"sound_{index:06d}.npy"
        waveform = None if self.voice is None else self.kept[index].waveform
        if waveform is None:
            return None
        if path.is_file():
            try:
                return np.load(path, allow_pickle=False)
            except Exception as error:  # numpy raises whatever it likes for a damaged file
                raise EMO2Error("data folder", "sound as written", f"{error} ({path})", "Delete that file.") from error
        features = audio.encode(self.voice, waveform.astype(np.float32) / 32767, name="training")
        sound = listen(features, self.kept.fps / DOWNSAMPLING, count).numpy().astype(np.float16)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            np.save(stream, sound)
        return sound

    def texts(self) -> list[str]:
        """Everything that is said of the clips, each once, in order."""
        return self.kept.texts()


@dataclass(frozen=True)
class Drawn:
    """One entry of the config's `data`, opened, and how often it is drawn compared with the others."""

    clips: Any
    weight: float = 1.0


def open_clips(entries: Sequence[Mapping[str, Any]], tokenizer: Tokens, voice: Any | None, key: str) -> list[Drawn]:
    """Sources of `check_clips`' entries; clips that are missing are made first. key: names the voice encoder."""
    fps = tokenizer.config.fps
    return [
        Drawn(ClipFolder(kept, tokenizer, voice, key), float(entry["weight"]))
        for entry, kept in zip(entries, open_kept(entries, fps))
    ]
