"""What the original's own code recorded: its pipeline of several windows, its Whisper features, its pose pictures."""

import json
import re

import numpy as np
import pytest
import torch
from echomimic_cases import TINY, numbers, recorded_model, weight
from emo2.models.audio.whisper import TINY as WHISPER
from emo2.models.audio.whisper import build_whisper, encode_whisper, log_mel
from emo2.models.checkpoints.echomimic_v2 import PARTS, expected_shapes
from emo2.models.checkpoints.whisper import PARTS as WHISPER_PARTS
from emo2.models.checkpoints.whisper import openai_names
from emo2.models.maps.echomimic import draw_hands
from emo2.models.types import Reference
from emo2.models.video.conditions import Conditions, Settings
from emo2.models.video.sampler import sample_windows
from emo2.models.video.windows import WindowOptions, context_windows
from safetensors.torch import load_file

pytestmark = pytest.mark.shared


@pytest.fixture(scope="module")
def folder(shared):
    return shared / "parity" / "echomimic_v2"


class Recorded(Conditions):
    """The recording's own sound and pose pictures."""

    def audio_windows(self, frames):
        return self.audio[:, frames].unflatten(2, (TINY.audio_window, TINY.audio_layers))

    def maps(self, frames, remember=False):
        return self.motion[:, :, frames], torch.ones(1, len(frames), 2)

    def pose_strengths(self, frames):
        return torch.ones(1, len(frames))


@pytest.fixture(scope="module")
def pipeline(folder):
    from diffusers import AutoencoderKL

    sizes = json.loads((folder / "tiny_config.json").read_text())["vae"]
    levels = len(sizes["block_out_channels"])
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels, **sizes
    ).eval()
    vae.load_state_dict({name: weight("vae:", name, value.shape) for name, value in vae.state_dict().items()})
    found, model = numbers(folder, "tiny_pipeline"), recorded_model(folder)
    picture = found["input.reference_image_u8"].float() / 127.5 - 1
    with torch.inference_mode():
        latents = vae.encode(picture.permute(2, 0, 1)[None]).latent_dist.mean
        features = model.encode_reference(latents * TINY.latent_scale)
    # The original keeps them in half precision.
    features = {name: value.half().float() for name, value in features.items()}
    reference = Reference(latents, features, torch.zeros(1, 128, 128, 3), "recorded")
    return model, Recorded(TINY, reference, found["input.pose_long"], found["input.audio_long"]), found["latents"]


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_the_pipeline_of_several_windows_comes_out_the_same(pipeline, rows):
    """One clip a batch, both halves of guidance in one, and those of two windows in one."""
    from emo2.models.video.sampler import Compute

    model, conditions, wanted = pipeline
    noise = torch.randn(1, 4, 20, 16, 16, generator=torch.Generator().manual_seed(3407))[0].transpose(0, 1)
    made = sample_windows(
        model, conditions, Settings(steps=3, cfg=2.5), WindowOptions(), count=20, noise=noise,
        compute=Compute(fits=lambda: rows),
    )  # fmt: skip
    torch.testing.assert_close(made * TINY.latent_scale, wanted[0].transpose(0, 1), atol=5e-4, rtol=0)


def test_windows_lie_where_the_original_has_them(folder):
    recorded = json.loads((folder / "tiny_pipeline.json").read_text())
    ours = context_windows(recorded["frames"], WindowOptions(), 0)
    assert [window.tolist() for window in ours] == recorded["windows"]


def openai_name(name):
    """transformers' name of a Whisper tensor as OpenAI has it."""
    back = {ours: theirs for theirs, ours in WHISPER_PARTS.items()}
    if name == "embed_positions.weight":
        return "positional_embedding"
    match = re.fullmatch(r"layers\.(\d+)\.(.+)\.(weight|bias)", name)
    return f"blocks.{match[1]}.{back[match[2]]}.{match[3]}" if match else name.replace("layer_norm.", "ln_post.")


@pytest.fixture(scope="module")
def whisper():
    encoder = build_whisper(WHISPER).eval()
    given = {}
    for name, value in encoder.network.state_dict().items():
        theirs = openai_name(name)
        own = theirs == "positional_embedding"  # the table keeps its own values
        given[f"encoder.{theirs}"] = value if own else weight("whisper:", theirs, value.shape)
    encoder.network.load_state_dict(openai_names(given), strict=True)
    return encoder


def test_whisper_features_are_the_recorded_ones(whisper, folder):
    found = load_file(folder / "whisper_features.safetensors")
    waveform = found["input.waveform_16k"].numpy()
    torch.testing.assert_close(log_mel(waveform), found["log_mel"], atol=1e-4, rtol=0)
    features = encode_whisper(whisper, waveform)
    assert np.abs(features.hidden - found["features_50hz"].numpy()).max() < 1e-4
    windows = features.half_frames(24, 0, 8).reshape(8, 50, 384)
    assert np.abs(windows - found["windows_24fps_first8"].numpy()).max() < 1e-4


@pytest.mark.parametrize("name, frame", [("01", 0), ("good", 40)])
def test_pose_pictures_are_the_originals(folder, shared, name, frame):
    points = np.load(shared / "data" / "pose" / f"echomimic_v2_{name}.npz")
    made = draw_hands(points["hands"][[frame]], points["hands_score"][[frame]], (768, 768))[0]
    wanted = np.load(folder / "pose_render.npz")[f"{name}_{frame}"]
    drawn = (made > 0).any(-1) | (wanted > 0).any(-1)
    away = np.abs(made.astype(int) - wanted).max(-1)[drawn]
    assert drawn.sum() > 5000 and (away <= 2).mean() >= 0.99
    assert not away.any(), "they are equal to the last bit here"


def test_every_published_tensor_has_its_place(folder):
    published = json.loads((folder / "checkpoint_keys.json").read_text())
    ours = expected_shapes(None)
    for name, part in PARTS.items():
        theirs = {key: tuple(shape) for key, shape in published[f"{name}.pth"].items()}
        assert len(theirs) == part.count
        tables = {key for key in theirs if key.endswith(".pos_encoder.pe")}
        assert len(tables) == (42 if name == "motion_module" else 0)
        assert ours[name] == {key: shape for key, shape in theirs.items() if key not in tables}
