"""Small video files for tests: any frame times, sound or none, turned as phones turn theirs."""

import struct
from fractions import Fraction

import av
import numpy as np

TICKS = 24000


def pictures(count, size=(32, 48)):
    """Frames (count, H, W, 3): frame i is grey of brightness 16 + 6 (i mod 36), with a bright square in its upper left
    corner and a red stripe along its right edge."""
    frames = np.zeros((count, *size, 3), np.uint8)
    frames[:] = (16 + 6 * (np.arange(count) % 36)).reshape(-1, 1, 1, 1)
    frames[:, : size[0] // 4, : size[1] // 4] = 255
    frames[:, :, -size[1] // 8 :] = [255, 0, 0]
    return frames


def number_of(picture):
    """Which frame of `pictures` (modulo 36) a decoded one is, by the brightness of its middle."""
    middle = picture[picture.shape[0] // 3 : -picture.shape[0] // 3, picture.shape[1] // 3 : -picture.shape[1] // 3]
    return round((float(middle.mean()) - 16) / 6)


def write_video(path, frames, fps=25, times=None, sound=None, rate=16000, sound_starts=0.0, codec="libx264"):
    """Write frames (F, H, W, 3) at `fps`, or at `times` in seconds; sound (C, T) floats from `sound_starts` s on."""
    times = np.arange(len(frames)) / fps if times is None else np.asarray(times)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        if codec == "libx264":
            stream.options = {"crf": "10", "bf": "0"}
        stream.codec_context.time_base = Fraction(1, TICKS)
        voice = None
        if sound is not None:
            voice = container.add_stream("aac", rate=rate, layout="stereo" if len(sound) == 2 else "mono")
        for picture, time in zip(frames, times):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound, np.float32), "fltp", voice.layout.name)
            frame.sample_rate, frame.pts = rate, round(sound_starts * rate)
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


MATRICES = {
    0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0),
    "mirror": (-1, 0, 0, 1), "mirror 90": (0, 1, 1, 0),
}  # fmt: skip
"""Display matrices (a, b, c, d): degrees that players turn the picture to the right."""


def turn(path, how):
    """Write a display matrix into the video track's header, as a phone does that is held another way."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    a, b, c, d = MATRICES[how]
    fixed = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    data[at + 40 : at + 76] = struct.pack(">9i", *fixed)
    path.write_bytes(data)
    return path


def shown(picture, how):
    """What a player shows of a stored picture (H, W, 3) with that display matrix."""
    if how in (0, 90, 180, 270):
        return np.rot90(picture, -how // 90)
    return picture[:, ::-1] if how == "mirror" else picture.transpose(1, 0, 2)
