"""Results that never overwrite another file of the same name."""

from __future__ import annotations

import os
from pathlib import Path


def place_file(temporary: Path, target: Path) -> Path:
    """Move a finished file to its name; next to another file of that name it becomes "name (2).ext"."""
    number, wanted = 1, target
    while wanted.exists() and not _same(temporary, wanted):
        number += 1
        wanted = target.with_name(f"{target.stem} ({number}){target.suffix}")
    os.replace(temporary, wanted)
    return wanted


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with open(one, "rb") as a, open(other, "rb") as b:
        while block := a.read(1 << 20):
            if block != b.read(1 << 20):
                return False
    return True
