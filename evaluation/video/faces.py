"""CSIM and EFID: the face's identity and expressions, through networks in ONNX files that the user brings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Motion
from .frechet import frechet
from .measured import Measured
from .registry import locate, missing, named

EYES_NOSE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366]])
"""Where ArcFace's 112 x 112 faces have the picture's left eye, right eye and nose tip (Deng 2019, its alignment)."""
ARCFACE, EXPRESSION = 112, 224


def csim(
    references: Sequence[np.ndarray],
    made: Sequence[np.ndarray],
    faces: Sequence[tuple[np.ndarray, np.ndarray]],
    folders: Sequence[Path | str] = (),
    stride: int = 5,
) -> Measured:
    """Cosine of the reference's face embedding with that of every `stride`-th frame, averaged, one value a clip.

    references: (H, W, 3) uint8. made: (F, H, W, 3). faces: for each clip the eyes and nose in pixels, of the reference
    (3, 2) and of the frames (F, 3, 2): picture's left eye, right eye, nose tip (`eyes_nose`).
    """
    found = locate("CSIM", folders)
    if found.path is None:
        return missing("CSIM", found.missing)
    network = onnx_network(found.path)
    embed = lambda frames: _unit(network((frames.astype(np.float32).transpose(0, 3, 1, 2) - 127.5) / 127.5))
    values = []
    for reference, clip, (still, moving) in zip(references, made, faces):
        chosen = range(0, len(clip), stride)
        face = embed(aligned(reference, still)[None])
        others = embed(np.stack([aligned(clip[i], moving[i]) for i in chosen]))
        values.append(float((others @ face[0]).mean()))
    return named("CSIM", clips=values, network=found.path.name)


def efid(
    made: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    faces: Sequence[tuple[np.ndarray, np.ndarray]],
    folders: Sequence[Path | str] = (),
    stride: int = 2,
) -> Measured:
    """Frechet distance of expression coefficients of made and true frames; faces as in `csim`, of made and true clips.

    Which network reads the expressions decides the scale: the table names the file.
    """
    found = locate("EFID", folders)
    if found.path is None:
        return missing("EFID", found.missing)
    network = onnx_network(found.path)

    def features(clip: np.ndarray, points: np.ndarray) -> np.ndarray:
        crops = np.stack([aligned(clip[i], points[i], EXPRESSION) for i in range(0, len(clip), stride)])
        return network(crops.astype(np.float32).transpose(0, 3, 1, 2) / 255)

    parts = [[features(clip, pair[k]) for clip, pair in zip(clips, faces)] for k, clips in enumerate((made, true))]
    result = frechet("EFID", parts[0], parts[1])
    return named("EFID", over=result.over, count=result.count, note=result.note, network=found.path.name)


def eyes_nose(motion: Motion, size: tuple[int, int]) -> np.ndarray:
    """Eyes and nose (F, 3, 2) in pixels of a picture of `size` (H, W) made for `motion`, from its body keypoints."""
    points = motion.keypoints[:, [14, 15, 0]].astype(np.float64)
    return points * np.array(size[::-1], np.float64)


def aligned(frame: np.ndarray, points: np.ndarray, side: int = ARCFACE) -> np.ndarray:
    """The face (side, side, 3) uint8 cut out of `frame`, its eyes and nose `points` (3, 2) moved where ArcFace wants
    them by the similarity that fits best (Umeyama 1991)."""
    import cv2

    target = EYES_NOSE * (side / ARCFACE)
    matrix = similarity(np.asarray(points, np.float64), target)
    return cv2.warpAffine(np.ascontiguousarray(frame), matrix, (side, side), flags=cv2.INTER_LINEAR)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The (2, 3) turn, scale and shift that takes points (n, 2) nearest to `target` in the least-squares sense."""
    middle, aim = source.mean(0), target.mean(0)
    a, b = source - middle, target - aim
    # As complex numbers a similarity is one factor.
    x, y = a[:, 0] + 1j * a[:, 1], b[:, 0] + 1j * b[:, 1]
    weight = float((np.abs(x) ** 2).sum())
    if weight < 1e-9:
        raise EMO2Error("face points", "eyes and a nose apart from one another", "one point", "Give the face's points.")
    factor = (np.conj(x) * y).sum() / weight
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([turn, (aim - turn @ middle)[:, None]], 1)


def onnx_network(path: Path, batch: int = 16) -> Callable[[np.ndarray], np.ndarray]:
    """A function from inputs (n, 3, H, W) float32 to the first output (n, D) of an ONNX network, on the processor."""
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an exception of its own for every failure
        reason = str(error).splitlines()[0]
        raise EMO2Error("evaluation file", f"an ONNX network ({path.name})", reason, "Get the file again.") from error
    source = session.get_inputs()[0]
    fixed = source.shape[0] if isinstance(source.shape[0], int) else 0

    def run(values: np.ndarray) -> np.ndarray:
        step = fixed or batch
        if fixed > 1:
            values_in = np.concatenate([values, np.repeat(values[-1:], -len(values) % fixed, 0)])
        else:
            values_in = values
        parts = [
            session.run(None, {source.name: np.ascontiguousarray(values_in[i : i + step], np.float32)})[0]
            for i in range(0, len(values_in), step)
        ]
        return np.concatenate(parts).reshape(len(values_in), -1)[: len(values)]

    return run


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
