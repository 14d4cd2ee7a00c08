"""What a run tells: a progress bar, `metrics.jsonl`, TensorBoard scalars and pictures.

Everything is told in steps, and a run that goes on cuts off what a killed one had told beyond its last state, so that
the journal of a run in many pieces reads like that of one.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..models.errors import EMO2Error, from_disk
from ..models.whole_files import whole_file

log = logging.getLogger("emo2")


class Journal:
    """The journal in `folder`, going on after `step` of `steps`. A silent one (`active` False) tells nothing."""

    def __init__(self, folder: Path, step: int, steps: int, active: bool = True, quiet: bool = False):
        self.folder, self.active = folder, active
        self._sums: dict[str, float] = {}
        self._count, self._since = 0, time.monotonic()
        self._bar: Any = None
        self._board: Any = None
        if not active:
            return
        cut_after(folder / "metrics.jsonl", step)
        self._board = _board(folder / "tensorboard", step + 1)
        if not quiet:
            from tqdm import tqdm

            # A log file gets a line a minute, a terminal a moving bar.
            every = 0.2 if sys.stderr.isatty() else 60.0
            self._bar = tqdm(
                total=steps, initial=step, desc=folder.name, unit="step", mininterval=every, maxinterval=every,
                smoothing=0.05, dynamic_ncols=True,
            )  # fmt: skip

    def step(self, step: int, values: Mapping[str, float], rate: float, tell: bool) -> None:
        """Take in the numbers of step number `step` (from 1); with `tell`, write their mean since the last time."""
        if not self.active:
            return
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            self._bar.set_postfix_str(f"loss {values['loss']:.4g}", refresh=False)
        if tell:
            now = time.monotonic()
            means = {name: total / self._count for name, total in self._sums.items()}
            self.write(step, {**means, "lr": rate, "seconds_per_step": (now - self._since) / self._count})
            self._sums, self._count, self._since = {}, 0, now

    def write(self, step: int, values: Mapping[str, float], prefix: str = "") -> None:
        """Write numbers under `step` as they are."""
        if not self.active:
            return
        line = {"step": step, **{f"{prefix}{name}": float(f"{value:.7g}") for name, value in values.items()}}
        try:
            with open(self.folder / "metrics.jsonl", "a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
        except OSError as error:
            raise from_disk(error) or error from error
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{prefix}{name}", value, step)

    def pictures(self, step: int, paths: Sequence[Path]) -> None:
        """Show PNG files under `step`."""
        if self._board is None:
            return
        import cv2

        for path in paths:
            picture = cv2.imread(str(path))
            if picture is not None:
                self._board.add_image(f"samples/{path.parent.name}/{path.stem}", picture[..., ::-1].copy(), step,
                                      dataformats="HWC")  # fmt: skip

    def flush(self) -> None:
        """Have everything on the disk."""
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._board is not None:
            self._board.close()


def cut_after(path: Path, step: int) -> None:
    """Drop the lines beyond `step`, and a half-written one, from a metrics.jsonl."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    with whole_file(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's metrics.jsonl."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        raise EMO2Error("run", "a folder with metrics.jsonl", f"no such file in {folder}", "Name a run's folder.")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _board(folder: Path, purge: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.info("tensorboard is not installed: scalars go to metrics.jsonl only")
        return None
    return SummaryWriter(str(folder), purge_step=purge)
