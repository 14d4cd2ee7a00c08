"""The network's classes under EchoMimicV2's names and weights give the numbers recorded from its own code."""

import json

import pytest
import torch
from echomimic_cases import numbers as recording
from echomimic_cases import recorded_model

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def recorded(shared):
    folder = shared / "parity" / "echomimic_v2"
    return recorded_model(folder), recording(folder, "tiny_single_step")


@pytest.mark.parametrize("time", [666, 999])
def test_a_step_of_echomimic_v2_comes_out_the_same(recorded, time):
    model, numbers = recorded
    with torch.inference_mode():
        reference = model.encode_reference(numbers["input.ref_latents"])
        pose = model.encode_maps(numbers["input.pose_image"])
        windows = numbers["input.audio"].unflatten(2, (10, 5))
        conditions = model.prepare(reference=reference, audio=model.encode_audio(windows), pose=pose)
        noisy = numbers["input.latents"].repeat(2, 1, 1, 1, 1)
        predicted = model(noisy, time, conditions=conditions.with_unconditional())
    torch.testing.assert_close(pose, numbers[f"t{time}.pose_fea"], atol=5e-5, rtol=0)
    torch.testing.assert_close(predicted, numbers[f"t{time}.pred"], atol=5e-5, rtol=0)


def test_reference_features_are_the_recorded_ones(recorded):
    model, numbers = recorded
    with torch.inference_mode():
        reference = model.encode_reference(numbers["input.ref_latents"])
    names = [name for name in numbers if ".reference." in name]
    assert len(reference) == 16 and len(names) == 3
    for name in names:
        place = name.removeprefix("t666.reference.").removesuffix(".transformer_blocks.0")
        torch.testing.assert_close(reference[place], numbers[name], atol=2e-5, rtol=0)


def test_position_tables_are_the_checkpoints_own(recorded, shared):
    """The 42 tables of motion_module.pth are not loaded: they are the same sinusoids for all."""
    keys = json.loads((shared / "parity" / "echomimic_v2" / "tiny_keys.json").read_text())["motion_module"]
    buffers = dict(recorded[0].backbone.named_buffers())
    tables = [name for name in keys if name.endswith(".pe")]
    assert len(tables) == 42
    assert all(list(buffers[name].shape) == keys[name] for name in tables)
