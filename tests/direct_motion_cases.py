"""Files of a small directed-motion model, for tests: networks with random weights, and what stands in the way."""

import numpy as np
import torch
from direction_cases import encoder, two_branch_config
from emo2.models.body import vector
from emo2.models.body.config import TokenizerConfig
from emo2.models.body.tokenizer import MotionTokenizer
from emo2.models.body.whole_body import standing
from emo2.models.checkpoints.format import fingerprint, save_checkpoint
from emo2.models.direction.bank import BankClip, PoseBank, save_bank
from emo2.models.direction.branches import MotionBranch, TwoBranch
from motion_cases import gestures


def networks(**changes):
    """Text encoder, branches and tokenizer with random weights."""
    torch.manual_seed(0)
    config = two_branch_config(codes=16, levels=2, **changes)
    branches = TwoBranch(MotionBranch(config.text), MotionBranch(config.audio)).eval()
    tokenizer = MotionTokenizer(TokenizerConfig(width=16, code_width=8, depth=1, codes=16, residual=1)).eval()
    # As if trained on a body at rest: random numbers around it are still a body.
    rest = torch.from_numpy(vector.to_vector(standing(4))).mean(0)
    tokenizer.set_normalisation(rest, torch.full_like(rest, 0.1))
    return encoder(), branches, tokenizer


def bank(tokenizer=""):
    motion = gestures(0, 120)
    return PoseBank.of([BankClip(motion, np.arange(30) % 16)], tokenizer)


def write_models(folder, **changes):
    """All four files in `folder`, which is returned: d, t, k and poses; another tokenizer, another .npz, a model that
    noted nothing."""
    text, branches, tokenizer = networks(**changes)
    paths = {
        "text_encoder": save_checkpoint(
            folder / "t.safetensors", "text_encoder", text.config.to_dict(), text.state_dict()
        ),
        "tokenizer": save_checkpoint(
            folder / "k.safetensors", "tokenizer", tokenizer.config.to_dict(), tokenizer.state_dict()
        ),
    }
    other = {name: value + 1 if value.is_floating_point() else value for name, value in tokenizer.state_dict().items()}
    save_checkpoint(folder / "a.safetensors", "tokenizer", tokenizer.config.to_dict(), other)
    prints = {name: fingerprint(path) for name, path in paths.items()}
    save_checkpoint(
        folder / "d.safetensors", "direction", branches.config.to_dict(), branches.state_dict(), notes=prints
    )
    save_checkpoint(folder / "lost.safetensors", "direction", branches.config.to_dict(), branches.state_dict())
    np.savez(folder / "another.npz", x=np.zeros(3))
    save_bank(bank("0" * 64), folder / "foreign.npz")
    save_bank(bank(prints["tokenizer"]), folder / "poses.npz")
    return folder
