"""An evaluation of the tiny profile: part after part, each with a row for every figure, measured or not."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from importlib import import_module

from ..report import Report, Row
from . import PARTS
from .bench import Bench
from .goals import in_order, not_measured
from .networks import NAMES

log = logging.getLogger("emo2")
WHERE = {
    "vae": ("pictures", "reconstruction"), "video": ("pictures", "measure"), "mouth": ("mouths", "measure"),
    "motion": ("motion", "measure"), "continuity": ("arms", "measure"), "drift": ("drift", "measure"),
    "speech": ("mouths", "real_voices"), "generation": ("generation", "measure"),
    "modes": ("modes", "measure"), "framings": ("faces", "framings"), "faces": ("faces", "measure"),
    "directed": ("directed", "measure"), "ablations": ("ablations", "measure"),
}  # fmt: skip
"""Part -> (module, function of a Bench that returns its rows)."""


def evaluate(bench: Bench, parts: Sequence[str] = PARTS) -> Report:
    """The report of these parts. A figure that cannot be had has a row that says why.

    The part `vae` comes first because the video's figures are held against it; the seconds each part took are in
    `about`.
    """
    rows: list[Row] = []
    seconds: dict[str, float] = {}
    for part in parts:
        log.info("part %s", part)
        begin = time.monotonic()
        module, function = WHERE[part]
        found = getattr(import_module(f".{module}", __package__), function)(bench)
        rows += [*found, *not_measured(part, "not part of this evaluation", found)]
        seconds[part] = round(time.monotonic() - begin, 1)
    networks = {NAMES[kind]: bench.networks.digest(kind) for kind in NAMES if bench.networks.has(kind)}
    about = {"profile": "tiny", "date": time.strftime("%Y-%m-%d"), "networks": networks, "seconds": seconds}
    return Report(tuple(in_order(rows)), {**about, **bench.about()})
