"""What a table of jobs led to, in one file: for each job its inputs, seeds, server, times, files and their hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..models.checkpoints.format import fingerprint
from ..models.whole_files import whole_file
from . import inputs
from .definitions import specs

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
            for spec in specs(self.definitions[node["class_type"]], node["inputs"]):
                value, target = node["inputs"].get(spec.name), f"{node_id}.{spec.name}"
                if spec.name in SEEDS and isinstance(value, int):
                    seeds[target] = value
                if not spec.is_file or not isinstance(value, str):
                    continue
                path = self.folders.find(value)
                if path is None:
                    files[target] = {"path": value, "sha256": None}  # the server's own
                    continue
                if path not in self._known:
                    self._known[path] = fingerprint(path)
                files[target] = {"path": str(path), "sha256": self._known[path]}
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
