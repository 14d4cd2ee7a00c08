"""The first stage: who learns, what samples hold, that maps are those of run time, and that it learns at all."""

import numpy as np
import pytest
import torch
from emo2.models.checkpoints.format import load_checkpoint, read_header
from emo2.models.checkpoints.precision import packed, unpacked
from emo2.models.errors import EMO2Error
from emo2.models.hands import load_hands
from emo2.models.video import model as network
from emo2.models.video.conditions import Conditions
from emo2.training.beginnings import steps_before
from emo2.training.puppets.cache import latents_path
from emo2.training.video_data import spread_levels
from emo2.training.video_image import VideoImageRecipe, give_code
from emo2.training.video_lesson import VideoLesson, is_clip_part, level_weights
from training_video_cases import NETWORK, STILL, batch_of, fill, moved, paint
from video_run_cases import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return paint(tmp_path_factory.mktemp("puppets"))


def recipe(folder, seed=0, **options):
    return VideoImageRecipe({"data": str(folder), "network": NETWORK, "targets": 3, **options}, seed)


def lesson(made, seed=0):
    torch.manual_seed(seed)
    return made.build().train()


def test_all_but_sound_and_time_learns(folder):
    made = recipe(folder, drops=STILL)
    module = fill(lesson(made))
    changed, kept = moved(module, batch_of(made.dataset(), 0, 1))
    assert {name for name, p in module.named_parameters() if p.requires_grad} == changed
    assert any(name.startswith("video.reference_net.down_blocks.0.attentions.0") for name in changed)
    assert all(f"video.{part}" in "".join(changed) for part in ("guider.", "confidence_embedding.", "backbone.conv_in"))
    for name in kept:
        late = name.startswith("video.reference_net.up_blocks.1.attentions.1")
        assert late or any(mark in name for mark in (".motion_modules.", ".attn2.", ".norm2.", "audio_projection."))
    assert sum(".motion_modules." in name for name in kept) > 20 and sum(".attn2." in name for name in kept) > 5


def test_before_training_sound_changes_nothing(folder):
    video = lesson(recipe(folder)).video.eval()
    noisy, windows = torch.randn(1, 4, 2, 8, 6), torch.randn(1, 2, 5, 5, 96)
    with torch.no_grad():
        torch.testing.assert_close(video(noisy, 10, audio=video.encode_audio(windows)), video(noisy, 10))


def test_a_sample_depends_on_seed_and_number_alone(folder):
    first, second = recipe(folder).dataset(), recipe(folder).dataset()
    second[7]
    for name, value in first[3].items():
        assert torch.equal(value, second[3][name]), name
    assert not torch.equal(first[3]["noise"], first[4]["noise"])
    assert not torch.equal(first[3]["noise"], recipe(folder, seed=1).dataset()[3]["noise"])


def test_maps_and_confidence_are_those_of_run_time(folder):
    made = recipe(folder, drops=STILL, confidence_noise=0.0)
    puppets = made.dataset().puppets
    record, frames = puppets.cache[1], [2, 7, 4]
    known = Conditions(made.config, motion=record.motion, hands=load_hands(None))
    maps, confidence = known.maps(np.array(frames))
    assert torch.equal(puppets.maps(record, frames), (maps[0] * 255).round().to(torch.uint8))
    assert torch.equal(torch.from_numpy(puppets.confidence(record, frames)), confidence[0])
    assert made.config.keypoint_median == 5 and maps[:, 3:].any()


def test_keypoint_maps_can_be_left_out(folder):
    made = recipe(folder, network={**NETWORK, "keypoint_maps": False})
    puppets = made.dataset().puppets
    record = puppets.cache[0]
    assert not puppets.maps(record, [0, 1])[3:].any()
    known = Conditions(made.config, motion=record.motion, hands=load_hands(None))
    maps = known.maps(np.arange(2))[0]
    assert not maps[:, 3:].any() and maps[:, :3].any()


