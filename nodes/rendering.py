"""What the nodes that sample a video share: their widgets, the checks, the device, the progress bar."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ..models.checkpoints.format import fingerprint
from ..models.errors import EMO2Error
from ..models.types import AudioFeatures, Motion, Reference
from ..models.video import conditions as video_conditions
from ..models.video.conditions import Conditions, Settings
from ..models.video.config import VideoConfig
from ..models.video.face_track import FaceTrack
from ..models.video.preview import colour_factors, rough_picture
from ..models.video.sampler import Compute
from ..models.video.schedulers import SCHEDULERS
from . import host
from .loading import warn_untrained

CARTOON_PIXELS = 256 * 256
MOST_CLIPS = 8
STRENGTH = {"default": 1.0, "min": 0.0, "max": 5.0, "step": 0.05, "round": 0.001}
SECOND = {"default": 0.0, "min": 0.0, "max": 86400.0, "step": 0.04, "round": 0.001}


def sampling_widgets() -> dict[str, tuple]:
    """The widgets of a video sampler, the ones an artist changes first on top. Their order is saved in workflows."""
    return {
        "seed": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True,
            "tooltip": "The random start. The same seed and inputs give the same video on every device."}),
        "steps": ("INT", {"default": 25, "min": 1, "max": 200,
            "tooltip": "Denoising steps a clip: 20 to 30 for ddim and euler, 10 to 20 for dpm++, 4 to 8 for lcm (which "
                       "wants a distilled model)."}),
        "cfg": ("FLOAT", {"default": 2.5, "min": 0.0, "max": 20.0, "step": 0.1, "round": 0.001,
            "tooltip": "How strictly the picture, the voice and the pose are followed. 1 runs the network once a step "
                       "instead of twice, in half the time."}),
        "scheduler": (list(SCHEDULERS), {"tooltip": "How noise is taken away: ddim is what EMO2 and EchoMimicV2 use."}),
        "reference_strength": ("FLOAT", {**STRENGTH,
            "tooltip": "How much the person looks like the reference picture. 0 ignores the picture."}),
        "audio_strength": ("FLOAT", {**STRENGTH,
            "tooltip": "How much mouth and face follow the voice. 0 is the same as no voice."}),
        "pose_strength": ("FLOAT", {**STRENGTH,
            "tooltip": "How much hands and arms follow the motion. 0 is the same as no motion."}),
        "start_second": ("FLOAT", {**SECOND,
            "tooltip": "First second of sound and motion to render. 0 is the beginning."}),
        "end_second": ("FLOAT", {**SECOND, "tooltip": "Where to stop, in seconds. 0 is the end."}),
        "quick_preview": ("BOOLEAN", {"default": False,
            "tooltip": "A rough look in a fraction of the time: at most 6 steps, no guidance. It shows whether hands "
                       "and framing are right; the final picture is cleaner."}),
    }  # fmt: skip


LIPS_WIDGET: tuple[list[str], dict[str, Any]] = (
    list(video_conditions.LIPS),
    {"tooltip": "Who moves the mouth where there are both a voice and a motion that knows the lips (from a video). "
                "voice keeps it in time with what is heard."},
)  # fmt: skip
"""Widget of both samplers."""
FACE: tuple[str, dict[str, Any]] = ("EMO2_FACE", {
    "tooltip": "Blinks and emotions, from EMO2 Blink Track and EMO2 Emotion Track. It needs a model with facial "
               "controls; without it the face does what the voice suggests."})  # fmt: skip
FACE_STRENGTH: tuple[str, dict[str, Any]] = ("FLOAT", {**STRENGTH,
    "tooltip": "How much the face follows emotions, blinks and the reference's identity, in models with facial "
               "controls. 0 is the same as none."})  # fmt: skip
"""The last two inputs of both samplers."""


def settings_of(model: host.ModelHandle, quick_preview: bool, **widgets: Any) -> Settings:
    """The sampling settings that a node's widgets give, and nodes that the model went through."""
    video_model(model)
    settings = Settings(**widgets, **model.sampling)
    return settings.quick() if quick_preview else settings


