"""What pip and ComfyUI's registry read: every package listed, nothing pinned that ComfyUI owns."""

import re
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def names(path):
    lines = [line.split("#")[0].strip() for line in (ROOT / path).read_text().splitlines()]
    return {re.split(r"[\[<>=~! ;]", line)[0].lower(): line for line in lines if line}


def test_every_package_is_listed():
    parts = ("nodes", "models", "training", "evaluation", "runner", "benchmarks")
    found = {
        f"emo2.{'.'.join(p.parent.relative_to(ROOT).parts)}"
        for part in parts
        for p in (ROOT / part).rglob("__init__.py")
    }
    assert found | {"emo2"} == set(PROJECT["tool"]["setuptools"]["packages"])


def test_requirements_leave_comfyui_s_own_alone():
    wanted = names("requirements.txt")
    assert not wanted.keys() & {"torch", "torchvision", "torchaudio", "numpy", "transformers", "safetensors"}
    assert not any("==" in line for line in wanted.values()), "an exact pin breaks other packs"


def test_the_tests_ran_with_exact_versions():
    exact = names("constraints.txt")
    assert exact["torch"] == "torch==2.13.0" and all("==" in line for line in exact.values())
    assert names("requirements.txt").keys() <= exact.keys()
    assert not exact.keys() & {"torchvision", "torchaudio"}


def test_the_registry_table_is_complete():
    assert {"PublisherId", "DisplayName"} <= PROJECT["tool"]["comfy"].keys()
    assert PROJECT["project"]["license"] == "Apache-2.0" and (ROOT / "LICENSE").read_text().lstrip().startswith(
        "Apache License"
    )
