"""The rasteriser's inner loops, compiled by numba. Imported only when something is drawn."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable

import numba
import numpy as np

log = logging.getLogger("emo2")
SUBPIXEL = 4096
GUARD = 131072.0
"""Triangles with a corner farther than this from the picture's middle (pixels) are not drawn."""


def _compile(function: Callable) -> Callable:
    """Machine code, kept on disk where there is a writable place. It frees the interpreter's lock while it runs."""
    # The kept code remembers its module's name, which is another one in ComfyUI than on the command line.
    function.__qualname__ += f"_{hashlib.sha256(__name__.encode()).hexdigest()[:12]}"
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError as error:
        log.debug("the rasteriser's machine code cannot be kept on disk: %s", error)
        return numba.njit(nogil=True)(function)


@_compile
def _normals(points, faces, normals):
    """Vertex normals, not of length 1: the sum of the surrounding triangles' area vectors."""
    normals[:] = 0.0
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for v in (a, b, c):
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        if length > 0:
            normals[v] /= length


@_compile
def _fill(corners, slants, label, focal, depth, picture):
    """Draw one triangle (3, 3) with its corners' normals (3, 3)."""
    height, width = depth.shape
    x, y = np.zeros(3, np.int64), np.zeros(3, np.int64)
    w = np.zeros(3)
    for k in range(3):
        w[k] = 1.0 / corners[k, 2]
        px, py = focal * corners[k, 0] * w[k], focal * corners[k, 1] * w[k]
        if not (abs(px) < GUARD and abs(py) < GUARD):
            return
        # Pixel centres lie at whole numbers of the snapped grid: shift by half a pixel.
        x[k] = np.int64(np.floor((px + width / 2 - 0.5) * SUBPIXEL + 0.5))
        y[k] = np.int64(np.floor((py + height / 2 - 0.5) * SUBPIXEL + 0.5))
    area = (x[1] - x[0]) * (y[2] - y[0]) - (y[1] - y[0]) * (x[2] - x[0])
    if area == 0:
        return
    i1, i2 = 1, 2
    if area < 0:
        i1, i2, area = 2, 1, -area
    x0, y0, x1, y1, x2, y2 = x[0], y[0], x[i1], y[i1], x[i2], y[i2]
    left = max(0, -((-min(x0, x1, x2)) // SUBPIXEL))
    right = min(width - 1, max(x0, x1, x2) // SUBPIXEL)
    top = max(0, -((-min(y0, y1, y2)) // SUBPIXEL))
    bottom = min(height - 1, max(y0, y1, y2) // SUBPIXEL)
    if left > right or top > bottom:
        return
    # Edge functions: e_k is twice the area of the triangle opposite to corner k, so it is that corner's share.
    ax0, ay0 = -(y2 - y1), x2 - x1
    ax1, ay1 = -(y0 - y2), x0 - x2
    ax2, ay2 = -(y1 - y0), x1 - x0
    sx, sy = left * SUBPIXEL, top * SUBPIXEL
    row0 = ax0 * (sx - x1) + ay0 * (sy - y1)
    row1 = ax1 * (sx - x2) + ay1 * (sy - y2)
    row2 = ax2 * (sx - x0) + ay2 * (sy - y0)
    # Inside means e > 0, or e == 0 on a top or left edge (y down: left edges have ax > 0, top edges run to the right).
    b0 = 0 if (ax0 > 0 or (ax0 == 0 and ay0 > 0)) else 1
    b1 = 0 if (ax1 > 0 or (ax1 == 0 and ay1 > 0)) else 1
    b2 = 0 if (ax2 > 0 or (ax2 == 0 and ay2 > 0)) else 1
    w0, w1, w2 = w[0], w[i1], w[i2]
    share = 1.0 / area
    for row in range(top, bottom + 1):
        e0, e1, e2 = row0, row1, row2
        for column in range(left, right + 1):
            if e0 >= b0 and e1 >= b1 and e2 >= b2:
                p0, p1, p2 = e0 * share * w0, e1 * share * w1, e2 * share * w2
                nearness = p0 + p1 + p2
                if nearness > depth[row, column]:
                    depth[row, column] = nearness
                    nx = p0 * slants[0, 0] + p1 * slants[i1, 0] + p2 * slants[i2, 0]
                    ny = p0 * slants[0, 1] + p1 * slants[i1, 1] + p2 * slants[i2, 1]
                    nz = p0 * slants[0, 2] + p1 * slants[i1, 2] + p2 * slants[i2, 2]
                    length = np.sqrt(nx * nx + ny * ny + nz * nz)
                    if length > 0:
                        nx, ny = nx / length, ny / length
                    picture[row, column, 0] = np.uint8(127.5 + 127.5 * nx + 0.5)
                    picture[row, column, 1] = np.uint8(127.5 + 127.5 * ny + 0.5)
                    picture[row, column, 2] = label
            e0 += ax0 * SUBPIXEL
            e1 += ax1 * SUBPIXEL
            e2 += ax2 * SUBPIXEL
        row0 += ay0 * SUBPIXEL
        row1 += ay1 * SUBPIXEL
        row2 += ay2 * SUBPIXEL


@_compile
def draw(vertices, faces, visible, labels, focal, near, depth, out):
    """Draw every frame's visible meshes. `depth` (H, W) holds 1/z and is zero before and after each frame."""
    normals = np.zeros((vertices.shape[2], 3))
    corners = np.zeros((4, 3))
    slants = np.zeros((4, 3))
    triangle = np.zeros((3, 3))
    slant = np.zeros((3, 3))
    for frame in range(vertices.shape[0]):
        drawn = False
        for mesh in range(vertices.shape[1]):
            if not visible[frame, mesh]:
                continue
            points = vertices[frame, mesh]
            if points[:, 2].max() < near:
                continue
            drawn = True
            _normals(points, faces[mesh], normals)
            for face in range(faces.shape[1]):
                # Cut the triangle at the near plane: 0, 3 or 4 corners remain.
                kept = 0
                for k in range(3):
                    i, j = faces[mesh, face, k], faces[mesh, face, (k + 1) % 3]
                    zi, zj = points[i, 2], points[j, 2]
                    if zi >= near:
                        corners[kept] = points[i]
                        slants[kept] = normals[i]
                        kept += 1
                    if (zi >= near) != (zj >= near):
                        t = (near - zi) / (zj - zi)
                        corners[kept] = points[i] + t * (points[j] - points[i])
                        slants[kept] = normals[i] + t * (normals[j] - normals[i])
                        kept += 1
                for k in range(2, kept):
                    triangle[0], triangle[1], triangle[2] = corners[0], corners[k - 1], corners[k]
                    slant[0], slant[1], slant[2] = slants[0], slants[k - 1], slants[k]
                    _fill(triangle, slant, labels[mesh, face], focal, depth, out[frame])
        if drawn:
            depth[:] = 0.0
