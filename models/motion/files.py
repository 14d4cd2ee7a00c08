"""Motion as a file: a `.npz` of plain arrays (no pickle), whole or not at all, read back without loss.

Arrays: every field of `Motion` that has one entry a frame under its own name, `fps`, `framing` = (neck x, neck y,
shoulder width, focal), `framing_size` = (H, W), `format` = "emo2-motion", `version`.
"""

from __future__ import annotations

import io
import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ..errors import EMO2Error
from ..types import FRAME_FIELDS, Framing, Motion
from ..whole_files import whole_file

FORMAT, VERSION = "emo2-motion", 1
LATER = {"pose_strength"}
"""Fields that files of earlier versions lack; they then have the value that changes nothing."""
LARGEST = 1 << 30
"""Bytes of arrays above which a file is refused: two hours at 100 frames a second."""


def save_motion(motion: Motion, path: Path | str) -> Path:
    """Write `motion` to `path` (.npz). The same motion gives the same bytes."""
    framing = motion.framing
    arrays: dict[str, np.ndarray] = {
        "format": np.array(FORMAT),
        "version": np.array(VERSION),
        "fps": np.array(motion.fps, np.float64),
        "framing": np.array([*framing.neck, framing.shoulder_width, framing.focal], np.float64),
        "framing_size": np.array(framing.size, np.int64),
    }
    arrays |= {name: getattr(motion, name) for name in FRAME_FIELDS}
    return write_whole(path, lambda stream: np.savez_compressed(stream, allow_pickle=False, **arrays))


def load_motion(path: Path | str, where: str = "motion_file") -> Motion:
    """The motion in a file that `save_motion` wrote. `where` names the input in errors."""
    path = Path(path)
    if not path.is_file():
        raise EMO2Error(where, "a motion file (.npz)", f"no file at {path}", "Check the name and the folder.")
    again = "Save the motion again with EMO2 Save Motion."
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = _read(archive, path.name, where)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise EMO2Error(where, "a motion file (.npz)", f"{_what_is(path)} ({path.name})", again) from error
    except (ValueError, SyntaxError, OverflowError) as error:
        if isinstance(error, EMO2Error):
            raise
        raise EMO2Error(where, "a motion file (.npz)", f"a damaged one ({path.name}: {error})", again) from error
    fields = [name for name in FRAME_FIELDS if name in arrays or name not in LATER]
    missing = sorted({*fields, "fps", "framing", "framing_size"} - arrays.keys())
    if missing:
        raise EMO2Error(where, "a motion file with all its arrays", f"{path.name} without {', '.join(missing)}", again)
    try:
        x, y, width, focal = (float(n) for n in arrays["framing"])
        height, across = (int(n) for n in arrays["framing_size"])
        framing = Framing((x, y), width, (height, across), focal)
        return Motion(fps=float(arrays["fps"]), framing=framing, **{name: arrays[name] for name in fields})
    except EMO2Error as error:
        raise EMO2Error(f"{where} ({path.name}), {error.input}", error.expected, error.given, again) from error
    except (TypeError, ValueError) as error:
        raise EMO2Error(where, "a motion file (.npz)", f"a damaged one ({path.name}: {error})", again) from error


def write_whole(path: Path | str, write: Callable[[BinaryIO], object]) -> Path:
    """Make a file with `write(stream)` so that it appears under `path` complete or not at all."""
    path = Path(path)
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        write(stream)
    return path


def _read(archive: zipfile.ZipFile, name: str, where: str) -> dict[str, np.ndarray]:
    """The known arrays of an archive; sizes are checked from their headers before anything is unpacked."""
    members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if "format" not in members or "version" not in members:
        raise EMO2Error(
            where, "a motion file (.npz) of this pack", f"another kind of .npz or zip archive ({name})",
            "Choose a file that EMO2 Save Motion wrote.",
        )  # fmt: skip
    kind, version = str(_array(archive, members["format"])), _array(archive, members["version"])
    if kind != FORMAT:
        raise EMO2Error(
            where, f"format {FORMAT}", f"{kind[:60]!r} ({name})", "Choose a file that EMO2 Save Motion wrote."
        )
    if version.size != 1 or int(version.item()) > VERSION:
        raise EMO2Error(where, f"file version {VERSION} or older", f"{version} ({name})", "Update the pack.")
    known = [members[key] for key in (*FRAME_FIELDS, "fps", "framing", "framing_size") if key in members]
    size = sum(info.file_size for info in known)
    if size > LARGEST:
        given = f"{size >> 20} MB ({name})"
        raise EMO2Error(where, f"at most {LARGEST >> 20} MB of motion", given, "Cut it into shorter pieces.")
    return {info.filename.removesuffix(".npy"): _array(archive, info) for info in known}


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, of numbers or text only, whose header agrees with the size of its member."""
    if info.file_size > LARGEST:
        raise ValueError(f"{info.filename} is too large")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(stream)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize > info.file_size:
            raise ValueError(f"{info.filename} is not a plain array")
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)


def _what_is(path: Path) -> str:
    """A guess at what a wrong file is, for error messages only."""
    with open(path, "rb") as stream:
        head = stream.read(16)
    if not head:
        return "an empty file"
    if head[:1] == b"\x80":
        return "a Python pickle, which is never opened because it can run code"
    if head[:6] == b"\x93NUMPY":
        return "a single .npy array"
    if head[:2] == b"PK":
        return "a truncated or damaged archive"
    return "a file of another kind"
