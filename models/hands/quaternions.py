"""Quaternions (w, x, y, z) on the last axis, vectorised NumPy. Every function broadcasts over the leading axes.

A rotation has two quaternions, q and -q. Functions that return a rotation found from something else give the one with
w >= 0; `continuous` chooses signs along a time axis so that neighbours never jump. float32 stays float32; whole numbers
become float64.
"""

from __future__ import annotations

import numpy as np

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
IDENTITY.setflags(write=False)


def _floats(q: np.ndarray) -> np.ndarray:
    q = np.asarray(q)
    return q if q.dtype.kind == "f" else q.astype(np.float64)


def normalise(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) in the direction of `q`; a zero quaternion becomes the identity."""
    q = _floats(q)
    length = np.linalg.norm(q, axis=-1, keepdims=True)
    tiny = length < 1e-12
    return np.where(tiny, IDENTITY.astype(q.dtype), q / np.where(tiny, 1, length))


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product a b (..., 4): the rotation b, then the rotation a."""
    a, b = _floats(a), _floats(b)
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def conjugate(q: np.ndarray) -> np.ndarray:
    """The inverse rotation of unit quaternions (..., 4)."""
    q = _floats(q)
    return q * np.array([1, -1, -1, -1], q.dtype)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Vectors `v` (..., 3) turned by unit quaternions `q` (..., 4)."""
    q, v = _floats(q), _floats(v)
    w, axis = q[..., :1], q[..., 1:]
    twice = 2 * np.cross(axis, v)
    return v + w * twice + np.cross(axis, twice)


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle (...) in radians, 0..pi, of the rotation that takes `a` to `b`."""
    difference = multiply(conjugate(a), b)
    return 2 * np.arctan2(np.linalg.norm(difference[..., 1:], axis=-1), np.abs(difference[..., 0]))


def slerp(a: np.ndarray, b: np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Spherical interpolation from `a` (t = 0) to `b` (t = 1) by the shorter way; `t` broadcasts with a[..., 0]."""
    a, b = _floats(a), _floats(b)
    t = np.asarray(t, np.result_type(a, b))[..., None]
    dot = np.sum(a * b, axis=-1, keepdims=True)
    b = np.where(dot < 0, -b, b)
    # The angle from both sums and differences is exact where arccos of the product is not (near 0 and pi).
    theta = 2 * np.arctan2(np.linalg.norm(b - a, axis=-1, keepdims=True), np.linalg.norm(b + a, axis=-1, keepdims=True))
    near = theta < 1e-6
    sine = np.where(near, 1, np.sin(theta))
    left = np.where(near, 1 - t, np.sin((1 - t) * theta) / sine)
    right = np.where(near, t, np.sin(t * theta) / sine)
    return normalise(left * a + right * b)


def from_axis_angle(v: np.ndarray) -> np.ndarray:
    """Rotation vectors (..., 3), axis times radians, to quaternions (..., 4)."""
    v = _floats(v)
    theta = np.linalg.norm(v, axis=-1, keepdims=True)
    # sin(theta / 2) / theta, with its limit at 0.
    return np.concatenate([np.cos(theta / 2), v * 0.5 * np.sinc(theta / (2 * np.pi))], axis=-1)


def to_axis_angle(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) to rotation vectors (..., 3) of length 0..pi."""
    q = _floats(q)
    q = np.where(q[..., :1] < 0, -q, q)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    theta = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine < 1e-9, 2.0, theta / np.where(sine < 1e-9, 1, sine)).astype(q.dtype)


def to_matrix(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) to rotation matrices (..., 3, 3) that act on column vectors."""
    w, x, y, z = np.moveaxis(_floats(q), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def from_matrix(m: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) to quaternions (..., 4) with w >= 0."""
    m = _floats(m)
    a, b, c = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    yz, zx, xy = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    sx, sy, sz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    # Row k of 4 q q^T; the one with the largest diagonal element is the best conditioned.
    rows = np.stack(
        [
            np.stack([1 + a + b + c, yz, zx, xy], axis=-1),
            np.stack([yz, 1 + a - b - c, sx, sy], axis=-1),
            np.stack([zx, sx, 1 - a + b - c, sz], axis=-1),
            np.stack([xy, sy, sz, 1 - a - b + c], axis=-1),
        ],
        axis=-2,
    )
    best = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    q = normalise(np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :])
    return np.where(q[..., :1] < 0, -q, q)


def continuous(q: np.ndarray, axis: int = 0) -> np.ndarray:
    """The same rotations with signs chosen along `axis` so that neighbours lie in one hemisphere; the first is kept."""
    q = np.moveaxis(_floats(q), axis, 0)
    if len(q) < 2:
        return np.moveaxis(q.copy(), 0, axis)
    flips = np.where(np.sum(q[1:] * q[:-1], axis=-1, keepdims=True) < 0, -1, 1).astype(q.dtype)
    signs = np.concatenate([np.ones_like(flips[:1]), np.cumprod(flips, axis=0)])
    return np.moveaxis(q * signs, 0, axis)


def average(q: np.ndarray, axis: int = 0, weights: np.ndarray | None = None) -> np.ndarray:
    """Mean rotation along `axis`, w >= 0: the largest eigenvector of the sum of q q^T (Markley et al. 2007).

    Signs do not matter. `weights` has one entry for each along `axis`.
    """
    q = np.moveaxis(_floats(q), axis, 0)
    share = np.ones(len(q)) if weights is None else np.asarray(weights, np.float64)
    moments = np.einsum("n,n...i,n...j->...ij", share, q.astype(np.float64), q.astype(np.float64))
    mean = np.linalg.eigh(moments)[1][..., -1].astype(q.dtype)
    return np.where(mean[..., :1] < 0, -mean, mean)


def mirror(q: np.ndarray) -> np.ndarray:
    """The rotation as a mirror at the plane x = 0 shows it: (w, x, -y, -z). A left hand's becomes a right hand's."""
    q = _floats(q)
    return q * np.array([1, 1, -1, -1], q.dtype)


mirror_x = mirror
