"""The puppet estimator: what it is taught, that it can learn it, and how it is read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from emo2.evaluation.card import steps
from emo2.evaluation.video.puppet_seen import FILE, find_estimator, puppet_hand_points, see
from emo2.models.checkpoints.format import read_header, save_checkpoint
from emo2.models.checkpoints.precision import packed, unpacked
from emo2.models.errors import EMO2Error
from emo2.models.pose import puppet_estimator as network
from emo2.training import puppet_samples
from emo2.training.puppet_estimator import PuppetEstimatorRecipe, order, targets
from metrics_video_cases import noise, puppet

VAE = Path(__file__).parents[1] / "weights" / "emo2_vae_tiny.safetensors"
SMALL = {"widths": [16, 16, 16, 16], "groups": 4, "size": [128, 96]}


@pytest.fixture(scope="module")
def recipe():
    return PuppetEstimatorRecipe({"pool": 8, "free": 1.0, "clean": 1.0, "network": SMALL}, seed=3)


def test_it_is_small():
    count = sum(p.numel() for p in network.build(network.TINY).parameters())
    assert count <= 600_000


def test_a_target_is_found_again_to_a_tenth_of_a_pixel():
    rng = np.random.default_rng(0)
    points = torch.from_numpy(rng.uniform(8, (88, 120), (5, 9, 2))).float()
    there = torch.ones(5, 9)
    there[:, 3] = 0
    shares = targets(points, there, 32, 24)
    assert torch.allclose(shares.sum(2), torch.ones(5, 9), atol=1e-5)
    assert (shares[:, 3, -1] == 1).all()
    found, mass = network.peak(shares[..., :-1].unflatten(2, (32, 24)))
    away = (found * network.STRIDE - points).norm(dim=2)
    kept = there > 0
    assert away[kept].max() < 0.1 and mass[kept].min() > 0.95 and mass[~kept].max() < 1e-5


def test_a_peak_is_one_of_two_places_not_the_middle():
    grid = torch.zeros(1, 1, 32, 24)
    grid[0, 0, 5, 5], grid[0, 0, 20, 20] = 0.6, 0.4
    found, mass = network.peak(grid)
    assert found[0, 0].tolist() == [5.5, 5.5] and mass.item() == pytest.approx(0.6)


def test_samples_are_the_same_for_the_same_index_and_mirrored_rightly(recipe):
    first, again = recipe.dataset(), recipe.dataset()
    for index in (0, 5, 11):
        for name, value in first[index].items():
            assert torch.equal(value, again[index][name])
    assert first[0]["picture"].shape == (3, 128, 96) and first[0]["points"].shape == (9, 2)
    assert sorted(order(3, 2, place, 8) for place in range(8)) == list(range(8))
    assert [order(3, 0, place, 8) for place in range(8)] == list(range(8))
    frame, truth = puppet_samples.picture(0, 1, free=1.0)
    flipped, mirror = puppet_samples.mirrored(frame, truth)
    np.testing.assert_array_equal(flipped[:, ::-1], frame)
    np.testing.assert_allclose(mirror.points[0, 0], [96 - truth.points[0, 1, 0], truth.points[0, 1, 1]])
    back = puppet_samples.mirrored(flipped, mirror)[1]
    np.testing.assert_allclose(back.points, truth.points, atol=1e-5)


def test_framings_and_moods_change_their_own_samples_only():
    """Shares are kept, other pictures stay what they were, and heads have their hands outside."""
    plain = [puppet_samples.picture(4, n, free=0.8) for n in range(24)]
    framed = [puppet_samples.picture(4, n, free=0.8, framings={"head": 0.4, "full": 0.2}) for n in range(24)]
    same = [np.array_equal(a[0], b[0]) for a, b in zip(plain, framed)]
    assert 4 <= sum(same) <= 16
    shoulders = [np.ptp(truth.points[0, 2:4, 0]) for (_, truth), kept in zip(framed, same) if not kept]
    assert max(shoulders) > 55 and min(shoulders) < 24, "close-ups and whole figures"
    moody = [puppet_samples.picture(4, n, free=0.8, moods=1.0) for n in range(6)]
    for (frame, truth), (other, old) in zip(moody, plain):
        assert not np.array_equal(frame, other)
        np.testing.assert_array_equal(truth.points, old.points)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"framings": {"face": 0.1}}, "head, half, full"),
        ({"framings": {"head": 0.8, "full": 0.4}}, "together at most 1"),
        ({"moods": 1.5}, "a share from 0 to 1"),
    ],
)
def test_shares_that_cannot_be_are_named(options, words):
    with pytest.raises(EMO2Error, match=words):
        PuppetEstimatorRecipe(options, 0)


def test_damage_keeps_the_picture_recognisable():
    frame, _ = puppet_samples.picture(0, 2, free=1.0)
    for seed in range(12):
        spoilt = puppet_samples.damaged(frame, np.random.default_rng(seed))
        assert spoilt.shape == frame.shape and spoilt.dtype == np.uint8
        assert np.corrcoef(spoilt.ravel(), frame.ravel())[0, 1] > 0.7


def test_a_hand_behind_the_other_does_not_count():
    one = puppet(11)
    motion = one.motion.frames(0, 2)
    wrists = motion.translations.copy()
    wrists[1, 0] = wrists[1, 1] + [0, 0, 0.25]  # the left hand right behind the other one
    rotations = motion.rotations.copy()
    rotations[1, 0] = rotations[1, 1]
    _, shares = puppet_samples.hands_in_picture(motion.replace(translations=wrists, rotations=rotations))
    assert shares[1, 1] == 1 and shares[1, 0] < 0.8
    wrists[1, 0] = wrists[1, 1] + [0.6, 0, 0]
    _, shares = puppet_samples.hands_in_picture(motion.replace(translations=wrists, rotations=rotations))
    assert (shares[1] == 1).all()


@pytest.fixture
def one_thread():
    """Two threads on a busy machine wait for each other far longer than such small networks take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_it_learns_two_pictures(recipe, one_thread):
    torch.manual_seed(0)
    lesson, data = recipe.build(), recipe.dataset()
    batch = torch.utils.data.default_collate([data[0], data[1]])
    order = list(network.MIRRORED)  # both looks must be learned
    mirror = {
        "picture": batch["picture"].flip(3), "there": batch["there"][:, order], "mouth": batch["mouth"],
        "points": batch["points"][:, order] * torch.tensor([-1.0, 1.0]) + torch.tensor([96.0, 0.0]),
    }  # fmt: skip
    batch = {name: torch.cat([value, mirror[name]]) for name, value in batch.items()}
    optimiser = torch.optim.Adam(lesson.parameters(), lr=1e-2)
    trace = []
    for _ in range(90):
        losses, parts = lesson(batch)
        assert losses.shape == (4,) and set(parts) == {"heat", "mouth"}
        optimiser.zero_grad()
        losses.mean().backward()
        optimiser.step()
        trace.append(losses.mean().item())
    assert trace[-1] < 0.2 * trace[0]
    seen = lesson.network.estimate(batch["picture"])
    away = (seen.points - batch["points"]).norm(dim=2)[batch["there"] > 0]
    assert (away < 4.8).float().mean() > 0.9


