"""FGD: the Frechet distance of two sets of motions in the features of the gesture encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Motion

NETWORK = "emo2_gesture_encoder_tiny.safetensors"
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
Encoder = Callable[[Motion], np.ndarray]


def fgd(made: np.ndarray, true: np.ndarray) -> float:
    """Squared Frechet distance |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of features (n, D) and (m, D).

    Lower is better.

    FID's formula on features of an encoder of gestures (Yoon et al. 2020, section 5.1), in the features' own unit: it
    compares runs with the same encoder and nothing else. Both sets need more samples than features for a steady value.
    """
    from ..video.frechet import frechet_distance

    for name, features in (("made", made), ("true", true)):
        if not np.isfinite(features).all():
            raise EMO2Error("FGD", "finite features", f"NaN or infinity in the {name} ones", "Check the motions.")
    return frechet_distance(made, true)


def gesture_encoder(path: Path | str | None = None) -> Encoder:
    """The network behind FGD as a function motion -> features (n, D), one row a window of the motion.

    path: None means the pack's own weights. Raises EMO2Error that names the file and its place when it is missing.
    """
    path = WEIGHTS / NETWORK if path is None else Path(path)
    if not path.is_file():
        raise EMO2Error(
            "FGD", f"the gesture encoder {NETWORK}", f"no file at {path}",
            f"Put it into {path.parent}, or make it with `emo2 train gesture-encoder --config tiny`.",
        )  # fmt: skip
    from ...models.checkpoints.format import load_checkpoint
    from ...models.motion import gesture_encoder as network

    module, _ = load_checkpoint(path, "gesture_encoder", network.build, "FGD")
    return lambda motion: np.asarray(network.features(module, motion), np.float64)


def gesture_features(motions: Sequence[Motion], encoder: Encoder | None = None) -> list[np.ndarray]:
    """Features of each motion, a list of (n_i, D): one entry a clip, so that clips can be drawn for an interval."""
    encode = encoder or gesture_encoder()
    return [encode(motion) for motion in motions]
