"""Training states on disk: everything that a run needs to go on as if it had never stopped.

A state is one file, written under another name and moved into place whole, so that a kill or a full disk at any moment
leaves the states before it. The newest two are kept: should one be damaged, the run goes on from the one before.
"""

from __future__ import annotations

import json
import logging
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from ..models.errors import EMO2Error, from_disk
from ..models.whole_files import whole_file
from .settings import Settings

log = logging.getLogger("emo2")

FORMAT = 1
KEPT = 2
HARMLESS = {
    "steps", "checkpoint_every", "checkpoint_minutes", "preview_every", "log_every", "workers",
    "gradient_checkpointing", "batch",
}  # fmt: skip
"""Settings that a run may change on its way. `batch` stands here because what counts is the batch of all processes."""


def state_files(folder: Path) -> list[Path]:
    """The states in a run's folder, the newest first."""
    found = [path for path in folder.glob("state-*.pt") if path.stem.removeprefix("state-").isdecimal()]
    return sorted(found, key=lambda path: int(path.stem.removeprefix("state-")), reverse=True)


def save_state(folder: Path, step: int, contents: Mapping[str, Any]) -> Path:
    """Write `contents` (tensors, numbers, texts) as the state after `step` steps and drop all but the newest two.

    EMO2Error where the disk refuses; the states before are then untouched.
    """
    path = folder / f"state-{step:08d}.pt"
    try:
        # A stream of Python's own: torch's file writer hides what the disk says.
        with whole_file(path) as temporary, open(temporary, "wb") as stream:
            torch.save({"format": FORMAT, "step": step, **contents}, stream)
        for old in state_files(folder)[KEPT:]:
            old.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # torch makes a RuntimeError of some of the disk's refusals
        raise _refused(folder, path, error) from error
    return path


def _refused(folder: Path, path: Path, error: Exception) -> EMO2Error:
    known = from_disk(error) if isinstance(error, OSError) else None
    good = state_files(folder)
    left = f"The last good state is {good[0].name}." if good else "There is no state yet."
    remedy = f"{known.remedy if known else 'Free some space, or give another folder.'} {left}"
    given = (getattr(error, "strerror", None) or str(error).splitlines()[0]) if str(error) else type(error).__name__
    return EMO2Error(f"training state {path}", "a file that can be written whole", given, remedy)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The newest state that can be read, or None where there is none. A damaged one is named and passed over.

    EMO2Error where every state is damaged or the newest is of a later version.
    """
    files = state_files(folder)
    for path in files:
        try:
            contents = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, ValueError, BadZipFile, pickle.UnpicklingError) as error:
            log.warning("training state %s cannot be read (%s); trying the one before", path, str(error).split("\n")[0])
            continue
        if not isinstance(contents, dict) or not isinstance(contents.get("format"), int):
            log.warning("%s is no training state; trying the one before", path)
            continue
        if contents["format"] > FORMAT:
            given = f"format {contents['format']} in {path}"
            raise EMO2Error("training state", f"format {FORMAT} or older", given, "Update the pack.")
        return contents
    if files:
        given = f"{len(files)} that cannot be read in {folder}"
        raise EMO2Error("training state", "a whole state", given, "Give another --out folder to start anew.")
    return None


def learned(module: nn.Module) -> dict[str, Tensor]:
    """What a state keeps of a module: its parameters that are trained, and its buffers."""
    frozen = {name for name, p in module.named_parameters() if not p.requires_grad}
    return {name: value for name, value in module.state_dict().items() if name not in frozen}


def put_learned(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Take `learned` back; EMO2Error when the names or shapes are not the module's."""
    own = learned(module)
    odd = sorted(own.keys() ^ tensors.keys()) or sorted(k for k in own if own[k].shape != tensors[k].shape)
    if odd:
        raise EMO2Error(
            "training state", "the weights of this network", f"others ({', '.join(odd[:3])})",
            "Give another --out folder to start anew.",
        )  # fmt: skip
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(tensors[name])


def fingerprint(settings: Settings, world: int) -> str:
    """What must stay the same for a run to go on, as JSON: the settings that are not harmless and the global batch."""
    values = {key: value for key, value in settings.to_dict().items() if key not in HARMLESS}
    return json.dumps({**values, "batch of all processes": settings.batch * world}, sort_keys=True)


def changed(before: str, now: str, harmless: set[str] | frozenset[str] = frozenset()) -> list[str]:
    """The settings in which two fingerprints differ, as `recipe.width: 64 -> 96`. `harmless`: options left out."""
    old, new = _flat(json.loads(before)), _flat(json.loads(now))
    # A key that this version has and the state's had not was at its default then.
    old = {**_flat({k: v for k, v in Settings("").to_dict().items() if k not in HARMLESS}), **old}
    skipped = {f"recipe.{name}" for name in harmless}
    keys = sorted(key for key in old.keys() | new.keys() if key.split(".")[0] and key not in skipped)
    keys = [key for key in keys if not any(key.startswith(f"{name}.") for name in skipped)]
    missing = "(not set)"
    return [
        f"{key}: {old.get(key, missing)} -> {new.get(key, missing)}" for key in keys if old.get(key) != new.get(key)
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
