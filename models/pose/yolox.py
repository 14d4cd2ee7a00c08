"""People in pictures by YOLOX (arXiv 2107.08430), as DWPose (`yolox_l.onnx`) and RTMPose publish it; YOLOv10 too.

YOLOX's pictures are BGR 0..255, those of YOLOv10 (arXiv 2405.14458) RGB 0..1; what a picture does not cover is grey.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from ..errors import EMO2Error
from .onnx_graph import Graph
from .onnx_session import Network, picture_input

STRIDES = (8, 16, 32)
"""Pixels between a picture's cells, in the order in which the network lists them."""
GREY = 114
SIDE = 640
"""Pixels of the square picture where a file leaves its size free."""
PERSON = 0
"""The class "person" of COCO's 80."""
SURE = 0.3
"""People below this score are none, as in DWPose."""
OVERLAP = 0.45
"""Two boxes that share more (intersection over union) are one person."""
PICTURES = 4
"""How many pictures go through the network together."""
MOST_ROWS = 1000
"""YOLOv10 gives its best boxes only, 300 of them: a longer list of six numbers a row is something else."""
WANTED = "a person detector: YOLOX (DWPose's yolox_l.onnx) or YOLOv10"


class People(NamedTuple):
    """People in one picture, the surest first. boxes (P, 4) left, top, right, bottom in pixels; scores (P,) 0..1."""

    boxes: np.ndarray
    scores: np.ndarray


def problem(graph: Graph) -> str | None:
    """Why a network is no such detector; None when it is one."""
    size = picture_input(graph)
    if size is None:
        return str(graph)
    names = [value.name for value in graph.outputs]
    shape = graph.outputs[0].shape
    last = shape[-1] if shape else None
    if "dets" in names:
        shape = graph.outputs[names.index("dets")].shape
        return None if not shape or (len(shape) == 3 and shape[2] in (5, None)) else str(graph)
    if len(names) == 1 and len(shape) == 3 and (last is None or last > 5):
        return None if shape[1] in (_cells(size), None) or _is_finished(graph) else str(graph)
    return str(graph)


