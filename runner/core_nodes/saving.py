"""Names for results, as ComfyUI counts them (prefix_00001_.png), and what is written into them."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...models.errors import EMO2Error
from ...nodes import host


@dataclass(frozen=True)
class Slot:
    """A numbered place for a result: `folder`/`stem`_00001_.ext, in `subfolder` of the output folder."""

    folder: Path
    stem: str
    counter: int
    subfolder: str

    def name(self, extension: str, place: int = 0) -> str:
        stem = self.stem.replace("%batch_num%", str(place))
        return f"{stem}_{self.counter + place:05}_.{extension}"


def next_slot(prefix: str, width: int = 0, height: int = 0, base: Path | None = None) -> Slot:
    """The next free number for `prefix` ("video/EMO2", with %width%, %year% and so on) below the output folder."""
    base = Path(base or host.outside.output)
    now = time.localtime()
    places = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for name, value in places.items():
        prefix = prefix.replace(f"%{name}%", value)
    subfolder, stem = os.path.split(os.path.normpath(prefix))
    folder = base / subfolder
    if "\0" in prefix or not folder.resolve().is_relative_to(base.resolve()) or stem in ("", ".", ".."):
        remedy = "Give a prefix without .. and without a leading slash, or another --out folder."
        raise EMO2Error("filename_prefix", "a name inside the output folder", repr(prefix), remedy)
    taken = re.compile(re.escape(stem) + r"_(\d+)(?:_|\.|$)", re.IGNORECASE if os.name == "nt" else 0)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(found.group(1)) for name in names if (found := taken.match(name))]
    folder.mkdir(parents=True, exist_ok=True)
    return Slot(folder, stem, max(numbers, default=0) + 1, subfolder)


def metadata(prompt: Any, extra_pnginfo: Any) -> dict[str, str]:
    """What ComfyUI writes into its results, so that dropping one on its page opens the workflow again."""
    found = {"prompt": json.dumps(prompt)} if prompt is not None else {}
    for name, value in (extra_pnginfo or {}).items():
        found[str(name)] = json.dumps(value)
    return found
