"""Folders that the person names on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..models.errors import EMO2Error


def existing_folders(paths: Iterable[str | Path], option: str) -> list[Path]:
    """Folders that must be there; EMO2Error for one that is not."""
    folders = [Path(path).expanduser() for path in paths]
    for folder in folders:
        if not folder.is_dir():
            raise EMO2Error(option, "a folder", f"no folder at {folder}", "Check the path.")
    return folders


def output_folder(path: str | Path, option: str = "--out") -> Path:
    """A folder for results; it is made when the first one is written."""
    folder = Path(path).expanduser()
    taken = next((part for part in (folder, *folder.parents) if part.exists()), folder)
    if taken.exists() and not taken.is_dir():
        raise EMO2Error(option, "a folder", f"a file at {taken}", "Give another folder.")
    return folder
