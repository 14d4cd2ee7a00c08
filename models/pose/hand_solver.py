"""Levenberg-Marquardt for hands in a clip: one frame at a time from many starts, or all frames together, held smooth.

Unknowns of a hand in a frame, 36: turn of the wrist (3, about the camera's axes), its place (3, metres), 30 hinge
angles. Normal equations of single frames are dense and batched; those of a clip are banded, since smoothness ties a
frame only to the two after it, and are solved by a banded Cholesky decomposition in time linear in the frames.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .hand_chain import FINGERS, HINGES, Chains, Posed, derivatives, posed, skew
from .hand_prior import Changes, Prior

UNKNOWNS = 6 + FINGERS * HINGES
BAND = 2 * UNKNOWNS
OUTLIER = 3.0
"""Noise deviations from which on a point counts less (Cauchy's loss)."""
DEPTH_EDGE = 0.04
"""How softly the range of depths ends, metres."""
PULL = (0.3, 0.03, 0.3)
"""How closely a pull is followed in one frame of 25 a second: turn, place (metres), angles."""


class State(NamedTuple):
    """Hands of N frames: wrist rotations (N, 2, 3, 3), places (N, 2, 3) camera metres, angles (N, 2, 5, 6)."""

    wrist: Tensor
    place: Tensor
    angles: Tensor

    def pick(self, index: slice) -> State:
        """Some of the frames."""
        return State(*(part[index] for part in self))

    def moved(self, step: Tensor) -> State:
        """After a step (N, 2, 36)."""
        turn = torch.linalg.matrix_exp(skew(step[..., :3]))
        return State(turn @ self.wrist, self.place + step[..., 3:6],
                     self.angles + step[..., 6:].unflatten(-1, (FINGERS, HINGES)))  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What is to be met. points (N, 2, 21, 2): pixels from the picture's centre; weights (N, 2, 21): scores, 0 unknown;
    noise (2,): deviation of each hand's points in pixels; focal in pixels; depths (N, 2, 2): nearest and farthest,
    metres. pull (N, 2): how strongly `towards` is kept to, 0 not at all, 1 to within `PULL`.
    """

    points: Tensor
    weights: Tensor
    noise: Tensor
    focal: float
    depths: Tensor
    pull: Tensor
    towards: State

    def pick(self, index: slice) -> Seen:
        """Some of the frames."""
        return replace(
            self, points=self.points[index], weights=self.weights[index], depths=self.depths[index],
            pull=self.pull[index], towards=self.towards.pick(index),
        )  # fmt: skip


class Equations(NamedTuple):
    """cost (N, 2), slope (N, 2, 36) and curvature (N, 2, 36, 36) of each frame."""

    cost: Tensor
    slope: Tensor
    curvature: Tensor


def _log(rotation: Tensor) -> Tensor:
    """Rotation vectors (..., 3) of matrices (..., 3, 3), for turns well below half a circle."""
    m = rotation
    axis = torch.stack([m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]], -1) / 2
    sine = torch.linalg.norm(axis, dim=-1, keepdim=True)
    cosine = (m.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    angle = torch.atan2(sine, cosine)
    return axis * torch.where(sine < 1e-8, 1.0, angle / sine.clamp_min(1e-8))


def places_of(state: State, hand: Posed) -> Tensor:
    """The 21 points (N, 2, 21, 3) in camera axes."""
    flat = hand.points.flatten(2, 3)
    return torch.cat([torch.zeros_like(flat[:, :, :1]), flat], 2) + state.place[:, :, None]


def misses(chains: Chains, state: State, seen: Seen) -> Tensor:
    """Projected minus seen points, (N, 2, 21, 2) pixels."""
    places = places_of(state, posed(chains, state.wrist, state.angles))
    return places[..., :2] * seen.focal / places[..., 2:].clamp_min(1e-2) - seen.points


def equations(chains: Chains, prior: Prior, state: State, seen: Seen) -> Equations:
    """Cost of each frame by itself and its Gauss-Newton model: points, joint angles, range of depth."""
    hand = posed(chains, state.wrist, state.angles)
    moves = derivatives(hand)
    places = places_of(state, hand)
    depth = places[..., 2:].clamp_min(1e-2)
    miss = (places[..., :2] * seen.focal / depth - seen.points) / seen.noise[:, None, None]
    squared = (miss**2).sum(-1)
    cost = 0.5 * OUTLIER**2 * (seen.weights * torch.log1p(squared / OUTLIER**2)).sum(-1)
    weight = (seen.weights / (1 + squared / OUTLIER**2)).sqrt()
    camera = _lens(places, seen.focal) / seen.noise[:, None, None, None] * weight[..., None, None]  # (N, 2, 21, 2, 3)
    miss = miss * weight[..., None]
    fingers = camera[:, :, 1:].unflatten(2, (FINGERS, 4))
    whole = torch.cat([fingers @ -skew(hand.points), fingers], -1).flatten(3, 4)  # (N, 2, 5, 8, 6)
    own = (fingers @ moves).flatten(3, 4)
    left = miss[:, :, 1:].reshape(*miss.shape[:2], FINGERS, 8, 1)
    curvature = miss.new_zeros(*miss.shape[:2], UNKNOWNS, UNKNOWNS)
    slope = miss.new_zeros(*miss.shape[:2], UNKNOWNS)
    curvature[..., :6, :6] = (whole.mT @ whole).sum(2)
    slope[..., :6] = (whole.mT @ left)[..., 0].sum(2)
    root = camera[:, :, 0]
    curvature[..., 3:6, 3:6] += root.mT @ root
    slope[..., 3:6] += (root.mT @ miss[:, :, 0, :, None])[..., 0]
    both, mixed = own.mT @ own, own.mT @ whole
    slope[..., 6:] = (own.mT @ left)[..., 0].flatten(2)
    for finger in range(FINGERS):
        part = slice(6 + finger * HINGES, 6 + (finger + 1) * HINGES)
        curvature[..., part, part] = both[:, :, finger]
        curvature[..., part, :6] = mixed[:, :, finger]
        curvature[..., :6, part] = mixed[:, :, finger].mT
    price, pull, wall = prior.terms(state.angles)
    cost, slope[..., 6:] = cost + price, slope[..., 6:] + pull
    curvature[..., 6:, 6:] += prior.precision + torch.diag_embed(wall)
    z = state.place[..., 2]
    near, far = seen.depths.unbind(-1)
    over = (z - far).clamp_min(0) - (near - z).clamp_min(0)
    cost = cost + 0.5 * (over / DEPTH_EDGE) ** 2
    slope[..., 5] += over / DEPTH_EDGE**2
    curvature[..., 5, 5] += (over != 0) / DEPTH_EDGE**2
    return Equations(cost, slope, curvature)


def _lens(places: Tensor, focal: float) -> Tensor:
    """How pixels move with places (..., 3): (..., 2, 3)."""
    depth = places[..., 2].clamp_min(1e-2)
    near, zero = focal / depth, torch.zeros_like(depth)
    rows = [near, zero, -near * places[..., 0] / depth, zero, near, -near * places[..., 1] / depth]
    return torch.stack(rows, -1).unflatten(-1, (2, 3))


def solve_frames(chains: Chains, prior: Prior, state: State, seen: Seen, rounds: int) -> tuple[State, Tensor]:
    """Every frame by itself: the state after some rounds of Levenberg-Marquardt, and its cost (N, 2)."""
    damping = torch.full(state.place.shape[:2], 1e-2, dtype=torch.float64)
    now = equations(chains, prior, state, seen)
    for _ in range(rounds):
        scale = now.curvature.diagonal(dim1=-2, dim2=-1) * damping[..., None] + 1e-6
        factor = torch.linalg.cholesky(now.curvature + torch.diag_embed(scale))
        step = -torch.cholesky_solve(now.slope[..., None], factor)[..., 0]
        turn = torch.linalg.norm(step[..., :3], dim=-1, keepdim=True)
        step = step * (0.7 / turn.clamp_min(0.7))
        new_state = state.moved(step)
        new = equations(chains, prior, new_state, seen)
        better = new.cost <= now.cost
        choose = lambda a, b: torch.where(better.reshape(*better.shape, *[1] * (a.ndim - 2)), a, b)  # noqa: B023
        state = State(*(choose(a, b) for a, b in zip(new_state, state)))
        now = Equations(*(choose(a, b) for a, b in zip(new, now)))
        damping = torch.where(better, damping * 0.3, damping * 8).clamp(1e-7, 1e7)
    return state, now.cost


class Smooth(NamedTuple):
    """Smoothness of a clip: weights (36,) of second differences; their cost is half their weighted squares."""

    weights: Tensor

    @classmethod
    def at(cls, fps: float, changes: Changes) -> Smooth:
        """For a frame rate."""
        return cls(_spread(*(fps**3 / restless**2 for restless in (changes.turn, changes.move, changes.bend))))

    def differences(self, state: State) -> Tensor:
        """Second differences (N-2, 2, 36)."""
        turn = _log(state.wrist[1:] @ state.wrist[:-1].mT)
        rest = torch.cat([state.place, state.angles.flatten(2)], -1)
        return torch.cat([turn[1:] - turn[:-1], rest[2:] - 2 * rest[1:-1] + rest[:-2]], -1)


def solve_clip(chains: Chains, prior: Prior, state: State, seen: Seen, smooth: Smooth, rounds: int) -> State:
    """All frames together. Each hand has its own damping, so neither depends on the other."""
    damping = np.full(2, 1e-3)
    now = _clip_equations(chains, prior, state, seen, smooth)
    done = np.zeros(2, bool)
    for _ in range(rounds):
        step = torch.zeros(*state.place.shape[:2], UNKNOWNS, dtype=torch.float64)
        for hand in np.flatnonzero(~done):
            step[:, hand] = _banded_step(now, smooth, int(hand), float(damping[hand]))
        turn = torch.linalg.norm(step[..., :3], dim=-1, keepdim=True)
        step = step * (0.7 / turn.clamp_min(0.7))
        new_state = state.moved(step)
        new = _clip_equations(chains, prior, new_state, seen, smooth)
        before, after = now.cost.sum(0), new.cost.sum(0)
        better = (after <= before) & ~torch.from_numpy(done)
        done |= (better & (before - after < 1e-5 * before)).numpy() | (damping > 1e4)
        damping = np.where(better.numpy(), damping * 0.2, damping * 10)
        choose = lambda a, b: torch.where(better.reshape(1, 2, *[1] * (a.ndim - 2)), a, b)  # noqa: B023
        state = State(*(choose(a, b) for a, b in zip(new_state, state)))
        now = Equations(*(choose(a, b) for a, b in zip(new, now)))
        if done.all():
            break
    return state


def _clip_equations(chains: Chains, prior: Prior, state: State, seen: Seen, smooth: Smooth) -> Equations:
    """Equations with the pull to `towards`, and smoothness in cost and slope (its curvature is in `_banded_step`)."""
    cost, slope, curvature = equations(chains, prior, state, seen)
    gap = torch.cat([_log(state.wrist @ seen.towards.wrist.mT), state.place - seen.towards.place,
                     (state.angles - seen.towards.angles).flatten(2)], -1)  # fmt: skip
    weight = seen.pull[..., None] * _spread(*(play**-2 for play in PULL))
    cost = cost + 0.5 * (weight * gap**2).sum(-1)
    slope = slope + weight * gap
    curvature = curvature + torch.diag_embed(weight)
    if len(cost) > 2:
        bend = smooth.differences(state)
        cost = cost.clone()
        cost[1:-1] += 0.5 * (smooth.weights * bend**2).sum(-1)
        push = smooth.weights * bend
        slope[2:] += push
        slope[1:-1] -= 2 * push
        slope[:-2] += push
    return Equations(cost, slope, curvature)


def _spread(turn: float, place: float, angle: float) -> Tensor:
    """One number for each unknown, (36,)."""
    return torch.tensor([turn] * 3 + [place] * 3 + [angle] * (UNKNOWNS - 6), dtype=torch.float64)


def _banded_step(now: Equations, smooth: Smooth, hand: int, damping: float) -> Tensor:
    """The step (N, 36) of one hand."""
    from scipy.linalg import solveh_banded

    count = len(now.cost)
    own = now.curvature[:, hand]
    band = np.zeros((BAND + 1, count, UNKNOWNS))
    for k in range(UNKNOWNS):
        band[k, :, : UNKNOWNS - k] = own.diagonal(offset=-k, dim1=1, dim2=2).numpy()
    band[0] *= 1 + damping
    band[0] += 1e-6
    if count > 2:
        weights = smooth.weights.numpy()
        centre, next_one = np.zeros(count), np.zeros(count)
        centre[2:] += 1
        centre[1:-1] += 4
        centre[:-2] += 1
        next_one[1:-1] -= 2
        next_one[:-2] -= 2
        band[0] += centre[:, None] * weights
        band[UNKNOWNS] += next_one[:, None] * weights
        band[BAND, :-2] += weights
    flat = band.reshape(BAND + 1, -1)
    solved = solveh_banded(flat, now.slope[:, hand].reshape(-1).numpy(), overwrite_ab=True, lower=True,
                           check_finite=False)  # fmt: skip
    return -torch.from_numpy(solved).reshape(count, UNKNOWNS)
