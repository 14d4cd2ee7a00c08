"""Painted puppets: hands on the maps' pixels, mouths that open, people who differ, splits that share nobody."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.maps import mano_maps
from emo2.models.types import Framing
from emo2.training.puppets.hands import paint_hands
from emo2.training.puppets.identity import Identity
from emo2.training.puppets.painter import mouth_places, paint
from emo2.training.puppets.scenery import paint_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from puppet_cases import still_motion, waving_motion

PERSON = Identity.draw(3)


def painted(identity=PERSON, motion=None, opening=0.0, width=0.5, lid=0.0, turn=0.0, **options):
    motion = motion or still_motion()
    count = len(motion)
    head = np.tile([0.0, turn, 0.0], (count, 1))
    mouth = np.tile([opening, width], (count, 1))
    return paint(identity, motion, mouth=mouth, blink=np.full(count, lid), head=head, **options)


def test_the_same_seed_paints_the_same_puppet_and_another_seed_another():
    assert np.array_equal(painted(Identity.draw(5)), painted(Identity.draw(5)))
    assert np.abs(painted(Identity.draw(5)).astype(int) - painted(Identity.draw(6))).mean() > 10


def test_held_out_people_are_not_the_training_people():
    train = {Identity.draw(n, "train").person for n in range(200)}
    held_out = {Identity.draw(n, "held-out").person for n in range(200)}
    assert len(train) == len(held_out) == 200 and not train & held_out


def test_an_unknown_split_is_refused():
    with pytest.raises(EMO2Error, match="train or held-out"):
        Identity.draw(0, "test")


def test_hands_are_painted_on_exactly_the_pixels_of_their_map():
    """On a canvas of one colour, what changed is what the map has: to the pixel, at any size."""
    motion = still_motion(1)
    for size in ((128, 96), (256, 192), (200, 150)):
        maps = mano_maps(motion, load_hands(None), size)[0]
        pixels = np.full((*size, 3), (1, 2, 3), np.uint8)
        paint_hands(pixels, maps, (220, 180, 140), np.zeros(2), np.zeros((2, 2)))
        assert np.array_equal((pixels != (1, 2, 3)).any(-1), maps[..., 2] > 0)
        assert (maps[..., 2] > 0).sum() > 100


def test_a_hand_that_moves_up_moves_up_in_the_picture():
    low = painted(motion=still_motion(1))[0].astype(int)
    high = painted(motion=still_motion(1, wrists=[[0.16, 0.26, -0.22], [-0.16, 0.06, -0.22]]))[0].astype(int)
    changed = np.abs(low - high).sum(-1) > 60
    assert changed[:, :48].sum() > 40, "the right hand is on the picture's left side"
    assert changed[:, 60:].sum() < 15, "the left arm stays"


def test_the_mouth_opens_and_widens_where_it_is_said_to_be():
    motion = still_motion(1)
    x, y = np.rint(mouth_places(PERSON, motion, np.zeros((1, 3)), (128, 96))[0]).astype(int)
    patch = (slice(y - 9, y + 10), slice(x - 9, x + 10))
    frames = [painted(motion=motion, opening=o)[0][patch].astype(int) for o in (0.0, 0.5, 1.0)]
    dark = [int((f.sum(-1) < 160).sum()) for f in frames]
    assert dark[0] < dark[1] < dark[2]
    narrow, wide = (painted(motion=motion, opening=0.6, width=w)[0][patch].astype(int) for w in (0.0, 1.0))
    assert np.abs(wide - narrow).sum(-1)[:, [0, 1, 2, 3, 4, -5, -4, -3, -2, -1]].sum() > 0
    elsewhere = painted(motion=motion, opening=1.0)[0].astype(int) - painted(motion=motion)[0]
    elsewhere[patch] = 0
    assert np.abs(elsewhere).max() == 0, "only the mouth moves"


def test_eyes_close_and_the_head_turns():
    open_eyes, shut = painted(lid=0.0)[0].astype(int), painted(lid=1.0)[0].astype(int)
    assert 4 < (np.abs(open_eyes - shut).sum(-1) > 60).sum() < 300
    assert (np.abs(open_eyes - painted(turn=0.5)[0]).sum(-1) > 60).sum() > 20


def test_blur_softens_the_hand_along_its_path_and_leaves_the_rest():
    motion = waving_motion()
    sharp = painted(motion=motion).astype(int)
    blurred = painted(motion=motion, blur=np.tile([0.0, 6.0], (len(motion), 1))).astype(int)
    assert np.abs(sharp - blurred)[:, :, 70:].max() == 0
    changed = np.abs(sharp - blurred)[3, :, :60]
    assert changed.max() > 20
    gradient = lambda frames: np.abs(np.diff(frames[3, :, :48], axis=0)).sum()
    assert gradient(blurred) < gradient(sharp)


def test_another_scene_changes_what_is_behind_and_not_who_is_before_it():
    other = Identity.draw(11).scene
    here, there = painted()[0].astype(int), painted(scene=other)[0].astype(int)
    assert np.abs(here - there)[:20, :20].mean() > 2
    trunk = (slice(64, 100), slice(44, 52))
    assert np.array_equal(here[trunk], there[trunk])
    assert paint_scene(other, (64, 48)).shape == (64, 48, 3)


def test_legs_are_there_when_the_framing_shows_them():
    far = still_motion(1, Framing((0.5, 0.28), 0.24, (128, 96)))
    red = Identity.draw(3)
    from dataclasses import replace

    bright = replace(red, person=replace(red.person, trousers=(255, 0, 0)))
    assert (painted(bright, far)[0].astype(int) @ [1, -1, -1] > 150).sum() > 300


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(128, 96), (96, 96), (64, 48), (120, 160)]))
def test_every_puppet_can_be_painted_at_any_size(seed, size):
    frames = painted(Identity.draw(seed), still_motion(1), opening=0.3, size=size)
    assert frames.shape == (1, *size, 3) and frames.dtype == np.uint8 and frames.std() > 5


def test_part_of_a_performance_is_that_part_of_the_whole():
    motion = waving_motion()
    whole = painted(motion=motion)
    part = painted(motion=motion, start=3, count=2)
    assert np.array_equal(whole[3:5], part)