def _cells(size: tuple[int | None, int | None]) -> int:
    height, width = size[0] or SIDE, size[1] or SIDE
    return sum((height // stride) * (width // stride) for stride in STRIDES)


def _is_finished(graph: Graph) -> bool:
    """Whether a network gives whole boxes as YOLOv10 does (N, 300, 6): left, top, right, bottom, score, class."""
    shape, size = graph.outputs[0].shape, picture_input(graph) or (None, None)
    short = len(shape) == 3 and shape[1] is not None and shape[1] <= MOST_ROWS
    return len(graph.outputs) == 1 and short and shape[2] == 6 and shape[1] != _cells(size)


def letterbox(frames: np.ndarray, size: tuple[int, int], like_yolox: bool = True) -> tuple[np.ndarray, float]:
    """Frames (N, H, W, 3) uint8 RGB as the network's pictures (N, 3, *size) float32, at the top left of the grey.

    like_yolox: BGR 0..255, else RGB 0..1. Returns them with the scale: pixels of theirs a pixel of the frame.
    """
    height, width = frames.shape[1:3]
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, int(width * scale)), max(1, int(height * scale))
    pictures = np.full((len(frames), *size, 3), GREY, np.uint8)
    for picture, frame in zip(pictures, frames):
        same = inner == (width, height)
        picture[: inner[1], : inner[0]] = frame if same else cv2.resize(frame, inner, interpolation=cv2.INTER_LINEAR)
    if like_yolox:
        return pictures[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32), scale
    return pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255, scale


def decode(cells: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The raw output (N, A, 5 + C) of a network for pictures of `size` (H, W), as boxes and scores of people.

    A cell says where the box's middle is from its own corner, in strides, the logarithms of the box's sides in strides,
    how sure it is of a thing, and of each class. Returns boxes (N, A, 4), left, top, right, bottom in the
    network's pixels, and scores (N, A).
    """
    corners, strides = _grid(size)
    cells = cells.astype(np.float32)
    middle = (cells[..., :2] + corners) * strides
    half = np.exp(np.minimum(cells[..., 2:4], 20)) * strides / 2
    return np.concatenate([middle - half, middle + half], -1), cells[..., 4] * cells[..., 5 + PERSON]


def _grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Corners (A, 2) x, y of the cells in strides, and their strides (A, 1) in pixels."""
    corners, strides = [], []
    for stride in STRIDES:
        rows, columns = size[0] // stride, size[1] // stride
        y, x = np.mgrid[:rows, :columns]
        corners.append(np.stack([x, y], -1).reshape(-1, 2))
        strides.append(np.full((rows * columns, 1), stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float = OVERLAP) -> np.ndarray:
    """Indices of the boxes (P, 4) that stay, the surest first: none overlaps a surer one by more than `overlap`.

    A pixel has a width: a box from 3 to 3 is one pixel wide, as YOLOX counts.
    """
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2] + 1, 0)
    areas = sides.prod(-1)
    order = scores.argsort(kind="stable")[::-1]
    keep = []
    while len(order):
        best, rest = order[0], order[1:]
        keep.append(best)
        shared = np.minimum(boxes[best, 2:], boxes[rest, 2:]) - np.maximum(boxes[best, :2], boxes[rest, :2]) + 1
        common = np.maximum(shared, 0).prod(-1)
        order = rest[common / np.maximum(areas[best] + areas[rest] - common, 1e-9) <= overlap]
    return np.array(keep, np.int64)


class PersonDetector:
    """A detector from a file: YOLOX, with or without the suppression of overlapping boxes inside, or YOLOv10.

    sure: people below this score are left out; `device`, `threads` and `device_id` as in `Network`.
    """

    def __init__(
        self, path: Path, graph: Graph, device: str = "auto", threads: int = 0, device_id: int = 0,
        sure: float = SURE, where: str = "person_detector",
    ):  # fmt: skip
        self.network = Network(path, graph, device, threads, device_id, where)
        height, width = picture_input(graph) or (None, None)
        self.size = (height or SIDE, width or SIDE)
        self.sure = sure
        self._finished = _is_finished(graph)
        self._suppressed = self._finished or "dets" in self.network.names

    def find(self, frames: np.ndarray) -> list[People]:
        """The people in each of `frames` (N, H, W, 3) uint8 RGB."""
        found: list[People] = []
        for start in range(0, len(frames), PICTURES):
            pictures, scale = letterbox(frames[start : start + PICTURES], self.size, not self._finished)
            for outputs in self.network.batches(pictures, PICTURES):
                boxes, scores = self._read(outputs)
                found.extend(self._people(*pair, scale) for pair in zip(boxes, scores))
        return found

    def _read(self, outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, A, 4) in the network's pixels and people's scores (N, A) of one run."""
        if self._finished:
            rows = outputs[self.network.names[0]].astype(np.float32)
            return rows[..., :4], np.where(rows[..., 5].round() == PERSON, rows[..., 4], 0)
        if self._suppressed:
            boxes, labels = outputs["dets"].astype(np.float32), outputs.get("labels")
            other = False if labels is None else labels != PERSON
            return boxes[..., :4], np.where(other, 0, boxes[..., 4])
        cells = outputs[self.network.names[0]]
        wanted = _cells(self.size)
        if cells.ndim != 3 or cells.shape[1] != wanted or cells.shape[2] < 6:
            given = f"{self.network.path.name}, which gives {cells.shape}"
            raise EMO2Error(self.network.where, f"{WANTED}, of {wanted} cells", given, "Choose another file.")
        return decode(cells, self.size)

    def _people(self, boxes: np.ndarray, scores: np.ndarray, scale: float) -> People:
        good = np.isfinite(boxes).all(-1) & (scores > self.sure)
        boxes, scores = boxes[good] / scale, scores[good]
        keep = scores.argsort(kind="stable")[::-1] if self._suppressed else suppress(boxes, scores)
        return People(boxes[keep], np.clip(scores[keep], 0, 1))
