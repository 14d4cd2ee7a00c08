"""People in pictures by YOLOX (arXiv 2107.08430), as DWPose (`yolox_l.onnx`) and RTMPose publish it.

Its pictures are BGR 0..255 and neither shifted nor scaled; what they do not cover is grey (114).
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
WANTED = "a person detector in YOLOX's format (DWPose's yolox_l.onnx)"


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
        height, width = size[0] or SIDE, size[1] or SIDE
        cells = sum((height // stride) * (width // stride) for stride in STRIDES)
        return None if shape[1] in (cells, None) else str(graph)
    return str(graph)


def letterbox(frames: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Frames (N, H, W, 3) uint8 RGB as the network's pictures (N, 3, *size) float32 BGR, at the top left of the grey.

    Returns them with the scale: pixels of theirs a pixel of the frame.
    """
    height, width = frames.shape[1:3]
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, int(width * scale)), max(1, int(height * scale))
    pictures = np.full((len(frames), *size, 3), GREY, np.uint8)
    for picture, frame in zip(pictures, frames):
        same = inner == (width, height)
        picture[: inner[1], : inner[0]] = frame if same else cv2.resize(frame, inner, interpolation=cv2.INTER_LINEAR)
    return pictures[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32), scale


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
    """YOLOX from a file, with or without the suppression of overlapping boxes inside.

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
        self._suppressed = "dets" in self.network.names

    def find(self, frames: np.ndarray) -> list[People]:
        """The people in each of `frames` (N, H, W, 3) uint8 RGB."""
        found: list[People] = []
        for start in range(0, len(frames), PICTURES):
            pictures, scale = letterbox(frames[start : start + PICTURES], self.size)
            for outputs in self.network.batches(pictures, PICTURES):
                boxes, scores = self._read(outputs)
                found.extend(self._people(*pair, scale) for pair in zip(boxes, scores))
        return found

    def _read(self, outputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Boxes (N, A, 4) in the network's pixels and people's scores (N, A) of one run."""
        if self._suppressed:
            boxes, labels = outputs["dets"].astype(np.float32), outputs.get("labels")
            other = False if labels is None else labels != PERSON
            return boxes[..., :4], np.where(other, 0, boxes[..., 4])
        cells = outputs[self.network.names[0]]
        wanted = sum((self.size[0] // stride) * (self.size[1] // stride) for stride in STRIDES)
        if cells.ndim != 3 or cells.shape[1] != wanted or cells.shape[2] < 6:
            raise EMO2Error(
                self.network.where, f"{WANTED}: {wanted} cells", f"{self.network.path.name}, which gives {cells.shape}",
                "Choose another file.",
            )  # fmt: skip
        return decode(cells, self.size)

    def _people(self, boxes: np.ndarray, scores: np.ndarray, scale: float) -> People:
        good = np.isfinite(boxes).all(-1) & (scores > self.sure)
        boxes, scores = boxes[good] / scale, scores[good]
        keep = scores.argsort(kind="stable")[::-1] if self._suppressed else suppress(boxes, scores)
        return People(boxes[keep], np.clip(scores[keep], 0, 1))
