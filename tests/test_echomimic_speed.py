"""What makes the pass faster than the original's schedule changes nothing: each switched off and on."""

from dataclasses import replace

import pytest
import torch
from emo2.benchmarks._plain_echomimic import sample_plainly
from emo2.benchmarks.echomimic import setting
from emo2.models.video.conditions import Settings
from emo2.models.video.config import VideoConfig
from emo2.models.video.sampler import Compute, sample_windows
from emo2.models.video.windows import WindowOptions

CONFIG = replace(
    VideoConfig.echomimic_v2(), size=(64, 64), widths=(32, 64), attention_levels=(True, True), layers_per_block=1,
    audio_dim=16, audio_width=16,
)  # fmt: skip
FRAMES, WINDOWS = 10, WindowOptions(6, 2, True, 3)


@pytest.fixture(scope="module")
def case():
    return setting(CONFIG, FRAMES)


def ours(case, settings, **compute):
    model, known, noise, _ = case
    return sample_windows(model, known, settings, WINDOWS, count=FRAMES, noise=noise, compute=Compute(**compute))


@pytest.mark.parametrize("cfg", [1.0, 2.5])
def test_ours_is_the_originals_schedule(case, cfg):
    """Keys and values made once, silence left out, the unconditional half without the reference, poses by window."""
    model, known, noise, latents = case
    settings = Settings(steps=3, cfg=cfg)
    plain = sample_plainly(model, known, settings, WINDOWS, FRAMES, noise, latents)
    for joint in (False, True):
        made = ours(case, settings, joint_guidance=joint)
        assert ((made - plain) * CONFIG.latent_scale).abs().max() < 1e-4
    assert plain.std() > 0.5


def test_preparing_once_changes_nothing(case, monkeypatch):
    """Keys and values of reference and sound, made at every step instead."""
    settings = Settings(steps=2, cfg=2.0)
    fast = ours(case, settings)
    model = case[0]
    prepare = type(model).prepare

    def unprepared(self, **given):
        from emo2.models.video.condition_batch import ConditionBatch

        return ConditionBatch(given.pop("rows", 1), **given)

    monkeypatch.setattr(type(model), "prepare", unprepared)
    slow = ours(case, settings)
    assert ((fast - slow) * CONFIG.latent_scale).abs().max() < 1e-4
    assert type(model).prepare is not prepare


def test_remembering_maps_changes_nothing(case, monkeypatch):
    from emo2.models.video import conditions

    settings = Settings(steps=2, cfg=1.0)
    fast = ours(case, settings)
    case[1]._maps.clear()
    monkeypatch.setattr(conditions, "MAP_CACHE_BYTES", 0)
    slow = ours(case, settings)
    assert torch.equal(fast, slow) and not case[1]._maps
