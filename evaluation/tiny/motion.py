"""Part `motion`: stage 1 on held-out voices, against what the puppets did to them and against a still mean pose."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from ...models.errors import EMO2Error
from ...models.motion.config import STYLES
from ...models.motion.vector import unpack
from ...models.types import Motion
from ..bootstrap import bootstrap, over_clips
from ..motion import (
    AccentFilter,
    StyleClassifier,
    audio_beats,
    beat_alignment,
    diversity,
    fgd,
    gesture_features,
    hand_points,
    jerk,
    motion_beats,
    motion_statistics,
    pck,
    seam_jumps,
    speed_control,
)
from ..motion.control import amplitude
from ..motion.frechet import gesture_encoder
from ..motion.retrieve import among
from ..motion.smoothness import Seams, window_seams
from ..report import Row
from .bench import FPS, SHORTEST, Bench, Scene
from .goals import figure, not_measured, noted, row

CLIPS, SPEEDS, LONGS, FIT = 2, 3, 4, 5
"""Purposes of puppets, see `Bench.numbers`."""
SLOWEST, FASTEST = 0.35, 1.8
"""Amounts of movement that the speed control is asked for, 1 is ordinary."""


def measure(bench: Bench) -> list[Row]:
    """The rows of the part; what lacks a network is said in its row."""
    lacking = bench.networks.lacking("motion", "audio", "clip_vision")
    if lacking:
        return not_measured("motion", lacking)
    trial = Trial(bench)
    rows: list[Row] = []
    for work in (spread, distance, picked, beats, speed, style, seams):
        rows += work(trial)
    return noted(rows, bench.networks.untrained("motion", "audio"))


class Trial:
    """Held-out clips with their true and their generated motion."""

    def __init__(self, bench: Bench):
        self.bench, self.amounts = bench, bench.amounts
        frames = round(self.amounts.motion_seconds * FPS)
        self.scenes = bench.scenes(CLIPS, self.amounts.motions, frames, STYLES)

    @cached_property
    def true(self) -> list[Motion]:
        return [scene.motion for scene in self.scenes]

    @cached_property
    def made(self) -> list[Motion]:
        return self.bench.studio.motions([scene.gesture() for scene in self.scenes], "hand motion")

    @cached_property
    def points(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Hand points (F, 2, 21, 3) of the made and of the true motions."""
        return [hand_points(m) for m in self.made], [hand_points(m) for m in self.true]

    @cached_property
    def known(self) -> list[Scene]:
        """Training puppets, for what is fitted: classifiers never see the held-out ones."""
        scenes = self.bench.scenes(FIT, self.amounts.fit, len(self.true[0]), STYLES)
        return [_Known(scene.number, scene.frames, scene.style) for scene in scenes]


class _Known(Scene):
    """A puppet of the training split; only sound and motion are used."""

    @cached_property
    def puppet(self):
        from ...training.puppets.world import Puppet

        return Puppet.draw(self.number, "train", seconds=max(self.frames / FPS, SHORTEST), style=self.style)


def spread(trial: Trial) -> list[Row]:
    """DIV and jerk as ratios of means over clips, and PCK."""
    made, true = trial.points
    rows = []
    for key, score, what in (
        ("motion.div", diversity, "{:.3f} m, truth {:.3f} m"),
        ("motion.jerk", lambda p: jerk(p, FPS), "{:.1f}, truth {:.1f} m/s^3"),
    ):
        values = np.array([[score(a), score(b)] for a, b in zip(made, true)])
        mean = np.nanmean(values, axis=0)
        rows.append(row(key, bootstrap(values, ratio), what.format(*mean)))
    accuracy = np.array([pck(a, b) for a, b in zip(made, true)])
    rows.append(row("motion.pck", bootstrap(accuracy), "within 0.1 m; a good generator need not repeat the truth"))
    return rows


def ratio(values: np.ndarray) -> float:
    """Mean of the first column over the mean of the second."""
    first, second = values.mean(axis=0)
    return float(first / second) if second > 0 else float("nan")


def distance(trial: Trial) -> list[Row]:
    """FGD of the generated motions over that of a still mean pose."""
    networks = trial.bench.networks
    try:
        encoder = gesture_encoder(networks.path("gesture_encoder"))
    except EMO2Error as error:
        return [r for r in not_measured("motion", error) if r.key == "motion.fgd"]
    mean = unpack(np.tile(networks.motion.mean.cpu().numpy(), (len(trial.true[0]), 1)), float(FPS))
    made, true, still = (gesture_features(m, encoder) for m in (trial.made, trial.true, [mean]))
    still = still * len(true)

    def share(chosen: np.ndarray) -> float:
        a, b, c = (np.concatenate([side[i] for i in chosen]) for side in (made, true, still))
        return fgd(a, b) / max(fgd(c, b), 1e-12)

    everything = np.arange(len(true))
    whole = [np.concatenate(side) for side in (made, true, still)]
    here, flat = fgd(whole[0], whole[1]), fgd(whole[2], whole[1])
    note = f"FGD {here:.3g}, mean pose {flat:.3g}, in {networks.path('gesture_encoder').name}"
    return [figure("motion.fgd", share(everything), interval=halves(share, everything), count=len(true), note=note)]


