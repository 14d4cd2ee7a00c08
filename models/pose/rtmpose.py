"""A person's 133 points by networks in RTMPose's format (arXiv 2303.07399): DWPose (arXiv 2307.15880) and RTMW.

Top-down: each person is cut out, and the network says for every point how likely each column and each row is (SimCC,
arXiv 2107.03332). Its pictures are RGB.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import EMO2Error
from .onnx_graph import Graph, Value
from .onnx_session import Network, picture_input

POINTS = 133
"""Points of COCO-WholeBody."""
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
STD = np.array([58.395, 57.12, 57.375], np.float32)
"""ImageNet's colours, red, green, blue, which these networks were trained with."""
_SCALED = ((np.arange(256)[:, None] - MEAN) / STD).T.astype(np.float32)
"""What each brightness of red, green and blue becomes, (3, 256): looking it up is faster than computing it."""
AROUND = 1.25
"""How much larger the cut-out is than the person's box."""
BINS = 2
"""Columns and rows a pixel of the cut-out, in all published files."""
CROPS = 16
"""How many people go through the network together."""
WANTED = "a whole-body pose network in RTMPose's format (DWPose's dw-ll_ucoco_384.onnx, RTMW)"


def problem(graph: Graph) -> str | None:
    """Why a network is none for whole bodies; None when it is one."""
    if picture_input(graph) is None:
        return str(graph)
    axes = _axes(graph)
    if axes is None:
        return str(graph)
    points = next((value.shape[1] for value in axes if len(value.shape) == 3 and value.shape[1]), POINTS)
    if points != POINTS:
        return f"a pose network of {points} points without face and hands" if points < 100 else str(graph)
    if _size(graph) is None:
        return f"{graph}, which does not say its picture's size"
    return None


def _axes(graph: Graph) -> tuple[Value, Value] | None:
    """The outputs for columns and rows."""
    named = {value.name: value for value in graph.outputs}
    if {"simcc_x", "simcc_y"} <= named.keys():
        return named["simcc_x"], named["simcc_y"]
    found = [value for value in graph.outputs if len(value.shape) == 3 and value.shape[1] == POINTS]
    return (found[0], found[1]) if len(found) == len(graph.outputs) == 2 else None


def _size(graph: Graph) -> tuple[int, int] | None:
    """(H, W) of the network's picture: of its input, or of the rows and columns where the input's is free."""
    size, axes = picture_input(graph), _axes(graph)
    if size is None or axes is None:
        return None
    bins = [value.shape[2] if len(value.shape) == 3 else None for value in axes]
    width, height = (given or (count or 0) // BINS for given, count in zip((size[1], size[0]), bins))
    return (height, width) if height and width else None


def cut_outs(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Middle (P, 2) and sides (P, 2) x, y of what is cut out around boxes (P, 4), in the picture's pixels.

    It is larger than the box, and has the shape of the network's picture `size` (H, W).
    """
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = (boxes[:, 2:] - boxes[:, :2]) * AROUND
    shape = size[1] / size[0]
    width, height = sides[:, 0], sides[:, 1]
    wide = width > height * shape
    return middle, np.stack([np.where(wide, width, height * shape), np.where(wide, width / shape, height)], -1)


def cut_out(frame: np.ndarray, middle: np.ndarray, sides: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A part of a frame (H, W, 3) uint8 RGB scaled to `size` (H, W); black beyond the frame."""
    scale = size[1] / sides[0]
    shift = np.array([size[1], size[0]]) / 2 - scale * middle
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(frame, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR)


def normalised(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 RGB as the network takes it, (3, H, W) float32."""
    return np.stack([table.take(picture[..., channel]) for channel, table in enumerate(_SCALED)])


def decode(
    columns: np.ndarray, rows: np.ndarray, middle: np.ndarray, sides: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Likelihoods of columns (P, K, X) and rows (P, K, Y) as points (P, K, 2) in the picture's pixels, scores (P, K).

    middle, sides: what was cut out, as `cut_outs` says; size (H, W): of the network's picture. A point lies where both
    are largest, and its score is the mean of the two. A point whose score is not above 0 is nowhere: NaN.
    """
    places = np.stack([columns.argmax(-1), rows.argmax(-1)], -1).astype(np.float64)
    scores = (columns.max(-1).astype(np.float64) + rows.max(-1)) / 2
    bins = np.array([columns.shape[-1] / size[1], rows.shape[-1] / size[0]])
    within = places / bins / np.array([size[1], size[0]])
    points = within * sides[:, None] + (middle - sides / 2)[:, None]
    return np.where((scores > 0)[..., None], points, np.nan), scores


class PoseNetwork:
    """A whole-body network from a file; `device`, `threads` and `device_id` as in `Network`."""

    def __init__(
        self, path: Path, graph: Graph, device: str = "auto", threads: int = 0, device_id: int = 0,
        where: str = "detector",
    ):  # fmt: skip
        axes, size = _axes(graph), _size(graph)
        if axes is None or size is None:
            raise EMO2Error(where, WANTED, f"{path.name}, {graph}", "Choose another file.")
        self.size = size
        self.network = Network(path, graph, device, threads, device_id, where)
        self._names = axes[0].name, axes[1].name

    def points(self, frames: np.ndarray, owners: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (P, 133, 2) in pixels, NaN where there is none, and scores (P, 133) as the network gives them.

        frames (N, H, W, 3) uint8 RGB; owners (P,) says in which frame a person is, boxes (P, 4) where, in pixels.
        """
        found: list[tuple[np.ndarray, np.ndarray]] = []
        middle, sides = cut_outs(np.asarray(boxes, np.float64), self.size)
        for start in range(0, len(owners), CROPS):
            part = slice(start, start + CROPS)
            pictures = np.empty((len(owners[part]), 3, *self.size), np.float32)
            for picture, owner, cut_middle, cut_sides in zip(pictures, owners[part], middle[part], sides[part]):
                picture[:] = normalised(cut_out(frames[owner], cut_middle, cut_sides, self.size))
            outputs = self.network.run(pictures, CROPS)
            columns, rows = (outputs[name] for name in self._names)
            if columns.ndim != 3 or columns.shape[1] != POINTS or rows.shape[:2] != columns.shape[:2]:
                given = f"{self.network.path.name}, which gives {columns.shape} and {rows.shape}"
                raise EMO2Error(self.network.where, f"{WANTED}: {POINTS} points", given, "Choose another file.")
            found.append(decode(columns, rows, middle[part], sides[part], self.size))
        if not found:
            return np.zeros((0, POINTS, 2)), np.zeros((0, POINTS))
        return np.concatenate([points for points, _ in found]), np.concatenate([scores for _, scores in found])
