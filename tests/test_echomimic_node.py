"""The loader of EchoMimicV2's files as an artist meets it, and what the samplers make of the model."""

import pytest
import torch
from echomimic_cases import TINY
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures, Motion, Reference
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from emo2.models.video.windows import WindowOptions, windows_for
from emo2.nodes import NODE_CLASS_MAPPINGS, echomimic, host, rendering
from test_checkpoints_echomimic import CONFIG, parts_of

NAMES = ("denoising_unet", "motion_module", "reference_unet", "pose_encoder")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """models/echomimic_v2 with small files of random weights."""
    monkeypatch.setattr(host, "outside", host.Outside(models=[tmp_path], quiet=True))
    monkeypatch.setattr(VideoConfig, "echomimic_v2", classmethod(lambda cls: CONFIG))
    torch.manual_seed(0)
    video = VideoModel(CONFIG)
    for parameter in video.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    place = tmp_path / "echomimic_v2"
    place.mkdir()
    for name, tensors in parts_of(video).items():
        torch.save(tensors, place / f"{name}.pth")
    torch.save(parts_of(video)["denoising_unet"], place / "denoising_unet_acc.pth")
    return place


def load(**more):
    node = NODE_CLASS_MAPPINGS["EMO2LoadEchoMimicV2"]()
    return node.load(**{**{name: f"{name}.pth" for name in NAMES}, "width": 128, "height": 192, **more})[0]


def test_each_list_begins_with_its_own_file(folder):
    shown = echomimic.LoadEchoMimicV2.INPUT_TYPES()["required"]
    assert shown["denoising_unet"][0][:2] == ["denoising_unet.pth", "denoising_unet_acc.pth"]
    assert [shown[name][0][0] for name in NAMES] == [f"{name}.pth" for name in NAMES]
    assert all(len(shown[name][0]) == 5 for name in NAMES)


def test_the_model_has_the_size_that_was_asked_for(folder):
    model = load()
    assert model.module.config.size == (192, 128) and model.header.kind == "video"
    before = rendering.model_fingerprint(model)
    torch.save(torch.load(folder / "pose_encoder.pth"), folder / "again.pth")
    held = torch.load(folder / "pose_encoder.pth")
    held["conv_in.bias"] = held["conv_in.bias"] + 1
    torch.save(held, folder / "pose_encoder.pth")
    assert rendering.model_fingerprint(load()) != before, "all four files count"


@pytest.mark.parametrize("more, words", [
    ({"width": 150}, "width: expected a multiple of 64"), ({"height": 200}, "height: expected a multiple of 64"),
    ({"motion_module": "reference_unet.pth"}, "belongs to the input reference_unet"),
    ({"pose_encoder": "none.pth"}, "none.pth"),
])  # fmt: skip
def test_what_does_not_fit_is_said(folder, more, words):
    with pytest.raises(EMO2Error) as caught:
        load(**more)
    assert words in str(caught.value) and "EMO2 Load EchoMimicV2" in str(caught.value)


def test_missing_files_are_named_before_anything_runs(folder):
    check = echomimic.LoadEchoMimicV2.VALIDATE_INPUTS
    assert check(**{name: f"{name}.pth" for name in NAMES}) is True
    assert "gone.pth" in check(denoising_unet="gone.pth")
    assert check() is True


def test_half_of_the_accelerated_pair_is_warned_about(folder):
    load()
    assert not host.outside.warnings
    load(denoising_unet="denoising_unet_acc.pth")
    assert "not a pair" in host.outside.warnings[0]


def still(count=16):
    import numpy as np

    rotations = np.tile(np.array([1.0, 0, 0, 0], np.float32), (count, 2, 16, 1))
    places = np.tile(np.array([[0.2, 0.25, -0.2], [-0.2, 0.25, -0.2]], np.float32), (count, 1, 1))
    return Motion(rotations, places, 24.0)


def conditions_of(model):
    import numpy as np

    config = model.module.config
    height, width = config.latent_size
    latents = torch.zeros(1, 4, height, width)
    with torch.inference_mode():
        features = model.module.encode_reference(latents)
    picture = torch.zeros(1, *config.size, 3)
    reference = Reference(latents, features, picture, rendering.model_fingerprint(model))
    hidden = np.random.default_rng(0).normal(size=(40, 5, 16)).astype(np.float32)
    return reference, AudioFeatures(hidden, np.zeros(40), 16 / 24)


SETTINGS = {"seed": 1, "steps": 2, "cfg": 2.0, "scheduler": "ddim", "reference_strength": 1.0, "audio_strength": 1.0,
            "pose_strength": 1.0, "start_second": 0.0, "end_second": 0.0, "quick_preview": False}  # fmt: skip


