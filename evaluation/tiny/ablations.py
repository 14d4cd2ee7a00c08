"""Part `ablations`: what each piece of the method is worth, clip by clip, with intervals of the paired difference.

Short clip trainings from one checkpoint are compared in pairs (`emo2 train-tiny --ablations`), which differ in one
switch. Most learn from puppets as footage has them (`training.puppets.footage`), and paint ordinary held-out ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ...models.types import Motion
from ...training.tiny import INTERACTION, VARIANTS
from ..report import Row
from ..video.hands import hkc
from ..video.puppet_arms import arm_continuity
from ..video.puppet_hands import hands_within
from ..video.puppet_mouth import mouth_lag, pearson
from ..video.puppet_seen import Seen, puppet_hand_points, see
from ..video.puppet_truth import Truth
from .bench import Bench, Scene
from .generation import difference
from .goals import FIGURES, not_measured
from .networks import NAMES

CLIPS = 9
"""Purpose of the puppets, see `Bench.numbers`."""


def measure(bench: Bench) -> list[Row]:
    """One row for each switch; a row that lacks a checkpoint names it."""
    rows = []
    variants: dict[str, Variant] = {}
    for key, (*pair, score) in SWITCHES.items():
        files = [checkpoint(bench.ablations, each) for each in pair]
        absent = [str(path) for path in files if path is None or not path.is_file()]
        lacking = bench.networks.lacking("vae", "audio", "puppet_estimator")
        if bench.ablations is None:
            why = "give the folder of `emo2 train-tiny --ablations` with --ablations DIR"
        elif absent:
            why = f"missing {' and '.join(absent)}: make them with `emo2 train-tiny --ablations`"
        else:
            why = lacking
        if why:
            rows += [r for r in not_measured("ablations", why) if r.key == key]
            continue
        for each, path in zip(pair, files):
            if path is not None and each not in variants:
                variants[each] = Variant(bench, each, path)
        tried = [variants[each] for each in pair]
        first, second = (score(variant) for variant in tried)
        rows.append(difference(key, first, second, f"with {{:.3f}}, without {{:.3f}}; {tried[0].steps} steps each"))
    return rows


def checkpoint(folder: Path | None, name: str) -> Path | None:
    """Where `emo2 train-tiny --ablations` leaves a variant's network."""
    return None if folder is None else folder / f"ablation-{name}" / "export" / NAMES["video"]


class Variant:
    """One checkpoint and what it paints."""

    def __init__(self, bench: Bench, name: str, path: Path):
        self.bench, self.name = bench, name
        networks = replace(bench.networks, replaced={**bench.networks.replaced, "video": path})
        self.studio = replace(bench.studio, networks=networks)
        self.steps = networks.header("video").notes.get("steps", "the same")
        self.scenes: list[Scene] = bench.scenes(CLIPS, bench.amounts.ablated, bench.amounts.frames)

    def paint(self, scenes: Sequence[Scene], change: Callable[[Motion], Motion] = lambda m: m) -> list[np.ndarray]:
        shots = [scene.shot(change(scene.motion)) for scene in scenes]
        return self.studio.videos(shots, f"videos of the variant {self.name}")

    @cached_property
    def videos(self) -> list[np.ndarray]:
        return self.paint(self.scenes)

    @cached_property
    def spoken(self) -> list[Scene]:
        """More clips, for what differs little."""
        return self.bench.scenes(CLIPS, self.bench.amounts.spoken, self.bench.amounts.frames)

    @cached_property
    def seen(self) -> list[Seen]:
        """What is seen in the videos of those."""
        return [see(video, self.bench.networks.puppet_estimator) for video in self.paint(self.spoken)]

    @cached_property
    def truths(self) -> list[Truth]:
        return [Truth.of(scene.puppet, count=scene.frames) for scene in self.scenes]


def confidence(variant: Variant) -> np.ndarray:
    """HKC (n,) when sharp hands are asked for, whatever the annotation said: what the confidence embedding is for."""
    bench = variant.bench
    scenes = bench.scenes(CLIPS, bench.amounts.asked_sharp, bench.amounts.frames)
    videos = variant.paint(scenes, lambda motion: motion.replace(confidence=np.ones_like(motion.confidence)))
    return hkc([puppet_hand_points(video, bench.networks.puppet_estimator) for video in videos]).clips


def hands(variant: Variant) -> np.ndarray:
    """Share (n,) of hands within a tenth of the width."""
    seen = [see(video, variant.bench.networks.puppet_estimator) for video in variant.videos]
    return hands_within(seen, variant.truths, 0.1).clips


def continuity(variant: Variant) -> np.ndarray:
    """Arm continuity (n,)."""
    return arm_continuity(variant.videos, variant.truths).clips


def mouths(variant: Variant) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The mouth's opening (F,) seen in each clip, and the one that its sound asks for."""
    return [one.mouth[:, 0] for one in variant.seen], [scene.mouth[:, 0] for scene in variant.spoken]


def mouth(variant: Variant) -> np.ndarray:
    """Correlation (n,) of mouth and sound at lag 0."""
    return np.array([pearson(opening, sound) for opening, sound in zip(*mouths(variant))])


def lag(variant: Variant) -> np.ndarray:
    """Frames (n,) by which each clip's mouth comes late."""
    return mouth_lag(*mouths(variant)).clips


def spoken_hands(variant: Variant) -> np.ndarray:
    """Share (n,) of hands within a tenth of the width in the clips that mouths are measured in."""
    return hands_within(variant.seen, [Truth.of(s.puppet, count=s.frames) for s in variant.spoken], 0.1).clips


def seams(variant: Variant) -> np.ndarray:
    """Jump (n,) between clips: how much the picture changes there, over the median change from frame to frame."""
    clip = variant.studio.networks.video.config.clip_frames
    values = []
    for video in variant.videos:
        change = np.abs(np.diff(video.astype(np.float32), axis=0)).mean((1, 2, 3))
        at = np.arange(clip - 1, len(change), clip)
        values.append(change[at].mean() / max(float(np.median(change)), 1e-6) if len(at) else np.nan)
    return np.array(values)


SWITCHES: dict[str, tuple[str, str, Callable[[Variant], np.ndarray]]] = {
    "ablations.confidence_hkc": ("base", "no-confidence", confidence),
    "ablations.discriminator": ("base", "no-discriminator", hands),
    "ablations.keypoints": ("base", "no-keypoints", continuity),
    "ablations.motion_frames": ("base", "no-motion-frames", seams),
    "ablations.interaction_mouth": ("interaction-on", "interaction-off", mouth),
    "ablations.interaction_lag": ("interaction-on", "interaction-off", lag),
    "ablations.interaction_hands": ("interaction-on", "interaction-off", spoken_hands),
}
"""Figure -> (the variant with the piece, the one without, what is measured of each variant's clips)."""
assert {name for *pair, _ in SWITCHES.values() for name in pair} <= {*VARIANTS, *INTERACTION}
assert set(SWITCHES) <= set(FIGURES)
