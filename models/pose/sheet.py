"""A contact sheet: many pictures as one, in reading order, each with its time."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ..errors import EMO2Error
from .overlay import font

BACKGROUND, TEXT = (22, 25, 30), (214, 220, 228)


def chosen(count: int, pictures: int) -> np.ndarray:
    """Indices of `pictures` (0: all) of `count` frames, evenly spread, the first and the last among them."""
    if pictures <= 0 or pictures >= count:
        return np.arange(count)
    return np.unique(np.round(np.linspace(0, count - 1, pictures)).astype(np.int64))


def contact_sheet(
    read: Callable[[int], np.ndarray], indices: np.ndarray, columns: int, width: int, fps: float = 0.0
) -> np.ndarray:
    """The sheet (H, width, 3) uint8 of the pictures read(i) (h, w, 3) uint8, all of one size, for i in `indices`.

    With `fps` above 0 each is labelled with the time of frame i in seconds and its number, else with its number alone.
    """
    if not len(indices):
        raise EMO2Error("images", "at least one picture", "none", "Connect some pictures.")
    columns = max(min(columns, len(indices)), 1)
    margin = max(width // 160, 2)
    cell = (width - margin * (columns + 1)) // columns
    if cell < 16:
        wanted = f"at least {(16 + margin) * columns + margin} pixels for {columns} columns"
        raise EMO2Error("width", wanted, width, "Use fewer columns or a wider sheet.")
    first = read(int(indices[0]))
    height = max(round(first.shape[0] * cell / first.shape[1]), 1)
    text = max(min(round(cell / 12), 22), 8)
    bar = round(text * 1.5)
    rows = -(-len(indices) // columns)
    total = rows * (height + bar + margin) + margin
    if total * width > 1 << 28:
        remedy = "Choose fewer pictures, more columns or a narrower sheet."
        raise EMO2Error("pictures", "a sheet of at most 268 megapixels", f"{width} x {total}", remedy)
    sheet = np.empty((total, width, 3), np.uint8)
    sheet[:] = BACKGROUND
    places = []
    for n, index in enumerate(indices):
        row, column = divmod(n, columns)
        top, left = margin + row * (height + bar + margin), margin + column * (cell + margin)
        picture = first if n == 0 else read(int(index))
        way = cv2.INTER_AREA if cell < picture.shape[1] else cv2.INTER_CUBIC
        sheet[top : top + height, left : left + cell] = cv2.resize(picture, (cell, height), interpolation=way)
        places.append((left, top + height, int(index)))
    image = Image.fromarray(sheet)
    draw, type_face = ImageDraw.Draw(image), font(text)
    for left, below, index in places:
        middle = below + bar / 2
        time = f"{index / fps:.2f} s" if fps > 0 else f"{index}"
        draw.text((left + 1, middle), time, font=type_face, fill=TEXT, anchor="lm")
        if fps > 0:
            draw.text((left + cell - 1, middle), f"{index}", font=type_face, fill=(120, 130, 142), anchor="rm")
    return np.asarray(image).copy()
