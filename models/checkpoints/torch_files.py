"""PyTorch's own files (.pth, .pt, .bin): read as tensors and nothing else, whatever the pickle inside would do."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import EMO2Error
from .format import read_tensors

SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")


def load_torch(path: Path, where: str, wanted: str = "tensors and nothing else") -> Any:
    """What a file of `torch.save` holds: tensors in plain containers. Tensors are mapped, not copied, where possible.

    EMO2Error when the file is no such file, is cut off, or holds anything that would have to be run.
    """
    path = Path(path)
    if not path.is_file():
        raise EMO2Error(where, wanted, f"no file at {path}", "Check the name and the folder.")
    for mapped in (True, False):  # files from before torch 1.6 cannot be mapped
        try:
            with warnings.catch_warnings(action="ignore"):  # it remarks on odd pickles; the error says all
                return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except pickle.UnpicklingError as error:
            raise EMO2Error(
                where, wanted, f"an unsafe or damaged file ({path.name})",
                "Nothing in it was run. Download it again from a source that you trust, better still as .safetensors.",
            ) from error  # fmt: skip
        except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            if mapped:
                continue
            raise EMO2Error(
                where, wanted, f"a truncated or damaged file ({path.name})", "Download it again."
            ) from error
    raise AssertionError


def load_tensors(path: Path, where: str, wanted: str = "tensors and nothing else") -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors or PyTorch file, by name; a `state_dict` inside is unwrapped."""
    path = Path(path)
    if not path.is_file():
        raise EMO2Error(where, f"a file with {wanted}", f"no file at {path}", "Check the name and the folder.")
    if path.suffix == ".safetensors":
        return read_tensors(path, where)
    loaded = load_torch(path, where, wanted)
    for name in ("state_dict", "model_state_dict"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise EMO2Error(where, wanted, f"{type(loaded).__name__} in {path.name}", "Choose a file of weights.")
    return dict(loaded)


__all__ = ["SUFFIXES", "load_tensors", "load_torch"]
