"""Both hands in space from their 21 points in the picture, over a whole clip, by optimisation.

What is minimised: distances of the projected points from the seen ones (weighted by score, Cauchy's loss), departures
from what hands do (`hand_prior`), accelerations of wrist and fingers, and depths beyond an arm's reach. Every frame
starts from `lift_hands` and from its mirror image in the picture plane, for one picture of a hand has two tilts; each
start is optimised by itself, the cheapest path through them is taken (Viterbi), and then the clip is solved as a whole.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..easing import ease
from ..hands.layer import HandModel
from ..hands.quaternions import continuous, from_matrix, slerp, to_matrix
from ..types import Framing
from .body import FOREARM, SHOULDERS, UPPER_ARM, WRISTS, body_joints
from .cheapest import cheapest
from .hand_chain import angles_of, chains_of, rotations_of
from .hand_gaps import bridged
from .hand_prior import Changes, anatomy
from .hand_solver import Seen, Smooth, State, misses, solve_clip, solve_frames
from .lift import FARTHEST, NEAREST, Lifted, lift_hands

ENOUGH = 6
"""Points that must be known for a hand to count as seen in a frame."""
CHUNK = 400
"""Frames that are solved together, and have their neighbours' frames within OVERLAP seconds on either side."""
OVERLAP, FEWEST = 1.0, 12
START_NOISE, LEAST_NOISE, MOST_NOISE = 0.03, 0.004, 0.06
"""Noise of the points in hand sizes: what the search begins with, and the limits of what is found in the clip."""
SPREAD = 1.1
"""Noise as a factor of the median miss. For normal errors it would be 1.5 and more; with less, points count for more
against habits and smoothness, which came nearer the truth on puppets and on captured hands alike."""
FRAME_ROUNDS, CLIP_ROUNDS = 10, (6, 6, 10)
"""Rounds of the solver: for single frames, and for the clip (between them the noise is measured anew)."""
TURNING = 4.0
"""Radians a second that a wrist turns easily, when the path through the starts is chosen."""
UNLIKELY = 60.0
"""What a jump between two frames costs at most."""
REACH = 1.15 * (UPPER_ARM + FOREARM)
"""Metres from the shoulder that a wrist may be: arms differ."""
ORDINARY = (-0.45, 0.05)
"""Metres before and behind the neck root where the clip's median hand may lie; else the person's hands are taken to be
larger or smaller than the model's."""


