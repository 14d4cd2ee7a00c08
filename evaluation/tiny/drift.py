"""Part `drift`: a long video is many clips, each made from the end of the one before; what goes wrong adds up."""

from __future__ import annotations

from ..bootstrap import over_clips
from ..report import Row
from ..video.puppet_drift import drift
from ..video.puppet_truth import Truth
from .bench import FPS, Bench
from .goals import not_measured, noted, row

LONG = 6
"""Purpose of the puppets, see `Bench.numbers`."""


def measure(bench: Bench) -> list[Row]:
    """The errors of the last second against those of the first."""
    kinds = ("video", "vae", "audio")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("drift", lacking)
    frames = round(bench.amounts.drift_seconds * FPS)
    scenes = bench.scenes(LONG, bench.amounts.drifts, frames, ("speaking",))
    videos = bench.studio.videos([scene.shot() for scene in scenes], f"videos of {bench.amounts.drift_seconds:g} s")
    truths = [Truth.of(scene.puppet, count=frames) for scene in scenes]
    rows = []
    for key, found in zip(("drift.identity", "drift.background"), drift(videos, truths, FPS)):
        short = "" if bench.amounts.drift_seconds >= 20 else f"only {bench.amounts.drift_seconds:g} s; "
        rows.append(row(key, over_clips(found.resample, found.count), short + found.note))
    return noted(rows, bench.networks.untrained(*kinds))