@pytest.mark.parametrize(
    "drop, gone",
    [
        ({"everything": 1.0}, "all"), ({"reference": 1.0}, "reference"), ({"pose": 1.0}, "pose"),
        ({"keypoints": 1.0}, "keypoints"), ({"hands": 1.0}, "hands"), ({}, "nothing"),
    ],
)  # fmt: skip
def test_what_is_dropped_is_not_told(folder, drop, gone):
    made = recipe(folder, drops={**STILL, **drop})
    batch = batch_of(made.dataset(), 0, 1, 2, 3)
    assert bool(batch["has_reference"].any()) == (gone not in ("all", "reference"))
    assert bool(batch["has_pose"].any()) == (gone not in ("all", "pose"))
    assert bool(batch["maps"][:, 3:].any()) == (gone != "keypoints")
    assert bool(batch["maps"][:, :3].any()) == (gone != "hands")
    module = fill(lesson(made))
    conditions = module.conditions(batch)
    assert any(conditions.mask("reference")) == bool(batch["has_reference"].any())
    if gone == "all":
        noisy = torch.randn(4, 4, 3, 8, 6)
        with torch.no_grad():
            told = module.video(noisy, batch["timestep"], conditions=conditions)
            torch.testing.assert_close(told, module.video(noisy, batch["timestep"], conditions=conditions.null()))


def test_single_pictures_of_a_row_may_lack_their_pose(folder):
    """A row's pictures share a reference, not a pose: the one without is what it would be in a row of its own."""
    made = recipe(folder, drops=STILL)
    module, batch = fill(lesson(made)), batch_of(made.dataset(), 0)
    batch["has_pose"] = torch.tensor([[True, False, True]])
    noisy = torch.randn(1, 4, 3, 8, 6)
    with torch.no_grad():
        both = module.video(noisy, batch["timestep"], conditions=module.conditions(batch))
        batch["has_pose"] = torch.zeros(1, 3, dtype=torch.bool)
        none = module.video(noisy, batch["timestep"], conditions=module.conditions(batch))
    torch.testing.assert_close(both[:, :, 1], none[:, :, 1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(both[:, :, 0], none[:, :, 0], atol=1e-3)


def test_cells_with_hands_weigh_more(folder):
    made = recipe(folder, drops=STILL, emphasis={"hands": 3.0, "face": 0.0})
    sample = made.dataset()[0]
    hands = torch.nn.functional.max_pool2d((sample["maps"][2] > 0).float(), 8) > 0
    assert hands.any() and not hands.all()
    torch.testing.assert_close(sample["weight"].mean(dim=(1, 2)), torch.ones(3))
    assert sample["weight"][hands].min() > 2 * sample["weight"][~hands].max()


def test_a_few_pictures_are_learned_by_heart(folder):
    made = recipe(folder, drops=STILL, targets=2, snr_gamma=0.0)
    module, batch = lesson(made), batch_of(made.dataset(), 0)
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=6e-3)
    seen = []
    for _ in range(70):
        losses, _ = module(batch)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        seen.append(losses.mean().item())
    assert seen[-1] < seen[0] / 5


def test_the_export_is_what_nodes_load(folder, tmp_path):
    made = recipe(folder)
    module = fill(lesson(made))
    [path] = made.export(module, tmp_path, {"steps": "7"})
    loaded, header = load_checkpoint(path, "video", network.build)
    assert path.name == "emo2_video_tiny.safetensors" and loaded.config == made.config
    assert header.notes["steps"] == "7" and header.notes["stage"] == "image"
    assert read_header(path).untrained is None
    own = module.video.state_dict()
    stored = unpacked(packed(own))
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, stored[name]), name
    assert path.stat().st_size < 1.3 * sum(value.numel() for value in own.values()) + 200_000, "eight bits a number"


