"""Both hands in space from their 21 points in the picture, over a whole clip, by optimisation. PROTOTYPE"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..hands.layer import HandModel
from ..hands.quaternions import continuous, from_matrix, slerp, to_matrix
from ..types import Framing
from .hand_chain import Chains, angles_of, chains_of, rotations_of
from .hand_prior import Changes, anatomy
from .hand_solver import Seen, Smooth, State, misses, solve_clip, solve_frames
from .lift import FARTHEST, NEAREST, Lifted

DEBUG = {}

def fit_hands(points, scores, first: Lifted, framing: Framing, fps: float, hands: HandModel, changes=Changes(), rounds=(10, 6, 12), sig0=0.03, wfloor=0.004):
    chains, prior = chains_of(hands), anatomy()
    centre = np.array([framing.size[1], framing.size[0]])
    pix = torch.from_numpy((np.asarray(points, float) - 0.5) * centre)
    w = torch.from_numpy(np.asarray(scores, float))
    root = framing.root()[2]
    state = State(torch.from_numpy(to_matrix(first.rotations[:, :, 0])), torch.from_numpy(first.wrists.copy()), angles_of(chains, first.rotations))
    size = framing.focal * chains.length / state.place[..., 2].median(0).values
    seen = Seen(pix, w, sig0 * size, framing.focal, (root + NEAREST, root + FARTHEST))
    # candidates
    flip = flipped(state)
    cands = [solve_frames(chains, prior, s, seen, rounds[0]) for s in (state, flip)]
    DEBUG['cands'] = cands
    cost = torch.stack([c for _, c in cands], -1).numpy()   # N,2,C
    count = len(points)
    chosen = []
    for h in (0, 1):
        turns = np.stack([s.wrist[:, h].numpy() for s, _ in cands], 1)
        chosen.append(path(cost[:, h], turns, fps))
    chosen = np.stack(chosen, 1)
    DEBUG['chosen'] = chosen
    idx = torch.from_numpy(chosen)
    state = State(*(torch.where(idx.reshape(count, 2, *[1] * (a.ndim - 2)) == 0, a, b) for a, b in zip(cands[0][0], cands[1][0])))
    smooth = Smooth(1 / (changes.deviations() ** 2 / fps ** 3))
    noise = noise_of(chains, state, seen, size, wfloor)
    DEBUG['noise'] = [(noise / size).tolist()]
    from dataclasses import replace
    for _ in range(2):
        seen = replace(seen, noise=noise)
        state = solve_clip(chains, prior, state, seen, smooth, rounds[1])
        noise = noise_of(chains, state, seen, size, wfloor)
        DEBUG['noise'].append((noise / size).tolist())
    seen = replace(seen, noise=noise)
    state = solve_clip(chains, prior, state, seen, smooth, rounds[2])
    return Lifted(rotations_of(chains, state.angles, from_matrix(state.wrist.numpy())), state.place.numpy(), first.seen)

def noise_of(chains, state, seen, size, floor):
    r = misses(chains, state, seen).abs()
    out = []
    for h in (0, 1):
        k = seen.weights[:, h] > 0
        out.append(1.4826 * r[:, h][k].median() * 1.3 if k.any() else torch.tensor(1., dtype=torch.float64))
    return torch.minimum(torch.maximum(torch.stack(out), floor * size), 0.06 * size)

def flipped(state: State) -> State:
    ray = state.place / torch.linalg.norm(state.place, dim=-1, keepdim=True)
    m = torch.eye(3, dtype=torch.float64) - 2 * ray[..., :, None] * ray[..., None, :]
    r = m @ state.wrist @ torch.diag(torch.tensor([1., -1., 1.], dtype=torch.float64))
    return State(r, state.place, state.angles)

def path(cost, turns, fps):
    n, c = cost.shape
    total, back = cost[0].copy(), np.zeros((n, c), int)
    for i in range(1, n):
        d = np.einsum('aij,bij->ab', turns[i - 1], turns[i])
        jump = np.arccos(np.clip((d - 1) / 2, -1, 1))
        ways = total[:, None] + np.minimum(0.5 * (jump * fps / 4.0) ** 2, 60)
        back[i] = ways.argmin(0)
        total = ways.min(0) + cost[i]
        total -= total.min()
    p = np.zeros(n, int)
    p[-1] = total.argmin()
    for i in range(n - 1, 0, -1):
        p[i - 1] = back[i, p[i]]
    return p
