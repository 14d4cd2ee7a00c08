"""Where the files that a workflow names are looked for: pictures, voices, videos.

A workflow file is data from somebody else: the names in it only reach into the input folders. Paths that the person
gave on the command line may be anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..models.errors import EMO2Error

PACK = Path(__file__).resolve().parents[1]
SAMPLES = (PACK / "assets", PACK / "workflows")
KINDS = {
    "image": {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic"},
    "audio": {".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff", ".wma"},
    "video": {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"},
}
ANNOTATION = re.compile(r"^(.*?)\s*\[(input|output|temp)\]$")


@dataclass
class InputFolders:
    """folders: searched in order. output: where " [output]" names lie. granted: paths from the command line."""

    folders: list[Path] = field(default_factory=list)
    output: Path | None = None
    granted: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, chosen: Iterable[Path] = (), beside: Path | None = None, output: Path | None = None) -> InputFolders:
        """The chosen folders, then the workflow file's own, then the pack's samples."""
        folders = [Path(folder) for folder in chosen] + ([beside] if beside else []) + list(SAMPLES)
        return cls(list(dict.fromkeys(folders)), output)

    def from_command_line(self, value: str, label: str = "--set") -> str:
        """A file that the person named: a path (granted from now on), or a name in the folders."""
        path = Path(value).expanduser()
        if path.is_file():
            resolved = str(path.resolve())
            self.granted.add(resolved)
            return resolved
        if self.find(value) is not None:
            return value
        raise EMO2Error(
            label, "a file", f"{value!r}, which is neither at {path.absolute()} nor in {self}", "Check the path."
        )

    def find(self, name: str) -> Path | None:
        """The file called `name` ("face.png", "sub/face.png", "x.png [output]"), or None."""
        if not isinstance(name, str):
            return None
        if name in self.granted:
            return Path(name) if Path(name).is_file() else None
        folders = self.folders
        if match := ANNOTATION.match(name):
            name = match.group(1)
            if match.group(2) != "input":
                folders = [self.output] if self.output else []
        for folder in folders:
            path = folder / name
            try:
                if self._within(path, folder) and path.is_file():
                    return path
            except OSError:  # a name too long
                continue
        return None

    @staticmethod
    def _within(path: Path, folder: Path) -> bool:
        try:
            return path.resolve().is_relative_to(folder.resolve())
        except (OSError, ValueError):  # a name with a null byte, a loop of links
            return False

    def names(self, *kinds: str) -> list[str]:
        """Files of some kinds ("image", "audio", "video") in the folders, for the lists of the loading nodes."""
        suffixes = set().union(*(KINDS[kind] for kind in kinds))
        found = (
            path.name for folder in self.folders if folder.is_dir() for path in folder.iterdir()
            if path.suffix.lower() in suffixes and path.is_file()
        )  # fmt: skip
        return sorted(set(found))

    def __str__(self) -> str:
        return ", ".join(str(folder) for folder in self.folders)


current = InputFolders.of()
"""Where the loading nodes look in this process; the executor sets it for the run."""


def use(folders: InputFolders) -> InputFolders:
    """Make `folders` the current ones; returns those before."""
    global current
    before, current = current, folders
    return before
