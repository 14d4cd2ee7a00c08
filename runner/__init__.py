"""Runs a workflow file without a browser: here (`run_workflow`) or on a ComfyUI server (`queue_workflow`)."""

from __future__ import annotations

from typing import Any

__all__ = ["queue_workflow", "run_workflow"]


def __getattr__(name: str) -> Any:
    # Late, so that `emo2 --help` answers without loading PyTorch.
    if name == "run_workflow":
        from .executor import run_workflow

        return run_workflow
    if name == "queue_workflow":
        from .queue import queue_workflow

        return queue_workflow
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
