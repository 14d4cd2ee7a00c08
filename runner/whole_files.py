"""Files that appear whole under their name or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """A temporary name beside `target`, removed at the end of the block unless it was moved."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem[:60]}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes `target` only when the block ends without an error."""
    with temporary_file(target) as temporary:
        yield temporary
        os.replace(temporary, target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


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
