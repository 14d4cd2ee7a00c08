"""The relation bank and the translator: real poses come back for tokens, seams do not jump, builds fit."""

import dataclasses

import numpy as np
import pytest
from emo2.models.direction.bank import (
    NORMAL,
    STEP,
    BankClip,
    PoseBank,
    features,
    hand_points,
    load_bank,
    normal_form,
    pose_points,
    save_bank,
)
from emo2.models.direction.translator import assemble, choose, translate
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle
from emo2.models.motion.edit_blend import gather
from emo2.models.pose.proportions import Proportions
from emo2.models.types import FRAME_FIELDS, Framing
from motion_cases import gestures

KINDS = 24


@pytest.fixture(scope="module")
def world():
    """Four clips, tokens by the nearest of 24 poses, and those poses as the codebook."""
    motions = [gestures(seed, 120) for seed in range(4)]
    shown = [features(normal_form(motion)) for motion in motions]
    centres = np.concatenate(shown)[:: 480 // KINDS]
    token = lambda f: np.argmin(((f[1::4, None] - centres[None]) ** 2).sum(-1), 1)
    codes = [token(f) for f in shown]
    bank = PoseBank.of(BankClip(m, c, projected=i == 3) for i, (m, c) in enumerate(zip(motions[:3], codes[:3])))
    return bank, motions, codes, centres, token


def step(motion):
    return np.linalg.norm(np.diff(features(motion), axis=0), axis=-1).max()


def test_a_bank_keeps_its_clips_in_the_normal_form(world):
    bank, motions, codes, _, _ = world
    assert len(bank) == 90 and len(bank.motion) == 360 and bank.motion.framing == NORMAL
    assert np.array_equal(bank.codes, np.concatenate(codes[:3])) and bank.follows.sum() == 87
    assert np.array_equal(bank.motion.rotations[120:240], normal_form(motions[1]).rotations)
    points, scores = pose_points(bank.motion)
    assert points.shape == (360, 60, 2) and scores.shape == (360, 60)
    # The neck is the origin, and the shoulders are one apart.
    assert np.abs(points[:, 1].mean(0)).max() < 0.2
    assert np.linalg.norm(points[:, 2] - points[:, 5], axis=-1).mean() == pytest.approx(1, abs=0.1)
    wrists = hand_points(bank.motion)[:, :, 0]
    assert np.allclose(wrists, bank.motion.wrists() - NORMAL.root(), atol=1e-6)


def test_a_bank_goes_through_a_file(world, tmp_path):
    bank = world[0]
    path = save_bank(bank, tmp_path / "bank.npz")
    read = load_bank(path)
    for name in FRAME_FIELDS:
        kept, given = getattr(read.motion, name), getattr(bank.motion, name)
        assert kept.dtype == given.dtype and kept.shape == given.shape, name
        assert np.abs(kept.astype(float) - given.astype(float)).max(initial=0) <= STEP / 2 + 1e-6, name
    assert np.array_equal(read.codes, bank.codes) and np.array_equal(read.clips, bank.clips)
    assert np.array_equal(read.projected, bank.projected)
    again = save_bank(read, tmp_path / "again.npz")
    assert again.read_bytes() == path.read_bytes(), "nothing more is lost"
    whole = {name: getattr(bank.motion, name) for name in FRAME_FIELDS}
    np.savez_compressed(tmp_path / "first.npz", format="emo2-pose-bank", version=1, codes=bank.codes, clips=bank.clips,
                        projected=bank.projected, tokenizer="", **whole)  # fmt: skip
    assert all(np.array_equal(getattr(load_bank(tmp_path / "first.npz").motion, n), v) for n, v in whole.items())


def test_places_far_outside_are_kept_exactly(world, tmp_path):
    bank = world[0]
    far = bank.motion.keypoints.copy()
    far[::2] += 40
    bank = dataclasses.replace(bank, motion=bank.motion.replace(keypoints=far))
    assert np.array_equal(load_bank(save_bank(bank, tmp_path / "far.npz")).motion.keypoints, far)


@pytest.mark.parametrize("content", [b"", b"no bank", None])
def test_what_is_no_bank_is_told(tmp_path, content):
    path = tmp_path / "bank.npz"
    if content is None:
        np.savez(path, format=np.array("emo2-motion"), version=np.array(1))
    else:
        path.write_bytes(content)
    with pytest.raises(EMO2Error, match="pose bank"):
        load_bank(path)
    with pytest.raises(EMO2Error, match="no file"):
        load_bank(tmp_path / "other.npz")
    with pytest.raises(EMO2Error, match="at least one token"):
        PoseBank.of([])


def test_the_tokens_of_a_clip_in_the_bank_give_the_clip(world):
    bank, _, codes, centres, _ = world
    chosen = choose(bank, codes[1], centres)
    assert np.array_equal(chosen, np.arange(30, 60))
    made = translate(bank, codes[1], centres)
    assert np.array_equal(made.rotations, bank.motion.rotations[120:240])
    assert len(made) == 120 and made.fps == 25


def test_other_tokens_give_real_poses_that_mean_the_same(world):
    bank, motions, codes, centres, _ = world
    made = translate(bank, codes[3], centres, normal_form(motions[3]))
    wanted = features(normal_form(motions[3]))
    near = np.linalg.norm(features(made) - wanted, axis=-1).mean()
    rng = np.random.default_rng(0)
    by_chance = gather(bank.motion, rng.permutation(360)[:120])
    assert near < 0.75 * np.linalg.norm(features(by_chance) - wanted, axis=-1).mean()
    # With the decoded pose it is nearer than by the tokens alone.
    alone = translate(bank, codes[3], centres)
    assert near < np.linalg.norm(features(alone) - wanted, axis=-1).mean()


def test_nothing_jumps_at_any_seam(world):
    bank = world[0]
    rng = np.random.default_rng(1)
    for _ in range(3):
        chosen = rng.integers(0, len(bank), 30)  # a seam after every token, blends run into one another
        made = assemble(bank, chosen, 6)
        span = features(bank.motion)
        widest = np.linalg.norm(span[:, None, :] - span[None, ::7], axis=-1).max()
        assert len(made) == 120 and step(made) <= step(bank.stretch(0, 120)) * 2 + 0.3 * widest
        turned = angle(made.rotations[:-1].astype(float), made.rotations[1:].astype(float)).max()
        assert turned < np.pi / 2
    hard = gather(bank.motion, (chosen[:, None] * 4 + np.arange(4)).reshape(-1))
    assert step(made) < 0.6 * step(hard)


def test_continuity_makes_fewer_seams(world):
    bank, _, codes, centres, _ = world
    seams = lambda c: (np.diff(choose(bank, codes[3], centres, continuity=c)) != 1).sum()
    assert seams(2.0) < seams(0.0)


def test_a_run_at_a_clip_s_end_is_held_not_run_on(world):
    bank = world[0]
    part = bank.stretch(29, 10)
    assert np.array_equal(part.rotations[3:], np.repeat(bank.motion.rotations[119:120], 7, 0))


def test_the_person_in_the_picture_gets_their_own_build(world):
    bank, _, codes, centres, _ = world
    framing = Framing((0.4, 0.3), 0.2, (300, 500))
    made = translate(bank, codes[0], centres, framing=framing, target=Proportions(upper_arm=0.4, forearm=0.36))
    assert made.framing == framing and len(made) == 120
    small = translate(bank, codes[0], centres, framing=framing)
    reach = lambda m: np.abs(m.translations).max()
    assert reach(made) > 1.1 * reach(small)


@pytest.mark.parametrize("codes", [[], [[1, 2]], [-1], [KINDS]])
def test_tokens_that_the_bank_cannot_know_are_told(world, codes):
    with pytest.raises(EMO2Error, match="codes"):
        translate(world[0], np.array(codes), world[3])
