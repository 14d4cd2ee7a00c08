"""One recording: what was heard, how the hands moved to it; and finding and reading the sound that belongs to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...models.audio.waveform import RATE, prepare_waveform
from ...models.errors import EMO2Error
from ...models.motion.edit import resample
from ...models.types import Motion

LOG = logging.getLogger("emo2")
SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
FOLDERS = ("wave16k", "audio", "wav", "sound")
"""Names of folders beside a recording's own in which its sound may lie; BEAT2 has wave16k beside smplxflame_30."""
MODELS = ("models", "smplx", "mano")
"""Folders under a data set's in which the user's own model files are looked for, after the data set's own."""
TOLERANCE = 0.1
"""By what share of its length a sound may be longer or shorter than the motion before the two are no pair."""


@dataclass(frozen=True)
class Recording:
    """waveform (T,) float32 mono 16 kHz, as long as the motion; motion; style; name (the file's stem)."""

    waveform: np.ndarray
    motion: Motion
    style: str
    name: str

    def __iter__(self) -> Iterator[object]:
        """Unpacks to what is learned from: waveform, motion, style."""
        return iter((self.waveform, self.motion, self.style))


def paired(path: Path, motion: Motion, style: str, fps: float | None, where: str) -> Recording:
    """The recording of a motion file: its sound is found, both are cut to the shorter, the motion resampled."""
    sound = find_sound(path, where)
    waveform = read_sound(sound, where)
    heard = len(waveform) / RATE
    if abs(heard - motion.duration) > max(TOLERANCE * motion.duration, 0.5):
        raise EMO2Error(
            where, f"a sound as long as the motion in {path.name} ({motion.duration:.1f} s)",
            f"{heard:.1f} s in {sound.name}", "Check that the two belong together, and the motion's frame rate.",
        )  # fmt: skip
    count = max(1, min(len(motion), int(heard * motion.fps + 1e-6)))
    motion = motion.frames(0, count)
    waveform = waveform[: round(count / motion.fps * RATE)]
    return Recording(waveform, motion if fps is None else resample(motion, fps), style, path.stem)


def find_sound(path: Path, where: str) -> Path:
    """The sound of the same name beside a motion file, or in a folder of FOLDERS beside the motion's."""
    places = [path.parent, *(path.parent.parent / name for name in FOLDERS)]
    for place in places:
        for suffix in SOUNDS:
            if (found := place / (path.stem + suffix)).is_file():
                return found
    raise EMO2Error(
        where, f"the sound of {path.name}: {path.stem}.wav or .flac", f"none in {path.parent} nor in its neighbours "
        f"{', '.join(FOLDERS)}", "Put the sound beside the motion file.",
    )  # fmt: skip


def read_sound(path: Path, where: str) -> np.ndarray:
    """A sound file as a mono waveform (T,) float32 at 16 kHz. EMO2Error for a damaged or empty one."""
    import soundfile
    import torch

    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        return prepare_waveform({"waveform": torch.from_numpy(samples.T.copy())[None], "sample_rate": rate})
    except (RuntimeError, OSError, TypeError) as error:
        raise EMO2Error(where, "a sound that can be read", f"{path} ({error})", "Get the file again.") from error
    except EMO2Error as error:
        raise EMO2Error(where, error.expected, f"{error.given} in {path}", error.remedy) from error


def in_folder(
    folder: Path, pattern: str, read: Callable[[Path], Recording], where: str, strict: bool
) -> Iterator[Recording]:
    """The recordings of all files of a pattern under `folder`, in the order of their names.
    Model files of the user's that lie among them are no recordings.

    strict: a file that cannot be used stops the reading; otherwise it is left out with a warning.
    """
    paths = files_in(folder, pattern, where)
    used = 0
    for path in paths:
        try:
            recording = read(path)
        except EMO2Error as error:
            if strict:
                raise
            LOG.warning("left out: %s", error)
            continue
        used += 1
        yield recording
    if not used:
        given = f"none of {len(paths)} {pattern} files in {folder} (the warnings say why)"
        raise EMO2Error(where, "at least one recording that can be used", given, "Correct what the warnings name.")


def files_in(folder: Path, pattern: str, where: str) -> list[Path]:
    """The files of a pattern under `folder` by name, without model files of the user's; EMO2Error for none."""
    found = sorted(folder.rglob(pattern)) if folder.is_dir() else []
    paths = [path for path in found if path.is_file() and not path.name.upper().startswith(("SMPLX_", "MANO_"))]
    if not paths:
        raise EMO2Error(where, f"a folder with {pattern} files", f"none in {folder}", "Name the data set's folder.")
    return paths


def find_models(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    """The first file of the patterns in a data set's folder or in one of MODELS under or beside it, or None."""
    places = [folder, *(folder / name for name in MODELS), *(folder.parent / name for name in MODELS)]
    for pattern in patterns:
        for place in places:
            if found := sorted(p for p in place.glob(pattern) if p.is_file()):
                return found[0]
    return None