def fit_hands(
    points: np.ndarray,
    scores: np.ndarray,
    body: np.ndarray,
    body_scores: np.ndarray,
    framing: Framing,
    fps: float,
    hands: HandModel,
    body_offset: np.ndarray | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Lifted:
    """Hands from points (F, 2, 21, 2) with scores (F, 2, 21), and body (F, 18, 2) with body_scores (F, 18).

    Positions are normalised to the image; a score of 0 means unknown. The hand's size is that of `hands`; where it does
    not fit the depth range, one factor for the clip brings the hands into it along their lines of sight. Frames with
    fewer than ENOUGH points are filled from their neighbours and are not `seen`. on_step(done, total) is called as the
    work goes on, and may raise to stop it. The result depends on the arguments alone.
    """
    first = lift_hands(points, scores, body, body_scores, framing, fps, hands, body_offset)
    known = (np.asarray(scores) > 0).sum(-1) >= ENOUGH
    if not known.any():
        return replace(first, seen=known)
    with torch.inference_mode(), _one_thread():
        clip = _Clip(points, scores, body, body_scores, framing, fps, hands, body_offset, first, known)
        windows = _windows(len(points), fps)
        steps = _Steps(len(windows) * (2 + len(CLIP_ROUNDS)), on_step)
        state = clip.starts(windows, steps)
        size = clip.size(state)
        for rounds in CLIP_ROUNDS:
            seen = clip.seen(state, size)
            state = clip.solved(state, seen, windows, rounds, steps)
        return clip.lifted(state, size)


@contextmanager
def _one_thread() -> Iterator[None]:
    """The matrices are small: threads would wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Steps:
    """Counts what is done."""

    def __init__(self, total: int, on_step: Callable[[int, int], None] | None):
        self.done, self.total, self.on_step = 0, total, on_step

    def tick(self) -> None:
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total)


@dataclass(frozen=True)
class _Window:
    """Frames start..stop-1 that are solved for the sake of frames first..last-1."""

    start: int
    first: int
    last: int
    stop: int


def _windows(count: int, fps: float) -> list[_Window]:
    pieces = max(round(count / CHUNK), 1)
    edges = [round(count * i / pieces) for i in range(pieces + 1)]
    beside = max(int(np.ceil(OVERLAP * fps)), FEWEST)
    return [_Window(max(a - beside, 0), a, b, min(b + beside, count)) for a, b in itertools.pairwise(edges)]


class _Clip:
    """A clip's points as tensors, and the stages of its fit."""

    def __init__(
        self, points: np.ndarray, scores: np.ndarray, body: np.ndarray, body_scores: np.ndarray, framing: Framing,
        fps: float, hands: HandModel, body_offset: np.ndarray | None, first: Lifted, known: np.ndarray,
    ):  # fmt: skip
        self.framing, self.fps, self.known = framing, fps, known
        self.chains, self.prior = chains_of(hands), anatomy()
        pixels = np.array([framing.size[1], framing.size[0]], np.float64)
        plain = lambda array: torch.from_numpy(np.ascontiguousarray(array, np.float64))  # hands may have changed sides
        self.points, self.weights = plain((np.asarray(points, np.float64) - 0.5) * pixels), plain(scores)
        sides = list(WRISTS)
        self.arm = (np.asarray(body, np.float64)[:, sides] - 0.5) * pixels
        self.arm_known = np.asarray(body_scores)[:, sides] > 0
        wrists = np.concatenate([first.wrists[..., :2], first.wrists[..., 2:].clip(0.2 * framing.root()[2])], -1)
        self.first = State(
            torch.from_numpy(to_matrix(first.rotations[:, :, 0])), torch.from_numpy(wrists),
            angles_of(self.chains, first.rotations),
        )  # fmt: skip
        self.reach = _reach(wrists, framing, body_offset)

    def depths(self, size: float) -> Tensor:
        """Nearest and farthest wrist (F, 2, 2) for hands that are `size` times as large as the model's."""
        root = self.framing.root()[2]
        return torch.from_numpy(np.maximum(root + self.reach, 0.2 * root) / size)

    def noise(self, state: State) -> Tensor:
        """Deviation (2,) of the points from where `state` has them, pixels."""
        nowhere = self._seen(state, torch.ones(2, dtype=torch.float64), 1.0)
        away = torch.cat(
            [misses(self.chains, state.pick(part), nowhere.pick(part)) for part in _parts(len(state.place))]
        )
        found = []
        for hand in (0, 1):
            mask, use = self.weights[:, hand] > 0, torch.from_numpy(self.known[:, hand])
            length = self.framing.focal * self.chains.length / self._depth(state, hand)
            mask = mask & use[:, None]
            spread = SPREAD * float(away[:, hand][mask].abs().median()) if mask.any() else 0.0
            found.append(min(max(spread, LEAST_NOISE * length), MOST_NOISE * length))
        return torch.tensor(found, dtype=torch.float64)

    def _depth(self, state: State, hand: int) -> float:
        """Median depth of a hand where it is known."""
        use = self.known[:, hand] if self.known[:, hand].any() else np.ones(len(self.known), bool)
        return float(np.median(state.place[:, hand, 2].numpy()[use]))

    def size(self, state: State) -> float:
        """How large the person's hands are taken to be, as a factor of the model's."""
        root = self.framing.root()[2]
        depth = np.median(state.place[..., 2].numpy()[self.known])
        return float(np.clip(depth, max(root + ORDINARY[0], 0.25 * root), root + ORDINARY[1]) / depth)

    def _seen(self, towards: State, noise: Tensor, size: float) -> Seen:
        pull = torch.from_numpy(np.where(self.known, 0.0, 25.0 / self.fps))
        return Seen(self.points, self.weights, noise, self.framing.focal, self.depths(size), pull, towards)

    def seen(self, state: State, size: float) -> Seen:
        """What is to be met, with noise and the filling of gaps measured on `state`."""
        return self._seen(self.bridged(state), self.noise(state), size)

    def bridged(self, state: State) -> State:
        return bridged(state, self.known, self.arm, self.arm_known, self.framing)

    def starts(self, windows: list[_Window], steps: _Steps) -> State:
        """Each frame by itself from both tilts, and the cheapest path through them."""
        length = self.framing.focal * self.chains.length
        noise = torch.tensor([START_NOISE * length / self._depth(self.first, hand) for hand in (0, 1)])
        seen = self._seen(self.first, noise.double(), 1.0)
        root = self.framing.root()[2]
        wide = torch.tensor([0.3 * root, 2.0 * root], dtype=torch.float64).expand(*seen.pull.shape, 2)
        seen = replace(seen, depths=wide)
        found: list[list[State]] = [[], []]
        costs: list[list[Tensor]] = [[], []]
        for window in windows:
            part = slice(window.first, window.last)
            for tilt, state in enumerate((self.first.pick(part), other_tilt(self.first.pick(part)))):
                state, cost = solve_frames(self.chains, self.prior, state, seen.pick(part), FRAME_ROUNDS)
                found[tilt].append(state)
                costs[tilt].append(cost)
                steps.tick()
        ways = [State(*(torch.cat(parts) for parts in zip(*states))) for states in found]
        price = torch.stack([torch.cat(parts) for parts in costs], -1).numpy()
        turns = np.stack([way.wrist.numpy() for way in ways], 2)
        second = torch.from_numpy(_path(np.where(self.known[..., None], price, 0.0), turns, self.fps) == 1)
        choose = lambda a, b: torch.where(second.reshape(*second.shape, *[1] * (a.ndim - 2)), b, a)
        state = State(*(choose(a, b) for a, b in zip(*ways)))
        keep = torch.from_numpy(self.known)
        choose = lambda a, b: torch.where(keep.reshape(*keep.shape, *[1] * (a.ndim - 2)), a, b)
        return self.bridged(State(*(choose(a, b) for a, b in zip(state, self.first))))

    def solved(self, state: State, seen: Seen, windows: list[_Window], rounds: int, steps: _Steps) -> State:
        """The clip after some rounds, window by window; neighbours fade into each other where they overlap."""
        smooth = Smooth.at(self.fps, Changes())
        whole: State | None = None
        for window in windows:
            part = slice(window.start, window.stop)
            piece = solve_clip(self.chains, self.prior, state.pick(part), seen.pick(part), smooth, rounds)
            whole = piece if whole is None else _joined(whole, piece, window.start)
            steps.tick()
        assert whole is not None
        return whole

    def lifted(self, state: State, size: float) -> Lifted:
        """The result, in the model's own size."""
        wrist = continuous(from_matrix(state.wrist.numpy()))
        place = state.place.numpy() * size
        place[..., 2] = place[..., 2].clip(0.2 * self.framing.root()[2])  # points far outside the picture
        return Lifted(rotations_of(self.chains, state.angles, wrist), place, self.known)


def _parts(count: int) -> list[slice]:
    return [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]


def _reach(wrists: np.ndarray, framing: Framing, body_offset: np.ndarray | None) -> np.ndarray:
    """Depths (F, 2, 2) relative to the neck root between which an arm reaches the wrist's place in the picture."""
    root = framing.root()
    shoulders = body_joints(framing, wrists, body_offset)[:, list(SHOULDERS)]
    across = wrists[..., :2] * root[2] / wrists[..., 2:] - shoulders[..., :2]
    deep = np.sqrt(np.maximum(REACH**2 - (across**2).sum(-1), 0.15**2))
    return np.stack([np.maximum(-deep, NEAREST), np.minimum(deep, FARTHEST)], -1)


def other_tilt(state: State) -> State:
    """The hand whose palm has nearly the same picture but is tilted the other way, its fingers bent as before.

    The palm's plane is mirrored at the plane across the line of sight; a turn with that image of the plane has its
    normal turned round.
    """
    sight = state.place / torch.linalg.norm(state.place, dim=-1, keepdim=True)
    mirror = torch.eye(3, dtype=torch.float64) - 2 * sight[..., :, None] * sight[..., None, :]
    return state._replace(wrist=mirror @ state.wrist * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))


