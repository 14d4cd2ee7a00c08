"""What stage 1 learns from: takes (a sound, how the hands moved to it, and what was known of both), cached or read."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..models.audio import loudness
from ..models.errors import EMO2Error
from ..models.motion import vector
from ..models.motion.config import STYLES
from ..models.types import Motion
from ..models.whole_files import whole_file
from .options import check_entries

LOG = logging.getLogger("emo2")
PICTURE = 64
"""Side of the reference picture that the small image encoder sees."""

SECONDS = (12.5, 16.0)
"""Length of a take: at least a window of 312 frames."""
TAKES = 1600
"""Takes that a folder of puppets gets when the config does not say how many."""

MAKE = "Make it with build_motion_cache."


@dataclass(frozen=True)
class Take:
    """One performance for stage 1. F frames at `fps`, N = ceil(T / 320) states of 50 a second.

    waveform (T,) float32 at 16 kHz, frame 0 begins with sample 0. motion (F, 170): `vector.pack`, not normalised.
    known (F, 170) bool: the numbers that are annotated. visible (F, 2) bool. offset (F, 7): body position and rotation.
    style: a name. loudness (N,) and mouth (F, 2): what the sound heads learn, of the whole sound. picture (64, 64, 3)
    uint8: the reference as CLIP sees it, or None.
    """

    waveform: np.ndarray
    motion: np.ndarray
    known: np.ndarray
    visible: np.ndarray
    offset: np.ndarray
    style: str
    loudness: np.ndarray
    mouth: np.ndarray
    fps: float = 25.0
    picture: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.motion)

    @classmethod
    def of(
        cls, waveform: np.ndarray, motion: Motion, style: str, picture: np.ndarray | None = None,
        mouth: np.ndarray | None = None,
    ) -> Take:  # fmt: skip
        """A take of a waveform (T,) at 16 kHz and its motion. mouth (F, 2): measured from the sound when None."""
        from .puppets.mouth import mouth_shapes

        offset = np.concatenate([motion.body_offset, motion.body_rotation], axis=1)
        mouth = np.asarray(mouth_shapes(waveform, motion.fps) if mouth is None else mouth, np.float32)
        mouth = np.pad(mouth, ((0, max(0, len(motion) - len(mouth))), (0, 0)), mode="edge")[: len(motion)]
        return cls(
            waveform=np.asarray(waveform, np.float32),
            motion=vector.pack(motion),
            known=vector.known(motion),
            visible=np.array(motion.visible),
            offset=offset.astype(np.float32),
            style=style,
            loudness=loudness(waveform),
            mouth=mouth,
            fps=motion.fps,
            picture=picture,
        )


class MotionCache:
    """The takes of a folder made by `build_motion_cache`; the last that were asked for stay in memory (1 MB each)."""

    def __init__(self, folder: Path | str, keep: int = 2048):
        self.folder = Path(folder)
        self.files = sorted(self.folder.glob("take_*.npz"))
        if not self.files:
            raise EMO2Error("data folder", "takes of motion (take_*.npz)", f"none in {self.folder}", MAKE)
        self.keep = keep
        self._read: OrderedDict[int, Take] = OrderedDict()

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Take:
        if index not in self._read:
            self._read[index] = read_take(self.files[index])
            if len(self._read) > self.keep:
                self._read.popitem(last=False)
        return self._read[index]


def read_take(path: Path) -> Take:
    """One take from its file; EMO2Error that names the file when it is missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            values = {name: data[name] for name in data.files}
        take = Take(
            waveform=values["waveform"].astype(np.float32) / 32767,
            motion=values["motion"],
            known=np.unpackbits(values["known"], axis=1, count=vector.SIZE).astype(bool),
            visible=values["visible"],
            offset=values["offset"],
            style=str(values["style"]),
            loudness=values["loudness"],
            mouth=values["mouth"],
            fps=float(values["fps"]),
            picture=values["picture"] if values["picture"].size else None,
        )
    except Exception as error:  # numpy and zipfile raise whatever they like for a damaged file
        raise EMO2Error(
            "data folder", "a whole take of motion", f"{type(error).__name__}: {error} ({path})",
            "Delete that file and make the cache again; only what is missing is made.",
        ) from error  # fmt: skip
    if take.motion.shape != (len(take), vector.SIZE) or not np.isfinite(take.motion).all():
        raise EMO2Error(
            "data folder", f"finite motion (F, {vector.SIZE})", f"{take.motion.shape} in {path}", "Delete that file."
        )
    return take


