"""Part `directed`: the second stage 1 on held-out puppets, asked in held-out words, against the voice alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Framing, Motion
from ..bootstrap import bootstrap
from ..motion import audio_beats, beat_alignment, hand_points, jerk, motion_beats
from ..motion.directed import Asked, Performed, held_out, perform, time_overlap
from ..motion.matching import AMONG, fid, r_precision, shuffled
from ..motion.tokens import report
from ..report import Row
from .bench import FPS, Bench
from .goals import figure, not_measured, noted, row
from .motion import halves, ratio
from .networks import NAMES

log = logging.getLogger("emo2")
BODIES, ASKED = 12, 13
"""Purposes of puppets, see `Bench.numbers`."""
KINDS = ("tokenizer", "text_encoder", "direction", "audio", "text_matching")
MARGIN = 0.4
"""Seconds beside a span that are neither inside nor outside: hands come from somewhere and go back."""


def measure(bench: Bench) -> list[Row]:
    """All rows of the part."""
    lacking = bench.networks.lacking(*KINDS)
    if lacking:
        return not_measured("directed", lacking)
    trial = Trial(bench)
    rows = [*tokens(bench), *matched(trial), in_time(trial), beats(trial), *translated(trial), *fusions(trial)]
    rows += not_measured("directed", "no --ablations with fusion runs", rows)
    return noted(rows, bench.networks.untrained(*KINDS))


@dataclass
class Trial:
    """Every action by held-out puppets: asked for in words with the voice, and what the voice alone leads to."""

    bench: Bench

    @cached_property
    def asked(self) -> list[Asked]:
        (first,) = self.bench.numbers(ASKED, 1)
        return list(held_out(self.bench.amounts.rounds, first))

    def performances(self, model: Any, direct: bool = True) -> list[Performed]:
        """What a model makes of all that is asked."""
        n = self.bench.networks
        found = []
        for number, one in enumerate(self.asked):
            found.append(perform(one, model, n.tokenizer, n.text_encoder, n.audio, direct=direct, seed=number))
            log.debug("directed motion %d of %d", number + 1, len(self.asked))
        return found

    @cached_property
    def made(self) -> list[Performed]:
        return self.performances(self.bench.networks.direction)

    @cached_property
    def plain(self) -> list[Performed]:
        """The same voices without a word of direction."""
        return self.performances(self.bench.networks.direction, direct=False)

    @cached_property
    def projected(self) -> list[Motion]:
        """What was made, as the direct projection of its tokens."""
        return [_motion(self, one) for one in self.made]

    @cached_property
    def true(self) -> np.ndarray:
        """Features (n, D) of the true motions in the time that was asked for."""
        return self.bench.networks.text_matching.of_motions([one.span(one.true) for one in self.made])


def tokens(bench: Bench) -> list[Row]:
    """How much of whole bodies the tokens keep."""
    from ...training.body_clips import Puppets

    numbers = bench.numbers(BODIES, bench.amounts.bodies)
    source = Puppets("held-out", len(numbers), numbers[0], speech=0.25)
    bodies = [source.clip(index).body for index in range(len(numbers))]
    told = report(bench.networks.tokenizer, bodies)
    each = [report(bench.networks.tokenizer, [body]) for body in bodies]
    note = f"all codebooks {told.all_used:.0%}"
    wrists = f"wrists {1000 * told.wrists:.1f} mm from their place"
    return [
        figure("directed.codes", told.used[0], count=len(bodies), note=note),
        row("directed.hands", bootstrap(np.array([one.share for one in each])), wrists),
        row("directed.fingers", bootstrap(np.array([one.fingers for one in each]))),
    ]


def matched(trial: Trial) -> list[Row]:
    """R-precision of made, of true and of wrongly told motion, and FID against the voice alone."""
    network = trial.bench.networks.text_matching
    said, labels, made = _features(network, trial.made)
    true = trial.true
    less = network.of_motions([one.span(one.made) for one in trial.plain])
    rows = []
    for name, texts, moved, places in (
        ("", said, made, (0, 2)), ("true_", said, true, (0, 2)), ("shuffled_", shuffled(said), true, (0,)),
    ):  # fmt: skip
        found = r_precision(texts, moved, labels, among=AMONG)
        for place in places:
            note = f"chance {found.chance[place]:.3f}; mean distance {found.distance:.3f}"
            rows.append(figure(f"directed.{name}top{place + 1}", float(found.top[place]), count=found.count, note=note))

    def share(chosen: np.ndarray) -> float:
        return fid(made[chosen], true[chosen]) / max(fid(less[chosen], true[chosen]), 1e-12)

    everything = np.arange(len(said))
    note = f"FID {fid(made, true):.3f}, of the voice alone {fid(less, true):.3f}"
    interval = halves(share, everything)
    rows.append(figure("directed.fid", share(everything), interval=interval, count=len(said), note=note))
    return rows


def _features(network: Any, found: Sequence[Performed]) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Features of texts, what they are about, features of what was made in the time that was asked for."""
    said = network.of_texts([one.asked.text for one in found])
    return said, [one.asked.label for one in found], network.of_motions([one.span(one.made) for one in found])


