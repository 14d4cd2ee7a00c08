"""Clips of whole bodies with what is said of them and their sound, kept in a folder, one file a clip.

Tokenizer, branches and matching network learn from the same ones: making a puppet's clip takes a second.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..models.body import vector
from ..models.errors import EMO2Error
from ..models.whole_files import whole_file
from . import body_clips
from .body_clips import BodyClip, Source
from .described import Described
from .options import check_entries

LOG = logging.getLogger("emo2")
CLIPS = 2000
"""Clips that a folder of puppets gets when the config does not say how many."""
KEEP = 4096
"""Clips of a folder that stay in memory once they were read; half a megabyte each."""


@dataclass(frozen=True)
class KeptClip:
    """vectors (F, 384) float16 of the body, and known (F, 2) bool: which hands are. texts: as they were told. waveform
    (T,) int16, 16 kHz, or None without a sound."""

    vectors: np.ndarray
    known: np.ndarray
    texts: tuple[Described, ...] = ()
    waveform: np.ndarray | None = None

    @classmethod
    def of(cls, clip: BodyClip, fps: float) -> KeptClip:
        """A source's clip at a frame rate."""
        body = clip.body.resampled(fps)
        sound = None
        if clip.waveform is not None:
            sound = (np.clip(clip.waveform, -1, 1) * 32767).round().astype(np.int16)
        return cls(vector.to_vector(body).astype(np.float16), np.asarray(body.hands), clip.texts, sound)


def write_clip(path: Path, clip: KeptClip, fps: float) -> None:
    """Whole or not at all; plain arrays, no pickle."""
    values = {
        "vectors": clip.vectors, "known": clip.known, "fps": np.float64(fps),
        "texts": np.array([told.text for told in clip.texts], np.str_),
        "spans": np.array([(told.start, told.end) for told in clip.texts], np.float64).reshape(-1, 2),
    }  # fmt: skip
    if clip.waveform is not None:
        values["waveform"] = clip.waveform
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **values)  # type: ignore[arg-type]


def read_clip(path: Path, fps: float) -> KeptClip:
    """The clip of a file of `write_clip`; EMO2Error for a damaged file, or one of another frame rate."""
    try:
        with np.load(path, allow_pickle=False) as data:
            told = tuple(Described(str(t), float(a), float(b)) for t, (a, b) in zip(data["texts"], data["spans"]))
            made, rate = KeptClip(data["vectors"], data["known"], told, data.get("waveform")), float(data["fps"])
    except Exception as error:  # numpy and zipfile raise whatever they like for a damaged file
        raise EMO2Error("data folder", "clips as written", f"{error} ({path})", "Delete that file.") from error
    if rate != fps:
        given = f"{rate:g} in {path}"
        raise EMO2Error("data folder", f"clips of {fps:g} frames a second", given, "Name another folder.")
    return made


class KeptClips:
    """The clips of a source in a folder; those that are missing are made when they are asked for. source None: those
    that the folder has."""

    def __init__(self, folder: Path | str, source: Source | None, fps: float = 25.0):
        self.folder, self.source, self.fps = Path(folder), source, fps
        if source is None:
            self.files = sorted(self.folder.glob("clip_*.npz"))
        else:
            self.files = [self.folder / f"clip_{index:06d}.npz" for index in range(source.count)]
        if not self.files:
            raise EMO2Error(
                "data folder", "clips (clip_*.npz)", f"none in {folder}", "Give count above 0 to make some."
            )
        self._read: OrderedDict[int, KeptClip] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> KeptClip:
        if index not in self._read:
            self._make(index)
            self._read[index] = read_clip(self.files[index], self.fps)
            if len(self._read) > KEEP:
                self._read.popitem(last=False)
        self._read.move_to_end(index)
        return self._read[index]

    def _make(self, index: int) -> bool:
        if self.source is None or self.files[index].is_file():
            return False
        write_clip(self.files[index], KeptClip.of(self.source.clip(index), self.fps), self.fps)
        return True

    def texts(self) -> list[str]:
        """Everything that is said of the clips, each once, in order."""
        return list(dict.fromkeys(told.text for index in range(len(self)) for told in self[index].texts))

    def make_all(self) -> None:
        """Make what is missing."""
        for index in range(len(self.files)):
            if self._make(index) and (index + 1) % 100 == 0:
                LOG.info("%d of %d clips made for %s", index + 1, len(self.files), self.folder)


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
    puppets = {"count": CLIPS if count is None else count, "seed": 0, "split": "train"}
    return check_entries(entries, KEYS, puppets, "[{kind: puppets, folder: runs/directed, count: 2000}]")


def open_source(entry: Mapping[str, Any]) -> Source | None:
    """Where an entry's clips come from; None where those that are kept must do."""
    own = {key: value for key, value in entry.items() if key not in ("folder", "root", "weight")}
    if entry["kind"] != "puppets":
        own["folder"] = entry.get("root")
    wanted = entry["count"] if entry["kind"] == "puppets" else own["folder"]
    return body_clips.open_source(own) if wanted else None


def open_kept(entries: Sequence[Mapping[str, Any]], fps: float) -> list[KeptClips]:
    """The folders of `check_clips`' entries; clips that are missing are made first."""
    found = []
    for entry in entries:
        clips = KeptClips(entry["folder"], open_source(entry), fps)
        clips.make_all()
        found.append(clips)
    return found
