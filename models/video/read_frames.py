"""Reading the pictures of any video, block by block: upright, no larger than asked for, at a constant frame rate.

A frame that is not shown is decoded but never becomes a picture, and one that is shown several times is given once, so
that 4K, 120 frames a second and long videos cost the memory of one block.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import EMO2Error
from .mp4 import exact_fps
from .sampling import check_range, first_frame, sampled

BLOCK_BYTES = 1 << 26
MOST_FRAMES = 32
FASTEST = 240
"""Frames a second: a stated rate above it is taken for a mistake of the file."""
LEAST_SIDE = 2
REMEDY = "Give a video file that plays."


@dataclass(frozen=True)
class Block:
    """Pictures (n, H, W, 3) uint8 RGB that follow each other; `times` (n,) seconds from the video's first frame;
    `repeats` (n,): how many frames of the constant rate each one fills, at least 1."""

    pictures: np.ndarray
    times: np.ndarray
    repeats: np.ndarray


class Frames(Protocol):
    """Something with pictures in it. size: (H, W) upright; rate: its own frames a second."""

    size: tuple[int, int]
    rate: Fraction

    def estimate(self, fps: float = 0.0, start_second: float = 0.0, end_second: float = 0.0) -> int:
        """About how many frames `blocks` will cover: what a progress bar needs."""
        ...

    def blocks(
        self, fps: float = 0.0, start_second: float = 0.0, end_second: float = 0.0, longest_side: int = 0
    ) -> Iterator[Block]:
        """The pictures at `fps` (0: the own rate) of a stretch of time (an end of 0: to the end), scaled down so that
        no side is above `longest_side` (0: as they are)."""
        ...


class VideoFrames:
    """The pictures of a video file: a path, or the bytes of a file in memory. Opening it looks at the first frame.

    trim: (start, duration) in seconds of the part that counts, a duration of 0 for all of it. EMO2Error with the input
    `where`: no video, a damaged one, one without pictures.
    """

    def __init__(self, source: str | Path | io.BytesIO, trim: tuple[float, float] = (0.0, 0.0), where: str = "video"):
        self.source, self.trim, self.where = source, trim, where
        self.name = "the video" if isinstance(source, io.BytesIO) else Path(source).name
        with self._opened() as (container, stream):
            for frame in container.decode(stream):
                self.size = display_size(frame, stream.sample_aspect_ratio)
                break
            else:
                raise EMO2Error(where, "a video with pictures", f"{self.name}, in which none can be decoded", REMEDY)
            self.rate = _rate(stream)
            length = stream.duration * stream.time_base if stream.duration else None
            if length is None and container.duration:
                length = Fraction(container.duration, 1_000_000)
            self.seconds = float(length or 1 / self.rate)  # as the file states it; the real length shows in the end

    def estimate(self, fps: float = 0.0, start_second: float = 0.0, end_second: float = 0.0) -> int:
        seconds = max(self.seconds - self.trim[0], 0.0)
        if self.trim[1]:
            seconds = min(seconds, self.trim[1])
        end = min(end_second or math.inf, seconds)
        return max(math.ceil((end - start_second) * float(exact_fps(fps) if fps else self.rate)), 1)

    def blocks(
        self, fps: float = 0.0, start_second: float = 0.0, end_second: float = 0.0, longest_side: int = 0
    ) -> Iterator[Block]:
        rate = exact_fps(fps) if fps else self.rate
        check_range(start_second, end_second)
        skipped, kept = self.trim
        if kept:
            end_second = min(end_second or math.inf, kept)
        size = scaled_size(self.size, longest_side)
        with self._opened() as (container, stream):
            frames = self._timed(container, stream, Fraction(skipped), float(first_frame(start_second, rate) / rate))
            shown = sampled(frames, rate, start_second, end_second)
            yield from _blocked(((time, upright(frame, size), n) for time, frame, n in shown), size)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        import av

        if isinstance(self.source, io.BytesIO):
            self.source.seek(0)
        source = self.source if isinstance(self.source, io.BytesIO) else str(self.source)
        try:
            with av.open(source) as container:
                if not container.streams.video:
                    raise EMO2Error(self.where, "a video", f"{self.name}, which has no pictures", REMEDY)
                stream = container.streams.video[0]
                if stream.codec_context is None:
                    given = f"{self.name}, in a format without a decoder"
                    raise EMO2Error(self.where, "a video that can be decoded", given, "Convert it to H.264.")
                stream.thread_type = "AUTO"
                yield container, stream
        except (av.FFmpegError, OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise EMO2Error(self.where, "a whole video file", f"{self.name} ({reason})", REMEDY) from error

    def _timed(
        self, container: Any, stream: Any, skipped: Fraction, wanted: float
    ) -> Iterator[tuple[Fraction, Fraction, Any]]:
        """(time, duration, frame) from a little before `wanted` s on; times count from the first frame after
        `skipped`."""
        base, usual = stream.time_base, 1 / self.rate
        origin = None if stream.start_time is None else stream.start_time * base + skipped
        if origin is not None and float(skipped) + wanted > 2:
            container.seek(int((origin + Fraction(wanted)) / base), stream=stream, backward=True)
        last: Fraction | None = None
        for frame in container.decode(stream):
            if frame.pts is not None:
                time = frame.pts * base
            else:
                time = (origin or Fraction(0)) if last is None else last + usual
            origin = time + skipped if origin is None else origin
            last = time
            duration = Fraction(frame.duration) * base if frame.duration else usual
            if time - origin + duration <= 0:  # before the part that counts, and gone when it begins
                continue
            yield max(time - origin, Fraction(0)), duration, frame


class PictureFrames:
    """Pictures that lie in memory already: an IMAGE batch (F, H, W, 3 or 4) of floats 0..1, at a constant rate."""

    def __init__(self, images: Any, rate: float | Fraction, where: str = "images"):
        shape = tuple(getattr(images, "shape", ()))
        if len(shape) != 4 or 0 in shape or shape[-1] not in (1, 3, 4):
            raise EMO2Error(where, "pictures (F, H, W, 3)", shape or type(images).__name__, "Connect an IMAGE.")
        self.images, self.rate = images, exact_fps(rate)
        self.size = (int(shape[1]), int(shape[2]))

    def estimate(self, fps: float = 0.0, start_second: float = 0.0, end_second: float = 0.0) -> int:
        seconds = min(end_second or math.inf, len(self.images) / float(self.rate))
        return max(math.ceil((seconds - start_second) * float(exact_fps(fps) if fps else self.rate)), 1)

    def blocks(
        self, fps: float = 0.0, start_second: float = 0.0, end_second: float = 0.0, longest_side: int = 0
    ) -> Iterator[Block]:
        frames = ((i / self.rate, 1 / self.rate, i) for i in range(len(self.images)))
        size = scaled_size(self.size, longest_side)
        shown = sampled(frames, exact_fps(fps) if fps else self.rate, start_second, end_second)
        return _blocked(((time, self._picture(i, size), n) for time, i, n in shown), size)

    def _picture(self, index: int, size: tuple[int, int]) -> np.ndarray:
        import cv2

        values = np.nan_to_num(self.images[index].detach().cpu().float().numpy(), nan=0.0, posinf=1.0, neginf=0.0)
        picture = (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
        picture = np.repeat(picture, 3, axis=-1) if picture.shape[-1] == 1 else picture[..., :3]
        if picture.shape[:2] != size:
            picture = cv2.resize(np.ascontiguousarray(picture), size[::-1], interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(picture)


def scaled_size(size: tuple[int, int], longest_side: int) -> tuple[int, int]:
    """(H, W) with the shape of `size` and no side above `longest_side`; never larger than it is. 0: as it is."""
    scale = min(longest_side / max(size), 1.0) if longest_side else 1.0
    return max(round(size[0] * scale), LEAST_SIDE), max(round(size[1] * scale), LEAST_SIDE)


def display_size(frame: Any, pixel_shape: Fraction | None = None) -> tuple[int, int]:
    """(H, W) of a decoded frame as it is to be looked at: turned upright, its pixels square.

    pixel_shape: width of a stored pixel over its height; None or 0: square.
    """
    height, width = frame.height, round(frame.width * (pixel_shape or 1))
    return (width, height) if _turns(frame)[0] % 2 else (height, width)


def upright(frame: Any, size: tuple[int, int]) -> np.ndarray:
    """A decoded frame as a picture (H, W, 3) uint8 of `size`, turned and mirrored as the file says it is to be seen."""
    turns, mirrored = _turns(frame)
    height, width = size[::-1] if turns % 2 else size
    smaller = height < frame.height or width < frame.width
    plain = frame.reformat(width, height, format="rgb24", interpolation="AREA" if smaller else "BICUBIC")
    picture = plain.to_ndarray()
    if mirrored:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(np.rot90(picture, turns))


def _turns(frame: Any) -> tuple[int, bool]:
    """(quarter turns to the left, whether to mirror left and right first) that bring a frame upright.

    From the display matrix (16.16 fixed point, rows (a, b, _), (c, d, _)): where a stored x goes is (a, b), where a
    stored y goes is (c, d); y points down.
    """
    matrix = None
    for entry in frame.side_data:
        if getattr(entry.type, "name", "") == "DISPLAYMATRIX":
            matrix = np.frombuffer(bytes(entry), np.int32)[:5].astype(np.float64) / 65536
    if matrix is None:
        turned = getattr(frame, "rotation", 0) or 0
        return round(turned / 90) % 4, False
    a, b, _, c, d = matrix
    mirrored = bool(a * d - b * c < 0)
    # A mirrored x axis first; what is left is a turn of the picture.
    angle = math.degrees(math.atan2(b, a)) if not mirrored else math.degrees(math.atan2(-b, -a))
    return round(-angle / 90) % 4, mirrored


def _rate(stream: Any) -> Fraction:
    """The stream's own frames a second; 25 where it says none that can be."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= FASTEST:
            return Fraction(rate)
    return Fraction(25)


def _blocked(frames: Iterator[tuple[Fraction, np.ndarray, int]], size: tuple[int, int]) -> Iterator[Block]:
    most = int(np.clip(BLOCK_BYTES // (size[0] * size[1] * 3), 1, MOST_FRAMES))
    held: list[tuple[Fraction, np.ndarray, int]] = []
    for entry in frames:
        held.append(entry)
        if len(held) == most:
            yield _block(held)
            held = []
    if held:
        yield _block(held)


def _block(held: list[tuple[Fraction, np.ndarray, int]]) -> Block:
    times = np.array([float(time) for time, _, _ in held])
    return Block(np.stack([picture for _, picture, _ in held]), times, np.array([n for _, _, n in held], np.int64))
