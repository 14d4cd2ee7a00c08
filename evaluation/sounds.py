"""Recordings that a person names: files of a folder, and their sound at 16 kHz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..models.errors import EMO2Error

ENDINGS = (".wav", ".flac", ".ogg", ".mp3", ".m4a", ".opus")


def sound_files(folder: Path) -> list[Path]:
    """The recordings in a folder, by name; EMO2Error where there is none."""
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not found:
        endings = ", ".join(ENDINGS)
        raise EMO2Error(
            "--speech", f"a folder with recordings ({endings})", f"none in {folder}", "Name another folder."
        )
    return found


def read_sound(path: Path) -> np.ndarray:
    """The sound of an audio or video file as 16 kHz mono (T,) float32."""
    import av
    import torch

    from ..models.audio import prepare_waveform

    try:
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            frames, rate = [], stream.rate
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
            for frame in container.decode(stream):
                frames += [part.to_ndarray() for part in resampler.resample(frame)]
            frames += [part.to_ndarray() for part in resampler.resample(None)]
    except (av.error.FFmpegError, OSError, IndexError) as error:
        given = f"{path.name} ({error})"
        raise EMO2Error("audio", "a sound file", given, "Convert it to WAV.") from error
    waveform = np.concatenate(frames, axis=1) if frames else np.zeros((1, 0), np.float32)
    return prepare_waveform({"waveform": torch.from_numpy(waveform.astype(np.float32))[None], "sample_rate": rate})
