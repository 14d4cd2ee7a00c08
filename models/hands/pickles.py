"""Reading MANO's official `.pkl` files without running what they say.

A pickle is a small program. Ours may name only the parts that a MANO file needs: NumPy arrays, SciPy's sparse matrices
and chumpy's arrays, the last two as empty shells from which the numbers are taken. Everything else stops the reading.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EMO2Error


class _Shell:
    """Stands for an object of a library that is not needed: it keeps the state it is given and does nothing."""

    state: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        self.state = {}
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple):
            merged: dict[Any, Any] = {}
            for part in state:
                merged.update(part if isinstance(part, dict) else {})
            state = merged
        if isinstance(state, dict):
            self.state.update({str(_text(key)): value for key, value in state.items()})


class _Sparse(_Shell):
    """A SciPy sparse matrix by columns (csc) or rows (csr)."""

    by_rows = False

    def dense(self) -> np.ndarray:
        shape = self.state.get("_shape", self.state.get("shape")) or ()
        rows, columns = (int(n) for n in shape)
        data, indices, starts = (np.asarray(self.state[name]) for name in ("data", "indices", "indptr"))
        if not 0 < rows * columns <= 10**7 or not len(data) == len(indices) == starts[-1]:
            raise ValueError("a sparse matrix whose parts do not fit together")
        major = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        result = np.zeros((rows, columns))
        np.add.at(result, (major, indices) if self.by_rows else (indices, major), data)
        return result


class _SparseRows(_Sparse):
    by_rows = True


class _Chumpy(_Shell):
    """A chumpy array: plain (`x`), or one that selects elements of another (`a`, `idxs`, `preferred_shape`)."""

    def array(self) -> np.ndarray:
        state = self.state
        if "x" in state:
            return np.asarray(_plain(state["x"]))
        if "a" in state and "idxs" in state:
            chosen = np.asarray(_plain(state["a"])).ravel()[np.asarray(state["idxs"])]
            return chosen.reshape(state["preferred_shape"]) if "preferred_shape" in state else chosen
        raise ValueError("a chumpy object that holds no plain array")


def _text(value: Any) -> Any:
    return value.decode("latin1") if isinstance(value, bytes) else value


def _plain(value: Any) -> Any:
    """Numbers out of the shells, and text out of bytes."""
    if isinstance(value, _Sparse):
        return value.dense()
    if isinstance(value, _Chumpy):
        return value.array()
    if isinstance(value, _Shell):
        raise ValueError("an object that holds no array")
    return _text(value)


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Python 3 writes the bytes of an array for protocol 2 as encoded text."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"text encoded as {encoding}")
    return text.encode("latin1")


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """An empty array, which its state fills later; never an object array, whose elements could be anything."""
    return np.ndarray.__new__(np.ndarray, (0,), np.uint8)


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    """Newer pickles hold arrays as plain bytes."""
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise ValueError("an array of objects")
    return np.frombuffer(bytes(buffer), dtype).reshape(shape, order="F" if order == "F" else "C")


def _remake(kind: Any, base: Any, state: Any) -> Any:
    """Old pickles make objects through this function; only shells may be made."""
    if not (isinstance(kind, type) and issubclass(kind, _Shell)):
        raise ValueError("an object of an unknown kind")
    return kind()


def _scalar(dtype: np.dtype, raw: Any) -> Any:
    return np.frombuffer(raw.encode("latin1") if isinstance(raw, str) else raw, dtype, count=1)[0]


ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}
"""What a pickle of NumPy arrays and numbers calls for, and what answers."""
_NAME = "a class that is named but never called"
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NAME,
    ("__builtin__", "object"): _NAME,
    ("builtins", "object"): _NAME,
    ("__builtin__", "set"): set,
    ("builtins", "set"): set,
    ("collections", "OrderedDict"): dict,
    ("copy_reg", "_reconstructor"): _remake,
    ("copyreg", "_reconstructor"): _remake,
    **ARRAYS,
    **{(f"scipy.sparse.{module}", "csc_matrix"): _Sparse for module in ("csc", "_csc")},
    **{(f"scipy.sparse.{module}", "csr_matrix"): _SparseRows for module in ("csr", "_csr")},
    ("chumpy.ch", "Ch"): _Chumpy,
    ("chumpy", "Ch"): _Chumpy,
    ("chumpy.reordering", "Select"): _Chumpy,
}


class RestrictedUnpickler(pickle.Unpickler):
    """Reads the pickle in `stream`, which may call for what stands in `allowed` and for nothing else.

    Otherwise an EMO2Error names the input `where`, what was `expected`, the file's `name`, and the `remedy`.
    """

    def __init__(
        self, stream: io.BytesIO, where: str, name: str, allowed: Mapping[tuple[str, str], Any], expected: str,
        remedy: str,
    ):  # fmt: skip
        super().__init__(stream, encoding="latin1")
        self.where, self.name, self.allowed, self.expected, self.remedy = where, name, allowed, expected, remedy

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self.allowed[module, name]
        except KeyError:
            given = f"{self.name}, which calls for {module}.{name}; nothing of it was run"
            raise EMO2Error(self.where, self.expected, given, self.remedy_for(module)) from None

    def remedy_for(self, module: str) -> str:
        """What to do about a file that calls for something of `module`."""
        return self.remedy

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("a reference to something outside the file")


def read_pickle(path: Path, where: str = "hands") -> dict[str, Any]:
    """The dictionary in a MANO `.pkl` with its arrays as NumPy arrays. Any other content is an EMO2Error.

    `where` names the input in errors.
    """
    try:
        content = RestrictedUnpickler(
            io.BytesIO(path.read_bytes()), where, path.name, _ALLOWED,
            "a MANO file, whose pickle names only NumPy, SciPy and chumpy arrays",
            "Do not use this file; get MANO from https://mano.is.tue.mpg.de.",
        ).load()  # fmt: skip
        if not isinstance(content, dict):
            raise ValueError(f"a {type(content).__name__} where a dictionary should be")
        return {str(_text(key)): _plain(value) for key, value in content.items()}
    except EMO2Error:
        raise
    except Exception as error:  # A damaged pickle can fail in every way there is.
        reason = str(error) or type(error).__name__
        raise EMO2Error(where, "a whole MANO .pkl file", f"{path.name} ({reason})", "Get the file again.") from error
