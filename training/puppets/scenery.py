"""What stands behind a puppet: a wall with a gradient, a floor, and a few plain things on the wall."""

from __future__ import annotations

import numpy as np

from .canvas import Canvas, shade
from .identity import Item, Scene


def paint_scene(scene: Scene, size: tuple[int, int]) -> np.ndarray:
    """The empty scene, (H, W, 3) uint8."""
    height, width = size
    place = np.linspace(0, 1, height)[:, None, None]
    wall = np.array(scene.above) * (1 - place) + np.array(scene.below) * place
    canvas = Canvas(np.ascontiguousarray(np.broadcast_to(np.rint(wall).clip(0, 255), (height, width, 3)), np.uint8))
    for item in scene.items:
        _ITEMS[item.kind](canvas, item, np.array([width, height], float))
    if scene.floor < 1:
        canvas.pixels[round(scene.floor * height) :] = scene.ground
    return canvas.pixels


def _box(item: Item, extent: np.ndarray, share: float = 1.0) -> np.ndarray:
    centre, half = np.array(item.place) * extent, np.array(item.size) * extent * share
    return np.array([centre + half * corner for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1))])


def _window(canvas: Canvas, item: Item, extent: np.ndarray) -> None:
    canvas.polygon(_box(item, extent), item.colours[0])
    canvas.polygon(_box(item, extent, 0.8), item.colours[1])


def _frame(canvas: Canvas, item: Item, extent: np.ndarray) -> None:
    _window(canvas, item, extent)
    canvas.circle(np.array(item.place) * extent, 0.4 * min(np.array(item.size) * extent), item.colours[0])


def _lamp(canvas: Canvas, item: Item, extent: np.ndarray) -> None:
    centre, half = np.array(item.place) * extent, np.array(item.size) * extent
    canvas.polygon(centre + half * np.array([[-0.5, -0.6], [0.5, -0.6], [1, 0.4], [-1, 0.4]]), item.colours[0])
    canvas.capsule(
        centre + np.array([0, half[1] * 0.4]), [centre[0], extent[1]], (half[0] * 0.12,) * 2, item.colours[1]
    )


def _shelf(canvas: Canvas, item: Item, extent: np.ndarray) -> None:
    box = _box(item, extent)
    canvas.polygon(box, shade(item.colours[0], 0.7))
    for part in range(3):
        left, right = ((box[0] * (3 - k) + box[1] * k) / 3 for k in (part, part + 0.75))
        top = box[0][1] + (box[2][1] - box[0][1]) * (0.1 + 0.12 * part)
        book = np.array([[left[0], top], [right[0], top], [right[0], box[2][1]], [left[0], box[2][1]]])
        canvas.polygon(book, item.colours[part % 2])


def _plant(canvas: Canvas, item: Item, extent: np.ndarray) -> None:
    centre, half = np.array(item.place) * extent, np.array(item.size) * extent
    for angle in (-50, -15, 20, 55):
        tip = centre + half * np.array([np.sin(np.radians(angle)), -np.cos(np.radians(angle))])
        canvas.capsule(centre + np.array([0, half[1]]), tip, (half[0] * 0.08, half[0] * 0.22), item.colours[0])
    canvas.polygon(centre + half * np.array([[-0.5, 0.8], [0.5, 0.8], [0.35, 1.6], [-0.35, 1.6]]), item.colours[1])


def _band(canvas: Canvas, item: Item, extent: np.ndarray) -> None:
    top, bottom = (item.place[1] + s * item.size[1] * 0.5 for s in (-1, 1))
    canvas.polygon(np.array([[-0.1, top], [1.1, top], [1.1, bottom], [-0.1, bottom]]) * extent, item.colours[0])


_ITEMS = {"window": _window, "frame": _frame, "lamp": _lamp, "shelf": _shelf, "plant": _plant, "band": _band}
