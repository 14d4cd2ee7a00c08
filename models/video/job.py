"""A long rendering that survives interruption: finished clips lie in a hidden folder beside the video to come.

`.<name>.emo2job/` holds a manifest with the fingerprint of everything the video is made from, one mp4 segment a clip,
and the latents that the next clip continues from. The same job, started again, finds its folder by the fingerprint and
goes on after the last whole clip. A folder has one owner at a time.
"""

from __future__ import annotations

import filecmp
import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..file_lock import locked
from ..whole_files import whole_file
from . import mp4
from .sound import Sound

log = logging.getLogger("emo2")
FORMAT = 1
SUFFIX = ".emo2job"
BLOCK = 1 << 20


def fingerprint(parts: Mapping[str, Any]) -> str:
    """SHA-256 over the content of numbers, strings, arrays, tensors and dataclasses of them; long arrays in pieces."""
    digest = hashlib.sha256(f"emo2job {FORMAT}".encode())
    _feed(digest, dict(parts))
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().float().numpy() if value.dtype == torch.bfloat16 else value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        digest.update(f"array {value.dtype.str} {value.shape}".encode())
        for block in _blocks(value):
            digest.update(block)
    elif isinstance(value, Mapping):
        for name in sorted(value):
            digest.update(f"key {name}".encode())
            _feed(digest, value[name])
    elif is_dataclass(value):
        _feed(digest, {field.name: getattr(value, field.name) for field in fields(value)})
    elif isinstance(value, (list, tuple)):
        digest.update(f"list {len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif value is None or isinstance(value, (str, int, float, bool)):
        digest.update(f"{type(value).__name__} {value!r};".encode())
    else:
        raise TypeError(f"cannot take a fingerprint of {type(value).__name__}")


def _blocks(array: np.ndarray) -> Iterator[np.ndarray | bytes]:
    """The bytes of an array in order, never many at once."""
    if isinstance(array, np.memmap) and array.ndim and len(array):
        # By slices of the first axis: spooled sound gives back the memory of the piece before.
        rows = max(1, BLOCK // max(1, array.nbytes // len(array)))
        for first in range(0, len(array), rows):
            yield np.ascontiguousarray(array[first : first + rows]).tobytes()
    elif array.nbytes <= BLOCK:
        yield array.tobytes()
    elif array.flags.c_contiguous:
        flat = array.reshape(-1).view(np.uint8)
        yield from (flat[first : first + BLOCK] for first in range(0, flat.size, BLOCK))
    else:
        for part in array:
            yield from _blocks(part)


@dataclass
class Job:
    """One rendering: `folder` is the job's own, `name` the video's file name, `clips` how many there are in all."""

    folder: Path
    name: str
    clips: int

    def segment(self, index: int) -> Path:
        return self.folder / f"clip_{index:05d}.mp4"

    def _latents(self, index: int) -> Path:
        return self.folder / f"latents_{index:05d}.npy"

    def done(self) -> int:
        """How many clips are whole, from the first on."""
        count = 0
        while count < self.clips and self.segment(count).is_file():
            count += 1
        # Going on needs the latents of the last clip; without them (somebody tidied up) the job begins again.
        return count if count in (0, self.clips) or self.carried(count) is not None else 0

    def carried(self, index: int) -> torch.Tensor | None:
        """The latents (M, C, h, w) that clip `index` continues from, when the clip before left them."""
        with suppress(OSError, ValueError):
            return torch.from_numpy(np.load(self._latents(index - 1), allow_pickle=False))
        return None

    def commit(self, index: int, frames: Iterable[torch.Tensor], carried: torch.Tensor, fps: float, crf: int) -> None:
        """Keep a finished clip: first what the next one needs, then the segment, whose name makes it count."""
        path = self._latents(index)
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            np.save(stream, carried.float().cpu().numpy())
        mp4.write_segment(self.segment(index), frames, fps, crf)
        self._latents(index - 1).unlink(missing_ok=True)

    def finish(self, fps: float, sound: Sound | None) -> Path:
        """Join the clips to the video under its final name, remove the folder, and return the video's path.

        A file of that name that came up meanwhile is never overwritten: the video then gets the next free number.
        """
        whole = self.folder / "whole.mp4"
        mp4.join([self.segment(index) for index in range(self.clips)], whole, fps, sound)
        final = self.folder.parent / self.name
        while not _place(whole, final):
            # After a crash between naming and tidying up, the file that is there is this very video.
            if filecmp.cmp(whole, final, shallow=False):
                break
            prefix = re.sub(r"_\d+_\.mp4$", "", self.name)
            final = final.with_name(_file_name(prefix, _next_number(final.parent, prefix)))
        shutil.rmtree(self.folder, ignore_errors=True)
        return final


def _place(source: Path, final: Path) -> bool:
    """Give `source` the name `final` in one step; False when there is such a file."""
    try:
        os.link(source, final)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if final.exists():
            return False
        os.replace(source, final)
    return True


@contextmanager
def open_job(folder: Path, prefix: str, identity: str, clips: int) -> Iterator[Job]:
    """The job with this fingerprint in `folder`, or a new one with the next number: `<prefix>_00001_.mp4`.

    A job that another process is working on counts as somebody else's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for place in sorted(folder.glob(f".*{SUFFIX}")):
        manifest = _manifest(place)
        if manifest.get("fingerprint") == identity and manifest.get("clips") == clips:
            with locked(place / "lock") as mine:
                if mine:
                    job = Job(place, manifest["name"], clips)
                    log.info("Going on with %s: %d of %d clips are there.", job.name, job.done(), clips)
                    yield job
                    return
    place = _new(folder, prefix, identity, clips)
    # Where there are no locks two processes on one job write the same clips twice, no more.
    with locked(place / "lock"):
        yield Job(place, _manifest(place)["name"], clips)


def _manifest(place: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        content = json.loads((place / "job.json").read_text("utf-8"))
        if isinstance(content, dict) and content.get("format") == FORMAT and isinstance(content.get("name"), str):
            # The name is joined to the folder: it must be a plain file name, whoever wrote the manifest.
            return content if content["name"] == Path(content["name"]).name else {}
    return {}


def _new(folder: Path, prefix: str, identity: str, clips: int) -> Path:
    """Make a job folder whole, then give it its name: a name stands for one job only."""
    while True:
        name = _file_name(prefix, _next_number(folder, prefix))
        draft = Path(tempfile.mkdtemp(prefix=".emo2-", dir=folder))
        try:
            manifest = {"format": FORMAT, "name": name, "fingerprint": identity, "clips": clips}
            (draft / "job.json").write_text(json.dumps(manifest), "utf-8")
            place = folder / f".{name}{SUFFIX}"
            if not place.exists():
                with suppress(FileExistsError):
                    os.rename(draft, place)
                    return place
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _file_name(prefix: str, number: int) -> str:
    return f"{prefix}_{number:05d}_.mp4"


def _next_number(folder: Path, prefix: str) -> int:
    """One more than the highest number that a file or an unfinished job with this prefix has."""
    pattern = re.compile(re.escape(f"{prefix}_") + r"(\d+)")
    numbers = [pattern.match(entry.name.lstrip(".")) for entry in folder.iterdir()]
    return max((int(found.group(1)) for found in numbers if found), default=0) + 1
