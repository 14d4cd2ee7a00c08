"""R-precision and the network behind it."""

import numpy as np
import pytest
import torch
from directed_cases import ACTIONS, NUMBERS, clip, learn, sources
from emo2.evaluation.motion.matching import fid, r_precision, shuffled, text_matching
from emo2.models.direction import matching
from emo2.models.direction.config import TextConfig
from emo2.models.direction.text import train_pieces
from emo2.models.errors import EMO2Error
from emo2.training import text_matching as trainer
from emo2.training.described import Described
from emo2.training.kept_clips import KeptClip, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st


def features(count=40, size=8, seed=0):
    made = np.random.default_rng(seed).normal(size=(count, size))
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_true_pairs_are_found_and_shuffled_ones_by_chance():
    said = features(64, 16)
    found = r_precision(said, said + 1e-3, among=32)
    assert found.top.tolist() == [1.0, 1.0, 1.0] and found.count == 64
    np.testing.assert_allclose(found.chance, [1 / 32, 2 / 32, 3 / 32])
    blind = r_precision(features(400, 16), features(400, 16, seed=1), among=32, rounds=5)
    np.testing.assert_allclose(blind.top, blind.chance, atol=0.035)


def test_motions_that_do_not_differ_get_chance():
    found = r_precision(features(40), np.tile(features(1), (40, 1)), among=20)
    np.testing.assert_allclose(found.top, [0.05, 0.1, 0.15])


def test_a_pool_holds_no_two_of_a_kind():
    """Two of a kind share their motion: without labels they stand in each other's way."""
    kinds = features(32, 16)
    labels = np.repeat([f"action {k}" for k in range(32)], 2)
    said = np.repeat(kinds, 2, axis=0)
    assert r_precision(said, said, labels, among=32).top[0] == 1.0
    assert r_precision(said, said, among=64, rounds=2).top[0] == 0.5
    with pytest.raises(EMO2Error, match="32 different"):
        r_precision(said[:40], said[:40], labels[:40])


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(0, 1000))
def test_shuffled_texts_leave_their_place(count, seed):
    rows = np.arange(count, dtype=float)[:, None]
    moved = shuffled(rows, seed)
    assert sorted(moved[:, 0]) == rows[:, 0].tolist() and (moved != rows).all()


def test_fid_grows_with_the_distance():
    true = features(200, 4)
    assert fid(true, true) < 1e-6 < fid(true[::2] + 0.1, true) < fid(true[::2] + 0.5, true)


@pytest.mark.parametrize("wrong", [(np.zeros((3, 2)), np.zeros((4, 2))), (np.full((40, 2), np.nan), np.zeros((40, 2)))])
def test_wrong_features_are_told(wrong):
    with pytest.raises(EMO2Error, match="R-precision"):
        r_precision(*wrong)


def test_the_missing_network_is_named(tmp_path):
    with pytest.raises(EMO2Error, match="emo2 train text-matching"):
        text_matching(tmp_path / "net.safetensors")


@pytest.fixture
def recipe(tmp_path):
    for number, one in enumerate(sources()[0].clips):
        told = tuple(Described(t, s.start * 0.16, s.end * 0.16) for s in one.sayings for t in s.choices)
        write_clip(tmp_path / "clips" / f"clip_{number:06d}.npz", KeptClip(one.vectors, one.known, told), 25.0)
    network = {"width": 16, "depth": 1, "features": 8, "longest": 48}
    data = [{"kind": "puppets", "folder": str(tmp_path / "clips"), "count": 0}]
    options = {"data": data, "network": network, "vocabulary": 320, "text": {"layers": 1, "mlp": 32}}
    return trainer.TextMatchingRecipe(options, 0)


def test_it_learns_to_tell_actions_apart_and_is_exported(recipe, tmp_path):
    torch.manual_seed(0)
    lesson, dataset = recipe.build(), recipe.dataset()
    first, last = learn(lesson, dataset, 40, lr=5e-3)
    assert last < first
    (path,) = recipe.export(lesson.eval(), tmp_path, {"steps": "40"})
    network = text_matching(path)
    moved = network.of_motions([clip(50 + k, action=k).vectors[32:64].astype(np.float32) for k in range(3)])
    said = network.of_texts([f"please {action}" for action in ACTIONS])
    assert ((said @ moved.T).argmax(axis=1) == np.arange(3)).all()
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), 1, atol=1e-5)


def test_padding_changes_no_feature():
    torch.manual_seed(0)
    text = TextConfig(width=16, layers=1, heads=2, mlp=16, length=16, pieces=train_pieces(ACTIONS, 300))
    network = matching.TextMatching(matching.MatchingConfig(width=8, depth=2, features=4, text=text)).eval()
    vectors = torch.randn(1, 40, NUMBERS)
    valid = torch.arange(40)[None] < 24
    with torch.no_grad():
        long = network.motion(vectors, valid)
        short = network.motion(vectors[:, :24], valid[:, :24])
    torch.testing.assert_close(long, short, atol=1e-5, rtol=1e-4)
    with pytest.raises(EMO2Error, match="at least one frame"):
        network.of_motions([np.zeros((0, NUMBERS))])


@pytest.mark.parametrize("wrong", [{"jitter": 0.5}, {"pieces": 2}, {"network": {"widht": 2}}, {"data": None}, {"x": 1}])
def test_wrong_options_are_told_at_once(wrong):
    with pytest.raises(EMO2Error, match="recipe"):
        trainer.TextMatchingRecipe({"data": "somewhere", **wrong}, 0)
