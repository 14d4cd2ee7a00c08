"""Reading a data set's pickles without running what they say: arrays, numbers, text, dictionaries and lists only."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from ...models.errors import EMO2Error
from ...models.hands.pickles import ARRAYS, RestrictedUnpickler

MOST_BYTES = 1 << 30
_ALLOWED: dict[tuple[str, str], Any] = {
    **ARRAYS,
    ("numpy", "ndarray"): np.ndarray,
    ("collections", "OrderedDict"): dict,
}


class _PlainUnpickler(RestrictedUnpickler):
    def remedy_for(self, module: str) -> str:
        return "Save its tensors as NumPy arrays." if module.partition(".")[0] == "torch" else self.remedy


def read_plain_pickle(path: Path, where: str, remedy: str) -> Any:
    """What is in a pickle of plain data. Anything else, a damaged or a huge file is an EMO2Error; nothing is run."""
    if not path.is_file():
        raise EMO2Error(where, "a .pkl file", f"no file at {path}", remedy)
    if path.stat().st_size > MOST_BYTES:
        given = f"{path.stat().st_size >> 20} MiB in {path.name}"
        raise EMO2Error(where, f"a .pkl file of at most {MOST_BYTES >> 20} MiB", given, remedy)
    try:
        return _PlainUnpickler(
            io.BytesIO(path.read_bytes()), where, path.name, _ALLOWED,
            "a pickle of NumPy arrays, numbers, dictionaries and lists",
            "Do not use this file; get the data set's own.",
        ).load()  # fmt: skip
    except EMO2Error:
        raise
    except Exception as error:  # a damaged pickle can fail in every way there is
        reason = str(error) or type(error).__name__
        raise EMO2Error(where, "a whole .pkl file", f"{path.name} ({reason})", remedy) from error
