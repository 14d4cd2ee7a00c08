"""Shots are found where they begin, flashes and movement are none, dissolves belong to nobody."""

from itertools import pairwise

import numpy as np
import pytest
from emo2.training.footage.cuts import Looks, differences, divide, find_cuts, find_shots, look
from emo2.training.puppets.world import Puppet
from hypothesis import given
from hypothesis import strategies as st


def looks_of(frames):
    pairs = [look(frame) for frame in frames]
    return Looks(np.stack([grey for grey, _ in pairs]), np.stack([colours for _, colours in pairs]))


@pytest.fixture(scope="module")
def shots():
    """Four puppets who gesture, 24 frames each."""
    return [Puppet.draw(seed, "train", seconds=2.0, style="dance").video((64, 48), 0, 24) for seed in (3, 4, 5, 6)]


def test_cuts_are_found_to_the_frame(shots):
    assert find_cuts(looks_of(np.concatenate(shots)), 25).tolist() == [24, 48, 72]


@pytest.mark.parametrize("seed", range(4))
def test_movement_is_no_cut(seed):
    frames = Puppet.draw(seed, "held-out", seconds=3.0, style="dance").video((64, 48))
    assert find_shots(looks_of(frames), 25) == [(0, len(frames))]


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_flash_is_no_cut_and_a_cut_near_it_is_one(shots, length):
    frames = np.concatenate(shots[:2]).copy()
    frames[10 : 10 + length] = 255 - (255 - frames[10 : 10 + length]) // 8
    assert find_cuts(looks_of(frames), 25).tolist() == [24]
    frames[26 : 26 + length] = 255
    assert find_cuts(looks_of(frames), 25).tolist() == [24]


def test_light_that_changes_slowly_is_no_cut(shots):
    frames = np.concatenate([shots[0], shots[0][::-1]]) * np.linspace(1, 0.6, 48)[:, None, None, None]
    assert find_shots(looks_of(frames.astype(np.uint8)), 25) == [(0, 48)]


def test_a_jump_cut_is_found():
    """The same person in the same room, a second later and a little to the side."""
    puppet = Puppet.draw(9, "train", seconds=4.0, style="speaking")
    frames = puppet.video((128, 96), 0, 80)
    jumped = np.concatenate([frames[:30], np.roll(frames[50:80], 6, axis=2)])
    assert find_cuts(looks_of(jumped), 25).tolist() == [30]


def test_a_dissolve_belongs_to_no_shot(shots):
    share = np.linspace(0, 1, 14)[1:-1, None, None, None]
    blend = shots[0][23] * (1 - share) + shots[1][0] * share
    frames = np.concatenate([shots[0], blend.astype(np.uint8), shots[1]])
    found = find_shots(looks_of(frames), 25)
    assert found[0][0] == 0 and found[-1][1] == len(frames)
    assert 20 <= found[0][1] <= 26 and 34 <= found[-1][0] <= 40


@given(st.integers(0, 2**32 - 1))
def test_differences_are_shares_and_symmetric(seed):
    rng = np.random.default_rng(seed)
    frames = looks_of(rng.integers(0, 256, (4, 9, 7, 3), dtype=np.uint8))
    a, b = rng.integers(0, 4, (2, 6))
    there, back = differences(frames, a, b), differences(frames, b, a)
    assert np.allclose(there, back) and ((there >= 0) & (there <= 1)).all() and (there[a == b] < 1e-6).all()


def test_black_frames_are_alike():
    frames = looks_of(np.zeros((30, 16, 16, 3), np.uint8))
    assert find_shots(frames, 25) == [(0, 30)]


@given(st.integers(0, 1000), st.integers(1, 2000), st.integers(1, 300))
def test_a_shot_is_divided_without_loss(first, length, longest):
    parts = divide((first, first + length), longest)
    assert parts[0][0] == first and parts[-1][1] == first + length
    assert all(a[1] == b[0] for a, b in pairwise(parts))
    assert all(0 < stop - start <= longest for start, stop in parts)
