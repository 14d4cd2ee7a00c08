"""Threads as the machine has cores, the data folder beside the project, and the profile of the property tests."""

import os
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import cv2
import pytest
import torch
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("EMO2_SHARED", ROOT.parent / "shared"))

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))
cv2.setNumThreads(1)
settings.register_profile("emo2", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("emo2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first: no process is left with a long one when the others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; the test is skipped with the reason where there is none."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no data folder at {SHARED} (set EMO2_SHARED)")
    return SHARED