def test_levels_are_uniform_and_spread():
    rng = np.random.default_rng(0)
    drawn = np.stack([spread_levels(rng, 4, 1000) for _ in range(2000)])
    assert (np.sort(drawn // 250, axis=1) == np.arange(4)).all()
    assert abs(drawn[:, 0].mean() - 499.5) < 20 and drawn.min() < 5 and drawn.max() > 994


def test_the_noisiest_level_counts_and_the_cleanest_does_not_rule():
    alphas = torch.tensor([0.999, 0.5, 0.0])
    torch.testing.assert_close(level_weights(alphas, "v_prediction", 5.0), torch.tensor([0.005, 1.0, 1.0]))
    assert level_weights(alphas, "v_prediction", 0.0).tolist() == [1, 1, 1]
    assert level_weights(alphas[:2], "epsilon", 5.0).tolist() == pytest.approx([5 / 999, 1.0], rel=1e-3)


@pytest.mark.parametrize("options, word", [
    ({"targets": 0}, "targets"), ({"profile": "huge"}, "profile"), ({"drops": {"sound": 1.0}}, "sound"),
    ({"network": {"wide": 3}}, "wide"), ({"confidence_code": -1.0}, "confidence_code"),
    ({"confidence_code": 0.5, "network": {**NETWORK, "hand_confidence": False}}, "without confidence"),
    ({"network": {"heads": 7}}, "heads"),
])  # fmt: skip
def test_wrong_options_are_named(folder, options, word):
    with pytest.raises(EMO2Error, match=word):
        recipe(folder, **options)


def test_puppets_without_latents_are_refused(tmp_path):
    folder = paint(tmp_path, 1)
    with pytest.raises(EMO2Error, match=r"recipe\.data"):
        recipe(folder, network={**NETWORK, "latent_channels": 8}).dataset()
    latents_path(next(folder.glob("0*.npz"))).unlink()
    with pytest.raises(EMO2Error, match="latents"):
        recipe(folder).dataset()


def test_it_can_begin_with_another_networks_weights(folder, tmp_path):
    """All of them; what is new in this network begins as new, and what does not fit is named."""
    bare = recipe(folder, network={**NETWORK, "reference_input": False})
    first = fill(lesson(bare)).video
    [path] = bare.export(VideoLesson(first, True), tmp_path, {"steps": "5"})
    video = lesson(recipe(folder, begin=str(path))).video
    stored = unpacked(packed(first.state_dict()))
    for name, value in video.state_dict().items():
        if name.startswith("reference_input."):
            assert not value.any()
        elif is_clip_part(name):  # this stage passes over them, and they would not fit what it learns
            assert not torch.equal(value, stored[name]) or not value.any(), name
        else:
            assert torch.equal(value, stored[name]), name
    made = recipe(folder, begin=str(path))
    [second] = made.export(lesson(made), tmp_path / "second", {"steps": "7"})
    assert read_header(second).notes["steps_before"] == "5 image" and steps_before(second, "video")["steps_before"] == (
        "5 image + 7 image"
    )
    with pytest.raises(EMO2Error, match=r"recipe\.begin"):
        lesson(recipe(folder, network={**NETWORK, "widths": [16, 16]}, begin=str(path)))
    with pytest.raises(EMO2Error, match=r"recipe\.begin"):
        lesson(recipe(folder, begin=str(tmp_path / "none.safetensors")))


def test_a_code_for_confidence_leaves_full_confidence_as_it_was(folder):
    plain, coded = (fill(lesson(recipe(folder))).video.eval() for _ in range(2))
    coded.load_state_dict(plain.state_dict())
    give_code(coded, 0.5, seed=3)
    maps = torch.rand(1, 6, 2, 64, 48)
    sure, unsure = torch.ones(1, 2, 2), torch.full((1, 2, 2), 0.2)
    with torch.no_grad():
        torch.testing.assert_close(coded.encode_maps(maps, sure), plain.encode_maps(maps, sure))
        torch.testing.assert_close(coded.encode_maps(maps), plain.encode_maps(maps))
        told = coded.encode_maps(maps, unsure) - plain.encode_maps(maps, unsure)
    assert told.abs().mean() > 0.1
    module = lesson(recipe(folder, confidence_code=0.5))
    deviation = module.video.confidence_embedding.hands.weight.std(0)
    assert (
        (deviation > 0.2) & (deviation < 1.0)
    ).all() and module.video.confidence_embedding.hands.weight.requires_grad
    assert not lesson(recipe(folder)).video.confidence_embedding.hands.weight.any()


def test_stable_diffusions_unet_begins_both_networks(folder, tmp_path):
    from diffusers import UNet2DConditionModel
    from safetensors.torch import save_file

    sizes = {"in_channels": 4, "out_channels": 4, "block_out_channels": (16, 32), "layers_per_block": 2,
             "norm_num_groups": 4, "attention_head_dim": 2, "cross_attention_dim": 8,
             "down_block_types": ("CrossAttnDownBlock2D",) * 2,
             "up_block_types": ("CrossAttnUpBlock2D",) * 2}  # fmt: skip
    unet = fill(UNet2DConditionModel(**sizes))
    path = tmp_path / "unet.safetensors"
    save_file(unet.state_dict(), path)
    made = recipe(folder, network={**NETWORK, "layers_per_block": 2}, stable_diffusion=str(path))
    video, theirs = lesson(made).video, unet.state_dict()
    for name in ("conv_in.weight", "up_blocks.1.attentions.2.transformer_blocks.0.attn1.to_q.weight"):
        assert torch.equal(video.backbone.state_dict()[name], theirs[name])
        assert torch.equal(video.reference_net.state_dict()[name], theirs[name])
    with pytest.raises(EMO2Error, match="layers"):
        lesson(recipe(folder, network={**NETWORK, "widths": [16, 16]}, stable_diffusion=str(path)))
