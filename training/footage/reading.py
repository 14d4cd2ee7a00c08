"""Reading a video as preparation needs it: by frame numbers at a constant rate, damage told apart from other errors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...models.audio.waveform import RATE, prepare_waveform
from ...models.errors import EMO2Error
from ...models.video.read_frames import VideoFrames
from ...models.video.read_sound import read_sound
from .cuts import Looks, look

GLANCE = 64
"""Longest side of the pictures that cuts are found in."""
HUSHED = 1e-3
"""A sound that is never louder than this is none."""


class BrokenVideo(Exception):
    """A video that cannot be read, with the reason; it is left out and the others go on."""


class Footage:
    """One video at `fps` frames a second: frame i shows the instant (i + 0.5) / fps. BrokenVideo when it is none."""

    def __init__(self, path: Path, fps: float):
        self.path, self.fps = path, fps
        try:
            self.video = VideoFrames(path)
        except EMO2Error as error:
            raise BrokenVideo(error.given) from error
        self.size = self.video.size
        self.rate = float(self.video.rate)

    def blocks(self, first: int, stop: int, side: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pictures (n, H, W, 3) uint8 of frames first..stop-1 (stop 0: all there are), and how many frames each of them
        fills (n,); no side above `side` pixels (0: as it is)."""
        pieces = self.video.blocks(self.fps, first / self.fps, stop / self.fps, side)
        while True:
            try:
                block = next(pieces, None)
            except EMO2Error as error:
                raise BrokenVideo(error.given) from error
            if block is None:
                return
            yield block.pictures, block.repeats

    def frames(self, first: int, stop: int, side: int = 0) -> Iterator[np.ndarray]:
        """The same one by one, a picture that fills several frames several times."""
        for pictures, repeats in self.blocks(first, stop, side):
            for picture, times in zip(pictures, repeats):
                for _ in range(times):
                    yield picture

    def glance(self) -> tuple[Looks, str | None]:
        """All frames in little, and why there are no more of them (None: the video is at its end)."""
        grey, colours, trouble = [], [], None
        try:
            for picture in self.frames(0, 0, GLANCE):
                small, share = look(picture)
                grey.append(small)
                colours.append(share)
        except BrokenVideo as error:
            trouble = str(error)
        if not grey:
            raise BrokenVideo(trouble or "no pictures")
        return Looks(np.stack(grey), np.stack(colours)), trouble

    def sound(self, first: int, stop: int) -> np.ndarray | None:
        """What is heard during frames first..stop-1: (T,) float32 mono 16 kHz, T to the sample; None: nothing."""
        length = round((stop - first) / self.fps * RATE)
        try:
            audio = read_sound(self.path, first / self.fps, stop / self.fps)
        except EMO2Error as error:
            raise BrokenVideo(error.given) from error
        if audio is None:
            return None
        waveform = prepare_waveform(audio)[:length]
        waveform = np.pad(waveform, (0, length - len(waveform)))
        return waveform if np.abs(waveform).max(initial=0.0) > HUSHED else None


__all__ = ["BrokenVideo", "Footage"]
