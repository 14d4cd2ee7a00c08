"""The network of stage 1: its size, padding, positions, preparation, gradients, and its checkpoint."""

import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.motion import Conditions, MotionConfig, MotionTransformer, build, write_tiny

SMALL = MotionConfig(width=32, depth=2, heads=4, audio_layers=3, audio_width=8, image_width=6)
ALIGNED = MotionConfig(**SMALL.to_dict() | {"audio_aligned": True})
BOTH = pytest.mark.parametrize("config", [SMALL, ALIGNED], ids=["attended", "aligned"])


def network(config=SMALL, seed=0):
    torch.manual_seed(seed)
    model = MotionTransformer(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.double().eval()


def conditions(batch, frames, seed=1, config=SMALL):
    g = torch.Generator().manual_seed(seed)
    return Conditions(
        audio=torch.randn(batch, frames, config.audio_layers, config.audio_width, generator=g),
        style=torch.arange(batch) % len(config.styles),
        speed=torch.rand(batch, 2, generator=g) * 0.02,
        image=torch.randn(batch, config.image_width, generator=g),
        mask=torch.rand(batch, frames, 2, generator=g) > 0.3,
        offset=torch.randn(batch, frames, 7, generator=g),
    )


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("config", [MotionConfig.paper(), MotionConfig.tiny(), SMALL], ids=["paper", "tiny", "small"])
def test_parameters_follow_the_formula(config):
    """A block: 4 W^2 in each attention, 8 W^2 in the MLP, biases 4 W + 4 W + 5 W, AdaLN-single table 6 W."""
    with torch.device("meta"):
        model = MotionTransformer(config)
    width = config.width
    assert count(model.blocks) == config.depth * (16 * width**2 + 19 * width)
    assert all(count(block) == count(model.blocks[0]) for block in model.blocks)
    # One timestep MLP and one projection to six vectors serve all blocks.
    assert count(model.time) + count(model.modulation) == (256 + 1 + width + 1) * width + 6 * (width + 1) * width
    outside = count(model) - count(model.blocks) - count(model.time) - count(model.modulation)
    buckets, audio = len(config.speed_centres), config.audio_width
    assert outside == (
        171 * width + width  # motion in, mark of carried frames
        + config.audio_layers + 2 * audio + (audio + 1) * width + width  # audio feature and its absence
        + (len(config.styles) + 1) * width + 2 * ((buckets + 1) * width + (width + 1) * width + width)  # style, speeds
        + (config.image_width + 1) * width + width  # picture and its absence
        + 4 * width + 8 * width  # hand mask, offset
        + 2 * width + (width + 1) * 170  # last table, motion out
    )  # fmt: skip


def test_the_paper_size_has_about_101_million_in_its_blocks():
    with torch.device("meta"):
        model = MotionTransformer(MotionConfig.paper())
    assert len(model.blocks) == 24 and model.config.width == 512
    assert count(model.blocks) == pytest.approx(101e6, rel=0.005)


@pytest.mark.slow
def test_one_step_at_paper_size_runs():
    config = MotionConfig.paper()
    torch.manual_seed(0)
    model = MotionTransformer(config).eval()
    with torch.inference_mode():
        torch.nn.init.normal_(model.out.weight, std=0.02)
        made = conditions(1, config.window + config.carried, config=config).guided()
        noisy = torch.randn(1, 312, 170).expand(2, -1, -1)
        clean = (torch.arange(312) < 12).expand(2, -1)
        out = model(noisy, torch.full((2,), 999), made, clean=clean)
    assert out.shape == (2, 312, 170) and torch.isfinite(out).all()
    assert (out[0] - out[1]).abs().max() > 1e-3


@pytest.mark.parametrize("lengths", [(9, 5), (1, 12), (7, 7)])
@BOTH
def test_padding_changes_nothing(lengths, config):
    """A padded batch of two lengths gives each sample what it gets alone, whatever stands in the padding."""
    model, frames = network(config), max(lengths)
    made = conditions(2, frames)
    g = torch.Generator().manual_seed(5)
    noisy = torch.randn(2, frames, 170, generator=g).double() * 4
    valid = torch.arange(frames)[None] < torch.tensor(lengths)[:, None]
    clean = torch.arange(frames)[None] < torch.tensor([3, 0])[:, None]
    with torch.inference_mode():
        together = model(noisy, torch.tensor([700, 20]), made, clean=clean, valid=valid)
        for i, length in enumerate(lengths):
            one = slice(i, i + 1)
            alone = model(
                noisy[one, :length],
                torch.tensor([700, 20])[one],
                Conditions(
                    audio=made.audio[one, :length],
                    style=made.style[one],
                    speed=made.speed[one],
                    image=made.image[one],
                    mask=made.mask[one, :length],
                    offset=made.offset[one, :length],
                ),
                clean=clean[one, :length],
            )
            torch.testing.assert_close(together[one, :length], alone, atol=1e-5, rtol=1e-5)


@BOTH
def test_only_distances_in_time_count(config):
    """Rotary positions: with padding in front everything is later by as much, and the result is the same."""
    model, ahead = network(config), 4
    made = conditions(1, 6)
    noisy = torch.randn(1, 6, 170, generator=torch.Generator().manual_seed(3)).double()
    front = lambda x: torch.cat([torch.zeros(1, ahead, *x.shape[2:], dtype=x.dtype), x], dim=1)
    late = Conditions(front(made.audio), made.style, made.speed, made.image, front(made.mask), front(made.offset))
    valid = torch.arange(6 + ahead)[None] >= ahead
    with torch.inference_mode():
        a = model(noisy, torch.tensor([300]), made)
        b = model(front(noisy), torch.tensor([300]), late, valid=valid)[:, ahead:]
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    with torch.inference_mode():  # and order does count
        c = model(noisy.flip(1), torch.tensor([300]), Conditions())
        d = model(noisy, torch.tensor([300]), Conditions()).flip(1)
    assert (c - d).abs().max() > 1e-3


def test_what_is_prepared_once_serves_every_step():
    model = network()
    made, noisy = conditions(2, 8), torch.randn(2, 8, 170).double()
    with torch.inference_mode():
        prepared = model.prepare(noisy, made)
        for step in (999, 500, 0):
            now = noisy * step / 1000
            expected = model(now, torch.full((2,), step), made)
            torch.testing.assert_close(model.denoise(now, torch.full((2,), step), prepared), expected)


def test_audio_is_projected_once_per_window_not_per_step(monkeypatch):
    model, calls = network(), []
    for block in model.blocks:
        forward = block.cross.kv.forward
        monkeypatch.setattr(block.cross.kv, "forward", lambda x, forward=forward: calls.append(1) or forward(x))
    with torch.inference_mode():
        prepared = model.prepare(torch.zeros(1, 8, 170).double(), conditions(1, 8))
        for step in range(5):
            model.denoise(torch.zeros(1, 8, 170).double(), torch.tensor([step]), prepared)
    assert len(calls) == len(model.blocks)


@BOTH
def test_training_reaches_every_parameter(config):
    """One batch with given and dropped samples gives every parameter a gradient, and carried frames take no loss."""
    model = network(config).train()
    frames = 10
    keep = torch.tensor([True, False, True])
    made = conditions(3, frames).dropped(audio=keep, image=keep, speed=keep, style=keep)
    clean = torch.arange(frames)[None] < torch.tensor([2, 0, 0])[:, None]
    out = model(torch.randn(3, frames, 170).double(), torch.tensor([5, 500, 999]), made, clean=clean)
    out[~clean].square().mean().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert missing == []
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_an_untrained_network_predicts_no_noise():
    """The last layer starts at zero, as in PixArt-alpha; sampling then rests on its bounds."""
    model = MotionTransformer(SMALL)
    assert (model(torch.randn(1, 4, 170), torch.tensor([999]), conditions(1, 4)) == 0).all()


def test_half_precision_input_gives_half_precision_output():
    model = network().to(torch.bfloat16)
    out = model(torch.randn(1, 6, 170).bfloat16(), torch.tensor([10]), conditions(1, 6))
    assert out.dtype == torch.bfloat16 and torch.isfinite(out).all()


def test_normalisation_is_stored_and_undone(tmp_path):
    model = network()
    mean, std = torch.randn(170).double(), torch.rand(170).double()
    std[3] = 0  # a number that never changes
    model.set_normalisation(mean, std)
    motion = torch.randn(4, 170).double()
    assert torch.isfinite(model.normalise(motion)).all()
    torch.testing.assert_close(model.denormalise(model.normalise(motion)), motion, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.normalise(motion)[:, 0], (motion[:, 0] - mean[0]) / std[0])
    model = model.float()
    path = save_checkpoint(tmp_path / "m.safetensors", "motion", SMALL.to_dict(), model.state_dict())
    loaded, header = load_checkpoint(path, "motion", build)
    loaded = loaded.double()
    assert loaded.config == SMALL and header.untrained is None
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_the_untrained_checkpoint_is_the_same_network_every_time(tmp_path):
    path = write_tiny(tmp_path / "tiny.safetensors")
    assert path.stat().st_size < 10_000
    (a, header), (b, _) = (load_checkpoint(path, "motion", build) for _ in range(2))
    assert header.untrained is not None and a.config == MotionConfig.tiny()
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values()))
    assert count(a) < 2e6


def test_config_survives_json_and_refuses_what_it_does_not_know(tmp_path):
    import json

    for config in (MotionConfig.paper(), MotionConfig.tiny(), SMALL):
        assert MotionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    path = save_checkpoint(tmp_path / "m.safetensors", "motion", {**SMALL.to_dict(), "depht": 3}, {}, untrained=0)
    with pytest.raises(EMO2Error, match="depht"):
        load_checkpoint(path, "motion", build)
    for wrong in ({"width": 30, "heads": 4}, {"carried": 300}, {"speed_radii": (1.0,)}, {"clip": 0}):
        with pytest.raises(ValueError):
            MotionConfig.from_dict(wrong)
