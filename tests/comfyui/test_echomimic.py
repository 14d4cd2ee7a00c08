"""EchoMimicV2 at its published width in a real ComfyUI: four files of random weights, two frames, one step."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from emo2.models.audio.whisper import TINY
from emo2.models.checkpoints.echomimic_v2 import PARTS, expected_shapes
from emo2.models.video.temporal import sinusoids
from PIL import Image
from test_audio_whisper import openai_file

ROOT = Path(__file__).resolve().parents[2]
GIGABYTE = 1 << 30
NEEDED_DISK, NEEDED_MEMORY = 7 * GIGABYTE, 20 * GIGABYTE


def random_tensors(shapes, dtype=torch.float16):
    """Small random weights: pieces of one long noise, which is quick; norms are 1."""
    noise = (torch.randn(1 << 20, generator=torch.Generator().manual_seed(0)) * 0.02).to(dtype)
    made = {}
    for name, shape in shapes.items():
        count = int(np.prod(shape))
        if len(shape) == 1:
            made[name] = torch.ones(shape, dtype=dtype) if name.endswith("weight") else torch.zeros(shape, dtype=dtype)
        else:
            made[name] = noise.repeat(-(-count // len(noise)))[:count].reshape(shape)
    return made


def write_files(models: Path) -> None:
    """models/echomimic_v2 in the published layout, Whisper tiny and a VAE of Stable Diffusion's size."""
    from diffusers import AutoencoderKL
    from emo2.models.audio.whisper import build_whisper
    from safetensors.torch import save_file

    folder = models / "echomimic_v2"
    folder.mkdir()
    for name, shapes in expected_shapes(None).items():
        tensors = random_tensors(shapes)
        if name == "motion_module":
            for key in [key for key in shapes if key.endswith(".to_q.weight")]:
                table = sinusoids(shapes[key][0], 32)[None].half()
                tensors[key.replace(".to_q.weight", ".pos_encoder.pe")] = table
        assert len(tensors) == PARTS[name].count
        torch.save(tensors, folder / f"{name}.pth")
    for name in ("audio_encoders", "vae"):
        (models / name).mkdir(exist_ok=True)
    openai_file(build_whisper(TINY), models / "audio_encoders" / "tiny.pt")
    levels = 4
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * levels, up_block_types=("UpDecoderBlock2D",) * levels,
    )  # fmt: skip
    save_file(
        {key: value.half() for key, value in vae.state_dict().items()},
        models / "vae" / "vae-ft-mse-840000-ema-pruned.safetensors",
    )


@pytest.fixture
def photo_server(new_server, tmp_path):
    if shutil.disk_usage(tmp_path).free < NEEDED_DISK:
        pytest.skip(f"less than {NEEDED_DISK // GIGABYTE} GB free for files of the published size")
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < NEEDED_MEMORY:
        pytest.skip(f"less than {NEEDED_MEMORY // GIGABYTE} GB of memory for a network of the published size")
    server = new_server("photographs", memory=NEEDED_MEMORY)
    write_files(server.base / "models")
    for sample in ("portrait.png", "speech.flac"):
        server.upload(ROOT / "assets" / sample)
    return server


SETTINGS = {
    "EMO2FitPortrait.width": 256, "EMO2FitPortrait.height": 256, "EMO2LoadEchoMimicV2.width": 256,
    "EMO2LoadEchoMimicV2.height": 256, "EMO2SampleHandMotion.steps": 2, "EMO2SampleHandMotion.end_second": 0.6,
    "EMO2SampleVideo.steps": 1, "EMO2SampleVideo.cfg": 1.0, "EMO2SampleVideo.end_second": 2 / 24,
}  # fmt: skip


def test_two_frames_of_the_published_width(photo_server, api, follow_on):
    """The workflow as it ships, at another size: the picture of the alignment is there before the video begins."""
    prompt = api("echomimic_v2", SETTINGS)
    named = {node.get("_meta", {}).get("title"): node_id for node_id, node in prompt.items()}
    classes = {node["class_type"]: node_id for node_id, node in prompt.items()}
    frames = {"images": [classes["EMO2DecodeVideo"], 0], "filename_prefix": "frames"}
    prompt["frames"] = {"class_type": "SaveImage", "inputs": frames}
    job = follow_on(photo_server, prompt, seconds=900).succeeded()
    outputs = job.outputs()
    shown = [data["node"] for kind, data in job.messages if kind == "executing" and data.get("node")]
    aligned, sampler = named["Hands over the portrait"], classes["EMO2SampleVideo"]
    assert shown.index(aligned) < shown.index(sampler), "look before the long wait"
    assert len(outputs["frames"]["images"]) == 2 and outputs[classes["SaveVideo"]]["images"][0]["filename"].endswith(
        "mp4"
    )
    for item in outputs["frames"]["images"] + outputs[named["Portrait and reach"]]["images"]:
        picture = np.asarray(Image.open(io.BytesIO(photo_server.view(item))))
        assert picture.shape == (256, 256, 3) and picture.std() > 1
    assert Image.open(io.BytesIO(photo_server.view(outputs[aligned]["images"][0]))).size[0] > 256
