"""Part `generation`: videos with true motion against videos with what stage 1 makes of the sound, clip by clip.

Asked of the weights themselves: nearness to the truth must favour the true motion, liveliness the generated.
"""

from __future__ import annotations

import numpy as np

from ..bootstrap import paired_difference
from ..report import Row
from ..video.fidelity import frame_psnr, frame_ssim
from ..video.hands import hand_jerk, hkv
from ..video.puppet_seen import puppet_hand_points
from .bench import FPS, Bench
from .goals import not_measured, noted, row

LIVELY = 11
"""Purpose of the puppets, see `Bench.numbers`."""


def measure(bench: Bench) -> list[Row]:
    """All rows of the part."""
    kinds = ("video", "vae", "audio", "motion", "clip_vision", "puppet_estimator")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("generation", lacking)
    return noted([*nearness(bench), liveliness(bench)], bench.networks.untrained(*kinds))


def nearness(bench: Bench) -> list[Row]:
    """True minus generated motion, PSNR and SSIM against the truth."""
    scenes = bench.main[: bench.amounts.made]
    true, made = bench.main_videos[: len(scenes)], bench.made_videos
    rows = []
    for key, score in (("generation.psnr", frame_psnr), ("generation.ssim", frame_ssim)):
        pairs = np.array([[score(v[::2], s.truth[::2]).mean() for v in both] for s, *both in zip(scenes, true, made)])
        rows.append(difference(key, pairs[:, 0], pairs[:, 1], "true {:.3f}, generated {:.3f}"))
    return rows


def liveliness(bench: Bench) -> Row:
    """HKV with generated minus with true motion, in clips that hold whole gestures: two seconds are often one hold."""
    scenes = bench.scenes(LIVELY, bench.amounts.lively, round(bench.amounts.lively_seconds * FPS))
    motions = bench.studio.motions([scene.gesture() for scene in scenes], "hand motion of whole gestures")
    shots = [s.shot(m) for s, m in zip(scenes, motions)] + [s.shot() for s in scenes]
    videos = bench.studio.videos(shots, f"videos of {bench.amounts.lively_seconds:g} s, generated and true motion")
    seen = [puppet_hand_points(video, bench.networks.puppet_estimator) for video in videos]
    halves = seen[: len(scenes)], seen[len(scenes) :]
    shaking = [hand_jerk(points, FPS).value for points in halves]
    beside = "; jerk {:.1f} and {:.1f} widths/s^3".format(*(value or 0 for value in shaking))
    first, second = (hkv(points).clips for points in halves)
    return difference("generation.hkv", first, second, "generated {:.2f}, true {:.2f}" + beside)


def difference(key: str, first: np.ndarray, second: np.ndarray, note: str) -> Row:
    """Row of mean(first - second) over the clips in which both could be measured."""
    known = np.isfinite(first) & np.isfinite(second)
    if not known.any():
        return next(r for r in not_measured(key.split(".")[0], "nothing to measure in these clips") if r.key == key)
    first, second = first[known], second[known]
    return row(key, paired_difference(first, second), note.format(first.mean(), second.mean()))
