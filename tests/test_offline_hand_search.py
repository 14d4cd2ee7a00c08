"""Whose hand is whose, with the networks' answers made up: what is asked where, in what order, what is believed."""

import numpy as np
import pytest
from emo2.models.pose import offline_hand_search as search
from emo2.models.pose.offline_body import SHOULDERS, WRISTS, Body
from emo2.models.pose.offline_hands import Hand
from emo2.models.pose.offline_regions import Picture, Region

PICTURE = Picture(np.zeros((800, 800, 3), np.uint8))
LEFT, RIGHT = (520.0, 500.0), (280.0, 500.0)


def body(left=LEFT, right=RIGHT, sure=(0.9, 0.9)):
    points, scores = np.full((33, 2), 400.0), np.full(33, 0.9)
    points[list(SHOULDERS)] = (500, 300), (300, 300)
    for side, wrist in enumerate((left, right)):
        for point, way in ((WRISTS[side], 0), (17 + side, 40), (19 + side, 40)):
            points[point] = np.add(wrist, (0, way))
            scores[point] = sure[side]
    return Body(points, scores, 1.0, Region(400, 500, 900, 0))


def hand(wrist, score=0.9, right=0.5):
    """A hand that hangs down from its wrist."""
    points = np.array(wrist) + np.stack([np.linspace(-20, 20, 21), np.linspace(0, 80, 21)], axis=1)
    points[0] = wrist
    return Hand(points, score, right)


@pytest.fixture
def world(monkeypatch):
    """Hands that stand in the picture; whoever looks within 80 pixels of one's middle sees it."""

    class World:
        hands = []
        looks, palms = [], []

    def find_hand(networks, picture, region):
        World.looks.append(region)
        near = [h for h in World.hands if np.hypot(*(h.points.mean(0) - (region.x, region.y))) < 80]
        return max(near, key=lambda h: h.score) if near else hand((region.x, region.y), score=0.0)

    def find_palms(networks, picture, view):
        World.palms.append(view)
        inside = lambda h: ((view.from_picture(h.points) > 0) & (view.from_picture(h.points) < 1)).all()
        return [(h.region, h.score) for h in World.hands if inside(h)]

    World.hands, World.looks, World.palms = [], [], []
    monkeypatch.setattr(search, "find_hand", find_hand)
    monkeypatch.setattr(search, "find_palms", find_palms)
    monkeypatch.setattr(search, "recropped", lambda networks, picture, region: region)
    return World


def find(body, before=None):
    return search.find_hands(None, PICTURE, body, before)


def test_each_wrist_gets_its_own_hand(world):
    world.hands = [hand(LEFT), hand(RIGHT)]
    left, right = find(body())
    assert left is world.hands[0] and right is world.hands[1] and not world.palms


def test_a_hand_is_followed_with_one_look_to_where_its_wrist_went(world):
    before = search.Before(body(), (hand(LEFT), hand(RIGHT)), (0, 0))
    moved = (LEFT[0] - 200, LEFT[1] - 150)
    world.hands = [hand(moved), hand(RIGHT)]
    left, right = find(body(left=moved), before)
    assert left is world.hands[0] and right is world.hands[1] and len(world.looks) == 2


def test_a_followed_hand_that_is_not_sure_is_looked_for_on_its_arm_too(world):
    world.hands = [hand(LEFT, 0.6), hand(RIGHT)]
    before = search.Before(body(), (hand(LEFT), hand(RIGHT)), (0, 0))
    assert find(body(), before)[0] is world.hands[0] and len(world.looks) == 4


def test_one_hand_found_twice_goes_to_the_nearer_wrist(world):
    between = (RIGHT[0] + 30, RIGHT[1])
    world.hands = [hand(between)]
    left, right = find(body(left=(between[0] + 60, RIGHT[1])))
    assert left is None and right is world.hands[0]


def test_one_hand_found_twice_goes_to_the_side_that_it_plainly_is_of(world):
    between = (RIGHT[0] + 30, RIGHT[1])
    world.hands = [hand(between, right=0.01)]
    left, right = find(body(left=(between[0] + 60, RIGHT[1])))
    assert left is world.hands[0] and right is None


def test_a_hand_off_its_arm_is_found_by_its_palm(world):
    """The arm's points miss the hand by nearly half a shoulder width."""
    world.hands = [hand((LEFT[0] + 60, LEFT[1] + 65)), hand(RIGHT)]
    missed = find(body())
    assert len(world.palms) == 1
    assert missed[0] is None, "too far from a wrist that is sure"
    found = find(body(sure=(0.4, 0.9)))
    assert found[0] is world.hands[0]


def test_a_palm_of_the_other_arm_is_left_to_it(world):
    world.hands = [hand(RIGHT)]
    assert find(body(left=(RIGHT[0] + 110, RIGHT[1]), sure=(0.4, 0.9)))[0] is None


def test_a_hand_that_stays_away_is_sought_all_over_now_and_then_only(world):
    world.hands = [hand(RIGHT)]
    for away in range(1, 11):
        find(body(), search.Before(body(), (None, hand(RIGHT)), (away, 0)))
    assert len(world.palms) == 10 // search.PATIENCE


def test_nothing_is_sought_far_outside_the_picture(world):
    assert find(body(left=(1300.0, 500.0), right=(280.0, 1300.0))) == (None, None)
    assert not world.looks and not world.palms


def test_hands_that_are_not_sure_or_far_from_their_wrist_are_not_believed(world):
    world.hands = [hand(LEFT, score=0.3), hand((RIGHT[0] - 75, RIGHT[1] + 10))]
    assert find(body()) == (None, None)
