"""The host's inside half on ComfyUI's real modules: VRAM management, folders, progress, cancel, previews."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("memory_cases.py")
CHECKS = re.findall(r"^def (check_\w+)", CASES.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def results(comfyui, tmp_path_factory):
    """{check: None or what went wrong}, from one run within ComfyUI's own Python."""
    python = os.environ.get("COMFYUI_PYTHON") or comfyui / ".venv" / "bin" / "python"
    done = subprocess.run(
        [str(part) for part in (python, CASES, comfyui, ROOT, tmp_path_factory.mktemp("empty"))],
        capture_output=True, text=True, timeout=300, env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert "RESULTS" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stdout.partition("RESULTS")[2])


@pytest.mark.parametrize("check", CHECKS)
def test_inside_comfyui(results, check):
    assert results[check] is None, results[check]
