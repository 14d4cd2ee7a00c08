"""Footage prepared by `emo2 prepare` as stage 1 learns from it: whole clips, put together again from their records.

Only motion, sound and mouth are read of a record; its pictures stay on the disk, but for one reference a clip.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...models.audio.waveform import RATE
from ...models.errors import EMO2Error
from ...models.motion.edit import resample
from ...models.types import Framing, Motion
from ..puppets.cache import RECORDED, PuppetCache, read_record, record_path

LOG = logging.getLogger("emo2")
WHERE = "prepared footage"
REMEDY = "Prepare it again with `emo2 prepare`."
Taken = tuple[np.ndarray, Motion, str, np.ndarray, np.ndarray]


def read_folder(folder: Path | str, *, fps: float | None = 25.0, style: str | None = None) -> Iterator[Taken]:
    """(waveform (T,) at 16 kHz, motion, style, reference as CLIP sees it, mouth (F, 2)) of every clip of a folder.

    style: another than the folder's own. fps: of the motion that is returned, None: the folder's own; mouths are
    resampled with it. EMO2Error for a folder of something else, or a damaged record.
    """
    cache = PuppetCache(folder)
    if cache.info.get("kind") != "footage":
        given = f"{cache.info.get('kind', 'painted puppets')} in {folder}"
        raise EMO2Error(WHERE, "a folder made by `emo2 prepare`", given, "Name that folder, or take another kind.")
    clips: dict[str, list[dict[str, Any]]] = {}
    for index in range(len(cache)):
        record = _read(record_path(cache.folder, index))
        clips.setdefault(record["info"]["clip"], []).append(record)
        # Records of a clip stand together: once another begins, the ones before are whole.
        if len(clips) > 1:
            yield _whole(clips.pop(next(iter(clips))), fps, style)
    for records in clips.values():
        yield _whole(records, fps, style)


def _read(path: Path) -> dict[str, Any]:
    """The small arrays of a record, with its info and path."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in (*RECORDED, "mouth", "waveform")}
            info = json.loads(str(archive["info"]))
        return arrays | {"info": info, "path": path, "start": int(info["start"]), "clip": info["clip"]}
    except Exception as error:  # a damaged zip can raise nearly anything
        raise EMO2Error(WHERE, "a whole record of footage", f"a damaged {path}", REMEDY) from error


def _whole(records: list[dict[str, Any]], fps: float | None, style: str | None) -> Taken:
    """A clip of its records, which may overlap at its end."""
    from ..motion_data import clip_picture

    records = sorted(records, key=lambda record: record["start"])
    info, own = records[0]["info"], float(records[0]["info"]["fps"])
    begin = at = records[0]["start"]
    parts = []
    for record in records:
        count = len(record["mouth"])
        if record["start"] > at:
            given = f"frames {at} to {record['start'] - 1} missing before {record['path']}"
            raise EMO2Error(WHERE, "all records of a clip", given, REMEDY)
        parts.append((record, slice(at - record["start"], count)))
        at = max(at, record["start"] + count)
    joined = lambda name: np.concatenate([record[name][part] for record, part in parts])
    fields = {name: joined(name) for name in RECORDED}
    motion = Motion(fps=own, framing=Framing(**info["framing"]), **fields)
    mouth = joined("mouth")
    waveform = records[0]["waveform"].astype(np.float32) / 32767
    waveform = waveform[round(begin / own * RATE) : round(at / own * RATE)]
    if fps is not None and fps != own:
        moved = resample(motion, fps)
        times = (np.arange(len(moved)) + 0.5) / fps * own - 0.5
        mouth = np.stack([np.interp(times, np.arange(len(mouth)), column) for column in mouth.T], 1)
        motion = moved
    picture = clip_picture(read_record(records[0]["path"]).reference)
    return waveform, motion, style or str(info["style"]), picture, mouth.astype(np.float32)
