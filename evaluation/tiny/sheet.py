"""A contact sheet for eyes: reference, truth and what was made, with marks where mouth and hands ought to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ...models.whole_files import whole_file
from ..video.puppet_truth import Truth
from .bench import FPS, RATE, Bench, Scene

COLUMNS, SCALE, GAP = 7, 2, 4
LEFT, RIGHT, MOUTH = (80, 200, 255), (255, 150, 60), (120, 255, 120)
"""Colours (RGB) of the marks: left hand, right hand, mouth."""
WHITE, GREY = (245, 245, 245), (40, 40, 44)


def paint_sheet(bench: Bench, path: Path, clips: int = 4) -> Path:
    """Write the sheet of the first main clips as PNG: for each a row of truth and one of what was made."""
    scenes, videos = bench.main[:clips], bench.main_videos[:clips]
    rows = [strip(scene, video) for scene, video in zip(scenes, videos)]
    picture = np.concatenate(rows)
    fine, encoded = cv2.imencode(".png", picture[..., ::-1])
    assert fine
    with whole_file(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return path


def strip(scene: Scene, video: np.ndarray) -> np.ndarray:
    """One clip: the reference on the left, moments of the truth above the same moments of `video`, mouth bars below.

    Circles: where the maps put the hands, on both. Bars: how far the sound opens the mouth.
    """
    truth = Truth.of(scene.puppet, count=scene.frames)
    at = np.linspace(0, scene.frames - 1, COLUMNS).round().astype(int)
    points, mouth = truth.points, scene.mouth[:, 0]
    marked = [[_mark(frames[i], points[i], mouth[i]) for i in at] for frames in (scene.truth, video)]
    plain = [_larger(scene.picture), _larger(video[at[COLUMNS // 2]])]
    lines = [_beside([first, *frames]) for first, frames in zip(plain, marked)]
    label = f"{scene.number}  {scene.puppet.performance.style}: reference | truth   /   made | made"
    return np.concatenate([_words(label, lines[0].shape[1]), *lines])


def _mark(frame: np.ndarray, points: np.ndarray, opening: float) -> np.ndarray:
    """A frame, larger, with the hands' places and the mouth's bar."""
    picture = _larger(frame)
    for index, colour in ((0, LEFT), (1, RIGHT)):
        centre = tuple(int(v) for v in np.rint(points[index] * SCALE))
        cv2.circle(picture, centre, int(0.05 * frame.shape[1] * SCALE), colour, 1, cv2.LINE_AA)
    height, width = picture.shape[:2]
    cv2.rectangle(picture, (0, height - 3), (int(width * float(opening)), height), MOUTH, -1)
    return picture


def _larger(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)


def _beside(pictures: Sequence[np.ndarray]) -> np.ndarray:
    gap = np.full((pictures[0].shape[0], GAP, 3), GREY, np.uint8)
    parts = [part for picture in pictures for part in (picture, gap)][:-1]
    line = np.concatenate(parts, axis=1)
    return np.concatenate([line, np.full((GAP, line.shape[1], 3), GREY, np.uint8)])


def _words(text: str, width: int) -> np.ndarray:
    band = np.full((18, width, 3), GREY, np.uint8)
    cv2.putText(band, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, WHITE, 1, cv2.LINE_AA)
    return band


def paint_videos(bench: Bench, folder: Path, clips: int = 4) -> list[Path]:
    """Write mp4 files of the first main clips, truth and made side by side, with their sound."""
    import torch

    from ...models.video.mp4 import write_mp4
    from ...models.video.sound import sound_of

    written = []
    for scene, video in zip(bench.main[:clips], bench.main_videos[:clips]):
        both = np.concatenate([scene.truth, video], axis=2)
        large = np.stack([cv2.resize(f, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC) for f in both])
        waveform = torch.from_numpy(np.array(scene.waveform, np.float32))[None, None]
        path = folder / f"clip_{scene.number}.mp4"
        write_mp4(path, [large], FPS, sound_of({"waveform": waveform, "sample_rate": RATE}))
        written.append(path)
    return written
