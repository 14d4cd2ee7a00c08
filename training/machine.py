"""The processes, devices and threads that a training runs on, through `accelerate`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

from ..models.errors import EMO2Error


def accelerator(precision: str, cpu: bool = False) -> Any:
    """An `accelerate.Accelerator` for one process or as many as its launcher started, on GPUs where there are some.

    precision: "no", "bf16", "fp16", or "auto": bf16 where the device computes in it.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState, PartialState
    from accelerate.utils import DistributedDataParallelKwargs

    # accelerate keeps the first accelerator's choices for the life of the process; a second training makes its own.
    if PartialState._shared_state and PartialState().num_processes == 1:
        PartialState._reset_state()
    AcceleratorState._reset_state()
    GradientState._reset_state()
    # What a step drops (a condition, a branch) may leave parameters without a gradient.
    parallel = DistributedDataParallelKwargs(find_unused_parameters=True, broadcast_buffers=False)
    made = Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[parallel])
    if precision == "auto":
        precision = "bf16" if computes_in_bf16(made.device) else "no"
    if precision == "fp16" and made.device.type == "cpu":
        made.end_training()
        raise EMO2Error("config precision", "no or bf16 on a CPU", "fp16", "Set precision=bf16.")
    if precision != "no":
        AcceleratorState._reset_state()
        made = Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[parallel])
    return made


def computes_in_bf16(device: torch.device) -> bool:
    """Whether bf16 saves time there. A CPU without instructions for it imitates them, thirteen times slower than
    float32 (measured on training steps of the tiny networks, AVX2 alone)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def use_cores(threads: int | None = None) -> int:
    """Give torch as many threads as this process has cores, or fewer where asked, and OpenCV one. Returns the number.

    More threads than cores make everything many times slower, so a larger number is cut.
    """
    import cv2

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    wanted = threads or int(os.environ.get("OMP_NUM_THREADS") or share)
    count = max(1, min(wanted, share))
    torch.set_num_threads(count)
    cv2.setNumThreads(1)
    return count


def total(values: Sequence[float], machine: Any) -> list[float]:
    """Each number summed over all processes, in float64."""
    if machine.num_processes == 1:
        return list(values)
    # Not every device has float64.
    kind = torch.float64 if machine.device.type in ("cpu", "cuda") else torch.float32
    summed: list[float] = machine.reduce(torch.tensor(list(values), dtype=kind, device=machine.device), "sum").tolist()
    return summed
