"""Names for results, as ComfyUI counts them (prefix_00001_.png), and what is written into them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...nodes.saving import place

PREVIEWS = "previews"


@dataclass(frozen=True)
class Slot:
    """A numbered place for results: `folder`/`stem`_00001_.ext, in `subfolder` of the output folder."""

    folder: Path
    stem: str
    counter: int
    subfolder: str

    def name(self, extension: str, batch: int = 0) -> str:
        """The file name of result number `batch`."""
        return f"{self.stem.replace('%batch_num%', str(batch))}_{self.counter + batch:05}_.{extension}"

    def shown(self, name: str) -> dict[str, str]:
        """How the node tells what it saved."""
        return {"filename": name, "subfolder": self.subfolder, "type": "output"}


def next_slot(prefix: str, width: int = 0, height: int = 0) -> Slot:
    """The next free number for `prefix` ("video/EMO2", with %width%, %year% and so on) below the output folder."""
    folder, stem, subfolder = place(prefix, height, width)
    taken = re.compile(re.escape(stem) + r"_(\d+)(?:_|\.|$)", re.IGNORECASE if os.name == "nt" else 0)
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    numbers = [int(found.group(1)) for name in names if (found := taken.match(name))]
    return Slot(folder, stem, max(numbers, default=0) + 1, subfolder)


def metadata(prompt: Any, extra_pnginfo: Any) -> dict[str, str]:
    """What ComfyUI writes into its results, so that dropping one on its page opens the workflow again."""
    found = {"prompt": json.dumps(prompt)} if prompt is not None else {}
    for name, value in (extra_pnginfo or {}).items():
        found[str(name)] = json.dumps(value)
    return found
