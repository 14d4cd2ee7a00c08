"""Which hand is whose: where both hands of one body are looked for, in what order, and what is believed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .offline_body import SHOULDERS, WRISTS, Body
from .offline_hands import PRESENT, Hand, find_hand, find_palms, recropped, region_of_body
from .offline_networks import Networks
from .offline_regions import Picture, Region

Hands = tuple["Hand | None", "Hand | None"]

NEAR, FAR = 0.35, 0.8
"""Shoulder widths that a hand's wrist may lie from the body's: where the body's wrist is sure, and where it is not."""
SURE = 0.8
"""A followed hand surer than this is taken without looking elsewhere."""
HINT = 0.05
"""A hand less sure than this is not looked at a second time."""
SAME = 0.12
"""Two hands whose points are nearer than this on average, in sizes of their regions, are one hand found twice."""
PATIENCE = 5
"""A hand that stays away is sought all over in every so many frames only."""


class Before(NamedTuple):
    """The frame before: the body, its hands, and for how many frames each has been away."""

    body: Body
    hands: Hands
    away: tuple[int, int]


def find_hands(networks: Networks, picture: Picture, body: Body, before: Before | None) -> Hands:
    """The left and the right hand of a body.

    A hand that was there is looked for where the wrist has taken it; then where the body's wrist and knuckles are;
    then palms are sought about the wrist. One hand found twice goes to the wrist that it fits better.
    """
    found: list[Hand | None] = []
    for side in (0, 1):
        hand = _followed(networks, picture, body, side, before)
        if hand is None or hand.score < SURE:
            hand = _better(hand, _on_arm(networks, picture, body, side), body, side)
        found.append(hand)
    if _one_hand(found[0], found[1]):
        found[_worse_side(found, body)] = None
    for side in (0, 1):
        away = before.away[side] if before else 0
        if found[side] is None and away % PATIENCE == 0:
            found[side] = _by_palm(networks, picture, body, side, found[1 - side])
    return found[0], found[1]


def _offset(hand: Hand, body: Body, side: int) -> float:
    """Shoulder widths between the hand's wrist and the body's."""
    return float(np.linalg.norm(hand.points[0] - body.points[WRISTS[side]])) / body.shoulder_width


def _believed(hand: Hand, body: Body, side: int) -> bool:
    limit = NEAR if body.scores[WRISTS[side]] >= 0.5 else FAR
    return hand.score >= PRESENT and _offset(hand, body, side) < limit and _partly_inside(hand)


def _partly_inside(hand: Hand) -> bool:
    return bool(np.isfinite(hand.points).all())


def _better(one: Hand | None, other: Hand | None, body: Body, side: int) -> Hand | None:
    if one is None or other is None:
        return other if one is None else one
    value = lambda hand: hand.score - _offset(hand, body, side)
    return one if value(one) >= value(other) else other


def _followed(networks: Networks, picture: Picture, body: Body, side: int, before: Before | None) -> Hand | None:
    """The hand of the frame before, moved as the body's wrist has moved."""
    last = before.hands[side] if before else None
    if before is None or last is None:
        return None
    wrist = WRISTS[side]
    region = last.region
    if min(body.scores[wrist], before.body.scores[wrist]) >= 0.5:
        region = region.moved(body.points[wrist] - before.body.points[wrist])
    hand = find_hand(networks, picture, region)
    return hand if _believed(hand, body, side) else None


def _on_arm(networks: Networks, picture: Picture, body: Body, side: int) -> Hand | None:
    """The hand where the body's own points put it."""
    rough = region_of_body(body, side)
    if rough is None or body.scores[WRISTS[side]] < 0.1 or not _touches(picture, rough):
        return None
    region = recropped(networks, picture, rough)
    return None if region is None else _looked_at_twice(networks, picture, region, body, side)


def _looked_at_twice(networks: Networks, picture: Picture, region: Region, body: Body, side: int) -> Hand | None:
    """The better of a first look and a second one at the place that the first gave."""
    best: Hand | None = None
    hand = find_hand(networks, picture, region)
    if _believed(hand, body, side):
        best = hand
    if hand.score >= HINT:
        again = find_hand(networks, picture, hand.region)
        if _believed(again, body, side):
            best = _better(best, again, body, side)
    return best


def _by_palm(networks: Networks, picture: Picture, body: Body, side: int, other: Hand | None) -> Hand | None:
    """A hand whose palm is seen about the wrist, or before the chest where the body's wrist is unknown."""
    wrist, width = body.points[WRISTS[side]], body.shoulder_width
    if body.scores[WRISTS[side]] >= 0.1:
        view = Region(float(wrist[0]), float(wrist[1]), 1.6 * width, 0.0)
    else:
        x, y = body.points[list(SHOULDERS)].mean(0)
        view = Region(float(x), float(y) + 1.0 * width, 3.2 * width, 0.0)
    if not _touches(picture, view.scaled(0.6)):
        return None
    best: Hand | None = None
    for region, _ in find_palms(networks, picture, view)[:3]:
        hand = _looked_at_twice(networks, picture, region, body, side)
        if hand is not None and not _one_hand(hand, other) and _own_side(hand, body, side):
            best = _better(best, hand, body, side)
    return best


def _own_side(hand: Hand, body: Body, side: int) -> bool:
    """Whether a hand is nearer to this arm's wrist, or looks like a hand of this side where no wrist is known."""
    known = [body.scores[wrist] >= 0.1 for wrist in WRISTS]
    if all(known):
        return _offset(hand, body, side) <= _offset(hand, body, 1 - side)
    return (hand.right > 0.5) == (side == 1)


def _touches(picture: Picture, region: Region) -> bool:
    """Whether the middle of a region lies in the picture, or outside by less than half of the region's half size."""
    slack = region.size / 4
    return bool(-slack < region.x < picture.width + slack and -slack < region.y < picture.height + slack)


def _one_hand(one: Hand | None, other: Hand | None) -> bool:
    if one is None or other is None:
        return False
    apart = float(np.linalg.norm(one.points - other.points, axis=1).mean())
    return apart < SAME * max(one.region.size, other.region.size)


def _worse_side(found: list[Hand | None], body: Body) -> int:
    """Of one hand found on both sides the side that it fits less: by its look where that is sure, else by the wrist."""
    left, right = found
    assert left is not None and right is not None
    looks = (left.right + right.right) / 2
    if abs(looks - 0.5) > 0.4:
        return 0 if looks > 0.5 else 1
    return 0 if _offset(left, body, 0) > _offset(right, body, 1) else 1
