"""Part `continuity`, the paper's claim of "pixels prior IK": with hand maps alone, arms still reach the hands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..bootstrap import bootstrap
from ..report import Row
from ..video.puppet_arms import arm_continuity
from ..video.puppet_hands import elbows_within
from ..video.puppet_seen import see
from ..video.puppet_truth import Truth
from .bench import Bench
from .goals import not_measured, noted, row
from .motion import ratio


def measure(bench: Bench) -> list[Row]:
    """The arms' figures with hand maps alone, as shares of those with keypoint maps, on the same clips."""
    kinds = ("video", "vae", "audio", "puppet_estimator")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("continuity", lacking)
    scenes = bench.main[: bench.amounts.alone]
    both = bench.main_videos[: len(scenes)]
    alone = bench.studio.videos([replace(s.shot(), keypoints=False) for s in scenes], "videos from hand maps alone")
    truths = [Truth.of(scene.puppet, count=scene.frames) for scene in scenes]
    estimator = bench.networks.puppet_estimator
    seen = [[see(video, estimator) for video in videos] for videos in (alone, both, [s.truth for s in scenes])]
    rows = []
    for key, found in (
        ("continuity.arms", [arm_continuity(v, truths, s) for v, s in zip((alone, both), seen)]),
        ("continuity.elbows", [elbows_within(s, truths, 0.1) for s in seen[:2]]),
    ):
        values = np.stack([measured.clips for measured in found], axis=1)
        values = values[np.isfinite(values).all(axis=1)]
        if not len(values):
            rows += [r for r in not_measured("continuity", "no arm to judge in these clips") if r.key == key]
            continue
        first, second = values.mean(axis=0)
        rows.append(row(key, bootstrap(values, ratio), f"alone {first:.3f}, with keypoints {second:.3f}"))
    return noted(rows, bench.networks.untrained(*kinds))
