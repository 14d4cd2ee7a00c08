"""Folders that the person names on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..models.errors import EMO2Error, from_disk


def existing_folders(paths: Iterable[str | Path], option: str) -> list[Path]:
    """Folders that must be there; EMO2Error for one that is not."""
    folders = [Path(path).expanduser() for path in paths]
    for folder in folders:
        if not folder.is_dir():
            raise EMO2Error(option, "a folder", f"no folder at {folder}", "Check the path.")
    return folders


def output_folder(path: str | Path, option: str = "--out") -> Path:
    """A folder for results that can be written to; it is made when the first one is written."""
    folder = Path(path).expanduser()
    try:
        taken = next((part for part in (folder, *folder.parents) if part.exists()), folder)
    except OSError as error:
        raise (from_disk(error) or error) from error
    if taken.exists() and not taken.is_dir():
        raise EMO2Error(option, "a folder", f"a file at {taken}", "Give another folder.")
    if not os.access(taken, os.W_OK | os.X_OK):
        raise EMO2Error(option, "a folder that can be written to", f"{taken}, which cannot", "Give another folder.")
    return folder
