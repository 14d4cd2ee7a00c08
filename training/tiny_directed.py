"""The schedule's part for directed motion: tokens, both branches, the network that judges them, the bank of poses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..models.direction.config import FUSIONS
from .schedule import Stage

FILES = {
    "tokenizer": ("emo2_tokenizer_tiny.safetensors",),
    "text-motion": ("emo2_text_encoder_tiny.safetensors",),
    "audio-motion": ("emo2_direction_tiny.safetensors",),
    "text-matching": ("emo2_text_matching_tiny.safetensors",),
}
"""What each training exports; the text branch itself is in the directed model's file, too."""
TEXT_BRANCH = "emo2_text_motion_tiny.safetensors"
BANK, POSES = "emo2_pose_bank_tiny.npz", 64
"""The bank's file, and how many puppets lend it their poses."""
FUSION_STEPS = 800
"""Of each of the ablation's trainings."""

Training = Callable[..., Stage]


def stages(out: Path, config: str, voice: Path, training: Training) -> list[Stage]:
    """The stages from nothing but the voice encoder. training(name, needs, changes, minutes): a training's stage."""
    data = (f"recipe.data={out / 'directed'}",)
    tokenizer = _file(out, "tokenizer")
    coded = (*data, f"recipe.tokenizer={tokenizer}")
    poses = POSES if config == "tiny" else 2
    bank = ("build-pose-bank", "--tokenizer", str(tokenizer), "--puppets", str(poses), "--out", str(bank_file(out)))
    return [
        training("tokenizer", (), data, 30),
        # After the tokenizer, so that the clips are made once.
        training("text-motion", ("tokenizer",), coded, 40),
        training("text-matching", ("tokenizer",), data, 30),
        Stage("pose-bank", bank, ("tokenizer",), (bank_file(out),), 2),
        training("audio-motion", ("text-motion", "motion-encoders"), (*coded, *_heard(out, voice)), 50),
    ]


def fusions(out: Path, config: str, voice: Path, training: Training) -> list[Stage]:
    """The ablation of VersaAnimator's fusion: short trainings that differ in nothing else."""
    steps = () if config == "quick" else (f"steps={FUSION_STEPS}",)
    data = (f"recipe.data={out / 'directed'}", f"recipe.tokenizer={_file(out, 'tokenizer')}")
    return [
        training("audio-motion", ("text-motion", "motion-encoders"),
                 (*data, *_heard(out, voice), f"recipe.fusion={name}", *steps), 15, name=f"fusion-{name}")
        for name in FUSIONS
    ]  # fmt: skip


def bank_file(out: Path) -> Path:
    """Where the bank of poses is made."""
    return out / "pose-bank" / BANK


def _heard(out: Path, voice: Path) -> tuple[str, ...]:
    text = (f"recipe.text_motion={_file(out, 'text-motion', TEXT_BRANCH)}",)
    return (*text, f"recipe.text_encoder={_file(out, 'text-motion')}", f"recipe.audio_encoder={voice}")


def _file(out: Path, name: str, file: str | None = None) -> Path:
    return out / name / "export" / (file or FILES[name][0])
