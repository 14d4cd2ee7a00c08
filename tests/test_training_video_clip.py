"""The second stage: who learns, that sound and motion frames are those of run time, and the judge's word."""

import numpy as np
import pytest
import torch
from emo2.evaluation.card import steps
from emo2.models.audio import encode, load_encoder
from emo2.models.audio import write_tiny as write_encoder
from emo2.models.checkpoints.format import load_checkpoint, save_checkpoint
from emo2.models.errors import EMO2Error
from emo2.models.video import model as network
from emo2.models.video import pose_discriminator
from emo2.models.video.clips import carry
from emo2.models.video.conditions import Conditions
from emo2.training.video_clip import VideoClipRecipe
from emo2.training.video_data import rolling_level
from emo2.training.video_image import VideoImageRecipe, video_of
from emo2.training.video_lesson import VideoLesson
from training_video_cases import NETWORK, STILL, batch_of, fill, moved, paint
from video_run_cases import one_thread  # noqa: F401


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Options that name a cache, an image checkpoint with random weights, a voice encoder and a pose discriminator."""
    folder = tmp_path_factory.mktemp("clip")
    data = paint(folder / "puppets")
    image = VideoImageRecipe({"data": str(data), "network": NETWORK}, 0)
    lesson = fill(image.build())
    [checkpoint] = image.export(lesson, folder, {"steps": "4"})
    encoder = write_encoder(folder / "audio.safetensors")
    sizes = {**pose_discriminator.TINY, "latent_channels": 4, "width": 8, "blocks": 1}
    tensors = fill(pose_discriminator.build(sizes)).state_dict()
    judge = save_checkpoint(folder / "judge.safetensors", "pose_discriminator", sizes, tensors)
    return {"data": str(data), "image": str(checkpoint), "audio_encoder": str(encoder), "discriminator": str(judge)}


def recipe(files, seed=0, **options):
    return VideoClipRecipe({**files, **options}, seed)


def lesson(made, filled=True):
    torch.manual_seed(0)
    module = made.build().train()
    return fill(module) if filled else module


def parts(names):
    return {name.removeprefix("video.").split(".")[0] for name in names}


def test_the_reference_network_is_frozen_and_the_rest_learns(files):
    made = recipe(files, drops=STILL)
    module = lesson(made)
    batch = batch_of(made.dataset(), 0, 1)
    assert batch["has_motion_frames"].all() and batch["has_audio"].all()
    changed, kept = moved(module, batch)
    assert parts(kept) == {"reference_net", "reference_input"}
    assert parts(changed) == {"backbone", "guider", "confidence_embedding", "audio_projection"}


def test_time_and_sound_can_learn_alone(files):
    made = recipe(files, drops=STILL, train=["temporal", "audio"])
    changed, _ = moved(lesson(made), batch_of(made.dataset(), 0))
    assert changed and all(
        any(m in n for m in (".motion_modules.", ".attn2.", ".norm2.", "audio_pro")) for n in changed
    )


def test_what_the_first_stage_trained_moves_more_slowly(files):
    made = recipe(files, backbone_scale=0.25)
    module = lesson(made)
    fresh, known = made.parameter_groups(module)
    assert (fresh["scale"], known["scale"]) == (1.0, 0.25)
    assert any(p is module.video.backbone.conv_in.weight for p in known["params"])
    count = sum(p.requires_grad for p in module.parameters())
    assert len(fresh["params"]) + len(known["params"]) == count


def test_it_begins_as_the_image_network(files):
    """Frame by frame the same picture: no time yet, and no sound."""
    image, _ = load_checkpoint(files["image"], "video", network.build)
    made = recipe(files, drops=STILL)
    video, sample = lesson(made, filled=False).video.eval(), batch_of(made.dataset(), 0)
    with torch.no_grad():
        for block in image.backbone.spatial().values():
            for parameter in block.attn2.to_out.parameters():
                parameter.zero_()
        noisy = torch.randn(1, 4, 5, 8, 6)
        told = video(noisy, 300, audio=video.encode_audio(sample["audio"]))
        torch.testing.assert_close(told, image.float()(noisy, 300), atol=1e-3, rtol=1e-3)


def test_a_sample_depends_on_seed_and_number_alone(files):
    first, second = recipe(files).dataset(), recipe(files).dataset()
    second[5]
    for name, value in first[2].items():
        assert torch.equal(value, second[2][name]), name


def test_sound_is_that_of_run_time(files):
    made = recipe(files, drops=STILL)
    data = made.dataset()
    record = data.puppets.cache[1]
    encoder, _ = load_encoder(files["audio_encoder"])
    known = Conditions(made.config, audio=encode(encoder, record.waveform))
    frames = np.arange(record.start + 4, record.start + 9)
    assert torch.equal(data.sounds.windows(record, 4, 5), known.audio_windows(frames)[0])


def test_motion_frames_are_what_a_sampler_carries_over(files):
    made = recipe(files, drops=STILL, motion_noise=0.0)
    data = made.dataset()
    sample = data[0]
    assert bool(sample["has_motion_frames"])
    for number in range(len(data.puppets)):
        record = data.puppets.cache[number]
        latents = torch.from_numpy(record.latents.astype(np.float32))
        for start in range(3, len(latents) - 4):
            clip = latents[start : start + 5].transpose(0, 1) * made.config.latent_scale
            if torch.equal(clip, sample["target"]):
                before = carry(None, latents[:start], made.config.motion_frames)
                assert torch.equal(sample["motion_frames"], (before * made.config.latent_scale).transpose(0, 1))
                return
    raise AssertionError("the clip is nowhere in the cache")


def test_motion_frames_get_noise_and_first_clips_have_none(files):
    clean = recipe(files, drops=STILL, motion_noise=0.0).dataset()
    rough = recipe(files, drops=STILL, motion_noise=0.3).dataset()
    away = [(clean[i]["motion_frames"] - rough[i]["motion_frames"]).std() for i in range(6)]
    assert max(away) < 0.33 and max(away) > 0.02
    none = recipe(files, drops={**STILL, "motion_frames": 1.0}).dataset()
    assert not any(bool(none[i]["has_motion_frames"]) for i in range(4))


@pytest.mark.parametrize("name", ["reference", "pose", "audio", "motion_frames", "everything"])
def test_what_is_dropped_is_not_told(files, name):
    made = recipe(files, drops={**STILL, name: 1.0})
    module, batch = lesson(made), batch_of(made.dataset(), 0, 1)
    known = module.conditions(batch)
    for each in ("reference", "pose", "audio", "motion_frames"):
        assert any(known.mask(each)) == (name not in (each, "everything")), each
    losses, _ = module(batch)
    assert torch.isfinite(losses).all()


def test_the_judges_gradient_reaches_the_backbone_alone(files):
    made = recipe(files, drops=STILL)
    module, batch = lesson(made), batch_of(made.dataset(), 0, 1)
    judge = module.judge[0]
    estimate = torch.randn(2, 4, 5, 8, 6)
    batch["timestep"] = torch.tensor([10, 900])
    told = module._judged(estimate, batch)
    assert told[0] > 0 and told[1] == 0, "asked only where there is little noise"
    batch["timestep"] = torch.tensor([10, 20])
    calm, parts_ = VideoLesson.forward(module, batch)
    assert parts_["pose"].shape == calm.shape
    calm.mean().backward()
    assert all(p.grad is None for p in judge.parameters())
    assert all(p.grad is None for p in module.video.reference_net.parameters())
    assert module.video.backbone.conv_out.weight.grad.abs().sum() > 0
    assert not any("judge" in name for name, _ in module.named_parameters())
    silent = recipe(files, discriminator_weight=0.0)
    assert not lesson(silent).judge


def test_ablations_change_the_network(files):
    made = recipe(files, hand_confidence=False, keypoints=False, motion_frames=False, drops=STILL)
    module, batch = lesson(made), batch_of(made.dataset(), 0)
    assert module.video.confidence_embedding is None and not made.config.keypoint_maps
    assert made.config.motion_frames == 0 and not batch["maps"][:, 3:].any() and not batch["has_motion_frames"].any()
    losses, _ = module(batch)
    assert torch.isfinite(losses).all()


def test_without_confidence_every_hand_is_sure(files):
    told, untold = (recipe(files, hand_confidence=on).build().video.eval() for on in (True, False))
    maps, sure = torch.rand(1, 6, 2, 64, 48), torch.ones(1, 2, 2)
    with torch.no_grad():
        torch.testing.assert_close(
            untold.encode_maps(maps, sure * 0.1), told.encode_maps(maps, sure), rtol=0, atol=4e-3
        )
        assert (told.encode_maps(maps, sure * 0.1) - told.encode_maps(maps, sure)).abs().max() > 0.05


def test_without_a_voice_encoder_it_stays_deaf(files):
    quiet = {name: value for name, value in files.items() if name != "audio_encoder"}
    made = recipe(quiet, drops=STILL)
    sample = made.dataset()[0]
    assert "audio" not in sample and not bool(sample["has_audio"])
    changed, _ = moved(lesson(made), batch_of(made.dataset(), 0))
    assert not any(".attn2." in name or "audio_projection" in name for name in changed)


def test_a_clip_is_learned_by_heart(files):
    made = recipe(files, drops=STILL, frames=2, snr_gamma=0.0, motion_noise=0.0, discriminator_weight=0.0)
    module, batch = lesson(made, filled=False), batch_of(made.dataset(), 0)
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=6e-3)
    seen = []
    for _ in range(50):
        losses, _ = module(batch)
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        seen.append(losses.mean().item())
    assert seen[-1] < seen[0] / 2


def test_the_export_is_what_nodes_load(files, tmp_path):
    made = recipe(files)
    [path] = made.export(lesson(made), tmp_path, {"steps": "9"})
    loaded, header = load_checkpoint(path, "video", network.build)
    assert header.notes["stage"] == "clip" and loaded.config == made.config
    assert header.notes["steps_before"] == "4 image" and steps(header.notes) == "4 image + 9 clip"


def test_the_export_may_keep_a_share_of_the_beginning(files, tmp_path):
    """Whole and mixed exports differ by the share, and the training itself goes on with what it has learned."""
    made = recipe(files, image_share=0.25)
    module = lesson(made, filled=False)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(0.5)
    learned = {name: value.clone() for name, value in module.state_dict().items()}
    [path] = made.export(module, tmp_path, {"steps": "9"})
    mixed, header = load_checkpoint(path, "video", network.build)
    assert header.notes["image_share"] == "0.25"
    before, trained = made.beginning(), dict(video_of(module).named_parameters())
    for name, value in before.named_parameters():
        change = 0.375 if trained[name].requires_grad else 0.0
        assert torch.allclose(mixed.state_dict()[name], value + change, atol=2e-2), name  # kept in eight bits
    assert all(torch.equal(learned[name], value) for name, value in module.state_dict().items())


def test_levels_are_spread_over_any_few_samples():
    drawn = [rolling_level(0, index, 1000) for index in range(40, 72)]
    assert len({level // 125 for level in drawn[:16]}) == 8
    assert rolling_level(1, 40, 1000) != drawn[0]


@pytest.mark.parametrize("options, word", [
    ({"train": ["hands"]}, "train"), ({"frames": 9}, "frames"), ({"image": "nowhere.safetensors"}, "image"),
    ({"image_share": 1}, "image_share"),
])  # fmt: skip
def test_wrong_options_are_named(files, options, word):
    with pytest.raises(EMO2Error, match=word):
        recipe(files, **options).build()
