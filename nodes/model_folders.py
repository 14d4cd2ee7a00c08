"""What lies in a model folder: files, Hugging Face folders, and what kind of network a file holds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..models.checkpoints.format import read_header
from ..models.errors import EMO2Error
from ..models.pose.onnx_graph import read_graph
from ..models.pose.wholebody import kind_of_graph

log = logging.getLogger("emo2")
OTHERS = ("detection", "onnx", "insightface")
"""Folders of other packs. They are looked into where ComfyUI does not know them; it is told nothing, so that what those
packs list stays theirs."""


def walk(root: Path, depth: int | None, folders: bool) -> Iterator[tuple[Path, bool]]:
    """(path, whether it is an HF folder) below `root`. Hidden entries are skipped, links followed, loops left out.

    With `folders`, a folder that holds a config.json is one model: it is yielded and not entered.
    """
    seen: set[str] = set()
    for here, names, files in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        level = len(Path(here).relative_to(root).parts)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names[:] = sorted(name for name in names if not name.startswith("."))
        if folders:
            whole = [name for name in names if os.path.isfile(os.path.join(here, name, "config.json"))]
            yield from ((Path(here, name), True) for name in whole)
            names[:] = [name for name in names if name not in whole]
        yield from ((Path(here, name), False) for name in sorted(files) if not name.startswith("."))
        if depth is not None and level + 1 >= depth:
            names.clear()


def beside(folder: str, models: str, custom_nodes: Iterable[str]) -> list[Path]:
    """Where files of a model folder lie beside the places that ComfyUI knows.

    The pack comfyui_controlnet_aux keeps the DWPose files that it downloads in a folder of its own.
    """
    if folder in OTHERS:
        return [Path(models) / folder]
    if folder == "dwpose":
        return [Path(packs) / "comfyui_controlnet_aux" / "ckpts" for packs in custom_nodes]
    return []


_kinds: dict[str, tuple[int, int, str | None]] = {}


def kind_of(path: Path) -> str | None:
    """The kind that a checkpoint's metadata names, or what an ONNX network is for ("pose", "person", "face"),
    or None.

    Read once per state of the file on the disk.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    stamp, known = (status.st_mtime_ns, status.st_size), _kinds.get(str(path))
    if known and known[:2] == stamp:
        return known[2]
    kind = None
    try:
        onnx = path.suffix.lower() == ".onnx"
        kind = kind_of_graph(read_graph(path)) if onnx else read_header(path).kind
    except (EMO2Error, OSError, ValueError) as error:
        # A whole .safetensors file of somebody else's is nothing to talk about; a damaged one is.
        level = logging.WARNING if getattr(error, "__cause__", None) else logging.DEBUG
        log.log(level, "%s is left out of the list of models: %s", path, error)
    _kinds[str(path)] = (*stamp, kind)
    return kind
