"""A finished video file as a VIDEO on a wire, where there is no ComfyUI to make one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class VideoFile:
    """An mp4 with the methods of ComfyUI's VIDEO that other nodes call."""

    path: Path

    def get_stream_source(self) -> str:
        return str(self.path)

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height)"""
        import av

        with av.open(str(self.path)) as container:
            return container.streams.video[0].width, container.streams.video[0].height

    def get_bit_depth(self) -> int:
        return 8

    def get_components(self) -> Any:
        """`.images` (F, H, W, 3) floats 0..1, `.audio` (AUDIO or None) and `.frame_rate`: the whole video in memory."""
        import av

        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            rate = Fraction(stream.average_rate or 1)
            images = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])
        with av.open(str(self.path)) as container:
            parts = [frame for stream in container.streams.audio[:1] for frame in container.decode(stream)]
            sound = None
            if parts:
                waveform = np.concatenate([part.to_ndarray() for part in parts], axis=1)
                sound = {"waveform": torch.from_numpy(waveform)[None], "sample_rate": parts[0].sample_rate}
        return SimpleNamespace(images=torch.from_numpy(images).float() / 255, audio=sound, frame_rate=rate)

    def save_to(self, path: str | Path, **_: Any) -> None:
        """Copy the file: it is H.264 and AAC in mp4 already."""
        shutil.copyfile(self.path, path)
