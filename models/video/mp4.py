"""Writing mp4 files: H.264 pictures, AAC sound. A file appears whole under its name or not at all.

A video is made of segments, each a closed H.264 stream of its own, joined without encoding again. The same frames give
the same bytes: one encoder thread, and nothing in the file that depends on the time or the machine's name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import EMO2Error
from ..whole_files import whole_file
from .sound import LAYOUTS, Sound

BITEXACT = {"fflags": "+bitexact"}
X264 = {"preset": "medium", "x264-params": "cpu-independent=1"}
"""Without cpu-independent, x264's macroblock tree gives other bytes from run to run for small pictures (measured: six
different files in 150 runs at 32 x 32), and everywhere from one kind of processor to another."""
CRF = 17


def exact_fps(fps: float | Fraction) -> Fraction:
    """The frame rate as a fraction: 29.97 is 30000/1001, as broadcasting means it, 25.0 is 25."""
    if isinstance(fps, Fraction):
        return fps
    ntsc = Fraction(round(fps) * 1000, 1001)
    if abs(float(ntsc) - fps) < 0.005 and abs(fps - round(fps)) > 1e-6:
        return ntsc
    return Fraction(fps).limit_denominator(1001)


def write_mp4(
    path: Path | str,
    frames: Iterable[np.ndarray | torch.Tensor],
    fps: float | Fraction,
    sound: Sound | None = None,
    crf: int = CRF,
) -> int:
    """Write a whole mp4 and return its number of frames.

    frames: pictures (H, W, 3) or stacks of them (n, H, W, 3), uint8 or floats 0..1, even sizes. The video is what sets
    the length: more sound than pictures is cut at the last picture's end.
    """
    path = Path(path)
    with writing(path.parent), tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        segment = Path(folder) / "frames.mp4"
        count = write_segment(segment, frames, fps, crf)
        join([segment], path, fps, sound)
    return count


def write_segment(
    path: Path, frames: Iterable[np.ndarray | torch.Tensor], fps: float | Fraction, crf: int = CRF
) -> int:
    """Encode `frames` as one closed segment without sound; return their number."""
    import av

    rate = exact_fps(fps)
    count = 0
    with whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options=BITEXACT) as container:
        stream: Any = None
        for picture in _pictures(frames):
            if stream is None:
                stream = _video_stream(container, picture.shape[1], picture.shape[0], rate, crf)
            elif picture.shape[:2] != (stream.height, stream.width):
                given = f"{picture.shape[0]} x {picture.shape[1]}"
                raise EMO2Error("images", f"frames of {stream.height} x {stream.width}", given, "Scale them alike.")
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p", src_color_range="JPEG", dst_color_range="MPEG", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = count, 1 / rate
            container.mux(stream.encode(frame))
            count += 1
        if stream is None:
            raise EMO2Error("images", "at least one frame", "none", "Connect some pictures.")
        container.mux(stream.encode(None))
    return count


def join(segments: Sequence[Path], path: Path, fps: float | Fraction, sound: Sound | None = None) -> int:
    """Join segments into the mp4 `path`, with `sound` from the first frame on; return the number of frames.

    Packets are copied, not encoded again, and written in order of time, so memory does not grow with the length.
    """
    import av

    rate = exact_fps(fps)
    options = BITEXACT | {"movflags": "+faststart"}
    with whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options=options) as container:
        with av.open(str(segments[0])) as first:
            video = container.add_stream_from_template(first.streams.video[0])
        video.time_base = 1 / rate
        voice = _audio_stream(container, sound) if sound is not None else None
        count, delay = 0, None
        clock = Interleaver(container, voice, sound)
        for segment in segments:
            with av.open(str(segment)) as source:
                stream = source.streams.video[0]
                first_frame = count
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    pts, dts = (round(value * packet.time_base * rate) for value in (packet.pts, packet.dts))
                    # A short segment is not reordered and has no decoding delay; with its own decoding times there
                    # would be a gap before it, and players would compute another frame rate.
                    delay = -dts if delay is None else delay
                    packet.stream = video
                    packet.time_base = 1 / rate
                    packet.pts, packet.dts, packet.duration = first_frame + pts, count - delay, 1
                    clock.until(Fraction(count) / rate)
                    container.mux(packet)
                    count += 1
        clock.until(count / rate, last=True)
    return count


class Interleaver:
    """Feeds the sound into the container as far as the pictures have come."""

    def __init__(self, container: Any, stream: Any, sound: Sound | None):
        self.container, self.stream, self.done = container, stream, 0
        self.blocks = iter(sound.blocks()) if sound is not None else iter(())
        self.rate = sound.rate if sound is not None else 1

    def until(self, second: Fraction, last: bool = False) -> None:
        """Write the sound up to `second`; with `last`, cut it there and end the stream."""
        import av

        end = round(second * self.rate)
        while self.stream is not None and self.done < end:
            block = next(self.blocks, None)
            if block is None:
                break
            if last:
                block = np.ascontiguousarray(block[:, : end - self.done])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=LAYOUTS[block.shape[0]])
            frame.sample_rate, frame.pts, frame.time_base = self.rate, self.done, Fraction(1, self.rate)
            self.container.mux(self.stream.encode(frame))
            self.done += block.shape[1]
        if last and self.stream is not None:
            self.container.mux(self.stream.encode(None))


def _video_stream(container: Any, width: int, height: int, rate: Fraction, crf: int) -> Any:
    if width % 2 or height % 2:
        given = f"{height} x {width}"
        raise EMO2Error("images", "an even height and width (H.264)", given, "Scale or pad the pictures.")
    stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), **X264})
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    context = stream.codec_context
    context.time_base, context.thread_count = 1 / rate, 1
    # Bt.709, limited range, written into the stream: untagged files are shown in other colours by every other player.
    context.color_primaries = context.color_trc = context.colorspace = 1
    context.color_range = 1
    return stream


def _audio_stream(container: Any, sound: Sound) -> Any:
    stream = container.add_stream("aac", rate=sound.rate, layout=LAYOUTS[sound.channels])
    stream.codec_context.bit_rate = min(128_000, sound.rate * 5) * sound.channels
    return stream


def _pictures(frames: Iterable[np.ndarray | torch.Tensor]) -> Iterator[np.ndarray]:
    """Single pictures (H, W, 3) uint8."""
    for block in frames:
        array = block.detach().cpu().numpy() if isinstance(block, torch.Tensor) else np.asarray(block)
        for picture in array[None] if array.ndim == 3 else array:
            if picture.dtype != np.uint8:
                picture = np.clip(np.rint(picture * 255.0), 0, 255).astype(np.uint8)
            yield np.ascontiguousarray(picture[..., :3])


@contextmanager
def writing(folder: Path, kept: str = "") -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into one line. `kept`: what the user still has."""
    import av

    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except (OSError, av.FFmpegError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise EMO2Error(
            "filename_prefix", f"a folder with free space that can be written ({folder})", reason,
            f"Free space or choose another folder. {kept}",
        ) from error  # fmt: skip
