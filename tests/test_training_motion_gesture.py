"""The network behind FGD: windows, features, what its trainer learns and exports."""

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.motion import gesture_encoder as network
from emo2.models.motion import vector
from emo2.training.gesture_encoder import GestureEncoderRecipe, GestureWindows
from emo2.training.motion_data import write_take
from motion_cases import gestures
from torch.utils.data import default_collate
from training_motion_cases import sources, take

SMALL = network.GestureEncoderConfig(width=16, features=8)


def untrained(seed=0):
    torch.manual_seed(seed)
    return network.GestureEncoder(SMALL).eval()


@pytest.fixture
def folder(tmp_path):
    for seed in range(5):
        write_take(tmp_path / f"take_{seed:06d}.npz", take(seed))
    return tmp_path


def recipe(folder, **changes):
    data = [{"kind": "puppets", "folder": str(folder), "count": 0}]
    return GestureEncoderRecipe({"data": data, "network": {"width": 16, "features": 8}, **changes}, seed=1)


def test_one_row_a_window():
    module = untrained()
    assert [len(network.features(module, gestures(0, count))) for count in (10, 64, 79, 80, 112)] == [1, 1, 1, 2, 4]
    assert network.features(module, gestures(0, 90)).dtype == np.float64


def test_features_do_not_depend_on_the_frame_rate_of_the_motion():
    from emo2.models.motion.edit import resample

    module = untrained()
    motion = gestures(3, 130).replace(visible=np.ones((130, 2), bool))
    there = network.features(module, motion)
    back = network.features(module, resample(motion, 50.0))
    assert back.shape == there.shape and np.abs(back - there).max() < 0.1 * np.abs(there).max()


def test_hidden_hands_change_nothing():
    module = untrained()
    motion = gestures(4, 70)
    seen = np.ones((70, 2), bool)
    seen[20:30, 1] = False
    moved = motion.translations.copy()
    moved[20:30, 1] += 5.0
    a = network.features(module, motion.replace(visible=seen))
    b = network.features(module, motion.replace(visible=seen, translations=moved))
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - network.features(module, motion.replace(translations=moved, visible=seen | True))).max() > 1e-3


def test_held_takes_the_next_pose_at_the_beginning():
    vectors = np.arange(5, dtype=np.float32)[:, None].repeat(network.NUMBERS, 1)
    visible = np.array([[False, True], [True, True], [True, True], [False, True], [True, True]])
    out = network.held(vectors, visible)
    assert out[:, 0].tolist() == [1, 1, 2, 2, 4] and out[:, vector.hand(1).start].tolist() == [0, 1, 2, 3, 4]


def test_samples_follow_their_index_and_styles_are_even():
    dataset = GestureWindows(sources(0, 1, 5, 10), SMALL, seed=0)
    assert torch.equal(dataset[3]["motion"], GestureWindows(sources(0, 1, 5, 10), SMALL, seed=0)[3]["motion"])
    styles = [int(dataset[i]["style"]) for i in range(200)]
    assert set(styles) == {0, 1} and 0.4 < np.mean(styles) < 0.6  # three takes speak, one sings


def test_it_learns_and_is_exported_whole(folder, tmp_path):
    made = recipe(folder)
    torch.manual_seed(0)
    module, dataset = made.build(), made.dataset()
    batch = default_collate([dataset[i] for i in range(16)])
    optimiser = torch.optim.Adam(module.parameters(), 3e-3)
    losses = []
    for _ in range(60):
        each, _ = module(batch)
        assert each.shape == (16,)
        optimiser.zero_grad()
        each.mean().backward()
        optimiser.step()
        losses.append(each.mean().item())
    assert losses[-1] < 0.75 * losses[0]
    (path,) = made.export(module, tmp_path / "out", {"steps": "80"})
    loaded, header = load_checkpoint(path, "gesture_encoder", network.build)
    assert header.notes["steps"] == "80" and path.stat().st_size < 1_000_000
    motion = gestures(0, 90)
    kept, own = network.features(loaded, motion), network.features(module.network, motion)
    assert np.abs(kept - own).max() < 0.02 * np.abs(own).max(), "what eight bits a weight leave"
    assert loaded.style_logits(torch.zeros(3, 8)).shape == (3, 5)
    assert network.style_of(loaded, motion) in SMALL.styles


@pytest.mark.parametrize("wrong", [{"network": {"windw": 3}}, {"style_weight": -1}, {"speed": 1}, {"data": 3}])
def test_wrong_options_are_told_at_once(wrong):
    with pytest.raises(EMO2Error, match="recipe"):
        GestureEncoderRecipe({"data": "somewhere", **wrong}, 0)