def test_a_mirrored_picture_gives_mirrored_points(one_thread):
    torch.manual_seed(1)
    estimator = network.build(SMALL).eval()
    pictures = torch.from_numpy(noise(0, 2, 128, 96)).permute(0, 3, 1, 2).float() / 255
    seen, mirror = estimator.estimate(pictures), estimator.estimate(pictures.flip(3))
    order = list(network.MIRRORED)
    assert [network.POINTS[k].split() for k in order[:2]] == [["right", "hand"], ["left", "hand"]]
    expected = mirror.points[:, order] * torch.tensor([-1.0, 1.0]) + torch.tensor([96.0, 0.0])
    clear = (seen.confidence - mirror.confidence[:, order]).abs() < 1e-5  # an untrained network's peaks may tie
    assert clear.float().mean() > 0.9
    assert torch.allclose(seen.points[clear], expected[clear], atol=1e-3)
    assert torch.allclose(seen.mouth, mirror.mouth, atol=1e-4)


def test_hands_can_weigh_more_than_the_other_points():
    plain, heavy = (
        PuppetEstimatorRecipe({"pool": 4, "free": 1.0, "network": SMALL, "hands": weight}, seed=3) for weight in (1, 3)
    )
    weights = heavy.build().weights
    assert sum(weights) == pytest.approx(9) and weights[0] == weights[1] == pytest.approx(3 * weights[8])
    assert plain.build().weights == [1.0] * 9
    for wrong in (0, -1, float("nan"), float("inf")):
        with pytest.raises(EMO2Error, match=r"recipe\.hands"):
            PuppetEstimatorRecipe({"hands": wrong}, seed=0)


