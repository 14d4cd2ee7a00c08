"""Where hands are in space by the vectors of `models/body/vector.py`, with gradients, for the tokenizer's loss.

Turns add up along spine and arm: six small errors of local turns are one large error of a hand. A loss in space (as the
geometric losses of MDM, Tevet et al. 2023, equations 3 to 5) sees that, one of turns does not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..models.body import skeleton, vector

ARM = tuple(zip(skeleton.COLLARS, skeleton.SHOULDERS, skeleton.ELBOWS, skeleton.WRISTS))
"""For the left and the right side: the joints from the chest to the wrist."""


def matrices(six: Tensor) -> Tensor:
    """(..., 6), first two columns, to rotation matrices (..., 3, 3); the first column keeps its direction."""
    first = F.normalize(six[..., :3], dim=-1, eps=1e-6)
    rest = six[..., 3:]
    second = F.normalize(rest - (rest * first).sum(-1, keepdim=True) * first, dim=-1, eps=1e-6)
    return torch.stack([first, second, torch.cross(first, second, dim=-1)], -1)


def hands_in_space(values: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors (..., 384), not normalised, to wrists (..., 2, 3) from the neck root and the 20 points of both hands
    (..., 2, 20, 3) from their wrists; metres, camera axes, left first."""
    local = lambda joint: matrices(values[..., vector.joint(joint)])
    rest = torch.tensor(skeleton.REST_JOINTS, dtype=values.dtype, device=values.device)
    tips = torch.tensor(skeleton.REST_TIPS, dtype=values.dtype, device=values.device)
    step = lambda joint: rest[joint] - rest[skeleton.PARENTS[joint]]
    turned = lambda turn, offset: (turn @ offset[:, None])[..., 0]
    chest = local(skeleton.PELVIS)
    for joint in skeleton.SPINE:
        chest = chest @ local(joint)
    wrists, hands = [], []
    for hand, arm in enumerate(ARM):
        # The neck root is where rest has its origin, carried by the chest.
        turn, place = chest, turned(chest, rest[arm[0]])
        for before, joint in zip((None, *arm[:-1]), arm):
            if before is not None:
                place = place + turned(turn, step(joint))
            turn = turn @ local(joint)
        points = _fingers(turn, values, hand, rest, tips[hand])
        wrists.append(place)
        hands.append(points)
    return torch.stack(wrists, -2), torch.stack(hands, -3)


def _fingers(wrist: Tensor, values: Tensor, hand: int, rest: Tensor, tips: Tensor) -> Tensor:
    """(..., 20, 3): the 15 joints in MANO's order, then the tips, from the wrist."""
    first = skeleton.fingers(hand)
    # Five fingers of three joints each, one after the other: all fingers at once, joint by joint.
    numbers = torch.arange(first.start, first.stop).reshape(5, 3)
    root = rest[skeleton.WRISTS[hand]]
    start = vector.joint(first.start).start
    local = matrices(values[..., start : start + 90].reshape(*values.shape[:-1], 5, 3, 6))
    turn = wrist[..., None, :, :].expand(*wrist.shape[:-2], 5, 3, 3)
    place, places = torch.zeros((), dtype=values.dtype, device=values.device), []
    before = root.expand(5, 3)
    for level in range(3):
        here = rest[numbers[:, level]]
        place = place + (turn @ (here - before)[:, :, None])[..., 0]
        places.append(place)
        turn, before = turn @ local[..., level, :, :], here
    # Tips come thumb first; the joints that carry them are in LAST_JOINTS.
    carrier = [int(joint - first.start) // 3 for joint in skeleton.LAST_JOINTS[hand]]
    last = rest[numbers[carrier, 2]]
    ends = place[..., carrier, :] + (turn[..., carrier, :, :] @ (tips - last)[:, :, None])[..., 0]
    return torch.cat([torch.stack(places, -2).flatten(-3, -2), ends], -2)
