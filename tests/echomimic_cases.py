"""EchoMimicV2's networks as the recordings have them: weights that are a pure function of name and shape."""

import json
import zlib
from dataclasses import replace

import numpy as np
import torch
from emo2.models.video.config import VideoConfig
from emo2.models.video.model import VideoModel
from safetensors.torch import load_file

TINY = replace(
    VideoConfig.echomimic_v2(), size=(128, 128), widths=(32, 64, 96, 96), audio_dim=16, audio_width=16,
)  # fmt: skip
"""The recordings' size."""


def weight(prefix: str, name: str, shape) -> torch.Tensor:
    """The tensor `name` of the network `prefix`, by the recordings' formula."""
    x = np.random.default_rng(zlib.crc32((prefix + name).encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) == 1:
        x = 1 + np.float32(0.1) * x if name.endswith("weight") else np.float32(0.05) * x
    else:
        x = x / np.sqrt(np.float32(np.prod(shape[1:])))
    return torch.from_numpy(x)


def recorded_model(folder):
    """The tiny network of the recordings in `folder`."""
    keys = json.loads((folder / "tiny_keys.json").read_text())
    model = VideoModel(TINY).eval()
    denoiser = {**keys["denoising_unet"], **keys["motion_module"]}
    for part, prefix, names in (
        (model.reference_net, "ref:", keys["reference_unet"]),
        (model.backbone, "den:", denoiser),
        (model.guider, "pose:", keys["pose_encoder"]),
    ):
        tensors = {name: weight(prefix, name, shape) for name, shape in names.items() if not name.endswith(".pe")}
        part.load_state_dict(tensors, strict=True)
    return model


def numbers(folder, name):
    """The tensors of one recording."""
    return load_file(folder / f"{name}.safetensors")
