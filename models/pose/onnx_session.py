"""ONNX networks on pictures, run by onnxruntime: on a graphics card where it can, on the processor elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EMO2Error
from .onnx_graph import FLOAT, FLOAT16, Graph

CPU = "CPUExecutionProvider"
GPU = {
    "CUDAExecutionProvider": "CUDA",
    "ROCMExecutionProvider": "ROCm",
    "MIGraphXExecutionProvider": "MIGraphX",
    "DmlExecutionProvider": "DirectML",
    "CoreMLExecutionProvider": "CoreML",
}
"""Graphics cards, best first. TensorRT is left out: it compiles for minutes before the first picture."""
DEVICES = ("auto", "cpu", "gpu")
INSTALL = "pip install onnxruntime-gpu (NVIDIA), onnxruntime-directml (other cards on Windows) or onnxruntime"


def available() -> bool:
    """Whether onnxruntime is installed. It is not imported."""
    from importlib.util import find_spec

    return find_spec("onnxruntime") is not None


def runtime(where: str = "detector") -> Any:
    """The package onnxruntime; EMO2Error that says what to install where it is missing or does not start."""
    try:
        import onnxruntime
    except ImportError as error:
        given = "none" if not available() else f"one that does not start ({error})"
        raise EMO2Error(where, "the package onnxruntime", given, f"Install it: {INSTALL}. Then restart.") from error
    return onnxruntime


def providers(device: str, found: list[str]) -> list[str]:
    """What to run on, best first, the processor last. found: what this onnxruntime offers.

    device: "cpu", "gpu" (EMO2Error when no graphics card is offered) or "auto".
    """
    if device not in DEVICES:
        raise EMO2Error("device", f"one of {', '.join(DEVICES)}", repr(device), "Choose one from the list.")
    cards = [] if device == "cpu" else [name for name in GPU if name in found]
    if device == "gpu" and not cards:
        raise EMO2Error(
            "device", "an onnxruntime that knows a graphics card", f"one with {', '.join(found)}",
            "Uninstall onnxruntime, then pip install onnxruntime-gpu (NVIDIA) or onnxruntime-directml (Windows); or "
            "choose cpu.",
        )  # fmt: skip
    return [*cards, CPU]


def threads_here() -> int:
    """Processor cores that this process may use, each counted once where it runs two threads."""
    import psutil

    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        allowed = os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


class Network:
    """An ONNX network whose one input are pictures (B, 3, H, W).

    graph: what `read_graph` found in the file. device: as in `providers`; `device_id`: which card, as CUDA counts.
    threads: on the processor, 0 for all cores. `device` afterwards says what it runs on ("CPU", "CUDA", ...), and
    `fell_back` that "auto" found a card which onnxruntime could not start.
    """

    def __init__(
        self, path: Path, graph: Graph, device: str = "auto", threads: int = 0, device_id: int = 0,
        where: str = "detector",
    ):  # fmt: skip
        onnxruntime = runtime(where)
        self.path, self.graph, self.where = path, graph, where
        self.names = [value.name for value in graph.outputs]
        self.batch = graph.inputs[0].shape[0]
        """How many pictures the file is fixed to, or None."""
        self._failures = _failures(onnxruntime)
        wanted = providers(device, onnxruntime.get_available_providers())
        self._session = self._open(onnxruntime, wanted, threads or threads_here(), device_id)
        used = self._session.get_providers()[0]
        self.device = GPU.get(used, "CPU")
        self.fell_back = len(wanted) > 1 and self.device == "CPU"
        if device == "gpu" and self.fell_back:
            raise EMO2Error(
                "device", f"{GPU[wanted[0]]}, which this onnxruntime knows", "a card that it could not start",
                "See the log: mostly its version fits another CUDA than PyTorch's. Or choose cpu.",
            )  # fmt: skip

    def _open(self, onnxruntime: Any, wanted: list[str], threads: int, device_id: int) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # warnings about nodes that run on the processor are no news
        if "DmlExecutionProvider" in wanted:  # DirectML takes neither memory patterns nor parallel execution
            options.enable_mem_pattern = False
            options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        settings: dict[str, dict[str, Any]] = {
            # Other models share the card: take what is needed, and no minutes of trying algorithms for each batch size.
            "CUDAExecutionProvider": {"device_id": device_id, "arena_extend_strategy": "kSameAsRequested",
                                      "cudnn_conv_algo_search": "HEURISTIC"},
            "DmlExecutionProvider": {"device_id": device_id},
        }  # fmt: skip
        chosen = [(name, settings.get(name, {})) for name in wanted]
        create = lambda some: onnxruntime.InferenceSession(str(self.path), sess_options=options, providers=some)
        try:
            try:
                return create(chosen)
            except self._failures:
                if len(chosen) == 1:
                    raise
                return create(chosen[-1:])  # a card that does not start says nothing about the file
        except self._failures as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise EMO2Error(
                self.where, "an ONNX network that onnxruntime can run", f"{self.path.name}: {reason}",
                "Download the file again, with its data file where it has one, or update onnxruntime.",
            ) from error  # fmt: skip

    def batches(self, pictures: np.ndarray, most: int = 16) -> Iterator[dict[str, np.ndarray]]:
        """Outputs by name for pictures (B, 3, H, W) of the input's size, for at most `most` of them at a time.

        A file with a fixed batch gets exactly that many at a time, the last ones repeated.
        """
        source = self.graph.inputs[0]
        pictures = np.ascontiguousarray(pictures, np.float16 if source.element == FLOAT16 else np.float32)
        start = 0
        while start < len(pictures):
            size = self.batch or most
            part = pictures[start : start + size]
            count = len(part)
            if self.batch and count < size:
                part = np.concatenate([part, np.repeat(part[-1:], size - count, 0)])
            try:
                outputs = self._session.run(self.names, {source.name: part})
                whole = all(len(value) == len(part) for value in outputs)
            except self._failures as error:
                # Some files call the batch free, and hold a reshape to one picture inside.
                if self.batch is not None or count == 1 or self.device != "CPU":
                    raise self._refused(error) from error
                whole = False
            if whole or self.batch or count == 1:
                yield {name: value[:count] for name, value in zip(self.names, outputs)}
                start += count
            else:
                self.batch = 1

    def run(self, pictures: np.ndarray, most: int = 16) -> dict[str, np.ndarray]:
        """The outputs of `batches` joined, for pictures (B, 3, H, W), B >= 1."""
        parts = list(self.batches(pictures, most))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

    def _refused(self, error: Exception) -> EMO2Error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        remedy = "Choose the device cpu, or free memory on the card." if self.device != "CPU" else "Take another file."
        return EMO2Error(self.where, "a network that runs", f"{self.path.name}: {reason}", remedy)


def picture_input(graph: Graph) -> tuple[int | None, int | None] | None:
    """(H, W) of the input, None where a side is free; None when the network does not take pictures (B, 3, H, W)."""
    if len(graph.inputs) != 1:
        return None
    source = graph.inputs[0]
    if len(source.shape) != 4 or source.shape[1] not in (3, None) or source.element not in (FLOAT, FLOAT16):
        return None
    return source.shape[2], source.shape[3]


def _failures(onnxruntime: Any) -> tuple[type[Exception], ...]:
    """What onnxruntime raises: its exceptions have no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = [kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    return (RuntimeError, ValueError, *own)
