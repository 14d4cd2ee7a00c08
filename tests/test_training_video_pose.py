"""Heatmaps, the pose discriminator and its trainer; keypoints steadied by a median; attention's formula."""

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.types import Framing, Motion
from emo2.models.video import pose_discriminator
from emo2.models.video.attention import attend
from emo2.models.video.guidance import steadied
from emo2.models.video.pose_discriminator import POINTS, pose_maps
from emo2.training.pose_discriminator import PoseDiscriminatorRecipe
from emo2.training.video_data import Puppets
from emo2.training.video_image import network_config
from emo2.training.video_points import record_points
from training_video_cases import NETWORK, batch_of, paint
from video_run_cases import one_thread  # noqa: F401

SMALL = {"width": 16, "blocks": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("poses"))


def recipe(folder, **options):
    return PoseDiscriminatorRecipe({"data": str(folder), "video": NETWORK, "network": SMALL, **options}, 0)


def test_spots_and_stripes_stand_where_the_points_are():
    points, scores = torch.zeros(1, POINTS, 2), torch.zeros(1, POINTS)
    points[0, 2], points[0, 3] = torch.tensor([0.25, 0.25]), torch.tensor([0.25, 0.75])  # right shoulder and elbow
    scores[0, 2:4] = torch.tensor([1.0, 0.5])
    maps, known = pose_maps(points, scores, (16, 12), 1.0)
    assert maps.shape == (1, 79, 16, 12) and known.shape == (1, 79)
    peak = maps[0, 2].flatten().argmax().item()
    assert (peak // 12, peak % 12) in ((3, 2), (4, 2), (3, 3), (4, 3))
    limb = maps[0, POINTS + 1]  # LIMBS[1] is (2, 3)
    assert limb[4:12, 2:4].min() > 0.8 and limb[:, 8:].max() < 0.01 and limb[15].max() < 0.1
    assert known[0, POINTS + 1] == 0.5 and known[0, 3] == 0.5 and known[0, 4] == 0


def test_unknown_points_cost_nothing():
    torch.manual_seed(0)
    judge = pose_discriminator.build({**pose_discriminator.TINY, "latent_channels": 4, **SMALL})
    points, scores = torch.rand(2, POINTS, 2), torch.ones(2, POINTS)
    scores[:, 30] = 0
    latents = torch.randn(2, 4, 8, 6)
    moved = points.clone()
    moved[:, 30] = 0.1
    with torch.no_grad():
        assert not torch.equal(
            judge.judge(latents, points, scores * 0 + 1), judge.judge(latents, moved, scores * 0 + 1)
        )
        hidden = scores.clone()
        hidden[:, 18:39] = 0
        torch.testing.assert_close(judge.judge(latents, points, hidden), judge.judge(latents, moved, hidden))


def test_a_records_points_are_its_pictures(folder):
    puppets = Puppets(folder, network_config("tiny", NETWORK))
    record = puppets.cache[0]
    points, scores = record_points(record, [4, 1, 7])
    assert points.shape == (3, 60, 2) and scores.shape == (3, 60) and ((points >= 0) & (points <= 1)).all()
    np.testing.assert_allclose(points[1], record_points(record, [1])[0][0], atol=1e-6)
    seen = (record.maps_at([4])[0, ..., 2] > 0).nonzero()
    if scores[0, 18:].any():
        hands = points[0, 18:][scores[0, 18:] > 0]
        centre = np.array([seen[1].mean() / 48, seen[0].mean() / 64])
        assert np.abs(hands.mean(axis=0) - centre).max() < 0.15


def test_it_learns_and_its_export_is_small(folder, tmp_path):
    made = recipe(folder, noise=0.0)
    torch.manual_seed(0)
    module, batch = made.build().train(), batch_of(made.dataset(), 0, 1)
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    seen = []
    for _ in range(60):
        losses, _ = module(batch)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        seen.append(losses.mean().item())
    assert seen[-1] < seen[0] / 5
    [path] = made.export(module, tmp_path, {})
    loaded, _ = load_checkpoint(path, "pose_discriminator", pose_discriminator.build)
    maps = loaded.float()(batch["latents"][0])
    assert maps.shape == (4, 79, 16, 12)
    whole = pose_discriminator.build(pose_discriminator.TINY)
    assert sum(p.numel() for p in whole.parameters()) * 2 < 1.5e6


def test_a_sample_depends_on_seed_and_number_alone(folder):
    first, second = recipe(folder).dataset(), recipe(folder).dataset()
    second[1]
    assert all(torch.equal(value, second[4][name]) for name, value in first[4].items())


def test_unknown_network_keys_are_named(folder):
    with pytest.raises(EMO2Error, match="depth"):
        recipe(folder, network={"depth": 3})


# --- keypoints over time


def motion(points: np.ndarray, scores: np.ndarray) -> Motion:
    frames = len(points)
    rotations = np.zeros((frames, 2, 16, 4), np.float32)
    rotations[..., 0] = 1
    translations = np.zeros((frames, 2, 3), np.float32)
    return Motion(rotations, translations, 25.0, Framing(), keypoints=points, keypoint_scores=scores)


def test_a_jump_is_dropped_and_a_movement_stays():
    points, scores = np.zeros((11, 18, 2), np.float32), np.ones((11, 18), np.float32)
    points[:, 4, 0] = np.linspace(0, 1, 11)
    points[5, 3] = 0.9
    steady = steadied(motion(points, scores), 5)
    assert not steady.keypoints[:, 3].any()
    np.testing.assert_allclose(steady.keypoints[2:-2, 4, 0], points[2:-2, 4, 0], atol=1e-6)


def test_unknown_points_are_neither_used_nor_made_up():
    points, scores = np.zeros((7, 18, 2), np.float32), np.ones((7, 18), np.float32)
    points[:, 4] = 0.5
    points[3, 4], scores[3, 4] = 9.0, 0
    scores[:, 5] = 0
    steady = steadied(motion(points, scores), 3)
    assert np.allclose(np.delete(steady.keypoints[:, 4], 3, axis=0), 0.5) and not steady.keypoints[:, 5].any()
    assert (steady.keypoint_scores == scores).all()
    once = motion(points, scores)
    assert steadied(once, 1) is once


# --- attention while training on a CPU


def test_the_plain_formula_is_the_fused_one():
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 2, n, 16) for n in (12, 20, 20))
    bias = torch.randn(1, 1, 1, 20)
    whole = [x.clone().requires_grad_() for x in (query, key, value)]
    half = [x.bfloat16().requires_grad_() for x in (query, key, value)]
    for one in (None, bias):
        exact, quick = attend(*whole, bias=one), attend(*half, bias=one)
        torch.testing.assert_close(quick.float(), exact, atol=0.03, rtol=0.05)
        for fine, rough in zip(torch.autograd.grad(exact.sum(), whole), torch.autograd.grad(quick.sum(), half)):
            torch.testing.assert_close(rough.float(), fine, atol=0.08, rtol=0.1)