def _path(cost: np.ndarray, turns: np.ndarray, fps: float) -> np.ndarray:
    """The cheapest choice (F, 2) among C ways: cost (F, 2, C), wrist rotations (F, 2, C, 3, 3)."""
    between = np.einsum("fhaij,fhbij->fhab", turns[:-1], turns[1:])
    jump = np.arccos(np.clip((between - 1) / 2, -1, 1))
    step = np.minimum(0.5 * (jump * fps / TURNING) ** 2, UNLIKELY)
    return np.stack([cheapest(cost[:, hand], step[:, hand]) for hand in (0, 1)], 1)


def _joined(before: State, piece: State, start: int) -> State:
    """`piece`, whose first frame is frame `start` of the clip, faded in over the frames that `before` has too."""
    shared = len(before.place) - start
    share = ease((np.arange(shared) + 1) / (shared + 1))
    old, new = (from_matrix(part.numpy()) for part in (before.wrist[start:], piece.wrist[:shared]))
    turn = torch.from_numpy(to_matrix(slerp(old, new, share[:, None])))
    fade = torch.from_numpy(share)
    mix = lambda a, b: a + (b - a) * fade.reshape(-1, *[1] * (a.ndim - 1))
    return State(
        torch.cat([before.wrist[:start], turn, piece.wrist[shared:]]),
        torch.cat([before.place[:start], mix(before.place[start:], piece.place[:shared]), piece.place[shared:]]),
        torch.cat([before.angles[:start], mix(before.angles[start:], piece.angles[:shared]), piece.angles[shared:]]),
    )


__all__ = ["fit_hands"]
