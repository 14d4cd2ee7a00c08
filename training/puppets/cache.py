"""Puppets painted ahead of training: one file a puppet, pictures and maps as PNG, latents beside them.

folder/cache.json         what the records are: count, seed, split, frames, size
folder/00000.npz ...      one record each
folder/latents.json       which autoencoder made the latents
folder/00000.latents.npy  (1 + F, C, h, w) float16: the reference's latents, then the frames', unscaled
folder/sampled.json       which networks sampled latents
folder/00000.sampled.npy  (F, C, h, w) float16: the frames' latents as a video network samples them
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ...models.errors import EMO2Error
from ...models.maps import keypoint_maps, mano_maps
from ...models.types import FRAME_FIELDS, Framing, Motion
from ...models.whole_files import whole_file
from .footage import as_footage
from .hands import neutral_hands
from .identity import split_rng
from .world import SIZE, Puppet

VERSION = 1
REMAKE = "Make the cache again with `emo2 puppets`."
SECONDS = (3.0, 7.0)
RECORDED = tuple(name for name in FRAME_FIELDS if name != "pose_strength")
"""The fields of a motion that a record has: how strongly it leads is a sampler's business."""


@dataclass(frozen=True)
class Record:
    """A stretch of F frames of one puppet. Pictures are decoded when they are asked for.

    start: number of frame 0 in the performance, whose whole sound is `waveform`; `first` is start == 0.
    """

    path: Path
    arrays: dict[str, np.ndarray]
    info: dict[str, Any]

    def __len__(self) -> int:
        return len(self.arrays["mouth"])

    @property
    def identity(self) -> int:
        """The puppet's number."""
        return int(self.info["identity"])

    @property
    def style(self) -> str:
        return str(self.info["style"])

    @property
    def start(self) -> int:
        return int(self.info["start"])

    @property
    def first(self) -> bool:
        return self.start == 0

    @property
    def size(self) -> tuple[int, int]:
        height, width = self.info["size"]
        return int(height), int(width)

    @cached_property
    def waveform(self) -> np.ndarray:
        """The whole performance's sound, (T,) float32, mono, 16 kHz; frame i of the record is heard at start + i."""
        return self.arrays["waveform"].astype(np.float32) / 32767

    @property
    def mouth(self) -> np.ndarray:
        """(F, 2) opening and width, 0..1."""
        return self.arrays["mouth"]

    @property
    def mouth_places(self) -> np.ndarray:
        """(F, 2) centre of the mouth in pixels."""
        return self.arrays["mouth_places"]

    @property
    def hands(self) -> np.ndarray:
        """(F, 2, 21, 2) hand points in the picture, normalised, OpenPose order."""
        return self.arrays["hands"]

    @property
    def confidence(self) -> np.ndarray:
        return self.arrays["confidence"]

    @property
    def visible(self) -> np.ndarray:
        return self.arrays["visible"]

    @cached_property
    def motion(self) -> Motion:
        """The F frames as a motion."""
        fields = {name: self.arrays[name] for name in RECORDED if name in self.arrays}
        return Motion(fps=float(self.info["fps"]), framing=Framing(**self.info["framing"]), **fields)

    @property
    def reference(self) -> np.ndarray:
        """(H, W, 3) uint8."""
        return self._pictures("pictures", [0])[0]

    @property
    def frames(self) -> np.ndarray:
        """All frames, (F, H, W, 3) uint8."""
        return self.frames_at(range(len(self)))

    def frames_at(self, indices: Sequence[int]) -> np.ndarray:
        """Some frames, (n, H, W, 3) uint8."""
        return self._pictures("pictures", [i + 1 for i in indices])

    @property
    def maps(self) -> np.ndarray:
        """All maps, (F, H, W, 6) uint8."""
        return self.maps_at(range(len(self)))

    def maps_at(self, indices: Sequence[int]) -> np.ndarray:
        """MANO maps and keypoint maps side by side, (n, H, W, 6) uint8."""
        return np.concatenate([self._pictures("mano", indices), self._pictures("keypoint", indices)], -1)

    @cached_property
    def _latents(self) -> np.ndarray | None:
        return _read_latents(latents_path(self.path), 1 + len(self))

    @property
    def latents(self) -> np.ndarray | None:
        """(F, C, h, w) float16, unscaled; None before `encode_cache`."""
        return None if self._latents is None else self._latents[1:]

    @property
    def reference_latents(self) -> np.ndarray | None:
        """(C, h, w) float16, unscaled; None before `encode_cache`."""
        return None if self._latents is None else self._latents[0]

    @cached_property
    def sampled_latents(self) -> np.ndarray | None:
        """(F, C, h, w) float16 as a video network samples them, unscaled; None before `sample_cache`."""
        return _read_latents(latents_path(self.path, "sampled"), len(self))

    def _pictures(self, name: str, indices: Sequence[int]) -> np.ndarray:
        data, ends = self.arrays[name], self.arrays[f"{name}_ends"]
        out = []
        for index in indices:
            begin = 0 if index == 0 else int(ends[index - 1])
            picture = cv2.imdecode(data[begin : int(ends[index])], cv2.IMREAD_COLOR_RGB)
            if picture is None:
                raise EMO2Error("data", "whole PNG pictures", f"a damaged picture {index} in {self.path}", REMAKE)
            out.append(picture)
        return np.stack(out) if out else np.zeros((0, *self.size, 3), np.uint8)


