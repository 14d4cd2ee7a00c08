"""Reading a data set's pickles without running what they say: arrays, numbers, text, dictionaries and lists only."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from ...models.errors import EMO2Error
from ...models.hands.pickles import _encode, _from_buffer, _reconstruct, _scalar

MOST_BYTES = 1 << 30
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Restricted(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, where: str, name: str):
        super().__init__(stream, encoding="latin1")
        self.where, self.name = where, name

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            torch = module.partition(".")[0] == "torch"
            raise EMO2Error(
                self.where, "a pickle of NumPy arrays, numbers, dictionaries and lists",
                f"{self.name}, which calls for {module}.{name}; nothing of it was run",
                "Save its tensors as NumPy arrays." if torch else "Do not use this file; get the data set's own.",
            ) from None  # fmt: skip

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a reference to something outside the file")


def read_plain_pickle(path: Path, where: str, remedy: str) -> Any:
    """What is in a pickle of plain data. Anything else, a damaged or a huge file is an EMO2Error; nothing is run."""
    if not path.is_file():
        raise EMO2Error(where, "a .pkl file", f"no file at {path}", remedy)
    if path.stat().st_size > MOST_BYTES:
        given = f"{path.stat().st_size >> 20} MiB in {path.name}"
        raise EMO2Error(where, f"a .pkl file of at most {MOST_BYTES >> 20} MiB", given, remedy)
    try:
        return _Restricted(io.BytesIO(path.read_bytes()), where, path.name).load()
    except EMO2Error:
        raise
    except Exception as error:  # a damaged pickle can fail in every way there is
        reason = str(error) or type(error).__name__
        raise EMO2Error(where, "a whole .pkl file", f"{path.name} ({reason})", remedy) from error
