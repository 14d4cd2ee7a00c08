"""What a table of jobs led to, in one file: for each job its inputs, seeds, server, times, files and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..models.checkpoints.format import fingerprint
from ..models.whole_files import whole_file
from . import inputs
from .definitions import file_inputs

VERSION = 1
SEEDS = ("seed", "noise_seed")
Prompt = dict[str, dict[str, Any]]


def described(path: Path) -> dict[str, Any]:
    """A file as the manifest has it."""
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": fingerprint(path)}


class InputHashes:
    """Describes what a prompt is made from; each input file is read once."""

    def __init__(self, definitions: Mapping[str, Any], folders: inputs.InputFolders):
        self.definitions, self.folders = definitions, folders
        self._known: dict[Path, str] = {}

    def of(self, prompt: Prompt) -> dict[str, Any]:
        """{"seeds": {"12.seed": 7}, "input_files": {"4.image": {"path", "sha256"}}} of a prompt before its upload."""
        seeds: dict[str, Any] = {}
        files: dict[str, Any] = {}
        for node_id, node in prompt.items():
            found = {name: node["inputs"].get(name) for name in SEEDS}
            seeds |= {f"{node_id}.{name}": value for name, value in found.items() if isinstance(value, int)}
        for node_id, _, spec, value in file_inputs(prompt, self.definitions):
            path = self.folders.find(value)
            if path is not None and path not in self._known:
                self._known[path] = fingerprint(path)
            own = {"path": value, "sha256": None}  # the server's own file
            told = own if path is None else {"path": str(path), "sha256": self._known[path]}
            files[f"{node_id}.{spec.name}"] = told
        return {"seeds": seeds, "input_files": files}


def write_manifest(
    target: Path, workflow: Path, table: Path, servers: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]
) -> Path:
    """Write the manifest, whole. servers: address -> versions; jobs: one entry a row."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        pack = version("comfyui-emo2")
    except PackageNotFoundError:
        pack = ""
    content = {
        "version": VERSION,
        "pack": pack,
        "workflow": described(workflow),
        "table": described(table),
        "servers": dict(servers),
        "jobs": list(jobs),
    }
    with whole_file(target) as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return target
