"""The voice as an artist sees it: load an encoder, and turn a sound into features at frame rate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..models.audio import (
    CHUNK_SECONDS,
    VoiceEncoder,
    WhisperEncoder,
    check_encoder,
    duration_of,
    encode,
    from_encoder_output,
    is_encoder_folder,
    load_encoder,
    prepare_waveform,
)
from ..models.errors import EMO2Error
from ..models.types import AudioFeatures
from . import host
from .loading import warn_untrained
from .registry import node

FOLDERS = ("emo2", "audio_encoders")
LONG_SECONDS = 30
"""Longer sounds are kept in files of the temp folder, so that their length costs no memory."""


def _encoders() -> dict[str, str]:
    """Names of voice encoders, each with its model folder: our checkpoints, folders of wav2vec 2.0 and Whisper, .pt."""
    found: dict[str, str] = {}
    for folder in FOLDERS:
        for name in host.model_files(folder, kind="audio", suffixes=(".safetensors", "")) + host.model_files(
            folder, suffixes=(".pt",)
        ):
            path = host.model_path(name, folder, "encoder")
            if not path.is_dir() or is_encoder_folder(path):
                found.setdefault(name, folder)
    return found


def _path(name: str) -> Path:
    folder = _encoders().get(name)
    for place in (folder,) if folder else FOLDERS:
        try:
            return host.model_path(name, place, "encoder")
        except EMO2Error as error:
            missing = error
    raise missing


def _spool(seconds: float) -> Path | None:
    return host.temp_directory() if seconds > LONG_SECONDS else None


@node("EMO2LoadAudioEncoder", "EMO2 Load Audio Encoder", "EMO2/audio")
class LoadAudioEncoder:
    DESCRIPTION = (
        "Loads the encoder that listens to the voice: a Hugging Face folder of wav2vec 2.0 or Whisper in "
        "models/audio_encoders, Whisper's own tiny.pt (EchoMimicV2's), or the small one that the pack's models use."
    )
    RETURN_TYPES = ("EMO2_AUDIO_ENCODER",)
    RETURN_NAMES = ("audio_encoder",)
    OUTPUT_TOOLTIPS = ("The voice encoder, for EMO2 Encode Audio.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = (
            "A voice encoder: a wav2vec 2.0 or Whisper folder (with config.json), Whisper's tiny.pt or an EMO2 "
            "checkpoint, in ComfyUI's models/audio_encoders or models/emo2. Take the one that your motion and video "
            "models were trained with."
        )
        return {"required": {"encoder": (list(_encoders()), {"tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, encoder: str | None = None) -> bool | str:
        try:
            if encoder is not None:
                check_encoder(_path(encoder), "encoder")
        except EMO2Error as error:
            return str(error)
        return True

    def load(self, encoder: str) -> tuple[host.ModelHandle]:
        module, header = load_encoder(_path(encoder), "encoder")
        warn_untrained(header)
        return (host.wrap(module, header),)


@node("EMO2EncodeAudio", "EMO2 Encode Audio", "EMO2/audio")
class EncodeAudio:
    DESCRIPTION = (
        "Listens to a voice and describes it 50 times a second: what is said and how strongly. Any length works; long "
        "sounds are encoded in pieces and kept on the disk."
    )
    RETURN_TYPES = ("EMO2_AUDIO", "FLOAT")
    RETURN_NAMES = ("audio_features", "duration")
    OUTPUT_TOOLTIPS = (
        "The voice's features and loudness, for the motion and video nodes.",
        "How long the sound is, in seconds.",
    )
    FUNCTION = "encode"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "audio_encoder": ("EMO2_AUDIO_ENCODER", {"tooltip": "The encoder, from EMO2 Load Audio Encoder."}),
                "audio": (
                    "AUDIO",
                    {"tooltip": "One voice, any sample rate, length and number of channels (they are averaged)."},
                ),
            }
        }

    def encode(self, audio_encoder: host.ModelHandle, audio: dict[str, Any]) -> tuple[AudioFeatures, float]:
        encoder = audio_encoder.module
        assert isinstance(encoder, (VoiceEncoder, WhisperEncoder))
        duration = duration_of(audio)
        spool = _spool(float(duration))
        waveform = prepare_waveform(audio, spool, on_block=host.check_cancelled)
        host.load(audio_encoder, memory=_memory(audio_encoder))
        progress: host.Progress | None = None

        def step(done: int, total: int) -> None:
            nonlocal progress
            progress = progress or host.Progress(total, "audio")
            progress.tick()

        try:
            features = encode(
                encoder,
                waveform,
                name=audio_encoder.header.name,
                duration=duration,
                spool=spool,
                device=host.device(),
                on_step=step,
            )
        finally:
            if progress:
                progress.close()
        return features, float(duration)


@node("EMO2AudioFromEncoderOutput", "EMO2 Audio From Encoder Output", "EMO2/audio")
class AudioFromEncoderOutput:
    DESCRIPTION = (
        "Uses a voice that ComfyUI's own Audio Encoder Encode has listened to, with a wav2vec 2.0 model loaded there."
    )
    RETURN_TYPES = ("EMO2_AUDIO",)
    RETURN_NAMES = ("audio_features",)
    OUTPUT_TOOLTIPS = ("The voice's features, for the motion and video nodes.",)
    FUNCTION = "convert"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "audio_encoder_output": (
                    "AUDIO_ENCODER_OUTPUT",
                    {"tooltip": "From ComfyUI's Audio Encoder Encode. wav2vec 2.0 hears sounds of any length."},
                ),
            },
            "optional": {
                "audio": (
                    "AUDIO",
                    {"tooltip": "The same sound. It gives the loudness and the exact length; connect it if you can."},
                ),
            },
        }

    def convert(
        self, audio_encoder_output: dict[str, Any], audio: dict[str, Any] | None = None
    ) -> tuple[AudioFeatures]:
        seconds = float(duration_of(audio)) if audio is not None else LONG_SECONDS + 1.0
        features = from_encoder_output(audio_encoder_output, audio, spool=_spool(seconds))
        if audio is None and not features.loudness.any():
            host.warn("Loudness is unknown without the sound: connect 'audio' too, or the motion ignores emphasis.")
        return (features,)


def _memory(handle: host.ModelHandle) -> int:
    """Bytes that encoding one chunk takes: the first convolution's output, three times over, is by far the most."""
    channels = handle.config.get("conv_dim") or [512]
    return int(3 * 4 * channels[0] * (CHUNK_SECONDS + 4) * 3200)
