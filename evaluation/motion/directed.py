"""Directed motion against what was asked for: is it the right action, like a true one, and in its time?

Everything is judged in the features of the matching network (`matching.py`), on motions made for held-out puppets: one
action each, told in held-out words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...models.errors import EMO2Error
from .matching import AMONG, RPrecision, fid, r_precision, shuffled

STRIDE = 4
"""Frames between the windows of `time_overlap`."""


@dataclass(frozen=True)
class Asked:
    """What was asked for: `text`, about `label`, from `start` to `end` (s) of a clip; `clip` a `BodyClip`."""

    text: str
    label: str
    start: float
    end: float
    clip: Any


@dataclass(frozen=True)
class Performed:
    """A whole made motion and the true one, vectors (F, 384) at `fps`, for what was asked; codes (levels, n): the made
    one's tokens."""

    asked: Asked
    made: np.ndarray
    true: np.ndarray
    fps: float = 25.0
    codes: np.ndarray | None = None

    def span(self, vectors: np.ndarray) -> np.ndarray:
        """The frames of the time that was asked for, at least one."""
        first = min(max(round(self.asked.start * self.fps), 0), len(vectors) - 1)
        return vectors[first : max(first + 1, round(self.asked.end * self.fps))]


def held_out(rounds: int = 1, seed: int = 0, split: str = "held-out") -> Iterator[Asked]:
    """Every action `rounds` times, by held-out puppets seed, seed + 1 ..., described in held-out words; or by puppets
    and in words of another split, to choose settings by."""
    from ...training.body_clips import BodyClip, puppet_body
    from ...training.puppets.actions import ACTIONS
    from ...training.puppets.directed import descriptions, direct
    from ...training.puppets.identity import split_rng
    from ...training.puppets.world import draw_framing

    for number in range(rounds * len(ACTIONS)):
        puppet, action = seed + number, ACTIONS[number % len(ACTIONS)]
        framing = draw_framing(puppet, split, "full")
        performance = direct(puppet, split, framing, actions=[action])
        told = descriptions(performance, split, split_rng(puppet, split, 11))
        clip = BodyClip(puppet_body(performance), tuple(told), performance.waveform, f"{split} puppet {puppet}")
        (acted,) = performance.acted
        text = next(one.text for one in told if one.start == acted.start)
        yield Asked(text, action.name, acted.start, acted.end, clip)


def perform(
    asked: Asked, model: Any, tokenizer: Any, encoder: Any, voice: Any | None, *, direct: bool = True, **options: Any
) -> Performed:
    """The motion that a directed model makes of a clip's sound and of its texts; direct=False: of the sound alone.

    model: `MotionBranch` or `TwoBranch`; encoder: its `TextEncoder`; options: of `sample`.
    """
    from ...models import audio
    from ...models.body import vector
    from ...models.direction.conditions import conditions
    from ...models.direction.sampling import sample
    from ...training.directed_clips import sayings
    from ...training.directed_windows import rows_of

    rate = tokenizer.config.fps / 4
    body = asked.clip.body.resampled(tokenizer.config.fps)
    count = -(-len(body) // 4)
    told = [one for one in sayings(asked.clip.texts, rate, count) if asked.text in one.choices] if direct else []
    features = None
    if voice is not None and asked.clip.waveform is not None:
        features = audio.encode(voice, np.asarray(asked.clip.waveform, np.float32), name="evaluation")
    wanted = conditions(encoder, [asked.text] * len(told), rows_of(told, count), None, features, rate)
    codes = sample(model, wanted, count, **{"codebooks": tokenizer.codebooks(), **options})
    made = vector.to_vector(tokenizer.body(codes))[: len(body)]
    return Performed(asked, made, vector.to_vector(body), tokenizer.config.fps, codes)


@dataclass(frozen=True)
class Figures:
    """made, true, shuffled: R-precision of made motion, of true motion, and of true motion with the wrong texts. fid:
    of made motion in the asked spans; fid_plain: of what the sound alone led to there (None: not given); both lower is
    better. in_time: share of the actions that are in their time (see `time_overlap`), higher is better."""

    made: RPrecision
    true: RPrecision
    shuffled: RPrecision
    fid: float
    fid_plain: float | None
    in_time: float


def figures(
    network: Any, found: Sequence[Performed], plain: Sequence[Performed] = (), *, among: int = AMONG, seed: int = 0
) -> Figures:
    """The figures of performed motions, `plain` being the same ones made from sound alone."""
    if len(found) < 2:
        raise EMO2Error("directed motion", "at least two performances", len(found), "Give more.")
    said = network.of_texts([one.asked.text for one in found])
    labels = [one.asked.label for one in found]
    made = network.of_motions([one.span(one.made) for one in found])
    true = network.of_motions([one.span(one.true) for one in found])
    less = network.of_motions([one.span(one.made) for one in plain]) if plain else None
    measure = lambda texts, moved: r_precision(texts, moved, labels, among=among, seed=seed)
    return Figures(
        measure(said, made), measure(said, true), measure(shuffled(said, seed), true), fid(made, true),
        None if less is None else fid(less, true),
        float(np.mean([time_overlap(network, one) >= 0.5 for one in found])),
    )  # fmt: skip


def time_overlap(network: Any, one: Performed) -> float:
    """Where in the whole made motion the text fits best, as intersection over union with the time asked for, 0..1.

    Windows as long as that time, every STRIDE frames. An action counts as in its time from 0.5 on.
    """
    first = min(max(round(one.asked.start * one.fps), 0), len(one.made) - 1)
    length = max(1, min(round(one.asked.end * one.fps), len(one.made)) - first)
    starts = list(range(first % STRIDE, len(one.made) - length + 1, STRIDE))
    moved = network.of_motions([one.made[at : at + length] for at in starts])
    scores = moved @ network.of_texts([one.asked.text])[0]
    best = starts[int(scores.argmax())]
    shared = max(0, length - abs(best - first))
    return shared / (2 * length - shared)