def video_model(model: Any, where: str = "model") -> Any:
    """The network of a handle that must hold a video model."""
    if not isinstance(model, host.ModelHandle) or model.header.kind != "video":
        given = f"a {model.header.kind} model" if isinstance(model, host.ModelHandle) else type(model).__name__
        raise EMO2Error(where, "a video model", given, "Connect EMO2 Load Video Model.")
    return model.module


def samples_of(latent: Any, where: str) -> torch.Tensor:
    """The tensor in a LATENT."""
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not isinstance(samples, torch.Tensor):
        given = type(latent if samples is None else samples).__name__
        raise EMO2Error(where, "latents", given, "Connect EMO2 Sample Video.")
    return samples


def model_fingerprint(model: host.ModelHandle) -> str:
    """SHA-256 of the model's file, or of all its files, remembered as long as they do not change."""
    found = []
    for path in (model.header.path, *model.header.more):
        status = path.stat()
        found.append(_fingerprint(str(path), status.st_mtime_ns, status.st_size))
    return found[0] if len(found) == 1 else hashlib.sha256("".join(found).encode()).hexdigest()


@functools.lru_cache(maxsize=32)
def _fingerprint(path: str, modified: int, size: int) -> str:
    return fingerprint(Path(path))


def draws_cartoons(config: VideoConfig) -> bool:
    """Whether this is a model of the tiny profile, which has seen drawn puppets only."""
    return config.size[0] * config.size[1] <= CARTOON_PIXELS


def checked_conditions(
    model: host.ModelHandle,
    reference: Reference | None,
    motion: Motion | None,
    audio: AudioFeatures | None,
    hands: Any,
    lips: str,
    face: FaceTrack | None = None,
) -> Conditions:
    """The conditions of a video, checked against the model."""
    config = video_model(model).config
    known = video_conditions.prepare(
        config, model_fingerprint(model), reference=reference, motion=motion, audio=audio, hands=hands, lips=lips,
        face=face,
    )  # fmt: skip
    warn_untrained(model.header)
    warning = video_conditions.framing_mismatch(known)
    if warning:
        host.warn(warning)
    return known


def compute_for(model: host.ModelHandle) -> Compute:
    """The device and dtype that ComfyUI, or the machine, gives the model, and how many clips fit in one batch."""
    dtype = host.dtype_for(model.module)
    memory = activation_bytes(model.module.config, dtype)
    return Compute(
        device=host.device(),
        dtype=dtype,
        fits=lambda: clips_at_once(host.free_memory(), memory, host.device().type),
        ready=lambda: host.load(model, memory=memory),
        check=host.check_cancelled,
    )


def activation_bytes(config: VideoConfig, dtype: torch.dtype) -> int:
    """What one clip in the backbone needs beside the weights: 64 times its widest features.

    30 times are counted (`benchmarks/echomimic_memory.py`), at every size; the rest is for the kernels' own working
    space and for memory in pieces.
    """
    height, width = config.latent_size
    frames = config.clip_frames + config.motion_frames
    return frames * height * width * config.widths[0] * torch.empty((), dtype=dtype).element_size() * 64


def clips_at_once(free: int, one: int, device: str) -> int:
    """How many clips go into one batch when one of them needs `one` bytes: both halves of guidance where they fit.

    A graphics card may take several windows; a CPU has enough to do with one.
    """
    return max(1, min(free // one, MOST_CLIPS if device != "cpu" else 2))


class Steps:
    """`on_step` of the samplers: moves the host's progress bar and shows the middle frame as it becomes clear."""

    def __init__(self, total: int, reference: Reference | None, label: str):
        self.progress, self.done, self.reference = host.Progress(total, label), 0, reference
        self.factors = functools.cache(lambda: colour_factors(reference) if reference is not None else None)

    def __call__(self, done: int, total: int, latents: Callable[[], torch.Tensor]) -> None:
        count, self.done = done - self.done, done
        self.progress.tick(count, preview=lambda: self._picture(latents()))

    def _picture(self, latents: torch.Tensor) -> Image.Image | None:
        factors = self.factors()
        return None if factors is None else Image.fromarray(rough_picture(latents[len(latents) // 2], factors))

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.close()
