"""Plain arrays out of `.npz` files that others made; nothing that could run code is ever opened."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...models.errors import EMO2Error

MOST_BYTES = 2 << 30
"""A single array that claims to be larger than this is refused: a small file can promise any size."""


def load_arrays(
    path: Path, needed: Sequence[str], where: str, remedy: str, optional: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """The arrays `needed` (numbers, finite, as float64) and those of `optional` that are there (as they are).

    EMO2Error for a missing, damaged or truncated file, a missing name, pickled objects, NaN.
    """
    if not path.is_file():
        raise EMO2Error(where, "a .npz file", f"no file at {path}", remedy)
    try:
        with zipfile.ZipFile(path) as entries:  # where it is none, NumPy would take it for a pickle
            large = [entry.filename for entry in entries.infolist() if entry.file_size > MOST_BYTES]
        if large:
            raise ValueError(f"{large[0]} claims more than {MOST_BYTES >> 30} GiB")
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in needed if name not in archive.files]
            if missing:
                raise EMO2Error(where, f"the arrays {', '.join(needed)}", f"{path.name} without {', '.join(missing)}",
                                remedy)  # fmt: skip
            found = {name: archive[name] for name in (*needed, *optional) if name in archive.files}
    except EMO2Error:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        pickled = "pickle" in str(error)
        reason = "it holds pickled objects, which could run code" if pickled else str(error) or type(error).__name__
        raise EMO2Error(where, "a whole .npz file of plain arrays", f"{path.name} ({reason})", remedy) from error
    return found | {name: numbers(found[name], name, path.name, where, remedy) for name in needed}


def numbers(value: Any, name: str, file: str, where: str, remedy: str) -> np.ndarray:
    """`value` as finite float64 numbers."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"{array.dtype}")
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise EMO2Error(where, f"numbers in {name}", f"something else in {file} ({error})", remedy) from error
    if not np.isfinite(array).all():
        raise EMO2Error(where, f"finite numbers in {name}", f"NaN or infinity in {file}", remedy)
    return array


def frames(array: np.ndarray, width: int, name: str, file: str, where: str, remedy: str) -> np.ndarray:
    """An array as (F, width): axes of length 1 and split-up triples are laid flat."""
    flat = array.reshape(len(array), -1) if array.ndim > 1 and len(array) else array
    if flat.ndim != 2 or flat.shape[1] != width:
        raise EMO2Error(where, f"{name} of shape (F, {width})", f"shape {array.shape} in {file}", remedy)
    return flat
