"""How the C library keeps the memory that a training step gives back."""

from __future__ import annotations

import ctypes
import logging
import sys

log = logging.getLogger("emo2")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Let the process keep what it frees, for the next step: glibc gives large blocks back and asks for them again.

    Without it a step of the tiny video network on a CPU spends a tenth of its time on fresh pages. Nothing happens
    where the C library is another one. Returns whether it was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        allow = ctypes.CDLL(None).mallopt
        return bool(allow(M_MMAP_THRESHOLD, 1 << 30) and allow(M_TRIM_THRESHOLD, LARGEST))
    except (OSError, AttributeError):
        log.debug("no mallopt in this C library")
        return False
