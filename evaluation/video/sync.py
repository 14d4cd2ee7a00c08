"""Sync-C and Sync-D: how well lips and sound go together, by SyncNet (Chung and Zisserman 2016, section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...models.errors import EMO2Error
from .measured import Measured
from .registry import locate, missing, named
from .syncnet import FACE, LIP_FRAMES, SOUND_STEPS, SyncNet, load_syncnet

RATE, FPS = 16000, 25.0
SHIFT = 15
"""Frames by which the sound is moved either way."""
PER_FRAME = 4
"""MFCC steps a video frame."""


def sync(
    made: Sequence[np.ndarray],
    sounds: Sequence[np.ndarray],
    boxes: Sequence[np.ndarray],
    folders: Sequence[Path | str] = (),
) -> tuple[Measured, Measured]:
    """Sync-C (higher is better) and Sync-D (lower is better), one value a clip.

    made: (F, H, W, 3) uint8 at 25 fps. sounds: (T,) float mono 16 kHz from frame 0 on. boxes (F, 4): the face in each
    frame, left, top, right, bottom in pixels.
    """
    found = locate("Sync-C", folders)
    if found.path is None:
        return missing("Sync-C", found.missing), missing("Sync-D", found.missing)
    network = load_syncnet(found.path)
    rows = [agreement(network, face_crops(v, b), s) for v, b, s in zip(made, boxes, sounds)]
    note = f"{FPS:g} fps, shifts of {SHIFT} frames either way"
    return (
        named("Sync-C", clips=[row[0] for row in rows], network=found.path.name, note=note),
        named("Sync-D", clips=[row[1] for row in rows], network=found.path.name, note=note),
    )


def agreement(network: SyncNet, faces: np.ndarray, sound: np.ndarray) -> tuple[float, float, int]:
    """(confidence, distance, lag): of faces (F, 224, 224, 3) uint8 RGB at 25 fps and sound (T,) at 16 kHz.

    The mean distance of lip and sound windows as a function of the shift: its smallest value is the distance, its
    median minus that the confidence; lag in frames, positive where the sound comes after the lips.
    """
    steps = torch.from_numpy(mfcc(np.asarray(sound, np.float64) * 32768).T.copy()).float()
    count = min(len(faces), len(sound) // int(RATE / FPS)) - LIP_FRAMES
    if count < 1:
        raise EMO2Error("Sync-C", "at least six frames with sound", f"{len(faces)} frames", "Give a longer clip.")
    # As the network was trained: blue first, 0..255, no normalisation.
    pictures = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1])).permute(3, 0, 1, 2)
    seen, heard = [], []
    with torch.no_grad():
        for start in range(0, count, 16):
            at = range(start, min(start + 16, count))
            seen.append(network.see(torch.stack([pictures[:, i : i + LIP_FRAMES] for i in at]).float()))
            windows = [steps[None, :, PER_FRAME * i : PER_FRAME * i + SOUND_STEPS] for i in at]
            heard.append(network.hear(torch.stack(windows)))
    return from_embeddings(torch.cat(seen), torch.cat(heard))


def from_embeddings(seen: Tensor, heard: Tensor, shift: int = SHIFT) -> tuple[float, float, int]:
    """(confidence, distance, lag) of window embeddings (n, D); past either end the sound's are zeros, as in the public
    evaluation. A lag of k: the sound's window k later fits best."""
    padded = torch.nn.functional.pad(heard, (0, 0, shift, shift))
    # 1e-6 is what torch's pairwise distance adds to every difference, and the published numbers with it.
    distances = torch.stack(
        [(seen - padded[k : k + len(seen)] + 1e-6).norm(dim=1).mean() for k in range(2 * shift + 1)]
    )
    best = int(distances.argmin())
    return float(distances.median() - distances[best]), float(distances[best]), best - shift


def face_crops(video: np.ndarray, boxes: np.ndarray, margin: float = 0.4) -> np.ndarray:
    """The faces (F, 224, 224, 3) uint8 as SyncNet's own pipeline cuts them: boxes (F, 4) smoothed over 13 frames, wider
    by `margin` of the half side on each side and twice that below, grey (110) outside the picture."""
    import cv2
    from scipy.ndimage import median_filter

    boxes = np.asarray(boxes, np.float64)
    half = np.maximum(boxes[:, 3] - boxes[:, 1], boxes[:, 2] - boxes[:, 0]) / 2
    smooth = lambda values: median_filter(values, 13, mode="nearest")
    half, x, y = smooth(half), smooth((boxes[:, 0] + boxes[:, 2]) / 2), smooth((boxes[:, 1] + boxes[:, 3]) / 2)
    crops = np.empty((len(video), FACE, FACE, 3), np.uint8)
    for index, frame in enumerate(video):
        side = 2 * half[index] * (1 + margin)
        scale = FACE / max(side, 1e-6)
        left, top = x[index] - half[index] * (1 + margin), y[index] - half[index]
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        crops[index] = cv2.warpAffine(
            np.ascontiguousarray(frame), matrix, (FACE, FACE), flags=cv2.INTER_LINEAR, borderValue=(110, 110, 110)
        )
    return crops


def mfcc(signal: np.ndarray) -> np.ndarray:
    """Cepstra (steps, 13) of a 16 kHz signal (T,) in 16-bit units, 100 steps a second, as SyncNet was trained on them.

    Windows of 25 ms without a taper, pre-emphasis 0.97, 26 mel bands of a 512-point spectrum, orthonormal cosine
    transform, lifter 22, and the log energy in place of the first coefficient.
    """
    from scipy.fft import dct

    length, step, bands, points = 400, 160, 26, 512
    signal = np.asarray(signal, np.float64)
    raised = np.append(signal[:1], signal[1:] - 0.97 * signal[:-1])
    count = 1 + max(int(np.ceil((len(raised) - length) / step)), 0)
    raised = np.pad(raised, (0, max((count - 1) * step + length - len(raised), 0)))
    windows = np.lib.stride_tricks.sliding_window_view(raised, length)[::step][:count]
    power = np.abs(np.fft.rfft(windows, points)) ** 2 / points
    tiny = np.finfo(float).eps
    energy = power.sum(1)
    mel = np.maximum(power @ _mel_bands(bands, points).T, 0)
    cepstra = dct(np.log(np.where(mel == 0, tiny, mel)), type=2, axis=1, norm="ortho")[:, :13]
    cepstra *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    cepstra[:, 0] = np.log(np.where(energy == 0, tiny, energy))
    return cepstra


def _mel_bands(bands: int, points: int) -> np.ndarray:
    """Triangles (bands, points / 2 + 1), equally wide in mel from 0 to 8 kHz, their corners on whole bins."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    corners = np.floor((points + 1) * 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1) / RATE)
    bins = np.arange(points // 2 + 1)
    left, middle, right = (corners[k : k + bands, None] for k in range(3))
    rise = np.where((bins >= left) & (bins < middle), (bins - left) / np.maximum(middle - left, 1), 0)
    fall = np.where((bins >= middle) & (bins < right), (right - bins) / np.maximum(right - middle, 1), 0)
    return rise + fall
