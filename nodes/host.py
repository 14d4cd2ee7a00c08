"""The seam to ComfyUI: folders, device, VRAM, progress, cancel, previews, warnings. The only file that talks to it.

Inside ComfyUI every call goes to its own managers, looked up when used; outside, plain PyTorch and tqdm serve.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from ..models.checkpoints.format import Header
from ..models.errors import EMO2Error

log = logging.getLogger("emo2")
PACK = Path(__file__).resolve().parents[1]
WEIGHTS = PACK / "weights"


@dataclass
class Outside:
    """Where things are when there is no ComfyUI; the command line sets these."""

    models: list[Path] = field(default_factory=list)
    input: Path = field(default_factory=Path.cwd)
    output: Path = field(default_factory=lambda: Path.cwd() / "output")
    warnings: list[str] = field(default_factory=list)
    quiet: bool = False


outside = Outside()


def inside() -> bool:
    """Whether this process is a ComfyUI server (its modules are loaded; a test may import them too)."""
    return "folder_paths" in sys.modules and "comfy.model_management" in sys.modules


@dataclass
class ModelHandle:
    """A model on a wire: the module with what its checkpoint says, and ComfyUI's patcher around it when there is one."""

    module: nn.Module
    header: Header
    patcher: Any = None

    @property
    def config(self) -> dict[str, Any]:
        return self.header.config


def model_files(folder: str = "emo2", kind: str | None = None, suffixes: Sequence[str] = (".safetensors",)) -> list[str]:
    """Names of the model files in a ComfyUI model folder ("emo2", "vae", ...) and, for "emo2", in the pack's weights.

    With `kind`, only checkpoints of ours whose metadata names that kind (their headers are read and remembered).
    """
    raise NotImplementedError


def model_path(name: str, folder: str = "emo2", where: str = "model") -> Path:
    """The file (or HF folder) called `name`; an EMO2Error that names the folders searched when there is none."""
    raise NotImplementedError


def input_directory() -> Path:
    """Where uploaded and sample inputs lie."""
    raise NotImplementedError


def output_directory() -> Path:
    """Where results go."""
    raise NotImplementedError


def temp_directory() -> Path:
    """Scratch space for previews and long memory-mapped arrays."""
    raise NotImplementedError


def device() -> torch.device:
    """The device that models compute on."""
    raise NotImplementedError


def dtype_for(module: nn.Module) -> torch.dtype:
    """The dtype to compute in: ComfyUI's choice for this device, float32 on a CPU."""
    raise NotImplementedError


def wrap(module: nn.Module, header: Header) -> ModelHandle:
    """A handle that ComfyUI's VRAM manager can load, offload and partially load."""
    raise NotImplementedError


def load(*handles: ModelHandle, memory: int = 0) -> None:
    """Bring the models onto the device for work that needs `memory` more bytes."""
    raise NotImplementedError


class Progress:
    """Counts work; each tick raises ComfyUI's own exception when the user has cancelled."""

    def __init__(self, total: int, label: str = ""):
        raise NotImplementedError

    def tick(self, count: int = 1, preview: Callable[[], Any] | None = None) -> None:
        """Advance; `preview` makes a picture (PIL image) only when somebody will see it."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


def check_cancelled() -> None:
    """Raise when the user has cancelled."""
    raise NotImplementedError


def warn(message: str) -> None:
    """Tell the user without stopping: on the running node and in the log, or on the command line."""
    raise NotImplementedError