def test_without_windows_it_has_its_own(folder):
    assert windows_for(TINY) == WindowOptions(12, 3, True, 3) and windows_for(VideoConfig.tiny()) is None
    model = load()
    reference, sound = conditions_of(model)
    sample = NODE_CLASS_MAPPINGS["EMO2SampleVideo"]().sample
    given = {"model": model, "reference": reference, "motion": still(), "audio_features": sound, **SETTINGS}
    latent, fps, count = sample(**given)
    assert latent["samples"].shape == (16, 4, 24, 16) and fps == 24 and count == 16
    again, *_ = sample(**given, windows=WindowOptions())
    torch.testing.assert_close(latent["samples"], again["samples"], atol=1e-5, rtol=0)
    other, *_ = sample(**given, windows=WindowOptions(8, 2))
    assert (other["samples"] - latent["samples"]).abs().max() > 1e-3
    with pytest.raises(EMO2Error, match="in windows"):
        sample(**given, previous={"samples": latent["samples"]})


def test_it_is_not_streamed(folder):
    model = load()
    reference, sound = conditions_of(model)
    stream = NODE_CLASS_MAPPINGS["EMO2StreamVideo"]().stream
    with pytest.raises(EMO2Error, match="EMO2 Sample Video"):
        stream(
            model=model, vae=object(), reference=reference, motion=still(), audio_features=sound, filename_prefix="x",
            crf=20, **SETTINGS,
        )  # fmt: skip


def test_with_motion_frames_it_goes_on_from_its_own_frames(folder):
    """Clip after clip: the first 12 frames are the same however long the video is, the next go on from them."""
    model = load(motion_frames=4)
    assert windows_for(model.module.config) is None and model.module.config.motion_frames == 4
    reference, sound = conditions_of(model)
    sample = NODE_CLASS_MAPPINGS["EMO2SampleVideo"]().sample
    given = {"model": model, "reference": reference, "motion": still(), "audio_features": sound, **SETTINGS}
    whole, _, count = sample(**given)
    assert whole["samples"].shape == (16, 4, 24, 16) and count == 16
    first, *_ = sample(**{**given, "end_second": 0.5})
    assert len(first["samples"]) == 12 and torch.equal(first["samples"], whole["samples"][:12])
    rest, *_ = sample(**{**given, "start_second": 0.5}, previous=first)
    torch.testing.assert_close(rest["samples"], whole["samples"][12:])
    alone, *_ = sample(**{**given, "start_second": 0.5})
    assert (alone["samples"] - rest["samples"]).abs().max() > 1e-3


def test_more_motion_frames_than_the_position_table_has_room_for_are_refused(folder):
    with pytest.raises(EMO2Error, match="motion_frames: expected a number from 0 to 20"):
        load(motion_frames=21)


def test_cached_steps_travel_with_the_model(folder):
    model = load()
    reference, sound = conditions_of(model)
    node = NODE_CLASS_MAPPINGS["EMO2CacheSteps"]()
    sample = NODE_CLASS_MAPPINGS["EMO2SampleVideo"]().sample
    given = {"reference": reference, "motion": still(), "audio_features": sound, **SETTINGS, "steps": 4}
    whole, *_ = sample(model=model, **given)
    same, *_ = sample(model=node.patch(model, 1, 1)[0], **given)
    faster, *_ = sample(model=node.patch(model, 2, 2)[0], **given)
    assert torch.equal(whole["samples"], same["samples"]) and not torch.equal(whole["samples"], faster["samples"])
    assert model.sampling == {}, "the model that went in stays as it was"
    for bad, words in (({"inner_every": 0}, "inner_every"), ({"guidance_every": 99}, "guidance_every")):
        with pytest.raises(EMO2Error, match=f"EMO2 Cache Steps, {words}"):
            node.patch(**{"model": model, "inner_every": 2, "guidance_every": 2, **bad})
    with pytest.raises(EMO2Error, match="EMO2 Cache Steps, model"):
        node.patch("a model", 2, 2)


@pytest.mark.parametrize(("free", "device", "clips"), [
    (0, "cuda", 1), (10, "cuda", 1), (19, "cuda", 1), (20, "cuda", 2), (65, "cuda", 6), (1000, "cuda", 8),
    (1000, "cpu", 2), (15, "cpu", 1),
])  # fmt: skip
def test_as_many_clips_as_the_free_memory_holds(free, device, clips):
    assert rendering.clips_at_once(free, 10, device) == clips


def test_the_free_memory_is_known_here():
    import os

    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 1 << 20 < host.free_memory() < total
