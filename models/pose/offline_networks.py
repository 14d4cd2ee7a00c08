"""The networks of the offline detector: TensorFlow Lite files that come with the pack, opened when first used.

Where they come from stands in weights/detectors/NOTICE."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EMO2Error

FOLDER = Path(__file__).resolve().parents[2] / "weights" / "detectors"
PACKAGE = "ai-edge-litert"


class Networks:
    """Networks by their file's name, each opened once. threads: 0 takes as many as there are cores, at most four."""

    def __init__(self, threads: int = 0, folder: Path = FOLDER):
        if threads < 0:
            raise EMO2Error("threads", "0 (as many as there are cores) or more", threads, "Give 0 or more.")
        self.threads = threads or min(os.cpu_count() or 1, 4)
        self.folder = folder
        self._open: dict[str, Any] = {}

    def run(self, name: str, pixels: np.ndarray, low: float = 0.0) -> list[np.ndarray]:
        """The outputs, each flat of its batch axis, for a crop (S, S, 3) uint8 brought to low..1 (low: 0 or -1)."""
        network = self._open.get(name)
        if network is None:
            network = self._open[name] = self._opened(name)
        values = pixels.astype(np.float32) * np.float32((1 - low) / 255) + np.float32(low)
        network.set_tensor(network.get_input_details()[0]["index"], values[None])
        network.invoke()
        return [network.get_tensor(output["index"])[0] for output in network.get_output_details()]

    def _opened(self, name: str) -> Any:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise EMO2Error(
                "detector", f"the Python package {PACKAGE}, which runs the offline detector", "none installed",
                f"Install it (pip install {PACKAGE}) and start again, or use another detector.",
            ) from error  # fmt: skip
        path = self.folder / f"{name}.tflite.gz"
        remedy = "Get the pack's weights/detectors folder again."
        if not path.is_file():
            raise EMO2Error("detector", f"the pack's file {path.name}", f"no file at {path}", remedy)
        try:
            network = Interpreter(model_content=gzip.decompress(path.read_bytes()), num_threads=self.threads)
            network.allocate_tensors()
        except (OSError, EOFError, zlib.error, RuntimeError, ValueError) as error:
            raise EMO2Error("detector", f"a whole file {path.name}", f"a damaged one ({error})", remedy) from error
        return network
