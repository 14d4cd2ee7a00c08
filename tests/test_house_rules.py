"""The rules that keep the house liveable: which way imports point, what happens at import, how long a file is."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "models": {"models"},
    "nodes": {"nodes", "models"},
    "training": {"training", "models"},
    "evaluation": {"evaluation", "training", "models"},
    "runner": {"runner", "nodes", "models", "training", "evaluation"},
}
HOST_MODULES = {
    "comfy",
    "folder_paths",
    "server",
    "execution",
    "latent_preview",
    "comfy_api",
    "comfy_execution",
    "nodes",
}
SOURCES = [path for part in MAY_IMPORT for path in sorted((ROOT / part).rglob("*.py"))]


def imports(path: Path):
    """(parts of the pack, outside modules) that a file imports anywhere, lazily too."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    parts, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - (node.level - 1)] if node.level > 1 else package
            target = base + (node.module.split(".") if node.module else [])
            parts |= {target[0]} if target else {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            outside.add(node.module.split(".")[0])
        elif isinstance(node, ast.Import):
            outside |= {alias.name.split(".")[0] for alias in node.names}
    return parts, outside


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path):
    parts, outside = imports(path)
    home = path.relative_to(ROOT).parts[0]
    assert parts <= MAY_IMPORT[home], f"{home} may not import {parts - MAY_IMPORT[home]}"
    assert "emo2" not in outside, "inside the pack, imports are relative"
    if path != ROOT / "nodes" / "host.py":
        assert not outside & HOST_MODULES, f"only nodes/host.py talks to ComfyUI, not {outside & HOST_MODULES}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_a_room(path):
    assert len(path.read_text().splitlines()) <= 400
    assert path.name != "utils.py"


def test_importing_the_pack_does_no_work(tmp_path):
    """No folder made, no device chosen, no thread count or environment changed, nothing printed."""
    script = (
        "import os, sys; before = dict(os.environ)\n"
        "import torch; threads = torch.get_num_threads()\n"
        "import emo2\n"
        "assert dict(os.environ) == before, set(os.environ) ^ set(before)\n"
        "assert torch.get_num_threads() == threads\n"
        "assert not torch.cuda.is_initialized()\n"
        "heavy = {'diffusers.models.unets', 'transformers.models.wav2vec2', 'librosa.core', 'numba'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "" and list(tmp_path.iterdir()) == []
