"""What the pack hears: waveforms, voice encoders, features at 50 Hz, loudness, and how many frames a sound has."""

from .accents import intensity
from .chunks import CHUNK_SECONDS, encode
from .encoder import BASE, TINY, VoiceEncoder, build, write_tiny
from .foreign import from_encoder_output
from .loading import check_encoder, is_encoder_folder, load_encoder
from .prosody import loudness
from .timing import duration_of, frame_count
from .waveform import check_audio, prepare_waveform
from .whisper import WhisperEncoder

__all__ = [
    "BASE", "CHUNK_SECONDS", "TINY", "VoiceEncoder", "WhisperEncoder", "build", "check_audio", "check_encoder",
    "duration_of", "encode",
    "frame_count", "from_encoder_output", "intensity", "is_encoder_folder", "load_encoder", "loudness",
    "prepare_waveform", "write_tiny",
]  # fmt: skip
