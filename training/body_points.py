"""Where a body is in space by the vectors of `models/body/vector.py`, with gradients, for the tokenizer's loss.

Turns add up along spine and arm: six small errors of local turns are one large error of a hand. A loss in space (as the
geometric losses of MDM, Tevet et al. 2023, equations 3 to 5) sees that, one of turns does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

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


class InSpace(NamedTuple):
    """Metres, camera axes, left first. wrists (..., 2, 3) from the neck root. hands (..., 2, 20, 3): the points of both
    hands from their wrists. head (..., 2, 3): the nose and the crown from the neck root. legs (..., 3, 2, 3): knees,
    ankles and feet, and pelvis (..., 3), from where a resting neck root is."""

    wrists: Tensor
    hands: Tensor
    head: Tensor
    legs: Tensor
    pelvis: Tensor


HEAD_POINTS = ((0.0, -0.05, -0.12), (0.0, -0.2, 0.0))
"""Nose and crown from the head's joint at rest."""


def in_space(values: Tensor) -> InSpace:
    """Vectors (..., 384), not normalised, to places."""
    local = lambda joint: matrices(values[..., vector.joint(joint)])
    rest = torch.tensor(skeleton.REST_JOINTS, dtype=values.dtype, device=values.device)
    tips = torch.tensor(skeleton.REST_TIPS, dtype=values.dtype, device=values.device)
    step = lambda joint: rest[joint] - rest[skeleton.PARENTS[joint]]
    turned = lambda turn, offset: (turn @ offset[:, None])[..., 0]
    pelvis = local(skeleton.PELVIS)
    chest = pelvis
    for joint in skeleton.SPINE:
        chest = chest @ local(joint)
    # The neck root is where rest has its origin, carried by the chest.
    neck = chest @ local(skeleton.NECK)
    head = neck @ local(skeleton.HEAD)
    place = turned(chest, rest[skeleton.NECK]) + turned(neck, step(skeleton.HEAD))
    ends = torch.tensor(HEAD_POINTS, dtype=values.dtype, device=values.device)
    heads = torch.stack([place + turned(head, end) for end in ends], -2)
    wrists, hands, legs = [], [], []
    base = rest[skeleton.PELVIS] + values[..., vector.ROOT]
    for hand, arm in enumerate(ARM):
        turn, place = _along(chest, turned(chest, rest[arm[0]]), arm, local, step)[-1]
        wrists.append(place)
        hands.append(_fingers(turn, values, hand, rest, tips[hand]))
        leg = [joints[hand] for joints in (skeleton.HIPS, skeleton.KNEES, skeleton.ANKLES, skeleton.FEET)]
        found = _along(pelvis, base + turned(pelvis, step(leg[0])), leg, local, step)
        legs.append(torch.stack([place for _, place in found[1:]], -2))
    return InSpace(torch.stack(wrists, -2), torch.stack(hands, -3), heads, torch.stack(legs, -2), base)


def _along(
    turn: Tensor, place: Tensor, joints: Sequence[int], local: Callable[[int], Tensor], step: Callable[[int], Tensor]
) -> list[tuple[Tensor, Tensor]]:
    """Turn and place of joints that hang on one another, the first one at `place` on what is turned by `turn`."""
    found = []
    for number, joint in enumerate(joints):
        if number:
            place = place + (turn @ step(joint)[:, None])[..., 0]
        turn = turn @ local(joint)
        found.append((turn, place))
    return found


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
