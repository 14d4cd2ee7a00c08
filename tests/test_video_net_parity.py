"""The network's classes under EchoMimicV2's names and weights give the numbers recorded from its own code."""

import json
import zlib

import numpy as np
import pytest
import torch
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from safetensors.torch import load_file

pytestmark = pytest.mark.shared

CONFIG = VideoConfig(
    size=(128, 128), clip_frames=12, motion_frames=0, positions=32, widths=(32, 64, 96, 96), audio_dim=16,
    audio_layers=5, audio_steps=2, audio_width=16, audio_projection="none", audio_scale=3.0, audio_absent="zeros",
    map_channels=3, hand_confidence=False, prediction_type="v_prediction", beta_schedule="linear",
    zero_terminal_snr=True, timestep_spacing="trailing",
)  # fmt: skip


def weight(prefix: str, name: str, shape: list[int]) -> torch.Tensor:
    """The recording's weights: a pure function of name and shape."""
    x = np.random.default_rng(zlib.crc32((prefix + name).encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) == 1:
        x = 1 + np.float32(0.1) * x if name.endswith("weight") else np.float32(0.05) * x
    else:
        x = x / np.sqrt(np.float32(np.prod(shape[1:])))
    return torch.from_numpy(x)


@pytest.fixture(scope="module")
def recorded(shared):
    folder = shared / "parity" / "echomimic_v2"
    keys = json.loads((folder / "tiny_keys.json").read_text())
    model = VideoModel(CONFIG).eval()
    denoiser = {**keys["denoising_unet"], **keys["motion_module"]}
    for part, prefix, names in (
        (model.reference_net, "ref:", keys["reference_unet"]),
        (model.backbone, "den:", denoiser),
        (model.guider, "pose:", keys["pose_encoder"]),
    ):
        tensors = {name: weight(prefix, name, shape) for name, shape in names.items() if not name.endswith(".pe")}
        part.load_state_dict(tensors, strict=True)
    return model, load_file(folder / "tiny_single_step.safetensors")


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
