"""What the nodes that load a checkpoint of ours share: check it early, load it, say when it has learned nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from ..models.checkpoints.format import Header, load_checkpoint, read_header
from ..models.errors import EMO2Error
from . import host

UNTRAINED = {
    "audio": "it hears sounds, but understands no speech",
    "motion": "hands will tremble at rest, not follow the voice",
    "video": "the video will be coloured noise, not a person",
    "vae": "decoded pictures will be grey noise",
    "face_encoder": "it cannot tell one face from another",
    "clip_vision": "it tells pictures apart, but knows nothing of them",
    "direction": "the body will move at random, whatever the script says",
    "text_encoder": "it understands no script",
    "tokenizer": "its bodies are crumpled",
}
"""What to expect of a model of each kind that has learned nothing."""


def load_model(name: str, kind: str, build: Callable[[dict[str, Any]], nn.Module], where: str) -> host.ModelHandle:
    """The checkpoint `name` of models/emo2 or the pack, ready for ComfyUI's VRAM manager. `where` names the widget."""
    module, header = load_checkpoint(host.model_path(name, "emo2", where), kind, build, where)
    warn_untrained(header)
    return host.wrap(module, header)


def check_model(name: str | None, kind: str, where: str) -> bool | str:
    """For VALIDATE_INPUTS of nodes that load our checkpoints: True, or why this file is none of this kind.

    ComfyUI asks before anything runs, and then leaves out its own look at the list, which could only say that a file
    is not in it. None comes over a wire, later.
    """
    try:
        if name is not None:
            read_header(host.model_path(name, "emo2", where), kind, where)
    except EMO2Error as error:
        return str(error)
    return True


def warn_untrained(header: Header) -> None:
    """Warn when a checkpoint holds no trained weights. Nodes that load it call this, and those that make something
    with it: a loader does not run again while ComfyUI remembers its result.
    """
    if header.untrained is not None:
        host.warn(f"{header.name} holds untrained (random) weights: {UNTRAINED[header.kind]}.")