def in_time(trial: Trial) -> Row:
    """Whether the action stands where it was asked for."""
    network = trial.bench.networks.text_matching
    inside = [time_overlap(network, one) >= 0.5 for one in trial.made]
    true = np.mean([time_overlap(network, Performed(one.asked, one.true, one.true)) >= 0.5 for one in trial.made])
    note = f"overlap of half or more; the true motions {true:.2f}"
    return row("directed.in_time", bootstrap(np.array(inside, float)), note)


def beats(trial: Trial) -> Row:
    """Beat alignment of directed motion over that of the voice alone, where nothing was asked for."""
    sounds, lengths, moved = [], [], ([], [])
    for made, directed, plain in zip(trial.made, trial.projected, trial.plain):
        one = made.asked
        heard = audio_beats(np.asarray(one.clip.waveform, np.float32))
        sounds.append(_outside(heard, one))
        lengths.append(len(made.made) / FPS)
        for place, motion in enumerate((directed, _motion(trial, plain))):
            moved[place].append([_outside(found, one) for found in motion_beats(hand_points(motion), FPS)])
    scores = [beat_alignment(sounds, some, lengths) for some in moved]
    pairs = np.stack([score.clips for score in scores], axis=1)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if not len(pairs):
        return figure("directed.beats", None, note="no clip has beats outside its span")
    note = f"BA {pairs[:, 0].mean():.3f}, of the voice alone {pairs[:, 1].mean():.3f}"
    return row("directed.beats", bootstrap(pairs, ratio), note)


def _outside(times: np.ndarray, asked: Asked) -> np.ndarray:
    return times[(times < asked.start - MARGIN) | (times > asked.end + MARGIN)]


def _motion(trial: Trial, performed: Performed) -> Motion:
    """A performance as the direct projection of its tokens."""
    assert performed.codes is not None
    body = trial.bench.networks.tokenizer.body(performed.codes)
    return body.to_motion(Framing()).frames(0, len(performed.made))


def translated(trial: Trial) -> list[Row]:
    """Real poses of the bank against direct projection: jerk, and Frechet distance of poses to those of true motion."""
    from ...models.direction.bank import features, normal_form
    from ...models.direction.translator import translate
    from ..video.frechet import frechet_distance

    bank = trial.bench.networks.pose_bank()
    wanted = ("directed.bank_jerk", "directed.bank_distance")
    if bank is None:
        return [one for one in not_measured("directed", "no pose bank beside the networks") if one.key in wanted]
    book = trial.bench.networks.tokenizer.codebook()
    poses: tuple[list[np.ndarray], ...] = ([], [], [])
    jerks = []
    for one, stiff in zip(trial.made, trial.projected):
        assert one.codes is not None
        real = translate(bank, one.codes[0], book, stiff, framing=Framing()).frames(0, len(stiff))
        true = one.asked.clip.body.to_motion(Framing()).frames(0, len(stiff))
        jerks.append([jerk(hand_points(motion), FPS) for motion in (real, stiff)])
        for place, motion in enumerate((real, stiff, true)):
            poses[place].append(_with_speed(features(normal_form(motion))))

    def distance(chosen: np.ndarray) -> float:
        real, stiff, true = (np.concatenate([side[i] for i in chosen]) for side in poses)
        return frechet_distance(real, true) / max(frechet_distance(stiff, true), 1e-12)

    everything = np.arange(len(trial.made))
    mean = np.mean(jerks, axis=0)
    note = f"{mean[0]:.1f} against {mean[1]:.1f} m/s^3"
    return [
        row(wanted[0], bootstrap(np.array(jerks), ratio), note),
        figure(wanted[1], distance(everything), interval=halves(distance, everything), count=len(everything),
               note="Frechet distance of wrists and fingertips, with their speeds"),
    ]  # fmt: skip


def _with_speed(shown: np.ndarray) -> np.ndarray:
    """Pose features (F, 36) with how they change in a tenth of a second, (F - 1, 72)."""
    return np.concatenate([shown[1:], np.diff(shown, axis=0) * FPS / 10], axis=1)


def fusions(trial: Trial) -> list[Row]:
    """R-precision of short trainings that differ only in where the text branch is added (VersaAnimator's ablation)."""
    from ...models.checkpoints.format import load_checkpoint
    from ...models.direction.branches import build
    from ...models.direction.config import FUSIONS

    folder = trial.bench.ablations
    # As `train-tiny --ablations` exports them.
    at = lambda name: Path(folder) / f"fusion-{name}" / "export" / NAMES["direction"]
    files = {} if folder is None else {name: at(name) for name in FUSIONS}
    if not files or not all(path.is_file() for path in files.values()):
        return []
    network = trial.bench.networks.text_matching
    rows, tops = [], {}
    for name, path in files.items():
        try:
            model = load_checkpoint(path, "direction", build, "--ablations")[0].float().eval()
        except EMO2Error as error:
            return [one for one in not_measured("directed", error) if "fusion" in one.key]
        said, labels, made = _features(network, trial.performances(model))
        found = r_precision(said, made, labels, among=AMONG)
        tops[name] = float(found.top[0])
        note = f"the three nearest {found.top[2]:.3f}; FID {fid(made, trial.true):.3f}"
        rows.append(figure(f"directed.fusion_{name}", tops[name], count=found.count, note=note))
    rows.append(figure("directed.fusion_over_last", tops["layers"] - tops["last"], count=len(trial.asked)))
    return rows
