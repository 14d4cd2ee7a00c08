"""What training and other devices need of the video network: gradients, recomputation, precisions, layouts, norms."""

import copy

import pytest
import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from emo2.models.checkpoints.format import load_checkpoint
from emo2.models.video import model as video_model
from emo2.models.video.attention import attend
from emo2.models.video.condition_batch import ConditionBatch
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from emo2.models.video.temporal import TemporalModule

CONFIG = VideoConfig.tiny()
FRAMES, HEIGHT, WIDTH = 3, 64, 48
LATENTS = (CONFIG.latent_channels, HEIGHT // 8, WIDTH // 8)


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def fill(module: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for place, parameter in enumerate(module.parameters()):
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3
            parameter.copy_(draw(*parameter.shape, seed=place) * scale)
    return module


@pytest.fixture
def model() -> VideoModel:
    return fill(VideoModel(CONFIG)).train()


def run(model: VideoModel, dtype: torch.dtype = torch.float32, frames: int = FRAMES, size=(HEIGHT, WIDTH)):
    """One pass with every condition on, from latents, states and maps to the prediction."""
    latents = (CONFIG.latent_channels, size[0] // 8, size[1] // 8)
    make = lambda *shape, seed: draw(*shape, seed=seed).to(dtype)
    windows = (1, frames, CONFIG.audio_window, CONFIG.audio_layers, CONFIG.audio_dim)
    return model(
        make(1, latents[0], frames, *latents[1:], seed=4),
        200,
        reference=model.encode_reference(make(1, *latents, seed=5)),
        motion_frames=model.encode_motion_frames(make(1, latents[0], 2, *latents[1:], seed=6)),
        audio=model.encode_audio(make(*windows, seed=7)),
        pose=model.encode_maps(make(1, 6, frames, *size, seed=8), make(1, frames, 2, seed=9)),
    )


def gradients(model: VideoModel) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    run(model).square().mean().backward()
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def test_gradients_reach_every_parameter(model):
    dead = [name for name, grad in gradients(model).items() if grad is None or not grad.abs().sum() > 0]
    assert dead == []


def test_recomputed_layers_give_the_same_gradients(model):
    kept = gradients(model)
    model.checkpoint_gradients()
    calls = []
    model.backbone.mid_block.attentions[0].register_forward_pre_hook(lambda *_: calls.append("backbone"))
    model.reference_net.mid_block.attentions[0].register_forward_pre_hook(lambda *_: calls.append("reference"))
    again = gradients(model)
    assert calls.count("backbone") == 2 and calls.count("reference") == 4
    for name, grad in kept.items():
        torch.testing.assert_close(again[name], grad, atol=1e-6, rtol=1e-5, msg=name)


def test_rows_without_conditions_still_train(model):
    reference = model.encode_reference(draw(2, *LATENTS))
    conditions = ConditionBatch(2, reference=reference).keep(reference=(False, True))
    out = model(draw(2, LATENTS[0], FRAMES, *LATENTS[1:]), torch.tensor([10, 500]), conditions=conditions)
    out[0].sum().backward()
    assert model.reference_net.conv_in.weight.grad is None or not model.reference_net.conv_in.weight.grad.any()
    out_2 = model(draw(2, LATENTS[0], FRAMES, *LATENTS[1:]), 10, conditions=ConditionBatch(2, reference=reference))
    assert out_2.requires_grad


def test_training_starts_from_a_backbone_without_temporal_modules_maps_and_confidence():
    """Zero-initialised as in AnimateDiff and ControlNet: at first these three change nothing."""
    model = VideoModel(CONFIG).eval()
    noisy = draw(1, LATENTS[0], FRAMES, *LATENTS[1:])
    with torch.inference_mode():
        pose = model.encode_maps(draw(1, 6, FRAMES, HEIGHT, WIDTH))
        assert not pose.any()
        together = model(noisy, 100, pose=pose)
        alone = torch.cat([model(noisy[:, :, [frame]], 100) for frame in range(FRAMES)], dim=2)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_follows_full_precision(dtype):
    model = fill(VideoModel(CONFIG)).eval()
    with torch.inference_mode():
        full = run(model)
        half = run(copy.deepcopy(model).to(dtype), dtype)
    assert half.dtype == dtype and torch.isfinite(half).all()
    error = ((half.float() - full).square().mean() / full.square().mean()).sqrt()
    assert error < (0.02 if dtype == torch.float16 else 0.15)


def test_channels_last_gives_the_same(model):
    model.eval()
    with torch.inference_mode():
        plain = run(model)
        last = run(model.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last, plain, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(72, 56), (136, 40), (64, 64)])
def test_sizes_that_the_levels_do_not_divide_work(model, size):
    with torch.inference_mode():
        assert run(model.eval(), size=size).shape[-2:] == (size[0] // 8, size[1] // 8)


def test_last_clips_may_be_short_and_frames_are_in_order(model):
    """One frame, and a whole clip with the longest past, fit the position table."""
    with torch.inference_mode():
        assert run(model.eval(), frames=1).shape[2] == 1
        assert run(model, frames=CONFIG.clip_frames, size=(32, 32)).shape[2] == CONFIG.clip_frames


def test_an_untrained_checkpoint_is_the_same_network_every_time(tmp_path):
    path = video_model.write_tiny(tmp_path / "a.safetensors", seed=3)
    other = video_model.write_tiny(tmp_path / "b.safetensors", seed=4)
    first, second, third = (load_checkpoint(p, "video", video_model.build)[0] for p in (path, path, other))
    same = [torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values())]
    assert all(same) and path.stat().st_size < 4096
    assert not torch.equal(first.backbone.conv_in.weight, third.backbone.conv_in.weight)
    assert first.config == VideoConfig.tiny() and not first.training


# --- temporal modules


def temporal(norm: str, **changes) -> TemporalModule:
    values = {"temporal_norm": norm, "motion_frames": 0, "temporal_heads": 4, **changes}
    config = VideoConfig.from_dict(CONFIG.to_dict() | values)
    return fill(TemporalModule("place", 64, config))


def test_the_clip_norm_is_diffusers_own_module():
    """Weights by AnimateDiff's names in ours and by diffusers' names in its module: the same numbers."""
    ours = temporal("clip").temporal_transformer
    theirs = AnimateDiffTransformer3D(
        4, 16, 64, norm_num_groups=32, positional_embeddings="sinusoidal", num_positional_embeddings=36
    )
    names = {
        "attention_blocks.0": "attn1", "attention_blocks.1": "attn2", "norms.0": "norm1", "norms.1": "norm2",
        "ff_norm": "norm3",
    }  # fmt: skip
    state = {}
    for name, tensor in ours.state_dict().items():
        for mine, its in names.items():
            name = name.replace(f"transformer_blocks.0.{mine}.", f"transformer_blocks.0.{its}.")
        state[name] = tensor
    tables = {name: tensor for name, tensor in theirs.state_dict().items() if "pos_embed" in name}
    theirs.load_state_dict(state | tables, strict=True)
    x = draw(2 * 5, 64, 6, 4)
    conditions = ConditionBatch(rows=2)
    torch.testing.assert_close(
        ours(x, 2, None, conditions.runs("motion_frames")), theirs(x, num_frames=5), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("norm, reaches", [("frame", False), ("clip", True)])
def test_the_norm_is_over_one_frame_or_over_the_clip(norm, reaches):
    """What a frame is before the attention depends on the other frames only where the norm is over the clip."""
    transformer = temporal(norm).temporal_transformer
    x = draw(1, 4, 64, 6, 5)
    y = x.clone()
    y[:, 3] *= 5
    a, b = (transformer._enter(frames).unflatten(0, (6, 5))[..., :3, :] for frames in (x, y))
    assert torch.equal(a, b) != reaches


def test_the_norms_differ_and_motion_frames_have_their_own():
    x = draw(4, 64, 6, 5)
    features = draw(1, 2, 64, 6, 5, seed=2)
    out = {}
    for norm in ("frame", "clip"):
        module = temporal(norm, motion_frames=2)
        out[norm] = module(x, ConditionBatch(1, motion_frames={"place": features}))
        pairs = module.keys_values(features)
        prepared = module(x, ConditionBatch(1, motion_frames={"place": pairs}))
        torch.testing.assert_close(prepared, out[norm])
    assert not torch.allclose(out["frame"], out["clip"], atol=1e-2)


def test_large_batches_are_attended_in_parts(monkeypatch):
    query, key, value = (draw(7, 2, 3, 4, seed=seed) for seed in range(3))
    whole = attend(query, key, value)
    monkeypatch.setattr("emo2.models.video.attention.MAX_BATCH", 3)
    torch.testing.assert_close(attend(query, key, value), whole)
