"""A contact sheet of a video: what was kept with its pose over it, what was left out with the reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...models.hands import HandModel
from ...models.pose.overlay import draw_motion, legend
from ...models.pose.sheet import contact_sheet
from ...models.whole_files import whole_file
from ..puppets.cache import Record, read_record
from .reading import BrokenVideo, Footage

CELLS, COLUMNS, WIDTH = 24, 6, 1800
OUTLINE, LEFT_OUT, KEPT = (255, 255, 255), (255, 120, 120), (140, 235, 160)
DIMMED = 0.45
SHOWN = 640
"""Longest side at which frames of clips that were left out are read."""


def write_sheet(
    target: Path, footage: Footage, place: Path, clips: Sequence[dict[str, Any]], size: tuple[int, int],
    hands: HandModel,
) -> None:  # fmt: skip
    """Up to CELLS frames of a video's clips, as a PNG file; nothing for a video without clips.

    clips: as the work files have them; place: where their records lie. size: (H, W) of the records' pictures.
    """
    import cv2

    cells = _cells(clips)
    if not cells:
        return
    cv2.setRNGSeed(0)
    held: dict[str, Record] = {}

    def read(frame: int) -> np.ndarray:
        clip = cells[frame]
        at = frame - clip["first"]
        for name, start in zip(clip["records"], clip["starts"]):
            if start <= at < start + clip["frames"]:
                if name not in held:  # frames come in order, so one record at a time is enough
                    held.clear()
                    held[name] = read_record(place / name)
                return _kept(held[name], at - start, hands)
        return _left_out(footage, frame, clip, size)

    picture = contact_sheet(read, np.array(sorted(cells)), COLUMNS, WIDTH, footage.fps)
    with whole_file(target) as temporary:
        coded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
        Path(temporary).write_bytes(coded.tobytes())


def _cells(clips: Sequence[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Frames of the video to be shown, each with its clip: as many of each kept clip as there is room for."""
    if len(clips) > CELLS:
        clips = [clips[i] for i in np.linspace(0, len(clips) - 1, CELLS).round().astype(int)]
    kept = sum(bool(clip["records"]) for clip in clips)
    room = (CELLS - len(clips)) // max(kept, 1) + 1
    cells = {}
    for clip in clips:
        many = room if clip["records"] else 1
        for share in (np.arange(many) + 0.5) / many:
            cells[int(clip["first"] + share * (clip["stop"] - clip["first"]))] = clip
    return cells


def _kept(record: Record, at: int, hands: HandModel) -> np.ndarray:
    import cv2

    picture = draw_motion(record.frames_at([at])[0], record.motion, hands, at, 1)[0]
    mask = record._pictures("person", [at])[0][..., 0]
    edges = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    cv2.drawContours(picture, edges, -1, OUTLINE, 1, cv2.LINE_AA)
    opening, width = record.mouth[at]
    x, y = record.mouth_places[at]
    radius = 0.06 * record.motion.framing.shoulder_width * record.size[1]
    axes = max(round(radius * (1 + width)), 1), max(round(2 * radius * opening), 1)
    cv2.ellipse(picture, (round(float(x)), round(float(y))), axes, 0, 0, 360, KEPT, 1, cv2.LINE_AA)
    sure = record.confidence[at]
    lines: list[tuple[str, tuple[int, ...]]]
    lines = [(f"left {sure[0]:.2f}  right {sure[1]:.2f}", KEPT), (f"opening {opening:.2f}  width {width:.2f}", KEPT)]
    return legend(picture, lines)


def _left_out(footage: Footage, frame: int, clip: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The whole frame, dimmed, in a picture of `size`, with the reason on it; black where it cannot be read."""
    import cv2

    canvas = np.zeros((*size, 3), np.uint8)
    try:
        picture = next(iter(footage.frames(frame, frame + 1, SHOWN)))
    except (BrokenVideo, StopIteration):
        picture = np.zeros((8, 8, 3), np.uint8)
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    height, width = max(int(picture.shape[0] * scale), 1), max(int(picture.shape[1] * scale), 1)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = (small * DIMMED).astype(np.uint8)
    return legend(canvas, [(clip["reason"] or "kept, but not in a record", LEFT_OUT)])


__all__ = ["write_sheet"]
