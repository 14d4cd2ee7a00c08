"""What the branches learn from: clips as motion tokens, with what is said of them and how their sound is heard.

A folder keeps them, one file a clip, for one tokenizer and one voice encoder: another one gets a folder of its own
below it, so that nothing stale is learned from.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..models import audio
from ..models.direction.conditions import listen
from ..models.errors import EMO2Error
from ..models.whole_files import whole_file

LOG = logging.getLogger("emo2")
CLIPS = 2000
"""Clips that a folder of puppets gets when the config does not say how many."""


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


class Clip(Protocol):
    """What a source's clip has: `BodyClip` of body_clips.py."""

    body: Any
    texts: Sequence[Any]
    waveform: np.ndarray | None


class Source(Protocol):
    """Numbered clips: the same clip for the same index."""

    @property
    def count(self) -> int: ...

    def clip(self, index: int) -> Clip: ...


class Tokens(Protocol):
    """The part of a motion tokenizer that is used here: `MotionTokenizer`."""

    config: Any

    def tokens(self, body: Any) -> np.ndarray: ...


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


def make_clip(clip: Clip, tokenizer: Tokens, voice: Any | None) -> DirectedClip:
    """A source's clip as tokens; its sound is heard by the voice encoder where there are both."""
    from ..models.body import vector

    codes = tokenizer.tokens(clip.body)
    rate = tokenizer.config.fps / 4
    count = codes.shape[-1]
    body = clip.body.resampled(tokenizer.config.fps)
    sound = None
    if voice is not None and clip.waveform is not None:
        features = audio.encode(voice, np.asarray(clip.waveform, np.float32), name="training")
        sound = listen(features, rate, count).numpy().astype(np.float16)
    vectors = vector.to_vector(body).astype(np.float16)
    return DirectedClip(codes, sayings(clip.texts, rate, count), vectors, np.asarray(body.hands), sound)


def write_clip(path: Path, clip: DirectedClip) -> None:
    """Whole or not at all; plain arrays, no pickle."""
    texts = [text for saying in clip.sayings for text in saying.choices]
    spans = [(saying.start, saying.end, len(saying.choices)) for saying in clip.sayings]
    values = {
        "codes": clip.codes.astype(np.int16), "texts": np.array(texts, np.str_),
        "spans": np.array(spans, np.float64).reshape(-1, 3), "vectors": clip.vectors, "known": clip.known,
    }  # fmt: skip
    if clip.sound is not None:
        values["sound"] = clip.sound
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **values)  # type: ignore[arg-type]


def read_clip(path: Path) -> DirectedClip:
    """The clip of a file of `write_clip`; EMO2Error that names a damaged file."""
    try:
        with np.load(path, allow_pickle=False) as data:
            texts, told, at = data["texts"].tolist(), [], 0
            for start, end, count in data["spans"]:
                told.append(Saying(tuple(texts[at : at + int(count)]), float(start), float(end)))
                at += int(count)
            sound = data.get("sound")
            return DirectedClip(data["codes"].astype(np.int64), tuple(told), data["vectors"], data["known"], sound)
    except Exception as error:  # numpy and zipfile raise whatever they like for a damaged file
        raise EMO2Error("data folder", "clips as written", f"{error} ({path})", "Delete that file.") from error


class ClipFolder:
    """The clips of a source in a folder; those that are missing are made when they are asked for.

    folder: its own for each pair of tokenizer and voice (see `open_clips`). The last `keep` clips stay in memory.
    """

    def __init__(
        self, folder: Path, source: Source | None, tokenizer: Tokens, voice: Any | None = None, keep: int = 512
    ):
        self.folder, self.source, self.tokenizer, self.voice, self.keep = folder, source, tokenizer, voice, keep
        if source is None:
            self.files = sorted(folder.glob("clip_*.npz"))
        else:
            self.files = [folder / f"clip_{index:06d}.npz" for index in range(source.count)]
        if not self.files:
            raise EMO2Error("data folder", "clips", f"none in {folder}", "Give count above 0 to make some.")
        self._read: OrderedDict[int, DirectedClip] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> DirectedClip:
        if index not in self._read:
            path = self.files[index]
            if self.source is not None and not path.is_file():
                write_clip(path, make_clip(self.source.clip(index), self.tokenizer, self.voice))
            self._read[index] = read_clip(path)
            if len(self._read) > self.keep:
                self._read.popitem(last=False)
        self._read.move_to_end(index)
        return self._read[index]

    def make_all(self) -> None:
        """Make what is missing."""
        for index, path in enumerate(self.files):
            if self.source is not None and not path.is_file():
                write_clip(path, make_clip(self.source.clip(index), self.tokenizer, self.voice))
                if (index + 1) % 100 == 0:
                    LOG.info("%d of %d clips made for %s", index + 1, len(self.files), self.folder)

    def texts(self) -> list[str]:
        """Everything that is said of the clips, each once, in order."""
        found: dict[str, None] = {}
        for index in range(len(self)):
            for saying in self[index].sayings:
                found |= dict.fromkeys(saying.choices)
        return list(found)


