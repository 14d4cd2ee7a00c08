"""What makes the pass faster than the original's schedule changes nothing: each switched off and on."""

from dataclasses import replace

import pytest
import torch
from emo2.benchmarks._plain_echomimic import sample_plainly
from emo2.benchmarks.echomimic import setting
from emo2.models.errors import EMO2Error
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
    for rows in (1, 2, 3, 8):
        made = ours(case, settings, fits=lambda rows=rows: rows)
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


def test_the_attention_kernel_changes_nothing(case, monkeypatch):
    """PyTorch's fused kernels, and the formula as it stands."""
    from emo2.models.video import attention

    settings = Settings(steps=2, cfg=2.0)
    fast = ours(case, settings)
    used = []

    def plain(query, key, value, attn_mask=None):
        used.append(1)
        return attention._plain_attention(query, key, value, attn_mask)

    monkeypatch.setattr(attention.F, "scaled_dot_product_attention", plain)
    slow = ours(case, settings)
    assert used and ((fast - slow) * CONFIG.latent_scale).abs().max() < 1e-4


def test_bringing_the_reference_once_changes_nothing(case, monkeypatch):
    """Its keys and values made anew in every window."""
    from emo2.models.video import sampler

    settings = Settings(steps=2, cfg=2.0)
    fast = ours(case, settings)
    known = sampler._known

    def anew(model, conditions, settings, frames, before, compute, remember=False, reference=None):
        assert reference is not None
        return known(model, conditions, settings, frames, before, compute, remember, None)

    monkeypatch.setattr(sampler, "_known", anew)
    slow = ours(case, settings)
    assert ((fast - slow) * CONFIG.latent_scale).abs().max() < 1e-4


def test_length_costs_no_device_memory():
    """Counted as a device would need it: 24, 120 and 600 frames within 5 %, and two windows more than one."""
    from emo2.benchmarks.echomimic_memory import device_bytes

    need = {frames: device_bytes(CONFIG, frames, torch.float16) for frames in (24, 120, 600)}
    assert max(need.values()) < 1.05 * min(need.values()) and min(need.values()) > 1e5
    assert device_bytes(CONFIG, 24, torch.float16, rows=4) > 1.5 * need[24]


def test_remembering_maps_changes_nothing(case, monkeypatch):
    from emo2.models.video import conditions

    settings = Settings(steps=2, cfg=1.0)
    fast = ours(case, settings)
    case[1].__post_init__()  # forgets
    monkeypatch.setattr(conditions, "MAP_CACHE_BYTES", 0)
    slow = ours(case, settings)
    assert torch.equal(fast, slow) and not case[1]._slots
    case[1].__post_init__()


def test_a_batch_that_does_not_fit_is_made_smaller(case, monkeypatch):
    """The memory that was thought to be free is not: three windows with guidance, then one, then its halves."""
    settings, model = Settings(steps=2, cfg=2.0), case[0]
    fits = ours(case, settings)
    seen = []
    forward = type(model).forward

    def narrow(self, noisy, *given, **known):
        seen.append(len(noisy))
        if len(noisy) > 1:
            raise torch.OutOfMemoryError("no")
        return forward(self, noisy, *given, **known)

    monkeypatch.setattr(type(model), "forward", narrow)
    made = ours(case, settings, fits=lambda: 6)
    assert ((made - fits) * CONFIG.latent_scale).abs().max() < 1e-4
    assert seen[:4] == [6, 2, 1, 1] and set(seen[4:]) == {1}
    monkeypatch.setattr(type(model), "forward", lambda *given, **known: (_ for _ in ()).throw(torch.OutOfMemoryError))
    with pytest.raises(torch.OutOfMemoryError):
        ours(case, settings)


class Counted:
    """Counts which levels of the network run, by their first layers."""

    def __init__(self, model, monkeypatch):
        self.outer = self.inner = 0
        for name, layer in (("outer", model.backbone.conv_in), ("inner", model.backbone.mid_block.resnets[0])):
            hook = layer.register_forward_hook(lambda _m, given, _o, name=name: self.count(name, len(given[0])))
            monkeypatch.setattr(self, "hooks", [*getattr(self, "hooks", []), hook], raising=False)

    def count(self, name, rows):
        setattr(self, name, getattr(self, name) + rows)

    def close(self):
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("rows", [1, 2, 6])
@pytest.mark.parametrize(("inner", "guidance"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_what_is_kept_over_the_steps_does_not_run_again(case, monkeypatch, rows, inner, guidance):
    """And the result moves a little, not much; the first step is whole."""
    steps = 6
    exact = ours(case, Settings(steps=steps, cfg=2.0))
    counted = Counted(case[0], monkeypatch)
    made = ours(case, Settings(steps=steps, cfg=2.0, inner_every=inner, guidance_every=guidance), fits=lambda: rows)
    counted.close()
    per_row = 3 * WINDOWS.length  # three windows
    guided = len(range(0, steps, guidance))
    assert counted.outer == per_row * (steps + guided)
    if inner == 1:
        assert counted.inner == counted.outer
    elif guidance == 1:
        assert counted.inner == 2 * per_row * len(range(0, steps, inner))
    else:  # where guidance comes in between two whole steps, its half has to run whole
        assert counted.inner < 0.8 * counted.outer
    off = float((made - exact).std() / exact.std())
    assert off < 1e-5 if (inner, guidance) == (1, 1) else 1e-5 < off < 0.9


def test_one_step_is_whole_whatever_is_kept(case):
    exact = ours(case, Settings(steps=1, cfg=2.0))
    assert torch.equal(ours(case, Settings(steps=1, cfg=2.0, inner_every=5, guidance_every=5)), exact)


@pytest.mark.parametrize("name", ["inner_every", "guidance_every"])
def test_a_step_that_never_comes_is_refused(name):
    with pytest.raises(EMO2Error, match=f"{name}.*a whole number from 1"):
        Settings(**{name: 0})
