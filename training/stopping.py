"""Stopping a run from outside: signals and a time limit, both taken note of between steps."""

from __future__ import annotations

import logging
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger("emo2")


class Stop:
    """`asked` becomes True with the first SIGINT or SIGTERM, or after `seconds`; a second SIGINT interrupts at once."""

    def __init__(self, seconds: float | None = None):
        self.signal = 0
        self._end = None if seconds is None else time.monotonic() + seconds
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        return bool(self.signal) or (self._end is not None and time.monotonic() >= self._end)

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python lets nobody handle signals
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._noted)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _noted(self, number: int, frame: FrameType | None) -> None:
        if self.signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        log.info("stopping after this step, with a state to go on from")
