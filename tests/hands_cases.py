"""Synthetic MANO-format files with every array name of the real ones, and random motion."""

import numpy as np
from emo2.models.hands import PARENTS
from emo2.models.types import Framing, Motion

VERTICES = 778


def mano_arrays(seed: int = 0, vertices: int = VERTICES) -> dict[str, np.ndarray]:
    """A cloud of vertices with plausible weights, a regressor, and random shape and pose directions."""
    rng = np.random.default_rng(seed)
    weights = rng.random((vertices, 16)) ** 8
    regressor = rng.random((16, vertices)) ** 20
    parents = np.array(PARENTS, np.int64)
    parents[0] = 4294967295
    return {
        "v_template": rng.normal(0, 0.05, (vertices, 3)),
        "f": rng.integers(0, vertices, (1538, 3)).astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "shapedirs": rng.normal(0, 0.003, (vertices, 3, 10)),
        "posedirs": rng.normal(0, 0.002, (vertices, 3, 135)),
        "kintree_table": np.stack([parents, np.arange(16)]),
        "hands_components": rng.normal(0, 0.3, (45, 45)),
        "hands_mean": rng.normal(0, 0.2, 45),
    }


def random_rotations(rng: np.random.Generator, frames: int, bend: float = 0.25) -> np.ndarray:
    """(F, 2, 16, 4): wrists anyhow, fingers within reason."""
    q = rng.normal(0, bend, (frames, 2, 16, 4))
    q[..., 0] += 1
    q[:, :, 0] = rng.normal(size=(frames, 2, 4))
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def random_motion(seed: int = 0, frames: int = 6, framing: Framing | None = None, **fields) -> Motion:
    """Both hands before the chest, anyhow turned."""
    rng = np.random.default_rng(seed)
    places = np.array([[0.14, 0.1, -0.2], [-0.14, 0.1, -0.2]]) + rng.normal(0, 0.04, (frames, 2, 3))
    return Motion(random_rotations(rng, frames), places, 25.0, framing or Framing(), **fields)
