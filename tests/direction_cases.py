"""Texts, encoders and branches for tests of directed motion: real classes at sizes that take no time."""

import torch
from emo2.models.direction.config import BranchConfig, TextConfig, TwoBranchConfig
from emo2.models.direction.text import new_encoder

TEXTS = [
    "A person is giving a speech.", "a person waves with the right hand", "someone waves the left hand twice",
    "the speaker points at the camera", "a person claps three times", "he waves with both hands",
]  # fmt: skip
SMALL_TEXT = TextConfig(width=32, layers=1, heads=2, mlp=32, length=24)


def encoder(seed=0, texts=TEXTS):
    torch.manual_seed(seed)
    return new_encoder(SMALL_TEXT, texts, 320).eval()


def branch_config(listens="text", **changes):
    sizes = {"width": 32, "layers": 3, "heads": 2, "mlp_ratio": 2, "dropout": 0.0, "codes": 16, "text_width": 32,
             "audio_layers": 2, "audio_width": 6, "window": 16, "overlap": 4, "reach": 8}  # fmt: skip
    return BranchConfig(**{"listens": listens, **sizes, **changes})


def two_branch_config(fusion="layers", **changes):
    return TwoBranchConfig(branch_config("text", **changes), branch_config("audio", **changes), fusion)
