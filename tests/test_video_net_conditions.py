"""Each condition of the video network matters, and only where it should. All weights are random and none is zero."""

import dataclasses

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from emo2.models.video.reference import INPUT
from emo2.models.video.temporal import PositionTable

CONFIG = VideoConfig.tiny()
FRAMES, HEIGHT, WIDTH = 8, 64, 48
LATENTS = (CONFIG.latent_channels, HEIGHT // 8, WIDTH // 8)
TIME = 600


def fill(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Random non-zero weights that keep activations near 1 everywhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            else:
                parameter.copy_(1 + 0.1 * noise if name.endswith("weight") else 0.05 * noise)
    return module.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model() -> VideoModel:
    return fill(VideoModel(CONFIG))


@pytest.fixture(scope="module")
def still() -> VideoModel:
    """The same network with temporal modules that add nothing: frames know nothing of each other."""
    model = fill(VideoModel(CONFIG))
    for module in model.backbone.temporal().values():
        module.temporal_transformer.proj_out.weight.zero_()
        module.temporal_transformer.proj_out.bias.zero_()
    return model


def draw(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


NOISY = draw(1, LATENTS[0], FRAMES, *LATENTS[1:])


def sound(change: int | None = None) -> AudioFeatures:
    """One state a frame; `change`: a frame whose state is another one."""
    hidden = np.random.default_rng(5).standard_normal((FRAMES, CONFIG.audio_layers, CONFIG.audio_dim))
    if change is not None:
        hidden[change] = np.random.default_rng(6).standard_normal(hidden.shape[1:])
    hidden = hidden.astype(np.float16)
    return AudioFeatures(hidden, np.zeros(FRAMES), FRAMES / CONFIG.fps, rate=CONFIG.fps)


def heard(model: VideoModel, features: AudioFeatures, strength: float = 1.0):
    windows = features.at_frames(CONFIG.fps, 0, FRAMES, CONFIG.audio_radius, CONFIG.audio_steps)
    return model.encode_audio(torch.from_numpy(windows)[None], strength)


def maps(seed: int = 3) -> torch.Tensor:
    return draw(1, 6, FRAMES, HEIGHT, WIDTH, seed=seed).sigmoid()


def predict(model: VideoModel, **conditions) -> torch.Tensor:
    with torch.inference_mode():
        return model(NOISY, TIME, **conditions)


def changed_frames(a: torch.Tensor, b: torch.Tensor) -> list[int]:
    return [frame for frame in range(a.shape[2]) if not torch.equal(a[:, :, frame], b[:, :, frame])]


def differ(a: torch.Tensor, b: torch.Tensor) -> float:
    """Root mean square of the difference, against that of b."""
    return ((a - b).square().mean() / b.square().mean()).sqrt().item()


# --- sound


@pytest.mark.parametrize("frame", [0, 3, FRAMES - 1])
def test_sound_of_a_frame_reaches_that_frame_and_its_neighbours_only(still, frame):
    before, after = (predict(still, audio=heard(still, sound(change))) for change in (None, frame))
    near = range(frame - CONFIG.audio_radius, frame + CONFIG.audio_radius + 1)
    assert changed_frames(before, after) == [n for n in near if 0 <= n < FRAMES]


def test_sound_of_one_window_reaches_one_frame(still):
    windows = draw(1, FRAMES, CONFIG.audio_window, CONFIG.audio_layers, CONFIG.audio_dim)
    before = predict(still, audio=still.encode_audio(windows))
    windows[0, 4, 2] *= -1
    assert changed_frames(before, predict(still, audio=still.encode_audio(windows))) == [4]


@pytest.mark.parametrize("layer", range(CONFIG.audio_layers))
def test_every_layer_and_instant_of_the_voice_encoder_is_heard(model, layer):
    windows = draw(1, 1, CONFIG.audio_window, CONFIG.audio_layers, CONFIG.audio_dim)
    before = model.encode_audio(windows).tokens
    windows[0, 0, layer, layer] *= -1
    after = model.encode_audio(windows).tokens
    assert [k for k in range(CONFIG.audio_window) if not torch.equal(before[0, 0, k], after[0, 0, k])] == [layer]


def test_order_of_the_instants_matters(still):
    windows = draw(1, FRAMES, CONFIG.audio_window, CONFIG.audio_layers, CONFIG.audio_dim)
    forwards, backwards = (still.encode_audio(w) for w in (windows, windows.flip(2)))
    assert differ(predict(still, audio=forwards), predict(still, audio=backwards)) > 1e-3


def test_through_the_temporal_modules_sound_reaches_all_frames(model):
    before, after = (predict(model, audio=heard(model, sound(change))) for change in (None, 0))
    assert changed_frames(before, after) == list(range(FRAMES))


def test_sound_of_strength_0_is_no_sound_and_strength_counts(model):
    nothing = predict(model)
    assert torch.equal(predict(model, audio=heard(model, sound(), 0.0)), nothing)
    small, full = (differ(predict(model, audio=heard(model, sound(), s)), nothing) for s in (0.1, 1.0))
    assert 0 < small < full


def test_absent_sound_can_mean_zeros():
    """EchoMimicV2's unconditional half attends to zeros, so the output layer's bias stays; times the scale."""
    config = VideoConfig.from_dict(CONFIG.to_dict() | {"audio_absent": "zeros", "audio_scale": 3.0})
    config = VideoConfig.from_dict(config.to_dict() | {"audio_projection": "none"})
    model = fill(VideoModel(config))
    zeros = torch.zeros(1, FRAMES, config.audio_window, config.audio_layers, config.audio_dim)
    nothing = predict(model)
    torch.testing.assert_close(predict(model, audio=model.encode_audio(zeros)), nothing, atol=1e-5, rtol=0)
    skipping = fill(VideoModel(VideoConfig.from_dict(config.to_dict() | {"audio_absent": "skip"})))
    assert differ(predict(skipping), nothing) > 1e-3


# --- maps and confidence


@pytest.mark.parametrize("channels", [slice(0, 3), slice(3, 6)], ids=["mano", "keypoints"])
def test_each_map_matters_in_its_own_frame(still, channels):
    before = maps()
    after = before.clone()
    after[:, channels, 5] = maps(seed=4)[:, channels, 5]
    assert changed_frames(*(predict(still, pose=still.encode_maps(m)) for m in (before, after))) == [5]


@pytest.mark.parametrize("hand", [0, 1], ids=["left", "right"])
def test_confidence_of_each_hand_matters_in_its_own_frame(still, hand):
    before = torch.full((1, FRAMES, 2), 0.7)
    after = before.clone()
    after[0, 2, hand] = 0.1
    poses = [still.encode_maps(maps(), confidence) for confidence in (before, after)]
    assert changed_frames(*(predict(still, pose=pose) for pose in poses)) == [2]
    change = (poses[1] - poses[0])[0, :, 2]
    expected = -0.6 * still.confidence_embedding.hands.weight[:, hand]
    torch.testing.assert_close(change, expected[:, None, None].expand_as(change), atol=1e-5, rtol=0)


def test_confidence_is_one_where_none_is_given_and_nothing_at_zero(model):
    ones, zeros = torch.ones(1, FRAMES, 2), torch.zeros(1, FRAMES, 2)
    assert torch.equal(model.encode_maps(maps()), model.encode_maps(maps(), ones))
    assert torch.equal(model.encode_maps(maps(), zeros), model.guider(maps()))


def test_pose_of_strength_0_is_no_pose_and_strength_is_a_factor(model):
    assert model.encode_maps(maps(), strength=0.0) is None
    full, half = (model.encode_maps(maps(), strength=s) for s in (1.0, 0.5))
    torch.testing.assert_close(half, full / 2)
    nothing = predict(model)
    assert 0 < differ(predict(model, pose=half), nothing) != differ(predict(model, pose=full), nothing)


# --- reference


def test_reference_picture_matters_through_every_place(model):
    features = model.encode_reference(draw(1, *LATENTS))
    others = model.encode_reference(draw(1, *LATENTS, seed=9))
    assert features.keys() == model.backbone.spatial().keys() | {INPUT}
    seen = predict(model, reference=features)
    assert differ(seen, predict(model)) > 1e-2
    for name in features:
        assert differ(predict(model, reference=features | {name: others[name]}), seen) > 1e-5, name


def test_reference_enters_the_self_attention_and_the_first_features_alone():
    model = fill(VideoModel(CONFIG))
    for block in model.backbone.spatial().values():
        block.attn1.to_out[0].weight.zero_()
    features = model.encode_reference(draw(1, *LATENTS))
    first = features.pop(INPUT)
    assert torch.equal(predict(model, reference=features), predict(model))
    assert differ(predict(model, reference=features | {INPUT: first}), predict(model)) > 1e-2


def test_the_references_latents_stand_at_their_own_places_in_every_frame(model):
    """What the first features get is the convolution of the latents times the strength, the same in all frames."""
    entered = []
    handle = model.backbone.down_blocks[0].resnets[0].register_forward_pre_hook(lambda _, args: entered.append(args[0]))
    latents = draw(1, *LATENTS)
    features = model.encode_reference(latents)
    for strength in (0.0, 0.6):
        predict(model, reference=features, reference_strength=strength)
    handle.remove()
    wanted = 0.6 * model.reference_input(latents).expand(FRAMES, -1, -1, -1)
    torch.testing.assert_close(entered[1] - entered[0], wanted, atol=1e-5, rtol=0)


def test_without_reference_input_there_is_attention_alone():
    bare = fill(VideoModel(dataclasses.replace(CONFIG, reference_input=False)))
    assert bare.encode_reference(draw(1, *LATENTS)).keys() == bare.backbone.spatial().keys()
    assert not any(name.startswith("reference_input") for name in bare.state_dict())
    torch.manual_seed(0)
    fresh = VideoModel(CONFIG)
    assert not any(parameter.any() for parameter in fresh.reference_input.parameters())


def test_reference_strength_goes_from_nothing_to_the_plain_union(model):
    features = model.encode_reference(draw(1, *LATENTS))
    nothing, full = predict(model), predict(model, reference=features)
    assert torch.equal(predict(model, reference=features, reference_strength=0.0), nothing)
    near_0, near_1 = (predict(model, reference=features, reference_strength=s) for s in (1e-6, 1 - 1e-6))
    torch.testing.assert_close(near_0, nothing, atol=1e-4, rtol=0)
    torch.testing.assert_close(near_1, full, atol=1e-4, rtol=0)
    steps = [differ(predict(model, reference=features, reference_strength=s), nothing) for s in (0.1, 0.4, 1.0, 2.0)]
    assert steps == sorted(steps) and steps[0] > 0


def test_reference_strength_2_counts_every_reference_token_twice(model):
    features = model.encode_reference(draw(1, *LATENTS))
    twice = {name: torch.cat([tensor, tensor], dim=1) for name, tensor in features.items() if name != INPUT}
    twice[INPUT] = 2 * features[INPUT]
    doubled = predict(model, reference=features, reference_strength=2.0)
    torch.testing.assert_close(doubled, predict(model, reference=twice), atol=1e-5, rtol=0)


# --- motion frames


def past(count: int = CONFIG.motion_frames, seed: int = 11) -> torch.Tensor:
    return draw(1, LATENTS[0], count, *LATENTS[1:], seed=seed)


def test_motion_frames_matter_in_every_frame_and_at_every_place(model):
    features, others = (model.encode_motion_frames(past(seed=seed)) for seed in (11, 12))
    assert features.keys() == model.backbone.temporal().keys()
    seen, nothing = predict(model, motion_frames=features), predict(model)
    assert changed_frames(seen, nothing) == list(range(FRAMES)) and differ(seen, nothing) > 1e-2
    for name in features:
        assert differ(predict(model, motion_frames=features | {name: others[name]}), seen) > 1e-5, name


def test_every_single_motion_frame_and_their_order_matter(model):
    latents = past()
    seen = predict(model, motion_frames=model.encode_motion_frames(latents))
    for frame in range(CONFIG.motion_frames):
        other = latents.clone()
        other[:, :, frame] = past(seed=13)[:, :, frame]
        assert differ(predict(model, motion_frames=model.encode_motion_frames(other)), seen) > 1e-5, frame
    backwards = predict(model, motion_frames=model.encode_motion_frames(latents.flip(2)))
    assert differ(backwards, seen) > 1e-3


def test_motion_frames_enter_the_temporal_attention_and_nothing_else(still):
    features = still.encode_motion_frames(past())
    assert torch.equal(predict(still, motion_frames=features), predict(still))


def test_fewer_motion_frames_are_the_last_ones(model):
    """Three carried frames stand where the last three of twelve stand."""
    name, module = next(iter(model.backbone.temporal().items()))
    features = model.encode_motion_frames(past())[name]
    (key, _), _ = module.keys_values(features)
    (short, _), _ = module.keys_values(features[:, -3:])
    torch.testing.assert_close(short, key[:, :, :, -3:], atol=1e-5, rtol=0)


def test_clip_frames_stand_at_the_same_positions_with_and_without_motion_frames(model, monkeypatch):
    started, forward = [], PositionTable.forward

    def note(self, x, start):
        started.append(start)
        return forward(self, x, start)

    monkeypatch.setattr(PositionTable, "forward", note)
    predict(model)
    assert set(started) == {CONFIG.motion_frames}
    features = model.encode_motion_frames(past(5))
    started.clear()
    predict(model, motion_frames=features)
    assert set(started) == {CONFIG.motion_frames, CONFIG.motion_frames - 5}


# --- what is refused


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.encode_reference(draw(1, 4, 8, 6)),
        lambda m: m.encode_motion_frames(past(13)),
        lambda m: m.encode_audio(draw(1, 8, 3, 5, 96)),
        lambda m: m.encode_maps(draw(1, 3, 8, 64, 48)),
        lambda m: m.encode_maps(draw(1, 6, 8, 63, 48)),
        lambda m: m.encode_maps(draw(1, 6, 8, 64, 48), torch.ones(1, 7, 2)),
        lambda m: m(NOISY, TIME, pose=m.encode_maps(maps()[:, :, :4])),
        lambda m: m(NOISY, TIME, audio=m.encode_audio(draw(1, 9, 5, 5, 96))),
        lambda m: m(draw(1, 8, 25, 4, 4), TIME),
    ],
    ids=["channels", "carried", "window", "maps", "size", "confidence", "pose", "sound", "length"],
)
def test_what_does_not_fit_is_named(model, call):
    with pytest.raises(EMO2Error) as error:
        call(model)
    assert "\n" not in str(error.value) and "expected" in str(error.value)