@dataclass(frozen=True)
class Drawn:
    """One entry of the config's `data`, opened, and how often it is drawn compared with the others."""

    clips: Any
    weight: float = 1.0


KEYS: dict[str, tuple[str, ...]] = {
    "puppets": ("count", "seed", "split", "speech", "seconds"),
    "humanml3d": ("root", "split"),
    "beat2": ("root", "body", "hands", "fingers"),
}
"""What a kind of data may be told besides kind, folder (where its clips are kept) and weight; see `body_clips`. root:
the data set's own folder; without one the kept clips are all there is, as with puppets of count 0."""


def check_clips(entries: Any, count: Any = None) -> list[dict[str, Any]]:
    """The config's `data`, checked without opening anything: a folder of puppets' clips, or a list of
    `{kind: puppets | humanml3d | beat2, folder: ..., weight: 1, ...}` with what `KEYS` lists."""
    example = "[{kind: puppets, folder: runs/directed, count: 2000}]"
    count = CLIPS if count is None else count
    if isinstance(entries, str) and entries:
        entries = [{"kind": "puppets", "folder": entries}]
    if not isinstance(entries, (list, tuple)) or not entries:
        raise EMO2Error("config recipe.data", f"a folder, or {example}", repr(entries), "Name at least one folder.")
    checked = []
    for entry in entries:
        if not isinstance(entry, Mapping) or entry.get("kind") not in KEYS or not entry.get("folder"):
            kinds = ", ".join(KEYS)
            raise EMO2Error("config recipe.data", f"kind ({kinds}) and folder: {example}", repr(entry), "Correct it.")
        keys = ("kind", "folder", "weight", *KEYS[entry["kind"]])
        if extra := sorted(set(entry) - set(keys)):
            raise EMO2Error("config recipe.data", f"keys {', '.join(keys)}", ", ".join(extra), "Remove them.")
        own: dict[str, Any] = {"weight": 1.0}
        if entry["kind"] == "puppets":
            own |= {"count": count, "seed": 0, "split": "train"}
        merged = own | dict(entry)
        for name in ("count", "seed"):
            value = merged.get(name, 0)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                wanted = "a whole number from 0 up"
                raise EMO2Error(f"config recipe.data {name}", wanted, repr(value), "Correct it.")
        weight = merged["weight"]
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < 1e6:
            raise EMO2Error("config recipe.data weight", "a number above 0", repr(weight), "Correct it.")
        checked.append(merged)
    return checked


def open_source(entry: Mapping[str, Any]) -> Source | None:
    """Where an entry's clips come from; None where those that are kept must do."""
    from . import body_clips

    own = {key: value for key, value in entry.items() if key not in ("folder", "root", "weight")}
    if entry["kind"] != "puppets":
        own["folder"] = entry.get("root")
    wanted = entry["count"] if entry["kind"] == "puppets" else own["folder"]
    return body_clips.open_source(own) if wanted else None


def open_clips(entries: Sequence[Mapping[str, Any]], tokenizer: Tokens, voice: Any | None, key: str) -> list[Drawn]:
    """Sources of `check_clips`' entries; clips that are missing are made first. key: names tokenizer and voice."""
    opened = []
    for entry in entries:
        clips = ClipFolder(Path(entry["folder"]) / key, open_source(entry), tokenizer, voice)
        clips.make_all()
        opened.append(Drawn(clips, float(entry["weight"])))
    return opened
