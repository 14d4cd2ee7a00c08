"""CreateVideo, SaveVideo, LoadVideo, GetVideoComponents, and the two kinds of VIDEO that go between them."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch

from ...models.errors import EMO2Error
from ...models.video.read_frames import display_size, upright
from ...models.video.sound import LAYOUTS, Sound, sound_of
from ...models.whole_files import whole_file
from ...nodes.saving import check_prefix
from .. import inputs
from .audio import read_audio
from .image import found_file, missing
from .saving import next_slot

REMEDY = "Give a video file that plays."


@dataclass(frozen=True)
class Components:
    """A video in memory: images (F, H, W, 3) float 0..1, AUDIO or None, frames a second."""

    images: torch.Tensor
    audio: dict[str, Any] | None
    frame_rate: Fraction


class VideoFromComponents:
    """A VIDEO that is encoded when it is saved, with ComfyUI's settings, so that both give the same file."""

    def __init__(self, components: Components, bit_depth: int = 8):
        self._components, self._bit_depth = components, bit_depth

    def get_components(self) -> Components:
        return self._components

    def get_bit_depth(self) -> int:
        return self._bit_depth

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height)"""
        return self._components.images.shape[2], self._components.images.shape[1]

    def save_to(
        self,
        path: str | Path,
        format: str = "auto",
        codec: str = "auto",
        metadata: Any = None,
        crf: float | None = None,
    ) -> None:
        """Encode as H.264 and AAC in mp4; sound that lasts longer than the pictures is cut at the last one's end."""
        images, rate = self._components.images, Fraction(round(self._components.frame_rate * 1000), 1000)
        height, width = images.shape[1:3]
        if len(images) == 0 or width % 2 or height % 2:
            given = f"{len(images)} pictures of {height} x {width}"
            raise EMO2Error("video", "pictures with an even height and width (H.264)", given, "Scale them first.")
        sound = sound_of(self._components.audio, "audio") if self._components.audio else None
        with av.open(str(path), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as output:
            for name, value in (metadata or {}).items():
                output.metadata[name] = json.dumps(value)
            stream = output.add_stream("h264", rate=rate)
            stream.width, stream.height = width, height
            stream.pix_fmt = "yuv420p10le" if self._bit_depth >= 10 else "yuv420p"
            if crf is not None:
                stream.options = {"crf": str(crf)}
            voice = output.add_stream("aac", rate=sound.rate, layout=LAYOUTS[sound.channels]) if sound else None
            for picture in images:
                output.mux(stream.encode(_frame(picture, stream.pix_fmt)))
            output.mux(stream.encode(None))
            if sound is not None and voice is not None:
                _encode_sound(output, voice, sound, math.ceil(sound.source_rate / rate * len(images)))


def _frame(picture: torch.Tensor, pix_fmt: str) -> av.VideoFrame:
    picture = picture[..., :3].float().cpu()
    if pix_fmt == "yuv420p":
        pixels = (picture * 255).clamp(0, 255).byte().numpy()
        return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pix_fmt)
    pixels = (picture * 65535).clamp(0, 65535).numpy().astype("uint16")
    return av.VideoFrame.from_ndarray(pixels, format="rgb48le").reformat(format=pix_fmt)


def _encode_sound(output: Any, stream: Any, sound: Sound, samples: int) -> None:
    """The first `samples` samples (at the sound's own rate)."""
    done = 0
    for block in Sound(sound.waveform[:, :samples], sound.source_rate, sound.channels, sound.rate).blocks(1 << 16):
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=LAYOUTS[sound.channels])
        frame.sample_rate, frame.pts, frame.time_base = sound.rate, done, Fraction(1, sound.rate)
        output.mux(stream.encode(frame))
        done += block.shape[1]
    output.mux(stream.encode(None))


