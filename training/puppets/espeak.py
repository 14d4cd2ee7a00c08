"""The espeak-ng synthesiser as a library: text in, samples and the times of its phonemes out, the same every time.

The library comes with the package `espeakng-loader`. It keeps hidden state between utterances (phase of the voice,
noise), so it is unloaded and loaded again for each of them, which takes half a millisecond.
"""

from __future__ import annotations

import ctypes
import os
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...models.errors import EMO2Error

SYNCHRONOUS, PHONEME_EVENTS, NO_EXIT = 2, 1, 0x8000
RATE, PITCH, RANGE = 1, 3, 4
UTF8 = 1
WORD, PHONEME = 1, 7
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Phoneme:
    """One sound of an utterance: espeak's name for it, stress 0, 1 (secondary) or 2 (primary), start in seconds, and
    the number of the word that it belongs to, from 1."""

    name: str
    stress: int
    start: float
    word: int


@dataclass(frozen=True)
class Utterance:
    """Samples (T,) float32 -1..1 at `rate` Hz, and phonemes in order of time."""

    waveform: np.ndarray
    rate: float
    phonemes: tuple[Phoneme, ...]


class _Name(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("uid", ctypes.c_uint), ("text_position", ctypes.c_int), ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int), ("sample", ctypes.c_int), ("user_data", ctypes.c_void_p), ("id", _Name),
    ]  # fmt: skip


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def synthesise(text: str, voice: str, rate: int = 170, pitch: int = 50, pitch_range: int = 50) -> Utterance:
    """`text` spoken by an espeak voice such as "en-us+f2".

    rate: words a minute, 80 to 450. pitch, pitch_range: 0 to 99, 50 the voice's own. Raises EMO2Error when the package
    is missing or does not know the voice.
    """
    sound: list[bytes] = []
    events: list[tuple[int, int, bytes, int]] = []

    def listen(samples: Any, count: int, happened: Any) -> int:
        if count > 0 and samples:
            sound.append(ctypes.string_at(samples, 2 * count))
        i = 0
        while happened[i].type:
            event = happened[i]
            if event.type == PHONEME:
                events.append((PHONEME, event.sample, bytes(event.id.string), 0))
            elif event.type == WORD:
                events.append((WORD, event.sample, b"", event.id.number))
            i += 1
        return 0

    with _LOCK:
        library, sample_rate = _load()
        try:
            keep = _CALLBACK(listen)
            library.espeak_SetSynthCallback(keep)
            if library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise EMO2Error("voice", "a voice that espeak-ng knows", repr(voice), 'Give one such as "en-us+f2".')
            for parameter, value in ((RATE, rate), (PITCH, pitch), (RANGE, pitch_range)):
                library.espeak_SetParameter(parameter, int(value), 0)
            encoded = text.encode()
            library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, UTF8, None, None)
            library.espeak_Synchronize()
        finally:
            _unload(library)
    samples = np.frombuffer(b"".join(sound), np.int16).astype(np.float32) / 32768
    return Utterance(samples, sample_rate, _phonemes(events, sample_rate))


def _phonemes(events: list[tuple[int, int, bytes, int]], rate: int) -> tuple[Phoneme, ...]:
    found, word = [], 0
    for kind, sample, name, number in events:
        if kind == WORD:
            word = number
            continue
        text = name.decode("utf-8", "replace")
        stress = 2 if "'" in text[:2] else 1 if "," in text[:2] else 0
        found.append(Phoneme(text.lstrip("',%=|"), stress, sample / rate, word))
    return tuple(found)


def _load() -> tuple[ctypes.CDLL, int]:
    """A fresh copy of the library and its sample rate."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise EMO2Error(
            "espeak-ng", "the package espeakng-loader, which speaks for the puppets", error,
            "Run: pip install espeakng-loader",
        ) from error  # fmt: skip
    folder = os.path.dirname(espeakng_loader.get_data_path())
    try:
        library = ctypes.CDLL(espeakng_loader.get_library_path())
    except OSError as error:
        raise EMO2Error(
            "espeak-ng", "a library that can be loaded", error, "Run: pip install --force-reinstall espeakng-loader"
        ) from error
    rate = library.espeak_Initialize(SYNCHRONOUS, 200, folder.encode(), PHONEME_EVENTS | NO_EXIT)
    if rate <= 0:
        _unload(library)
        raise EMO2Error(
            "espeak-ng", "its data files", folder, "Run: pip install --force-reinstall espeakng-loader"
        )  # fmt: skip
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    return library, rate


def _unload(library: ctypes.CDLL) -> None:
    library.espeak_Terminate()
    if os.name == "nt":
        close = ctypes.WinDLL("kernel32").FreeLibrary  # type: ignore[attr-defined]
        close.argtypes = [ctypes.c_void_p]
        close(library._handle)
    else:
        import _ctypes

        _ctypes.dlclose(library._handle)
