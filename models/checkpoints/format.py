"""Our checkpoint format: one `.safetensors` file whose metadata holds the format version, the kind and the JSON config.

The network is built from the config; nothing is guessed from a file's name. A checkpoint may hold no tensors and a
seed instead ("untrained"): the network is then initialised from that seed, the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.overrides import TorchFunctionMode

from ..errors import EMO2Error
from ..whole_files import whole_file
from .precision import unpacked

VERSION = 1
KINDS = {
    "motion": "a hand-motion model (stage 1)",
    "video": "a video model (stage 2)",
    "vae": "an image autoencoder",
    "audio": "a voice encoder",
    "clip_vision": "an image encoder",
    "gesture_encoder": "a gesture encoder (for FGD)",
    "pose_discriminator": "a pose discriminator",
    "text_encoder": "a text encoder",
    "text_motion": "a text-to-motion branch",
    "direction": "a directed-motion model (text and voice)",
    "text_matching": "a network that matches texts and motion (for R-precision)",
    "tokenizer": "a motion tokenizer (whole bodies as codes)",
    "puppet_estimator": "a puppet estimator (hands, arms and mouth in a picture)",
    "face_encoder": "a face encoder (whose head it is)",
    "face_reader": "a face reader (lids and emotions of a puppet)",
}


@dataclass(frozen=True)
class Header:
    """What a checkpoint says about itself. `untrained` is the seed of a weightless checkpoint, or None.

    `more`: further files that the weights come from, where there are several.
    """

    path: Path
    kind: str
    config: dict[str, Any]
    untrained: int | None = None
    notes: dict[str, str] = field(default_factory=dict)
    more: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        return self.path.name


def fingerprint(path: Path) -> str:
    """SHA-256 of the file, hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _what_is(path: Path) -> str:
    """A guess at a file's kind from its first bytes, for error messages only."""
    with open(path, "rb") as stream:
        head = stream.read(16)
    if not head:
        return "an empty file"
    if head[:2] == b"PK":
        return "a zip archive (a PyTorch .pth/.pt or .npz file)"
    if head[:1] == b"\x80" and head[8:9] != b"{":  # a .safetensors file's eighth byte opens its header
        return "a Python pickle, which is never opened because it can run code"
    if head.lstrip()[:1] in (b"<", b"{"):
        return "a text file (a web page or JSON: was the download complete?)"
    return "a truncated or damaged file"