class PuppetCache:
    """The records of a folder, by number."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        about = self.folder / "cache.json"
        try:
            self.info = json.loads(about.read_text())
            count, version = int(self.info["count"]), int(self.info["version"])
        except FileNotFoundError as error:
            raise EMO2Error("data", "a folder of painted puppets", f"no file at {about}", REMAKE) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EMO2Error("data", "a cache.json of painted puppets", f"a damaged {about}", REMAKE) from error
        if version != VERSION:
            raise EMO2Error("data", f"a cache of version {VERSION}", f"version {version} in {about}", REMAKE)
        missing = [i for i in range(count) if not record_path(self.folder, i).is_file()]
        if missing:
            given = f"{len(missing)} of {count} missing, first {record_path(self.folder, missing[0])}"
            raise EMO2Error("data", f"{count} records in {self.folder}", given, REMAKE)
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Record:
        return read_record(record_path(self.folder, index % self.count))

    @property
    def encoded(self) -> bool:
        """Whether every record has latents."""
        return all(latents_path(record_path(self.folder, i)).is_file() for i in range(self.count))


def read_record(path: Path) -> Record:
    """One record; an EMO2Error that names the file when it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        info = json.loads(str(arrays.pop("info")))
    except FileNotFoundError as error:
        raise EMO2Error("data", "a painted puppet", f"no file at {path}", REMAKE) from error
    except Exception as error:  # a damaged zip can raise nearly anything
        raise EMO2Error("data", "a whole .npz record", f"a damaged {path}", REMAKE) from error
    return Record(path, arrays, info)


def _read_latents(path: Path, count: int) -> np.ndarray | None:
    """Latents of `count` pictures; None where there is no file."""
    if not path.is_file():
        return None
    try:
        latents = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise EMO2Error("data", "a whole .npy file of latents", f"a damaged {path}", REMAKE) from error
    if latents.ndim != 4 or len(latents) != count:
        raise EMO2Error("data", f"latents of {count} pictures", f"{latents.shape} in {path}", REMAKE)
    return np.asarray(latents)


