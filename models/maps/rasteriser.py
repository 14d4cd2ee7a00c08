"""A z-buffer rasteriser for triangle meshes, on the processor, the same on every machine.

Corners are snapped to 1/4096 of a pixel and edges are tested in whole numbers, so no rounding decides who owns a pixel:
it belongs to a triangle that holds its centre, and a centre exactly on an edge to the triangle below or to the right of
it (the top-left rule). Compiled by numba at the first call, without fast mathematics.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

NEAR = 0.05
"""Nothing nearer to the camera than this is drawn; triangles that reach through are cut. Metres."""
THREADS = 2


def rasterise(
    vertices: np.ndarray,
    faces: np.ndarray,
    visible: np.ndarray,
    labels: np.ndarray,
    size: tuple[int, int],
    focal: float,
) -> np.ndarray:
    """Pictures (F, H, W, 3) uint8 of M meshes: red and green the smooth surface normal's x and y, blue the label.

    vertices (F, M, V, 3): camera axes, metres. faces (M, T, 3). visible (F, M) bool: which meshes are drawn.
    labels (M, T) uint8: each triangle's blue. size (H, W); focal: pixels, principal point at the picture's centre.
    Normals -1..1 become 0..255; where nothing is drawn all three are 0. Among surfaces equally far away the first wins.
    """
    vertices = np.ascontiguousarray(vertices, np.float64)
    faces = np.ascontiguousarray(faces, np.int64)
    visible = np.ascontiguousarray(visible, np.bool_)
    labels = np.ascontiguousarray(labels, np.uint8)
    count, (height, width) = len(vertices), size
    out = np.zeros((count, height, width, 3), np.uint8)
    # Imported when it is used: numba takes a second to load.
    from .kernels import draw

    threads = min(THREADS, os.cpu_count() or 1, count)

    def part(index: int) -> None:
        depth = np.zeros((height, width))
        chosen = slice(count * index // threads, count * (index + 1) // threads)
        draw(vertices[chosen], faces, visible[chosen], labels, float(focal), NEAR, depth, out[chosen])

    if threads < 2:
        for index in range(threads):
            part(index)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(part, range(threads)))
    return out
