"""Part `drift`: a long video is many clips, each made from the end of the one before; what goes wrong adds up.

The networks' own frames are judged: where the reference's still detail covers a drift, it is there all the same.
"""

from __future__ import annotations

from dataclasses import replace

from ..bootstrap import over_clips
from ..report import Row
from ..video.puppet_drift import drift
from ..video.puppet_truth import Truth
from .bench import FPS, Bench
from .goals import not_measured, noted, row

LONG = 6
"""Purpose of the puppets, see `Bench.numbers`."""


def measure(bench: Bench) -> list[Row]:
    """The errors of the last second against those of the first, and what is left of them where detail is kept."""
    kinds = ("video", "vae", "audio")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("drift", lacking)
    frames = round(bench.amounts.drift_seconds * FPS)
    scenes = bench.scenes(LONG, bench.amounts.drifts, frames, ("speaking",))
    shots, label = [scene.shot() for scene in scenes], f"videos of {bench.amounts.drift_seconds:g} s"
    videos = replace(bench.studio, keep_still=0.0).videos(shots, label)
    kept = bench.studio.videos(shots, label)
    truths = [Truth.of(scene.puppet, count=frames) for scene in scenes]
    rows = []
    keys = ("drift.identity", "drift.background", "drift.identity_kept", "drift.background_kept")
    for key, found in zip(keys, (*drift(videos, truths, FPS), *drift(kept, truths, FPS))):
        short = "" if bench.amounts.drift_seconds >= 20 else f"only {bench.amounts.drift_seconds:g} s; "
        rows.append(row(key, over_clips(found.resample, found.count), short + found.note))
    return noted(rows, bench.networks.untrained(*kinds))
