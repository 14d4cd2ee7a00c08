"""A `WholeBody` in a file: plain NumPy arrays (`.npz`), never a pickle, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import EMO2Error
from ..whole_files import whole_file
from .whole_body import WholeBody

NAMES = ("rotations", "root", "hands", "fps")


def save_body(body: WholeBody, path: Path | str) -> Path:
    """Write `rotations`, `root`, `hands` and `fps`; what is read back is the same to the bit."""
    path = Path(path)
    with whole_file(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, rotations=body.rotations, root=body.root, hands=body.hands, fps=np.array(body.fps))
    return path


def load_body(path: Path | str, where: str = "body file") -> WholeBody:
    """The body of a file of `save_body`. EMO2Error that names the file when it is missing, damaged or another thing."""
    path = Path(path)
    if not path.is_file():
        raise EMO2Error(where, "a file with a whole body's motion (.npz)", f"no file at {path}", "Check the name.")
    try:
        with np.load(path, allow_pickle=False) as data:
            values = {name: data[name] for name in NAMES}
        return WholeBody(values["rotations"], values["root"], values["hands"], float(values["fps"]))
    except Exception as error:  # numpy and zipfile raise whatever they like for a damaged file
        raise EMO2Error(
            where, "a whole body's motion", f"{type(error).__name__}: {error} ({path})", "Make the file again."
        ) from error
