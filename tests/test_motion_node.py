"""The hand-motion nodes: widgets to numbers, ranges in seconds, optional wires, errors that name the node."""

import types

import numpy as np
import pytest
import torch
from emo2.models.errors import EMO2Error
from emo2.models.types import AudioFeatures, Framing, Motion
from emo2.nodes import host, sample_motion
from emo2.nodes.sample_motion import SMOOTHING, LoadMotionModel, SampleHandMotion, body_offset, stretch
from seed_only_cases import seed_only

PLAIN = {
    "seed": 3, "steps": 2, "cfg": 2.0, "scheduler": "ddim", "style": "auto", "speed_left": -1.0, "speed_right": -1.0,
    "hands": "both", "start_second": 0.0, "end_second": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded():
    """The pack's tiny model with large random weights in place of its own, so that conditions show."""
    handle = LoadMotionModel().load("emo2_motion_tiny.safetensors")[0]
    torch.manual_seed(0)
    for parameter in handle.module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return handle


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(host.outside, "quiet", True)
    monkeypatch.setattr(host.outside, "warnings", [])


def voice(seconds):
    count = int(seconds * 50)
    hidden = np.random.default_rng(0).standard_normal((count, 5, 96)).astype(np.float16)
    return AudioFeatures(hidden, np.zeros(count, np.float32), seconds, 50.0, "noise")


def run(loaded, seconds=0.4, **options):
    return SampleHandMotion().sample(loaded, voice(seconds), **{**PLAIN, **options})


def test_the_packs_model_is_listed_and_loads():
    names = LoadMotionModel.INPUT_TYPES()["required"]["model_name"][0]
    assert "emo2_motion_tiny.safetensors" in names and "emo2_video_tiny.safetensors" not in names
    (handle,) = LoadMotionModel().load("emo2_motion_tiny.safetensors")
    assert len(host.outside.warnings) == (handle.header.untrained is not None)


def test_an_untrained_model_says_so_when_it_is_loaded_and_when_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(host.outside, "models", [tmp_path])
    name = seed_only(tmp_path / "emo2", "motion")["motion"]
    (handle,) = LoadMotionModel().load(name)
    (loading,) = host.outside.warnings
    host.outside.warnings.clear()  # what was said once is not said again
    run(handle, steps=1)
    (using,) = host.outside.warnings
    assert loading == using and name in using and "untrained" in using


def test_motion_rate_and_length_come_out(loaded):
    motion, fps, count = run(loaded, seconds=0.41)
    assert isinstance(motion, Motion) and fps == 25.0 and count == len(motion) == 11
    assert motion.visible.all()


def test_widgets_reach_the_sampler(loaded, monkeypatch):
    seen = {}

    def fake(model, audio, **options):
        seen.update(options)
        return Motion(np.tile([1.0, 0, 0, 0], (options["count"], 2, 16, 1)), np.zeros((options["count"], 2, 3)), 25.0)

    monkeypatch.setattr(sample_motion, "sample_motion", fake)
    framing = Framing(neck=(0.4, 0.4))
    run(loaded, 4.0, style="singing", speed_left=2.0, speed_right=-1.0, hands="left only", start_second=1.0,
        end_second=3.0, seed=9, cfg=1.5, scheduler="dpm++", framing=framing)  # fmt: skip
    assert (seen["start"], seen["count"]) == (25, 50)
    assert seen["style"] == "singing" and seen["framing"] is framing
    assert seen["speed"] == [pytest.approx(4 * loaded.module.config.ordinary_speed), None]
    assert seen["mask"].tolist() == [True, False]
    assert (seen["seed"], seen["steps"], seen["cfg"], seen["scheduler"]) == (9, 2, 1.5, "dpm++")
    assert seen["offset"] is None and seen["image_embed"] is None and seen["smoothing"] == SMOOTHING
    run(loaded, 4.0, speed_left=0.0)
    assert seen["style"] is None and seen["speed"] == [0.0, None]


@pytest.mark.parametrize("option", [
    {"style": "singing"}, {"speed_left": 2.0}, {"speed_right": 2.0}, {"hands": "right only"}, {"seed": 4}, {"cfg": 1.0},
    {"smoothing": 0.0}, {"smoothing": 1.0},
    {"clip_vision_output": types.SimpleNamespace(image_embeds=torch.ones(1, 64))},
])  # fmt: skip
def test_every_option_changes_the_motion(loaded, option):
    assert not np.array_equal(run(loaded)[0].keypoints, run(loaded, **option)[0].keypoints)


def test_a_hand_out_of_the_picture_is_invisible(loaded):
    visible = run(loaded, hands="right only")[0].visible
    assert not visible[:, 0].any() and visible[:, 1].all()


@pytest.mark.parametrize("start, end, expected", [
    (0, 0, (0, 275)), (0, 99, (0, 275)), (1, 2, (25, 25)), (10.98, 0, (274, 1)), (10.5, 0, (262, 13)),
    (0, 0.04, (0, 1)), (2.0, 2.04, (50, 1)),
])  # fmt: skip
def test_a_stretch_in_seconds_becomes_frames(start, end, expected):
    assert stretch(11.0, 25.0, start, end) == expected


@pytest.mark.parametrize("start, end, name", [(11.0, 0, "start_second"), (60, 61, "start_second"), (3, 2, "end_second"),
                                              (3, 3, "end_second"), (3, 3.01, "end_second")])  # fmt: skip
def test_an_impossible_stretch_is_refused(loaded, start, end, name):
    with pytest.raises(EMO2Error, match=f"EMO2 Sample Hand Motion, {name}: expected"):
        run(loaded, 11.0, start_second=start, end_second=end)


def swaying(count, fps):
    offset = np.zeros((count, 3))
    offset[:, 0] = (np.arange(count) + 0.5) / fps / 10
    return Motion(np.tile([1.0, 0, 0, 0], (count, 2, 16, 1)), np.zeros((count, 2, 3)), fps, body_offset=offset)


def test_the_body_of_another_motion_is_followed_from_the_start_of_the_audio(loaded):
    body = swaying(60, 30.0)  # two seconds at another rate
    motion = run(loaded, 1.6, start_second=0.8, body_motion=body)[0]
    expected = (np.arange(20, 40) + 0.5) / 25 / 10
    np.testing.assert_allclose(motion.body_offset[:, 0], expected, atol=1e-3)
    assert not np.array_equal(motion.keypoints, run(loaded, 1.6, start_second=0.8)[0].keypoints)


def test_a_short_body_motion_is_held():
    offset = body_offset(swaying(5, 25.0), 25.0, 2, 8)
    assert offset.shape == (8, 7)
    np.testing.assert_allclose(offset[3:, 0], 4.5 / 25 / 10, atol=1e-6)
    np.testing.assert_array_equal(offset[:, 3:], np.tile([1, 0, 0, 0], (8, 1)))


@pytest.mark.parametrize("output, word", [
    (types.SimpleNamespace(image_embeds=torch.ones(2, 64)), "one picture"),
    (types.SimpleNamespace(image_embeds=torch.ones(1, 768)), "64 finite numbers"),
    ("nothing of the kind", "CLIP Vision Encode"),
])  # fmt: skip
def test_a_wrong_picture_embedding_is_refused(loaded, output, word):
    with pytest.raises(EMO2Error, match=f"EMO2 Sample Hand Motion, clip_vision_output: .*{word}"):
        run(loaded, clip_vision_output=output)


def test_a_style_that_the_model_does_not_know_is_refused_with_those_it_knows(loaded):
    with pytest.raises(EMO2Error, match="EMO2 Sample Hand Motion, style: expected one of speaking, singing"):
        run(loaded, style="opera")


def test_cancelling_passes_and_the_bar_is_closed(loaded, monkeypatch):
    class Interrupted(BaseException):
        pass

    closed = []

    class Bar:
        def __init__(self, total, label=""):
            assert total == 2 * 2

        def tick(self):
            raise Interrupted

        def close(self):
            closed.append(True)

    monkeypatch.setattr(host, "Progress", Bar)
    with pytest.raises(Interrupted):
        run(loaded, 13.0)
    assert closed == [True]


def test_from_sound_to_motion_through_the_nodes(loaded):
    """The pack's own tiny voice encoder fits the pack's own tiny motion model."""
    from emo2 import NODE_CLASS_MAPPINGS as nodes

    encoder = nodes["EMO2LoadAudioEncoder"]().load("emo2_audio_tiny.safetensors")[0]
    sound = {
        "waveform": torch.randn(1, 2, 24_000, generator=torch.Generator().manual_seed(0)) * 0.1,
        "sample_rate": 24_000,
    }
    features = nodes["EMO2EncodeAudio"]().encode(encoder, sound)[0]
    motion, _, count = SampleHandMotion().sample(loaded, features, **PLAIN)
    assert count == len(motion) == 25
