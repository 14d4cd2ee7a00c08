"""Arrays too long to keep in memory: written to a file front to back, then read from it piece by piece."""

from __future__ import annotations

import mmap
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EMO2Error

MARGIN = 64 << 20
"""Bytes that must stay free on the disk beside the array."""


class SpoolWriter:
    """Collects rows for one array, in memory or in a file in `folder`; also a context manager that cleans up.

    `finish` gives the array, read-only. The file is removed when the array and all views of it are gone, or when the
    process ends; nothing is left behind when the work is given up in the middle.
    """

    def __init__(self, folder: Path | None, shape: tuple[int, ...], dtype: np.dtype):
        self.shape, self.dtype, self.written = shape, dtype, 0
        self._file: Any = None
        self._path: Path | None = None
        if folder is None:
            self._array = np.empty(shape, dtype)
            return
        size = int(np.prod(shape)) * dtype.itemsize
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size + MARGIN:
            raise EMO2Error(
                "audio", f"{(size + MARGIN) >> 20} MB free in {folder} for a sound this long", f"{free >> 20} MB",
                "Free some space there, or cut the sound into parts.",
            )  # fmt: skip
        handle, name = tempfile.mkstemp(dir=folder, prefix="emo2-audio-", suffix=".raw")
        self._path, self._file = Path(name), os.fdopen(handle, "wb")

    def write(self, rows: np.ndarray) -> None:
        """Append rows (n, ...)."""
        if self._file is None:
            self._array[self.written : self.written + len(rows)] = rows
        else:
            # Plain writes, not a writable mapping: its dirty pages would count as this process's memory.
            self._file.write(np.ascontiguousarray(rows, self.dtype).data.cast("B") if rows.size else b"")
        self.written += len(rows)

    def finish(self) -> np.ndarray:
        """The whole array; every row must have been written."""
        if self.written != self.shape[0]:
            raise ValueError(f"{self.written} of {self.shape[0]} rows were written")
        if self._file is None:
            self._array.setflags(write=False)
            return self._array
        self._file.close()
        path, self._path = self._path, None
        assert path is not None
        try:
            array = Spooled(path, dtype=self.dtype, mode="r", shape=self.shape)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        # Views keep the mapping alive, not the array object, so it is the mapping that owns the file.
        weakref.finalize(array.mapping, _remove, str(path))
        return array

    def __enter__(self) -> SpoolWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Spooled(np.memmap):
    """A read-only mapped array whose pieces, taken by a slice of the first axis, are copies in memory.

    Mapped pages that were read count as the process's memory for as long as the mapping lives. Here they are given
    back after each piece, so reading an hour front to back takes no more memory than its largest piece.
    """

    @property
    def mapping(self) -> mmap.mmap:
        return self._mmap  # type: ignore[attr-defined]

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, slice):
            return super().__getitem__(key)
        piece = np.array(super().__getitem__(key))
        mapping = getattr(self, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)
        piece.setflags(write=False)
        return piece


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        # Gone already (a temp folder emptied by its owner), or still mapped on Windows: that folder's owner clears it.
        return
