"""The trainer of the motion tokenizer: its data, its losses, what it learns and exports, and what it refuses."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from emo2.evaluation.motion.tokens import report
from emo2.models.body import WholeBody, kinematics, skeleton, vector
from emo2.models.body.tokenizer import MotionTokenizer, build
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.training.body_clips import BodyClip, Puppets
from emo2.training.body_data import BodySource, BodyWindows, mirror_numbers, open_data, statistics
from emo2.training.body_points import HEAD_POINTS, in_space
from emo2.training.described import Described
from emo2.training.kept_clips import KeptClip, KeptClips, check_clips, read_clip, write_clip
from emo2.training.loop import train
from emo2.training.settings import load_settings
from emo2.training.tokenizer import TokenizerRecipe, emphasis, space_losses
from motion_cases import gestures
from torch.utils.data import default_collate

NETWORK = {"width": 24, "depth": 1, "codes": 32, "code_width": 8, "residual": 1}


def body(seed=0, count=60, hands=None):
    return WholeBody.from_motion(gestures(seed, count)).replace(hands=hands)


def clip(seed=0, sound=True, **options):
    told = (Described("wave", 0.5, 1.5), Described("nod, please", 0.0, 0.0))
    wave = np.random.default_rng(seed).uniform(-0.5, 0.5, 38400).astype(np.float32) if sound else None
    return BodyClip(body(seed, **options), told, wave, f"clip {seed}")


@dataclass
class Made:
    """A source that counts what it makes."""

    count: int = 3
    made: int = 0

    def clip(self, index):
        self.made += 1
        return clip(index, sound=index != 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("bodies")
    for seed in range(4):
        write_clip(path / f"clip_{seed:06d}.npz", KeptClip.of(clip(seed), 25.0), 25.0)
    return path


def recipe(folder, **changes):
    data = [{"kind": "puppets", "folder": str(folder), "count": 0}]
    return TokenizerRecipe({"data": data, "network": NETWORK, "window": 32, **changes}, seed=1)


# --- files and folders


def test_a_clip_comes_back_from_its_file(tmp_path):
    for seed, sound in ((0, True), (1, False)):
        seen = np.random.default_rng(seed).random((60, 2)) > 0.5
        one = KeptClip.of(clip(seed, sound, hands=seen), 25.0)
        write_clip(tmp_path / "one.npz", one, 25.0)
        back = read_clip(tmp_path / "one.npz", 25.0)
        assert back.texts == clip().texts and (back.waveform is None) is not sound
        for name in ("vectors", "known") + ("waveform",) * sound:
            assert np.array_equal(getattr(back, name), getattr(one, name)), name
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 broken")
    np.savez(tmp_path / "other.npz", rotations=np.zeros(3))
    for name, fps, words in (("bad.npz", 25.0, "bad.npz"), ("other.npz", 25.0, "other.npz"), ("one.npz", 30.0, "25")):
        with pytest.raises(EMO2Error, match=words):
            read_clip(tmp_path / name, fps)


def test_clips_are_made_once_and_kept(tmp_path):
    source = Made()
    first = KeptClips(tmp_path, source)
    assert len(first) == 3 and source.made == 0
    first.make_all()
    one = first[1]
    assert source.made == 3 and one.vectors.shape == (60, vector.SIZE) and one.known.all() and one.waveform is None
    assert np.abs(one.vectors - vector.to_vector(body(1))).max() < 4e-3
    again = KeptClips(tmp_path, source)
    assert np.array_equal(again[1].vectors, one.vectors) and source.made == 3
    assert len(KeptClips(tmp_path, None)) == 3
    twice = KeptClips(tmp_path / "fast", Made(), fps=50.0)
    assert twice[0].vectors.shape == (120, vector.SIZE)
    with pytest.raises(EMO2Error, match="none in"):
        KeptClips(tmp_path / "empty", None)


def test_puppets_know_both_hands(tmp_path):
    (source,) = open_data(check_clips(str(tmp_path), 1), 25.0)
    values, known = source.bodies[0]
    assert 4 * 25 <= len(values) <= 15 * 25 and known.all()
    (again,) = open_data(check_clips(str(tmp_path), 0), 25.0)
    assert np.array_equal(again.bodies[0][0], values)


# --- samples


def windows(*bodies, **changes):
    class Kept(list):
        def __len__(self):
            return len(bodies)

        def __getitem__(self, index):
            return vector.to_vector(bodies[index]), bodies[index].hands

    options = {"window": 32, "levels": 3, "seed": 0, "drop": 0.5} | changes
    return BodyWindows([BodySource(Kept())], **options)


def test_samples_follow_their_index():
    a, b = windows(body(0), body(1)), windows(body(0), body(1))
    for index in (0, 3, 2**31 - 1):
        for name, value in a[index].items():
            assert torch.equal(value, b[index][name]), name
    assert a[0]["motion"].shape == (32, vector.SIZE) and not torch.equal(a[0]["motion"], a[1]["motion"])
    assert {int(a[i]["levels"]) for i in range(40)} == {1, 2, 3}
    assert {int(windows(body(0), levels=1)[i]["levels"]) for i in range(9)} == {1}


def test_a_short_clip_stands_still_at_its_end():
    one = windows(body(0, 10), mirror=False)[0]["motion"]
    assert torch.equal(one[9:], one[9:10].expand(23, -1))


def test_a_mirrored_vector_is_that_of_the_mirrored_body():
    order, signs = mirror_numbers()
    one = body(2, 12, np.tile([True, False], (12, 1)))
    assert np.allclose(vector.to_vector(one)[:, order] * signs, vector.to_vector(one.mirrored()), atol=1e-4)
    assert np.array_equal(vector.mask(one)[:, order], vector.mask(one.mirrored()))
    shown = [windows(one, window=12)[i]["known"][0, vector.hand_numbers(0)[0]].item() for i in range(20)]
    assert set(shown) == {True, False}


def test_statistics_leave_out_what_is_unknown():
    right = vector.hand_numbers(1)
    one = body(0, 30)
    turns = one.rotations.copy()
    turns[:15, skeleton.fingers(1)] = [0.0, 1.0, 0.0, 0.0]
    seen = np.ones((30, 2), bool)
    seen[:15, 1] = False
    partly = one.replace(rotations=turns, hands=seen)
    mean, deviation = statistics(windows(partly).sources)
    expected, _ = statistics(windows(one.frames(15, 30)).sources)
    assert np.allclose(mean[right], expected[right], atol=1e-5) and (deviation >= 0.01).all()
    both, _ = statistics(windows(one).sources, mirror=True)
    order, signs = mirror_numbers()
    assert np.allclose(both, both[order] * signs)


# --- what is learned


def test_a_body_in_space_is_that_of_the_skeleton():
    one = Puppets("train", 4, 5, speech=0.0, seconds=7.0).clip(1).body.frames(0, 40)
    turns, places = one.forward()
    points, neck = skeleton.hand_points(turns, places), skeleton.neck_root(turns, places)[:, None]
    shown = in_space(torch.from_numpy(vector.to_vector(one).astype(np.float64)))
    ends = places[:, skeleton.HEAD, None] + kinematics.rotate(turns[:, skeleton.HEAD, None], np.array(HEAD_POINTS))
    legs = [places[:, list(joints)] for joints in (skeleton.KNEES, skeleton.ANKLES, skeleton.FEET)]
    true = (points[:, :, 0] - neck, points[:, :, 1:] - points[:, :, :1], ends - neck, np.stack(legs, 1), places[:, 0])
    for found, place in zip(shown, true):
        assert np.abs(found.numpy() - place).max() < 1e-5
    zero = torch.zeros(2, vector.SIZE, requires_grad=True)
    sum(v.square().sum() for v in in_space(zero)).backward()
    assert torch.isfinite(zero.grad).all()


def test_losses_in_space_are_those_of_the_places():
    one = torch.from_numpy(vector.to_vector(body(0, 32)))[None]
    known = torch.ones_like(one, dtype=torch.bool)
    assert [float(loss) for loss in space_losses(one, one, known)] == [0, 0, 0]
    moved = one.clone()
    moved[..., vector.ROOT] += 0.02
    place, speed, off = (float(loss) for loss in space_losses(moved, one, known))
    assert place == pytest.approx(0.5 * 0.4**2 + 0.5 * 0.2**2, rel=1e-3), "pelvis and legs stand two centimetres away"
    assert speed == pytest.approx(0, abs=1e-9) and off == pytest.approx(0, abs=1e-6)
    trembling = one.clone()
    trembling[:, ::2, vector.ROOT] += 0.02
    assert float(space_losses(trembling, one, known)[1]) > 1
    wrong = one.clone()
    wrong[..., vector.hand_numbers(1)] += 0.3
    seen = known.clone()
    seen[..., vector.hand_numbers(1)] = False
    assert float(space_losses(wrong, one, known)[2]) > 0.01 and float(space_losses(wrong, one, seen)[2]) < 1e-6


def test_unknown_hands_are_in_no_loss(folder):
    torch.manual_seed(0)
    lesson = recipe(folder).build().eval()
    seen = np.tile([True, False], (32, 1))
    one = body(0, 32, seen)
    turns = one.rotations.copy()
    turns[:, skeleton.fingers(1)] = [0.0, 1.0, 0.0, 0.0]
    batch = lambda b: {
        "motion": torch.from_numpy(vector.to_vector(b))[None], "known": torch.from_numpy(vector.mask(b))[None],
        "levels": torch.tensor([2]),
    }  # fmt: skip
    with torch.no_grad():
        a, parts = lesson(batch(one))
        b, _ = lesson(batch(one.replace(rotations=turns)))
        c, _ = lesson(batch(one.replace(rotations=turns, hands=None)))
    assert a.shape == (1,) and set(parts) == {
        "rebuilt",
        "velocity",
        "commitment",
        "space",
        "space_velocity",
        "hands_mm",
        "in_use",
    }
    assert torch.allclose(a, b, atol=1e-6) and abs(float(a - c)) > 1e-4
    counts = emphasis()
    assert counts.mean() == pytest.approx(1) and counts[vector.joint(18)].min() > counts[vector.joint(30)].max()
    more = emphasis(12.0)
    assert np.allclose(more[vector.joint(18)], 12 * more[vector.joint(30)]) and more.mean() == pytest.approx(1)


def test_it_learns_and_is_exported_whole(folder, tmp_path):
    made = recipe(folder, mirror=False, level_dropout=0.0)
    torch.manual_seed(0)
    module, dataset = made.build(), made.dataset()
    before = report(module.network.eval(), [body(0)])
    module.train()
    optimiser = torch.optim.Adam(module.parameters(), 4e-3)
    losses = []
    for step in range(150):
        each, _ = module(default_collate([dataset[8 * step + i] for i in range(8)]))
        assert each.shape == (8,)
        optimiser.zero_grad()
        each.mean().backward()
        optimiser.step()
        losses.append(each.mean().item())
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    module.eval()
    after = report(module.network, [body(0)])
    assert after.share < 0.7 * before.share and after.wrists < 0.7 * before.wrists
    (path,) = made.export(module, tmp_path / "out", {"steps": "150"})
    loaded, header = load_checkpoint(path, "tokenizer", build)
    assert path.name == "emo2_tokenizer_tiny.safetensors" and header.notes["steps"] == "150"
    assert isinstance(loaded, MotionTokenizer)
    # In eight bits, where two codes are as near, the other one may be.
    same = loaded.tokens(body(3)) == module.network.tokens(body(3))
    assert same[0].all() and same.mean() > 0.9


def test_a_run_that_was_stopped_is_the_same_to_the_bit(folder, tmp_path):
    data = f"recipe.data=[{{kind: puppets, folder: '{folder}', count: 0}}]"
    changes = [data, "batch=2", "optimizer.schedule=constant", "checkpoint_every=2"]
    go = lambda name, steps: train(
        load_settings("tokenizer", "quick", [*changes, f"steps={steps}"]), tmp_path / name, quiet=True, cpu=True
    )
    whole = go("a", 4)
    assert whole.finished and [path.name for path in whole.files] == ["emo2_tokenizer_tiny.safetensors"]
    go("b", 2)
    one, header = load_checkpoint(whole.files[0], "tokenizer", build)
    two, _ = load_checkpoint(go("b", 4).files[0], "tokenizer", build)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name]), name
    assert header.config["codes"] == 32 and one.body(one.tokens(body(0))).hands.all()
    assert bool(one.quantiser.books[1].begun), "the codebooks have seen data"


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": {"widht": 3}}, {"weights": {"velocity": -1}}, {"weights": {"speed": 1}}, {"speed": 1}, {"data": 3},
        {"profile": "huge"}, {"window": 30}, {"window": 0}, {"window": "64"}, {"level_dropout": 1}, {"clips": -1},
    ],
)  # fmt: skip
def test_wrong_options_are_told_at_once(wrong):
    with pytest.raises(EMO2Error, match="recipe"):
        TokenizerRecipe({"data": "somewhere", **wrong}, 0)