def read_header(path: Path | str, kind: str | None = None, where: str = "checkpoint") -> Header:
    """The header of a checkpoint of ours, checked; no tensor is read. `where` names the input in errors."""
    path = Path(path)
    wanted = KINDS[kind] if kind else "an EMO2 checkpoint"
    if not path.is_file():
        raise EMO2Error(where, f"a file with {wanted}", f"no file at {path}", "Check the name and the folder.")
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = dict(archive.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise EMO2Error(
            where, f"{wanted} as .safetensors", f"{_what_is(path)} ({path.name})", "Download or export the file again."
        ) from error
    if metadata.get("format") != "emo2":
        raise EMO2Error(
            where, f"{wanted} in the pack's own format", f"a .safetensors file of another kind ({path.name})",
            "Choose a file whose metadata says format=emo2.",
        )  # fmt: skip
    version = metadata.get("version", "")
    if not version.isdecimal() or int(version) > VERSION:
        raise EMO2Error(where, f"format version {VERSION} or older", repr(version), "Update the pack.")
    if kind and metadata.get("kind") != kind:
        found = KINDS.get(metadata.get("kind", ""), repr(metadata.get("kind")))
        raise EMO2Error(where, wanted, f"{found} ({path.name})", "Choose another file, or use that file's own loader.")
    try:
        config = json.loads(metadata["config"])
        untrained = int(metadata["untrained"]) if "untrained" in metadata else None
    except (KeyError, ValueError) as error:
        given = f"damaged metadata in {path.name}"
        raise EMO2Error(where, f"{wanted} with its config", given, "Get the file again.") from error
    known = {"format", "version", "kind", "config", "untrained"}
    notes = {key: value for key, value in metadata.items() if key not in known}
    return Header(path, metadata["kind"], config, untrained, notes)


def load_checkpoint(
    path: Path | str, kind: str, build: Callable[[dict[str, Any]], nn.Module], where: str = "checkpoint"
) -> tuple[nn.Module, Header]:
    """Build the network from the config with `build(config)` and load its weights, strictly. Returns (module, header).

    The module comes in evaluation mode, without gradients, on the CPU.
    """
    header = read_header(path, kind, where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(header.untrained or 0)
        try:
            with Unfilled() if header.untrained is None else nullcontext():
                module = build(header.config)
        except Exception as error:  # whatever a network makes of a config that nobody checked
            if isinstance(error, EMO2Error):
                raise
            reason = f"no {error} in its config" if isinstance(error, KeyError) else error
            raise EMO2Error(
                where, f"{KINDS[kind]} with a config this version knows", f"{reason} in {header.name}",
                "Update the pack or get the file again.",
            ) from error  # fmt: skip
    if header.untrained is None:
        load_strictly(module, read_tensors(header.path, where), header.name, where)
    return module.eval().requires_grad_(False), header


class Unfilled(TorchFunctionMode):
    """Leaves out the random numbers that a new network is filled with, where its weights come from a file: for two
    thousand million of them they take a minute."""

    FILLS = (torch.Tensor.uniform_, torch.Tensor.normal_)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function in self.FILLS or getattr(function, "__module__", "") == torch.nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return function(*args, **(kwargs or {}))


def read_tensors(path: Path, where: str = "checkpoint", stored: bool = False) -> dict[str, torch.Tensor]:
    """All tensors of a .safetensors file; those in eight bits as floats, unless they are wanted as `stored`."""
    try:
        with safe_open(path, framework="pt") as archive:
            found = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
            return found if stored else unpacked(found)
    except (SafetensorError, OSError, KeyError) as error:
        given = f"{_what_is(path)} ({path.name})"
        raise EMO2Error(where, "a whole .safetensors file", given, "Get the file again.") from error


def load_strictly(module: nn.Module, tensors: Mapping[str, torch.Tensor], name: str, where: str = "checkpoint") -> None:
    """Load `tensors` into `module`; any missing, unexpected or misshapen tensor is an error that names it."""
    own = module.state_dict()
    missing, extra = sorted(own.keys() - tensors.keys()), sorted(tensors.keys() - own.keys())
    shapes = [k for k in own.keys() & tensors.keys() if own[k].shape != tensors[k].shape]
    trouble = [f"{len(keys)} {word} ({', '.join(keys[:3])})" for word, keys in
               (("missing", missing), ("unexpected", extra), ("misshapen", sorted(shapes))) if keys]  # fmt: skip
    if trouble:
        raise EMO2Error(
            where, "a checkpoint whose tensors fit its config", f"{'; '.join(trouble)} in {name}",
            "Get the file again, or one made for this version.",
        )  # fmt: skip
    module.load_state_dict(tensors, strict=True)


def save_checkpoint(
    path: Path | str,
    kind: str,
    config: Mapping[str, Any],
    tensors: Mapping[str, torch.Tensor],
    untrained: int | None = None,
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write a checkpoint whole or not at all. Views are cloned, so shared storage never bloats the file."""
    path = Path(path)
    metadata = {"format": "emo2", "version": str(VERSION), "kind": kind, "config": json.dumps(dict(config))}
    metadata |= dict(notes or {})
    if untrained is not None:
        metadata["untrained"] = str(untrained)
    with whole_file(path) as temporary:
        save_file({k: v.detach().clone().contiguous() for k, v in tensors.items()}, temporary, metadata=metadata)
    return path