def write_cache(
    folder: Path | str,
    count: int,
    seed: int = 0,
    split: str = "train",
    frames: int = 36,
    size: tuple[int, int] = SIZE,
    progress: Callable[[int, int], None] = lambda done, total: None,
    part: tuple[int, int] = (0, 1),
    unsure: float = 0.0,
    framing: str | None = None,
    emotion: str | None = None,
) -> Path:
    """Paint puppets seed..seed+count-1 into `folder`; records that are there already stay.

    frames: length of a record; a third of them begin at the performance's first frame. part (k, n): this process
    paints every n-th record from k on; cache.json appears once all are there. unsure: as `footage.as_footage`.
    framing, emotion: as `Puppet.draw`.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    about = {"version": VERSION, "count": count, "seed": seed, "split": split, "frames": frames, "size": list(size),
             "unsure": unsure, "framing": framing, "emotion": emotion}  # fmt: skip
    _same_plan(folder, about)
    mine = range(part[0], count, part[1])
    for done, index in enumerate(mine):
        path = record_path(folder, index)
        if not path.is_file():
            _write_record(path, seed + index, split, frames, size, unsure, framing, emotion)
        progress(done + 1, len(mine))
    if all(record_path(folder, i).is_file() for i in range(count)):
        with whole_file(folder / "cache.json") as temporary:
            Path(temporary).write_text(json.dumps(about))
    return folder


def record_path(folder: Path, index: int) -> Path:
    return folder / f"{index:05d}.npz"


def latents_path(record: Path, name: str = "latents") -> Path:
    """Where a record's latents lie: the autoencoder's own, or the "sampled" ones of a video network."""
    return record.with_suffix(f".{name}.npy")


def _same_plan(folder: Path, about: dict[str, Any]) -> None:
    plan = folder / "plan.json"
    if plan.is_file():
        before = json.loads(plan.read_text())
        before = {"unsure": 0.0, "framing": None, "emotion": None} | before
        fixed = ("version", "seed", "split", "frames", "size", "unsure", "framing", "emotion")
        if any(before.get(key) != about[key] for key in fixed):
            given = ", ".join(f"{key} {before.get(key)}" for key in fixed)
            raise EMO2Error("out", "an empty folder, or the same puppets", f"{folder} with {given}", "Choose another.")
    with whole_file(plan) as temporary:
        Path(temporary).write_text(json.dumps(about))


def _write_record(
    path: Path, number: int, split: str, frames: int, size: tuple[int, int], unsure: float, framing: str | None,
    emotion: str | None,
) -> None:  # fmt: skip
    rng = split_rng(number, split, 5)
    drawn = Puppet.draw(number, split, seconds=float(rng.uniform(*SECONDS)), framing=framing, emotion=emotion)
    puppet, annotated = as_footage(drawn, unsure)
    total = len(puppet.motion)
    start = 0 if rng.random() < 1 / 3 or total <= frames else int(rng.integers(total - frames + 1))
    motion = puppet.with_face(annotated).frames(start, min(start + frames, total))
    count = len(motion)
    p, part = puppet.performance, slice(start, start + count)
    pictures = [puppet.reference(size), *puppet.video(size, start, count)]
    hands = neutral_hands()
    _, joints = hands.pose(motion.rotations, motion.wrists())
    arrays: dict[str, Any] = {name: getattr(motion, name) for name in RECORDED}
    arrays |= packed("pictures", as_png(pictures))
    arrays |= packed("mano", as_png(mano_maps(motion, hands, size)))
    arrays |= packed("keypoint", as_png(keypoint_maps(motion, size)))
    arrays |= {
        "hands": motion.framing.project(np.asarray(joints)).astype(np.float32),
        "mouth": p.mouth[part].astype(np.float32),
        "blink": p.blink[part].astype(np.float32),
        **({} if p.emotion is None else {"emotion": p.emotion[part].astype(np.float32)}),
        "mouth_places": puppet.mouth_places(size)[part].astype(np.float32),
        "waveform": np.rint(np.clip(p.waveform, -1, 1) * 32767).astype(np.int16),
    }
    info = {
        "identity": number, "split": split, "style": p.style, "start": start, "fps": motion.fps, "size": size,
        "framing": asdict(puppet.framing),
        "voice": p.voice, "sentence": p.sentence,
    }  # fmt: skip
    save_record(path, arrays, info)


def save_record(path: Path, arrays: Mapping[str, Any], info: Mapping[str, Any]) -> None:
    """One record as `read_record` reads it, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, info=np.array(json.dumps(info)), **arrays)


def as_png(pictures: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Pictures (H, W, 3) uint8 as the bytes of PNG files."""
    return [cv2.imencode(".png", cv2.cvtColor(p, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].ravel()
            for p in pictures]  # fmt: skip


def packed(name: str, coded: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Picture files in a row, and where each ends: the arrays of a record under `name`."""
    return {name: np.concatenate(coded), f"{name}_ends": np.cumsum([len(c) for c in coded]).astype(np.int64)}