def write_take(path: Path, take: Take) -> None:
    """One take into a file, whole or not at all; the sound in 16 bits."""
    peak = max(1.0, float(np.abs(take.waveform).max(initial=0.0)))
    picture = np.zeros((0,), np.uint8) if take.picture is None else take.picture
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(
            stream,
            waveform=np.rint(take.waveform / peak * 32767).astype(np.int16),
            motion=take.motion.astype(np.float32),
            known=np.packbits(take.known, axis=1),
            visible=take.visible,
            offset=take.offset,
            style=np.array(take.style),
            loudness=take.loudness.astype(np.float32),
            mouth=take.mouth.astype(np.float32),
            fps=np.array(take.fps),
            picture=picture,
        )


def build_motion_cache(
    folder: Path | str,
    count: int,
    seed: int = 0,
    split: str = "train",
    seconds: tuple[float, float] = SECONDS,
    on_take: Callable[[int, int], None] | None = None,
) -> MotionCache:
    """Write takes of puppets seed..seed+count-1 of a split into `folder`; those that are there already stay.

    Every tenth take is long (25 s), for windows that are not the first. on_take(done, count) after each. Several
    processes may fill one folder: each begins elsewhere and passes over what is there.
    """
    folder = Path(folder)
    made = 0
    begin = os.getpid() * 7919 % max(count, 1)
    for done, number in enumerate((*range(begin, count), *range(begin)), 1):
        path = folder / f"take_{number:06d}.npz"
        if not path.is_file():
            write_take(path, puppet_take(seed + number, split, seconds))
            made += 1
            if made % 100 == 0:
                LOG.info("%d takes of motion made for %s", made, folder)
        if on_take:
            on_take(done, count)
    return MotionCache(folder)


