"""EchoMimicV2 at its published width in a real ComfyUI: four files of random weights, two frames, one step."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from comfyui_cases import Graph
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
    save_file({key: value.half() for key, value in vae.state_dict().items()}, models / "vae" / "vae_random.safetensors")


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


def test_two_frames_of_the_published_width(photo_server, follow_on):
    graph = Graph()
    picture, voice = graph.add("LoadImage", image="portrait.png"), graph.add("LoadAudio", audio="speech.flac")
    own = graph.add("EMO2LoadAudioEncoder", encoder="emo2_audio_tiny.safetensors")
    features = graph.add("EMO2EncodeAudio", audio_encoder=[own, 0], audio=[voice, 0])
    framing = graph.add("EMO2SetFraming", image=[picture, 0], neck_x=0.4749, neck_y=0.4248, shoulder_width=0.3906)
    portrait = graph.add("EMO2FitPortrait", image=[picture, 0], framing=[framing, 0], width=256, height=256)
    stage1 = graph.add("EMO2LoadMotionModel")
    motion = graph.add(
        "EMO2SampleHandMotion", model=[stage1, 0], audio_features=[features, 0], framing=[portrait, 1], steps=2,
        end_second=0.6,
    )  # fmt: skip
    whisper = graph.add("EMO2LoadAudioEncoder", encoder="tiny.pt")
    heard = graph.add("EMO2EncodeAudio", audio_encoder=[whisper, 0], audio=[voice, 0])
    files = {name: f"{name}.pth" for name in PARTS}
    model = graph.add("EMO2LoadEchoMimicV2", width=256, height=256, **files)
    vae = graph.add("VAELoader", vae_name="vae_random.safetensors")
    reference = graph.add(
        "EMO2EncodeReference", model=[model, 0], vae=[vae, 0], image=[portrait, 0], framing=[portrait, 1]
    )
    video = graph.add(
        "EMO2SampleVideo", model=[model, 0], reference=[reference, 0], motion=[motion, 0], audio_features=[heard, 0],
        steps=1, cfg=1.0, end_second=2 / 24,
    )  # fmt: skip
    shown = graph.show(graph.add("EMO2DecodeVideo", vae=[vae, 0], latent=[video, 0]))
    fitted = graph.show(portrait)
    outputs = follow_on(photo_server, graph, seconds=900).succeeded().outputs()
    assert len(outputs[shown]["images"]) == 2
    for item in outputs[shown]["images"] + outputs[fitted]["images"]:
        picture = np.asarray(Image.open(io.BytesIO(photo_server.view(item))))
        assert picture.shape == (256, 256, 3) and picture.std() > 1
