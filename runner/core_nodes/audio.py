"""LoadAudio, SaveAudio, PreviewAudio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from ...models.errors import EMO2Error
from ...models.video.read_sound import samples_of
from ...models.whole_files import whole_file
from ...nodes.saving import check_prefix
from .. import inputs
from .image import found_file, missing
from .saving import PREVIEWS, metadata, next_slot

REMEDY = "Give a sound or video file with an audio track (WAV, FLAC, MP3, Ogg, MP4 ...)."


def read_audio(path: Path, where: str = "audio") -> tuple[np.ndarray, int]:
    """((channels, samples) float32, Hz) of the first audio track of any file that PyAV reads."""
    blocks: list[np.ndarray] = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise EMO2Error(where, "a file with an audio track", f"{path}, which has none", REMEDY)
            stream = container.streams.audio[0]
            rate = stream.codec_context.sample_rate
            blocks += [samples_of(frame) for frame in container.decode(stream)]
    except (av.FFmpegError, OSError, UnicodeDecodeError) as error:
        raise EMO2Error(where, "a sound file", f"{path} ({error})", REMEDY) from error
    if not blocks:
        raise EMO2Error(where, "a file with sound in it", f"{path}, whose audio track is empty", REMEDY)
    return np.concatenate(blocks, axis=1), int(rate)


class LoadAudio:
    """The first audio track of a sound or video file, at its own rate."""

    CATEGORY, FUNCTION = "audio", "load"
    DESCRIPTION = "Loads a sound from the input folder."
    RETURN_TYPES = ("AUDIO",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"audio": (inputs.current.names("audio", "video"), {"audio_upload": True})}}

    @classmethod
    def VALIDATE_INPUTS(cls, audio: str) -> bool | str:
        return True if audio is None or inputs.current.find(audio) else missing("audio", audio)

    def load(self, audio: str) -> tuple[dict[str, Any]]:
        waveform, rate = read_audio(found_file("audio", audio))
        return ({"waveform": torch.from_numpy(waveform)[None], "sample_rate": rate},)


class SaveAudio:
    """Writes a sound as FLAC."""

    CATEGORY, FUNCTION, OUTPUT_NODE = "audio", "save_flac", True
    DESCRIPTION = "Saves a sound to the output folder as FLAC."
    RETURN_TYPES = ("AUDIO",)
    RETURN_NAMES = ("audio",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {"audio": ("AUDIO", {}), "filename_prefix": ("STRING", {"default": "audio/ComfyUI"})},
            "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"},
        }

    @classmethod
    def VALIDATE_INPUTS(cls, filename_prefix: str) -> bool | str:
        return check_prefix(filename_prefix)

    def save_flac(
        self,
        audio: dict[str, Any],
        filename_prefix: str = "audio/ComfyUI",
        prompt: Any = None,
        extra_pnginfo: Any = None,
    ) -> dict[str, Any]:
        slot = next_slot(filename_prefix)
        saved = []
        for place, waveform in enumerate(audio["waveform"]):
            name = slot.name("flac", place)
            with whole_file(slot.folder / name) as temporary:
                write_flac(temporary, waveform, int(audio["sample_rate"]), metadata(prompt, extra_pnginfo))
            saved.append(slot.shown(name))
        return {"ui": {"audio": saved}, "result": (audio,)}


def write_flac(path: Path, waveform: torch.Tensor, rate: int, notes: dict[str, str]) -> None:
    """(channels, samples) to a 16-bit FLAC file."""
    channels = waveform.shape[0]
    layout = {1: "mono", 2: "stereo"}.get(channels)
    if layout is None:
        raise EMO2Error("audio", "one or two channels", f"{channels}", "Mix the sound down first.")
    samples = (
        (waveform.float().cpu().clamp(-1, 1) * 32767).round().to(torch.int16).T.reshape(1, -1).contiguous().numpy()
    )
    with av.open(str(path), "w", format="flac") as container:
        container.metadata.update(notes)
        stream = container.add_stream("flac", rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


class PreviewAudio(SaveAudio):
    """Like SaveAudio, into the folder `previews` of the output folder."""

    DESCRIPTION = "Plays a sound; without a browser it is written to the folder previews."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"audio": ("AUDIO", {})}, "hidden": {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}}

    def save_flac(
        self, audio: dict[str, Any], filename_prefix: str = "", prompt: Any = None, extra_pnginfo: Any = None
    ) -> dict[str, Any]:
        return super().save_flac(audio, filename_prefix or f"{PREVIEWS}/audio", prompt, extra_pnginfo)


NODES = {
    "LoadAudio": ("Load Audio", LoadAudio),
    "SaveAudio": ("Save Audio (FLAC)", SaveAudio),
    "PreviewAudio": ("Preview Audio", PreviewAudio),
}
