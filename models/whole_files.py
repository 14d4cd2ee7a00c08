"""Files that appear whole under their name or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """An empty file with a temporary name beside `target`, removed at the end of the block unless it was moved."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.stem[:60]}.", suffix=".part")
    os.close(handle)
    temporary = Path(name)
    try:
        # A temporary file is private to its maker; a result is as open as any other file that the user makes.
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """A temporary name to write to; it becomes `target` only when the block ends without an error."""
    with temporary_file(target) as temporary:
        yield temporary
        with open(temporary, "rb+") as stream:
            # The name must not reach the disk before the contents do.
            os.fsync(stream.fileno())
        # Some writers put a private file of their own in its place.
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
