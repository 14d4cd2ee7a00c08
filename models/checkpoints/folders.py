"""Hugging Face folders: their JSON files, and which file holds the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import EMO2Error


def read_json(path: Path, where: str) -> dict[str, Any]:
    """The settings in a JSON file of a folder; EMO2Error when it cannot be read or holds something else."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EMO2Error(
            where, f"a readable {path.name} in {path.parent.name}", error, "Download the folder again."
        ) from error
    if not isinstance(value, dict):
        raise EMO2Error(where, f"settings in {path.name}", type(value).__name__, "Download the folder again.")
    return value


def weights_file(folder: Path, where: str) -> Path:
    """model.safetensors, or else pytorch_model.bin; EMO2Error when a folder has neither."""
    for path in (folder / "model.safetensors", folder / "pytorch_model.bin"):
        if path.is_file():
            return path
    raise EMO2Error(
        where, f"model.safetensors or pytorch_model.bin in {folder.name}", "neither", "Download the whole folder."
    )


__all__ = ["read_json", "weights_file"]