def halves(measure: Callable[[np.ndarray], float], everything: np.ndarray, rounds: int = 60) -> tuple[float, float]:
    """A 95 % interval from random halves of the clips, for Frechet distances, which drawing with repeats biases.

    A half differs from the whole as much as the whole from all there could be (Shao and Wu 1989: delete-d jackknife, d
    half of the clips), so the halves' spread about their own mean is the interval's.
    """
    rng = np.random.default_rng(0)
    value, size = measure(everything), max(len(everything) // 2, 1)
    found = np.array([measure(np.sort(rng.permutation(everything)[:size])) for _ in range(rounds)])
    low, high = np.quantile(found - found.mean(), (0.025, 0.975))
    return float(value + low), float(value + high)


def picked(trial: Trial) -> list[Row]:
    """How often a sound picks its own motion among 32."""
    known = trial.known
    filter_ = AccentFilter.fit([s.waveform for s in known], [s.motion for s in known])
    sounds, size = [s.waveform for s in trial.scenes], min(trial.amounts.among, len(trial.scenes))
    found = among(filter_.scores(sounds, trial.made), size)
    truth = among(filter_.scores(sounds, trial.true), size)
    times = bootstrap(found.credit[:, 0] / found.chance[0])
    note = f"among {size}; the true motions score {truth.times_chance:.1f}"
    return [row("motion.retrieval", times, note)]


def beats(trial: Trial) -> list[Row]:
    """BA, and the same score against shifted sound."""
    made, true = trial.points
    seconds = [len(m) / FPS for m in trial.made]
    sounds = [audio_beats(s.waveform) for s in trial.scenes]
    result = beat_alignment(sounds, [motion_beats(p, FPS) for p in made], seconds)
    truth = beat_alignment(sounds, [motion_beats(p, FPS) for p in true], seconds)
    spread_ = max(float(np.std(result.null, ddof=1)), 1e-9)
    above = (result.score - float(np.mean(result.null))) / spread_
    note = f"{result.direction}, sigma {result.sigma:g} s, onsets against landings of strokes; truth {truth.score:.3f}"
    truly = (truth.score - float(np.mean(truth.null))) / max(float(np.std(truth.null, ddof=1)), 1e-9)
    return [
        row("motion.ba", bootstrap(result.clips), note),
        figure("motion.ba_null", float(np.mean(result.null)), count=len(result.null), note=f"deviation {spread_:.4f}"),
        figure("motion.ba_sigmas", above, count=len(trial.made), note=f"the true motions: {truly:.1f}"),
    ]


def speed(trial: Trial) -> list[Row]:
    """Asked against measured amplitude, left and right in orders that have nothing to do with each other."""
    bench, count = trial.bench, max(trial.amounts.speeds, 3)
    config = bench.networks.motion.config
    amounts = np.linspace(SLOWEST, FASTEST, count)
    rng = np.random.default_rng([bench.seed, 7])
    asked = np.stack([rng.permutation(amounts), rng.permutation(amounts)], axis=1)
    scenes = bench.scenes(SPEEDS, count, len(trial.true[0]), ("speaking",))
    wishes = [(config.variance(left), config.variance(right)) for left, right in asked]
    gestures = [scene.gesture(speed=wish) for scene, wish in zip(scenes, wishes)]
    measured = np.stack([amplitude(m) for m in bench.studio.motions(gestures, "hand motion at asked speeds")])
    whole = speed_control(asked, measured)
    rows = []
    for index, side in enumerate(("left", "right")):
        interval = over_clips(lambda chosen, i=index: _rank(asked[chosen, i], measured[chosen, i]), count, samples=400)
        note = f"with the other hand {whole.crossed[index]:+.2f}; {measured[:, index].mean() * 100:.1f} cm on average"
        rows.append(row(f"motion.speed_{side}", interval, note))
    return rows


def _rank(a: np.ndarray, b: np.ndarray) -> float:
    from ..motion import spearman

    return spearman(a, b)


def style(trial: Trial) -> list[Row]:
    """Whether a classifier that knows the training puppets tells the asked style."""
    known = trial.known
    judge = StyleClassifier.fit(
        np.stack([motion_statistics(s.motion) for s in known]), [s.puppet.performance.style for s in known]
    )
    styles = [s.puppet.performance.style for s in trial.scenes]
    right = judge.right(np.stack([motion_statistics(m) for m in trial.made]), styles)
    truth = judge.right(np.stack([motion_statistics(m) for m in trial.true]), styles).mean()
    worst = min((right[[s == name for s in styles]].mean(), name) for name in set(styles))
    note = f"true motions {truth:.0%}; hardest {worst[1]} {worst[0]:.0%}"
    return [row("motion.style", bootstrap(right), note)]


def seams(trial: Trial) -> list[Row]:
    """The velocity jump where windows meet, in motions of several windows."""
    bench, config = trial.bench, trial.bench.networks.motion.config
    frames = round(trial.amounts.long_seconds * FPS)
    scenes = bench.scenes(LONGS, trial.amounts.longs, frames, ("speaking", "storytelling"))
    found: list[Seams] = []
    for motion in bench.studio.motions([scene.gesture() for scene in scenes], "long hand motion"):
        found.append(seam_jumps(hand_points(motion), FPS, window_seams(len(motion), config.window, config.carried)))
    ratios = np.concatenate([seam.ratios for seam in found]) if found else np.zeros(0)
    if not len(ratios):
        why = f"no seam in {frames} frames (windows of {config.window})"
        return [r for r in not_measured("motion", why) if r.key == "motion.seams"]
    return [row("motion.seams", bootstrap(ratios), f"{len(ratios)} seams, the worst {ratios.max():.2f}")]
