"""EchoMimicV2's public checkpoint (Meng et al. 2024): four files, or the accelerated pair and the other two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import EMO2Error
from ..video.config import VideoConfig
from ..video.model import VideoModel
from .format import Header
from .identify import identify, shapes_of
from .stable_diffusion import TABLE
from .torch_files import load_tensors


@dataclass(frozen=True)
class Part:
    """One of the files. count: tensors in the published one; module: where in a VideoModel it goes; kind: in words."""

    count: int
    module: str
    kind: str
    names: tuple[str, ...]


PARTS = {
    "denoising_unet": Part(686, "backbone", "EchoMimicV2's denoising UNet", ("denoising_unet", "denoising_unet_acc")),
    "motion_module": Part(588, "backbone", "EchoMimicV2's motion module", ("motion_module", "motion_module_acc")),
    "reference_unet": Part(570, "reference_net", "EchoMimicV2's reference UNet", ("reference_unet",)),
    "pose_encoder": Part(16, "guider", "EchoMimicV2's pose encoder", ("pose_encoder",)),
}
"""The four files, under the names of the loader's inputs."""


def load_echomimic_v2(files: Mapping[str, Path | str], config: VideoConfig | None = None) -> tuple[VideoModel, Header]:
    """The video network of the four files (.pth or .safetensors), each named by its input in PARTS.

    Strict: every tensor has its place and every place its tensor. The module comes in evaluation mode, without
    gradients, on the CPU, in the files' own dtype. config: another size than the published one (tests).
    """
    config = config or VideoConfig.echomimic_v2()
    with torch.device("meta"):
        video = VideoModel(config)
    wanted = expected_shapes(video)
    merged: dict[str, torch.Tensor] = {}
    for name, part in PARTS.items():
        tensors = read_part(Path(files[name]), name, wanted)
        merged |= {f"{part.module}.{key}": value for key, value in tensors.items() if not key.endswith(TABLE)}
    video.load_state_dict(merged, strict=True, assign=True)
    _restore_tables(video, config)
    dtype = next(iter(merged.values())).dtype
    first, *others = (Path(files[name]) for name in PARTS)
    header = Header(first, "video", config.to_dict(), None, {"format": "EchoMimicV2"}, tuple(others))
    return video.to(dtype).eval().requires_grad_(False), header


def read_part(
    path: Path, name: str, wanted: Mapping[str, Mapping[str, tuple[int, ...]]] | None = None
) -> dict[str, torch.Tensor]:
    """The tensors of one of the four files, checked against the network's names and shapes.

    Tensors that are views on a larger storage are copied, so that what is not needed leaves the memory. EMO2Error when
    it is another file: it says what it is and which belongs here.
    """
    part = PARTS[name]
    suggestion = f"Choose {part.names[0]}.pth, or the same as .safetensors."
    tensors = load_tensors(path, name, f"{part.kind} ({part.names[0]}.pth)")
    found = shapes_of(tensors)
    expected = (wanted or expected_shapes(None))[name]
    tables = {key for key in found if key.endswith(TABLE)}
    missing = sorted(expected.keys() - found.keys())
    extra = sorted(found.keys() - expected.keys() - (tables if name == "motion_module" else set()))
    wrong = sorted(key for key in expected.keys() & found.keys() if tuple(expected[key]) != tuple(found[key]))
    if missing or extra or wrong:
        kind = identify(found)
        if kind == part.kind:
            lists = (("missing", missing), ("unexpected", extra), ("of another shape", wrong))
            detail = "; ".join(f"{len(keys)} {word} ({', '.join(keys[:2])})" for word, keys in lists if keys)
            kind = f"{kind} that does not fit: {detail}"
        else:
            home = next((own.names[0] for own in PARTS.values() if own.kind == kind), None)
            suggestion += f" This one belongs to the input {home}." if home else ""
        raise EMO2Error(name, f"{part.kind} ({part.count} tensors)", f"{kind} ({path.name}, {len(found)} tensors)",
                        suggestion)  # fmt: skip
    return {key: _own(value) for key, value in tensors.items()}


def expected_shapes(video: VideoModel | None) -> dict[str, dict[str, tuple[int, ...]]]:
    """Names and shapes that each file must hold for a network (None: the published one), position tables aside."""
    if video is None:
        with torch.device("meta"):
            video = VideoModel(VideoConfig.echomimic_v2())
    shapes: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in PARTS}
    for name, part in PARTS.items():
        for key, value in getattr(video, part.module).state_dict().items():
            if part.module == "backbone" and (".motion_modules." in key) != (name == "motion_module"):
                continue
            shapes[name][key] = tuple(value.shape)
    return shapes


def part_files(folder: Path | str, accelerated: bool = False) -> dict[str, Path]:
    """The four files in a folder, under the names of PARTS; with `accelerated` the pair that ends in _acc."""
    folder, found = Path(folder), {}
    for name, part in PARTS.items():
        wanted = part.names[-1 if accelerated else 0]
        paths = [folder / f"{wanted}{suffix}" for suffix in (".safetensors", ".pth")]
        here = [path for path in paths if path.is_file()]
        if not here:
            expected = f"{wanted}.pth or .safetensors in {folder}"
            raise EMO2Error(name, expected, "neither", "Download it from BadToBest/EchoMimicV2.")
        found[name] = here[0]
    return found


def _own(value: torch.Tensor) -> torch.Tensor:
    """The tensor with a storage of its own size."""
    whole = value.untyped_storage().nbytes() <= value.numel() * value.element_size()
    return value if whole and value.is_contiguous() else value.clone(memory_format=torch.contiguous_format)


def _restore_tables(video: Any, config: VideoConfig) -> None:
    """Position tables are no part of a checkpoint: a network built without memory gets them here."""
    from ..video.temporal import PositionTable, sinusoids

    for module in video.modules():
        if isinstance(module, PositionTable):
            width = module.pe.shape[-1]
            module.register_buffer("pe", sinusoids(width, config.positions)[None], persistent=False)


__all__ = ["PARTS", "expected_shapes", "load_echomimic_v2", "part_files", "read_part"]