def puppet_take(seed: int, split: str = "train", seconds: tuple[float, float] = SECONDS) -> Take:
    """The take of puppet `seed`: its sound, its motion, and its reference picture as CLIP sees it."""
    from .puppets.world import Puppet

    rng = np.random.default_rng([seed, 77])
    length = 25.0 if rng.random() < 0.1 else rng.uniform(*seconds)
    # Half of the takes as styles come, the other half evenly: the rare ones must be learned as well.
    style = STYLES[seed // 2 % len(STYLES)] if seed % 2 else None
    puppet = Puppet.draw(seed, split, seconds=round(length * 25) / 25, style=style)
    heard = puppet.performance
    return Take.of(heard.waveform, puppet.motion, heard.style, clip_picture(puppet.reference()), heard.mouth)


def clip_picture(picture: np.ndarray, size: int = PICTURE) -> np.ndarray:
    """What CLIP sees of a picture (H, W, 3) uint8: its middle square in `size`, uint8, as `prepare_pixels` cuts it."""
    import torch

    from ..models.video.clip_vision import MEAN, STD, prepare_pixels

    pixels = prepare_pixels(torch.from_numpy(np.ascontiguousarray(picture))[None].float() / 255, size)[0]
    back = pixels * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    return (back * 255).round().clamp(0, 255).byte().movedim(0, -1).numpy()


class TakeList:
    """Takes that are in memory: real data through the readers, or a test's own."""

    def __init__(self, takes: Sequence[Take]):
        self.takes = list(takes)

    def __len__(self) -> int:
        return len(self.takes)

    def __getitem__(self, index: int) -> Take:
        return self.takes[index]


@dataclass(frozen=True)
class Source:
    """One entry of the config's `data` list, opened: takes, and how often they are drawn compared with the others."""

    kind: str
    takes: MotionCache | TakeList
    weight: float = 1.0


def open_sources(entries: Sequence[Mapping[str, Any]], fps: float = 25.0) -> list[Source]:
    """Sources of the config's `data` list, checked by `check_sources`.

    Puppets' takes that are not in their folder yet are made first. Motion of another frame rate is resampled to `fps`.
    EMO2Error for a folder without data.
    """
    return [_open(entry, fps) for entry in entries]


def check_sources(entries: Any, count: Any = None) -> list[dict[str, Any]]:
    """The config's `data`, checked without opening anything: a folder of puppets' takes, or a list of
    `{kind: puppets | beat2 | show | prepared, folder: ..., weight: 1, ...}` with what `KEYS` lists (puppets: count and
    seed; takes that are missing are made; count 0: those that are there). `count`: the default for puppets."""
    if count is None:
        count = TAKES
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise EMO2Error("config recipe.takes", "a whole number from 0 up", repr(count), "Correct it.")
    return check_entries(entries, KEYS, {"count": count, "seed": 0}, "[{kind: puppets, folder: data/motion}]")


KEYS: dict[str, tuple[str, ...]] = {
    "puppets": ("count", "seed"),
    "beat2": ("style", "body", "hands", "fingers", "strict"),
    "show": ("style", "body", "hands", "strict"),
    "prepared": ("style",),
}
"""What a kind of data may be told besides kind, folder and weight; for real data, what its reader takes."""


def _open(entry: Mapping[str, Any], fps: float) -> Source:
    folder, weight = Path(entry["folder"]), float(entry.get("weight", 1.0))
    if entry["kind"] == "puppets":
        count = int(entry["count"])
        cache = build_motion_cache(folder, count, int(entry["seed"])) if count else MotionCache(folder)
        return Source("puppets", cache, weight)
    from importlib import import_module

    reader = import_module(f".readers.{entry['kind']}", __package__)
    options = {key: entry[key] for key in KEYS[entry["kind"]] if key in entry}
    takes = []
    for waveform, motion, style, *more in reader.read_folder(folder, fps=fps, **options):
        if style not in STYLES:
            LOG.warning("%s: style %r is none of the model's and goes untold", folder.name, style)
        takes.append(Take.of(waveform, motion, style, *more))
    if not takes:
        raise EMO2Error("data folder", f"recordings of {entry['kind']}", f"none in {folder}", "Name their folder.")
    return Source(entry["kind"], TakeList(takes), weight)


def statistics(sources: Sequence[Source], most: int = 600) -> tuple[np.ndarray, np.ndarray, float]:
    """(mean (170,), deviation (170,), ordinary speed m^2) of up to `most` takes of every source, evenly spread.

    Numbers that are not annotated do not count. Deviations have floors: what hardly moves in the data is not blown up
    to the size of a gesture. The ordinary speed is the median variance of hands that speak.
    """
    total, square, seen = np.zeros(vector.SIZE), np.zeros(vector.SIZE), np.zeros(vector.SIZE)
    speeds: list[float] = []
    for source in sources:
        for index in np.unique(np.linspace(0, len(source.takes) - 1, min(most, len(source.takes))).round().astype(int)):
            take = source.takes[int(index)]
            values = np.where(take.known, take.motion, 0).astype(np.float64)
            total += values.sum(0) * source.weight
            square += np.square(values).sum(0) * source.weight
            seen += take.known.sum(0) * source.weight
            speeds += [v for v in variances(take.motion, take.visible) if v >= 0 and take.style == STYLES[0]]
    mean = total / np.maximum(seen, 1)
    deviation = np.sqrt(np.maximum(square / np.maximum(seen, 1) - mean**2, 0))
    return mean, np.maximum(deviation, FLOOR), float(np.median(speeds)) if speeds else 0.005


FLOOR = np.full(vector.SIZE, 0.02)
FLOOR[vector.KEYPOINTS] = 0.02
for _hand in range(2):
    FLOOR[vector.hand(_hand).stop - 3 : vector.hand(_hand).stop] = 0.01


def variances(motion: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Speed (2,) of each hand in motion vectors (F, 170), m^2, over its visible frames; -1 where under half are."""
    result = np.full(2, -1.0)
    for index in range(2):
        seen = visible[:, index]
        if len(seen) and seen.mean() >= 0.5:
            place = motion[seen, vector.hand(index).stop - 3 : vector.hand(index).stop]
            result[index] = vector.hand_variance(np.repeat(place[:, None], 2, axis=1))[index]
    return result
