"""R-precision: does a text find its own motion among others, and how near is made motion to true motion (Guo 2022)?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...models.errors import EMO2Error
from .frechet import WEIGHTS

NETWORK = "emo2_text_matching_tiny.safetensors"
AMONG = 32


@dataclass(frozen=True)
class RPrecision:
    """top (3,): share of the texts whose own motion is the nearest, among the two, the three nearest, 0..1, more is
    better; equal distances share the credit. chance (3,): of a blind guess. distance: mean distance of a text and its
    own motion (MM-Dist, 0..2 in features of unit length), less is better. count: texts that were asked."""

    top: np.ndarray
    chance: np.ndarray
    distance: float
    count: int


def r_precision(said: np.ndarray, moved: np.ndarray, labels: Sequence[Any] | None = None, *, among: int = AMONG,
                rounds: int = 20, seed: int = 0) -> RPrecision:  # fmt: skip
    """R-precision (Guo et al. 2022, section 5.1) of features of texts (n, D) and of their motions (n, D).

    Each text is asked in `rounds` pools of `among` pairs. labels (n,): what a pair is about; a pool never holds two of
    the same, so that no other motion is right, too. EMO2Error where there are fewer pairs or labels than a pool wants.
    """
    said, moved = np.asarray(said, np.float64), np.asarray(moved, np.float64)
    if said.ndim != 2 or said.shape != moved.shape:
        given = f"{said.shape} and {moved.shape}"
        raise EMO2Error("R-precision", "features (n, D) of as many texts as motions", given, "Give a text for each.")
    if not (np.isfinite(said).all() and np.isfinite(moved).all()):
        raise EMO2Error("R-precision", "finite features", "NaN or infinity", "Check the motions.")
    about = (
        np.arange(len(said)) if labels is None else np.unique(np.asarray(labels, dtype=np.str_), return_inverse=True)[1]
    )
    kinds = int(about.max()) + 1 if len(about) else 0
    if len(about) != len(said) or kinds < among or among < 2:
        given = f"{kinds} different ones for {len(said)} motions"
        raise EMO2Error("R-precision", f"pairs about {among} different things", given, "Give more, or ask among fewer.")
    distances = np.sqrt(np.maximum(_square(said, moved), 0))
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(about == kind) for kind in range(kinds)]
    credit = np.zeros((len(said), 3))
    for _ in range(rounds):
        for row in range(len(said)):
            others = np.delete(np.arange(kinds), about[row])
            chosen = rng.choice(others, among - 1, replace=False)
            pool = [members[kind][int(rng.integers(len(members[kind])))] for kind in chosen]
            own, rest = distances[row, row], distances[row, pool]
            nearer, equal = int((rest < own).sum()), int((rest == own).sum()) + 1
            credit[row] += np.clip((np.arange(1, 4) - nearer) / equal, 0, 1)
    own = float(np.diag(distances).mean())
    return RPrecision((credit / rounds).mean(axis=0), np.arange(1, 4) / among, own, len(said))


def shuffled(said: np.ndarray, seed: int = 0) -> np.ndarray:
    """Features of texts (n, D) given to the wrong motions: what R-precision should be at chance for."""
    count = len(said)
    order = np.random.default_rng(seed).permutation(count)
    # Along one cycle of all rows no row keeps its place.
    out = np.empty_like(said)
    out[order] = said[np.roll(order, 1)]
    return out


def fid(made: np.ndarray, true: np.ndarray) -> float:
    """Squared Frechet distance of features of made and of true motion, (n, D) and (m, D); lower is better.

    Guo et al. 2022, section 5.1, in this network's own features: compare runs with the same network and nothing else.
    """
    from ..video.frechet import frechet_distance

    for name, features in (("made", made), ("true", true)):
        if len(features) < 2 or not np.isfinite(features).all():
            raise EMO2Error("FID", "finite features of two motions or more", f"the {name} ones", "Check the motions.")
    return frechet_distance(made, true)


def text_matching(path: Path | str | None = None) -> Any:
    """The network (`models.direction.matching.TextMatching`); path None means the pack's own weights.

    EMO2Error that names the file and its place when it is missing.
    """
    path = WEIGHTS / NETWORK if path is None else Path(path)
    if not path.is_file():
        raise EMO2Error(
            "R-precision", f"the matching network {NETWORK}", f"no file at {path}",
            f"Put it into {path.parent}, or make it with `emo2 train text-matching --config tiny`.",
        )  # fmt: skip
    from ...models.checkpoints.format import load_checkpoint
    from ...models.direction import matching

    return load_checkpoint(path, "text_matching", matching.build, "R-precision")[0]


def _square(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.square(a).sum(1)[:, None] + np.square(b).sum(1)[None] - 2 * a @ b.T