def test_it_is_saved_found_and_used_at_another_size(recipe, tmp_path):
    with pytest.raises(EMO2Error, match="puppet-estimator"):
        find_estimator([tmp_path])
    torch.manual_seed(0)
    lesson = recipe.build()
    (path,) = recipe.export(lesson, tmp_path, {"steps": "0"})
    assert path.name == FILE and path.stat().st_size < 1_200_000
    estimator = find_estimator([tmp_path / "nowhere", tmp_path])
    video = noise(0, 3, 128, 96)
    seen = see(video, estimator)
    assert seen.points.shape == (3, 9, 2) and seen.mouth.shape == (3, 2)
    assert (seen.confidence >= 0).all() and (seen.confidence <= 1).all()
    double = see(video.repeat(2, 1).repeat(2, 2), estimator)
    np.testing.assert_allclose(double.points, seen.points * 2, atol=0.05)
    hands = puppet_hand_points(video, estimator)
    assert hands.points.shape == (3, 2, 2, 2) and "puppet estimator" in hands.detector
    save_checkpoint(path, "vae", {}, {})
    with pytest.raises(EMO2Error):
        find_estimator([tmp_path])


def test_it_can_begin_with_what_was_learned_before(recipe, tmp_path):
    torch.manual_seed(0)
    first = recipe.build()
    (path,) = recipe.export(first, tmp_path, {"steps": "5"})
    begun = PuppetEstimatorRecipe({**recipe.options, "begin": str(path)}, seed=4)
    second = begun.build()
    kept = {name.removeprefix("network."): value for name, value in second.state_dict().items()}
    for name, value in unpacked(packed({n.removeprefix("network."): v for n, v in first.state_dict().items()})).items():
        torch.testing.assert_close(kept[name], value, msg=name)
    (path,) = begun.export(second, tmp_path / "more", {"steps": "7"})
    assert read_header(path).notes["steps_before"] == "5" and steps(read_header(path).notes) == "5 + 7"
    save_checkpoint(tmp_path / "vae.safetensors", "vae", {}, {})
    with pytest.raises(EMO2Error, match=r"recipe\.begin: expected a puppet estimator"):
        PuppetEstimatorRecipe({**recipe.options, "begin": str(tmp_path / "vae.safetensors")}, seed=4).build()


@pytest.mark.parametrize("options", [{"pol": 3}, {"vae": "nowhere.safetensors"}, {"pool": "many"}])
def test_wrong_options_are_refused_before_any_work(options):
    with pytest.raises(EMO2Error):
        PuppetEstimatorRecipe(options, 0).build()


def test_a_share_of_the_samples_goes_through_the_autoencoder(recipe):
    """The shipped one: what comes back is the picture a little blurred, and everything else stays the sample's own."""
    plain = recipe.dataset()
    options = {"pool": 8, "free": 1.0, "clean": 1.0, "network": SMALL, "vae": str(VAE)}
    through = PuppetEstimatorRecipe({**options, "vae_share": 1.0}, seed=3).dataset()
    seldom = PuppetEstimatorRecipe({**options, "vae_share": 0.0}, seed=3).dataset()
    for index in range(2):
        first, second = plain[index], through[index]
        change = (first["picture"] - second["picture"]).square().mean().sqrt()
        assert 0.005 < change < 0.08
        for name in ("points", "there", "mouth"):
            assert torch.equal(first[name], second[name])
        assert torch.equal(seldom[index]["picture"], first["picture"])