class VideoFromFile:
    """A VIDEO that lies in a file; saving it as mp4 copies what is there."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def _stream(self, container: Any) -> Any:
        if not container.streams.video:
            raise EMO2Error("file", "a video file", f"{self.path}, which has no pictures", REMEDY)
        return container.streams.video[0]

    def _open(self) -> Any:
        try:
            return av.open(str(self.path))
        except (av.FFmpegError, OSError) as error:
            raise EMO2Error("file", "a video file", f"{self.path} ({error})", REMEDY) from error

    def get_stream_source(self) -> str:
        """Where the video lies, for nodes that read it piece by piece."""
        return str(self.path)

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height)"""
        with self._open() as container:
            stream = self._stream(container)
            return stream.width, stream.height

    def get_bit_depth(self) -> int:
        with self._open() as container:
            stream = self._stream(container)
            return stream.format.components[0].bits if stream.format else 8

    def get_components(self) -> Components:
        frames: list[torch.Tensor] = []
        size: tuple[int, int] | None = None
        with self._open() as container:
            stream = self._stream(container)
            rate = Fraction(stream.average_rate) if stream.average_rate else Fraction(1)
            has_sound = bool(container.streams.audio)
            try:
                for frame in container.decode(stream):
                    size = size or display_size(frame)  # upright, as ComfyUI gives what phones film
                    frames.append(torch.from_numpy(upright(frame, size)).float() / 255.0)
            except av.FFmpegError as error:
                raise EMO2Error("file", "a whole video file", f"{self.path} ({error})", REMEDY) from error
        if not frames:
            raise EMO2Error("file", "a video with pictures", f"{self.path}, which has none", REMEDY)
        audio = None
        if has_sound:
            waveform, sample_rate = read_audio(self.path, "file")
            audio = {"waveform": torch.from_numpy(waveform)[None], "sample_rate": sample_rate}
        return Components(torch.stack(frames), audio, rate)

    def save_to(
        self,
        path: str | Path,
        format: str = "auto",
        codec: str = "auto",
        metadata: Any = None,
        crf: float | None = None,
    ) -> None:
        with self._open() as container:
            as_it_is = "mp4" in container.format.name and self._stream(container).codec.name == "h264"
        if as_it_is and crf is None:
            shutil.copyfile(self.path, path)
        else:
            VideoFromComponents(self.get_components(), self.get_bit_depth()).save_to(path, metadata=metadata, crf=crf)


class CreateVideo:
    """Pictures and sound to a VIDEO."""

    CATEGORY, FUNCTION = "video", "execute"
    DESCRIPTION = "Makes a video of pictures and a sound."
    RETURN_TYPES = ("VIDEO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "images": ("IMAGE", {}),
                "fps": ("FLOAT", {"default": 30.0, "min": 1.0, "max": 120.0, "step": 1.0}),
            },
            "optional": {
                "audio": ("AUDIO", {}),
                "bit_depth": ("INT", {"default": 8, "min": 8, "max": 10, "step": 2}),
            },
        }

    def execute(
        self, images: torch.Tensor, fps: float, audio: dict[str, Any] | None = None, bit_depth: int = 8
    ) -> tuple[VideoFromComponents]:
        return (VideoFromComponents(Components(images, audio, Fraction(fps)), bit_depth),)


class SaveVideo:
    """Writes a VIDEO as mp4 (H.264, AAC) with the workflow in it."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "video", "execute", True
    DESCRIPTION = "Saves a video to the output folder."
    RETURN_TYPES = ("VIDEO",)
    RETURN_NAMES = ("video",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "video": ("VIDEO", {}),
                "filename_prefix": ("STRING", {"default": "video/ComfyUI"}),
                "format": (["auto", "mp4"], {"default": "auto"}),
                "codec": (["auto", "h264"], {"default": "auto"}),
            },
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str) -> bool | str:
        return check_prefix(filename_prefix)

    def execute(
        self, video: Any, filename_prefix: str, format: str, codec: str, prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        width, height = video.get_dimensions()
        slot = next_slot(filename_prefix, width, height)
        name = slot.name("mp4")
        notes = {**(extra_pnginfo or {}), **({"prompt": prompt} if prompt is not None else {})}
        with whole_file(slot.folder / name) as temporary:
            video.save_to(str(temporary), format=format, codec=codec, metadata=notes)
        return {"ui": {"images": [slot.shown(name)], "animated": (True,)}, "result": (video,)}


class LoadVideo:
    """A video file from the input folder."""

    CATEGORY, FUNCTION = "video", "execute"
    DESCRIPTION = "Loads a video from the input folder."
    RETURN_TYPES = ("VIDEO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"file": (inputs.current.names("video"), {"video_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, file: str) -> bool | str:
        return True if file is None or inputs.current.find(file) else missing("video", file)

    def execute(self, file: str) -> tuple[VideoFromFile]:
        return (VideoFromFile(found_file("video", file)),)


class GetVideoComponents:
    """A VIDEO's pictures, sound and frame rate."""

    CATEGORY, FUNCTION = "video", "execute"
    DESCRIPTION = "Takes a video apart."
    RETURN_TYPES = ("IMAGE", "AUDIO", "FLOAT", "INT")
    RETURN_NAMES = ("images", "audio", "fps", "bit_depth")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"video": ("VIDEO", {})}}

    def execute(self, video: Any) -> tuple[torch.Tensor, dict[str, Any] | None, float, int]:
        parts = video.get_components()
        return parts.images, parts.audio, float(parts.frame_rate), video.get_bit_depth()


NODES = {
    "CreateVideo": ("Create Video", CreateVideo),
    "SaveVideo": ("Save Video", SaveVideo),
    "LoadVideo": ("Load Video", LoadVideo),
    "GetVideoComponents": ("Get Video Components", GetVideoComponents),
}
