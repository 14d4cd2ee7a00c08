"""One process at a time: a lock on a file, which ends with the process however that ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, wait: bool = False) -> Iterator[bool]:
    """Whether the lock on a file is ours, until the end of the block. wait: for whoever has it, so it always is.

    Where there are no locks (Windows, some network folders) everybody has it.
    """
    with open(path, "ab") as stream:
        mine = True
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mine = False
        except (ImportError, OSError):
            pass
        yield mine
