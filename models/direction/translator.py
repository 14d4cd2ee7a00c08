"""From tokens to poses that are real: each token becomes a snippet of the relation bank, nearest in its context.

Snippets are chosen together, by dynamic programming over how well each fits and how well it goes on from the one before
(unit selection, Hunt and Black 1996), faded into one another, and given the build of the person in the picture. The
stiff alternative, the decoder's own skeleton projected, is the baseline.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..easing import ease
from ..errors import EMO2Error
from ..motion.edit_blend import mix
from ..motion.edit_time import join
from ..motion.retarget import retarget
from ..pose.cheapest import cheapest
from ..pose.proportions import Proportions
from ..types import FRAME_FIELDS, Framing, Motion
from .bank import FPS, PER_TOKEN, PoseBank, features, normal_form

CONTEXT = ((-2, 0.1), (-1, 0.2), (0, 0.4), (1, 0.2), (2, 0.1))
"""Neighbouring tokens that count, and how much."""
POSE = 1.5
"""What a shoulder width between a snippet and the decoded pose costs against tokens that are as far apart as two of the
codebook are on the average."""
SEAM, APART, SPEED = 0.3, 2.0, 1.0
"""What leaving a clip costs at all, for a shoulder width between the poses, and for one a token between the speeds."""
CHOICES = 48
BLEND_SECONDS = 0.24


def translate(
    bank: PoseBank,
    codes: np.ndarray,
    codebook: np.ndarray,
    decoded: Motion | None = None,
    *,
    framing: Framing | None = None,
    target: Proportions | None = None,
    continuity: float = 1.0,
    blend_seconds: float = BLEND_SECONDS,
) -> Motion:
    """A motion of 4 n frames, at 25 a second, of the bank's poses for tokens (n,).

    codebook (K, C): the tokens' vectors, by which their likeness is told. decoded: the direct projection of the same
    tokens; where it is given, snippets also lie near its poses. framing, target: of the person in the picture (None:
    the bank's framing, average arms). continuity: how much smoothness counts against likeness. Nothing jumps at a seam:
    what was left plays on for blend_seconds and fades.
    """
    codes, codebook = np.asarray(codes, np.int64), np.asarray(codebook, np.float64)
    if codes.ndim != 1 or not len(codes) or codes.min() < 0 or max(codes.max(), bank.codes.max()) >= len(codebook):
        given = f"shape {codes.shape} and a codebook of {len(codebook)}"
        raise EMO2Error(
            "codes", "tokens (n,) of the codebook that the bank was built with", given, "Build the bank anew."
        )
    guide = None if decoded is None else normal_form(decoded)
    chosen = choose(bank, codes, codebook, guide, continuity)
    motion = assemble(bank, chosen, max(round(blend_seconds * FPS), 1))
    return retarget(motion, framing, target, Proportions())


def choose(
    bank: PoseBank, codes: np.ndarray, codebook: np.ndarray, guide: Motion | None = None, continuity: float = 1.0
) -> np.ndarray:
    """Which snippet (n,) each token becomes."""
    shown = features(bank.motion)
    cost = _token_cost(bank, codes, codebook)
    if guide is not None:
        cost = cost + POSE * _pose_cost(shown, features(guide), len(codes))
    choices = _choices(bank, cost)
    first, after = shown[::PER_TOKEN], _after(bank, shown)
    speed_in = (shown[1::PER_TOKEN] - first) * PER_TOKEN
    speed_out = (shown[PER_TOKEN - 1 :: PER_TOKEN] - shown[PER_TOKEN - 2 :: PER_TOKEN]) * PER_TOKEN
    change = np.empty((len(codes) - 1, choices.shape[1], choices.shape[1]))
    for i, (old, new) in enumerate(itertools.pairwise(choices)):
        apart = np.linalg.norm(after[old][:, None] - first[new][None], axis=-1)
        faster = np.linalg.norm(speed_out[old][:, None] - speed_in[new][None], axis=-1)
        goes_on = bank.follows[old][:, None] & (old[:, None] + 1 == new[None])
        change[i] = np.where(goes_on, 0, SEAM + APART * apart + SPEED * faster)
    path = cheapest(np.take_along_axis(cost, choices, 1), continuity * change)
    return choices[np.arange(len(codes)), path]


def assemble(bank: PoseBank, chosen: np.ndarray, blend: int) -> Motion:
    """The snippets (n,) as one motion of 4 n frames; runs of a clip stay whole, and at every seam the run that was left
    plays on for `blend` frames and fades, even where the next seam comes sooner."""
    seams = np.flatnonzero((np.diff(chosen) != 1) | ~bank.follows[chosen[:-1]]) + 1
    starts = [0, *seams.tolist()]
    weight = ease(np.arange(1, blend + 1) / (blend + 1))
    made: list[Motion] = []
    tail: Motion | None = None
    for start, stop in zip(starts, [*starts[1:], len(chosen)]):
        count = PER_TOKEN * (stop - start)
        part = bank.stretch(int(chosen[start]), count + blend)
        if tail is not None:
            part = join(mix(tail, part.frames(0, blend), weight), part.frames(blend, len(part)))
        made.append(part.frames(0, count))
        tail = part.frames(count, count + blend)
    return made[0].replace(**{n: np.concatenate([getattr(part, n) for part in made]) for n in FRAME_FIELDS})


def _token_cost(bank: PoseBank, codes: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    """How unlike (n, T) each token is to each of the bank's, in their contexts; 1 as unlike as two at random."""
    square = (codebook**2).sum(1)
    apart = np.sqrt(np.maximum(square[:, None] + square[None] - 2 * codebook @ codebook.T, 0))
    apart /= max(float(apart.mean()), 1e-9)
    first = np.searchsorted(bank.clips, bank.clips)
    last = np.searchsorted(bank.clips, bank.clips, side="right") - 1
    cost = np.zeros((len(codes), len(bank)))
    for shift, weight in CONTEXT:
        mine = codes[np.clip(np.arange(len(codes)) + shift, 0, len(codes) - 1)]
        theirs = bank.codes[np.clip(np.arange(len(bank)) + shift, first, last)]
        cost += weight * apart[mine][:, theirs]
    return cost


def _pose_cost(shown: np.ndarray, wanted: np.ndarray, count: int) -> np.ndarray:
    """Mean distance (n, T), in shoulder widths, of the first and the third frame of each token to each snippet's."""
    total = np.zeros((count, len(shown) // PER_TOKEN))
    for frame in (0, PER_TOKEN // 2):
        a = wanted[np.minimum(np.arange(count) * PER_TOKEN + frame, len(wanted) - 1)]
        b = shown[frame::PER_TOKEN]
        total += np.sqrt(np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)) / 2
    return total


def _after(bank: PoseBank, shown: np.ndarray) -> np.ndarray:
    """(T, 36): where each snippet would go on to be: the next one's first frame, or its own end prolonged."""
    first, last, before = shown[::PER_TOKEN], shown[PER_TOKEN - 1 :: PER_TOKEN], shown[PER_TOKEN - 2 :: PER_TOKEN]
    following = np.concatenate([first[1:], first[-1:]])
    return np.where(bank.follows[:, None], following, 2 * last - before)


def _choices(bank: PoseBank, cost: np.ndarray) -> np.ndarray:
    """The snippets (n, S) worth trying for each token: the best ones, and what follows the best of the token before."""
    count, size = cost.shape
    own = min(CHOICES, size)
    best = np.argpartition(cost, own - 1, axis=1)[:, :own]
    order = np.take_along_axis(best, np.argsort(np.take_along_axis(cost, best, 1), axis=1), 1)
    choices = np.repeat(order[:, :1], 2 * own, axis=1)
    choices[:, :own] = order
    for i in range(1, count):
        old = choices[i - 1]
        following = np.unique(old[bank.follows[old]] + 1)
        keep = following[np.argsort(cost[i, following])][:own]
        choices[i, own : own + len(keep)] = keep
    return choices
