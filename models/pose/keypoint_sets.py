"""Keypoint sets as files: arrays in one `.npz`, or a folder of `.npy` frames as EchoMimicV2 publishes its drivers.

Nothing in such a file is run: EchoMimicV2's frames are pickles, and are read by the restricted reader.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EMO2Error
from ..hands.layer import HandModel
from ..hands.pickles import ARRAYS, RestrictedUnpickler
from ..types import BODY_POINTS, FACE_POINTS, HAND_POINTS, Framing, Motion
from .keypoint_motion import KNOWN, Points, framing_of, motion_of_points

WANTED = "body (F, 18, 2) and hands (F, 2, 21, 2), normalised to the picture"
SIDE = 768
"""Pixels of EchoMimicV2's square picture."""
MOST_BYTES = 1 << 29
_FRAME = {**ARRAYS, ("numpy", "ndarray"): np.ndarray}


def is_keypoint_set(path: Path) -> bool:
    """Whether a file or folder looks like a keypoint set; its content is checked when it is loaded."""
    if path.is_dir():
        return any(_numbered(path))
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"body.npy", "hands.npy"} <= set(archive.namelist())


def motion_from_keypoints(
    path: Path, fps: float, framing: Framing | None = None, hands: HandModel | None = None, where: str = "keypoints",
    fit: bool = True, on_step: Callable[[int, int], None] | None = None,
) -> Motion:  # fmt: skip
    """The motion of a keypoint set: 2D points as they are, hands in space.

    framing: where the person is in the picture; None: the clip's median neck and shoulders. fps: of the set. fit,
    on_step: as `motion_of_points` takes them.
    """
    found, size = load_keypoints(path, where)
    try:
        framing = framing or framing_of(found.body, found.body_scores, size)
        return motion_of_points(found, fps, framing, hands, fit, on_step)
    except EMO2Error as error:
        raise error.at(input=where) if error.input == "framing" else error from None


def load_keypoints(path: Path, where: str = "keypoints") -> tuple[Points, tuple[int, int]]:
    """(points, (H, W) of their picture). EMO2Error when the file holds something else or is damaged.

    `.npz`: body (F, 18, 2), hands (F, 2, 21, 2) left then right, and where known face (F, 68, 2), body_score,
    hands_score, face_score and size (H, W); positions normalised to the picture, which is square without a size.
    """
    arrays = _frames(path, where) if path.is_dir() else _archive(path, where)
    count = len(arrays["body"]) if arrays["body"].ndim else 0
    shapes = {"body": (count, BODY_POINTS, 2), "hands": (count, 2, HAND_POINTS, 2)}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or count == 0:
            given = f"{name} {arrays[name].shape} in {path.name}"
            raise EMO2Error(where, f"{WANTED}, at least one frame", given, "Export the set again.")
    face = arrays.get("face", np.zeros((count, 68, 2)))
    if face.shape[:1] + face.shape[2:] != (count, 2) or face.shape[1] not in (68, FACE_POINTS):
        raise EMO2Error(where, "face (F, 68, 2)", f"face {face.shape} in {path.name}", "Export the set again.")
    scores = {}
    for name, points in (("body", arrays["body"]), ("hands", arrays["hands"]), ("face", face)):
        assumed = np.ones(points.shape[:-1]) if name in arrays else np.zeros(points.shape[:-1])
        own = arrays.get(f"{name}_score", assumed)
        if own.shape != assumed.shape:
            given = f"{name}_score {own.shape} in {path.name}"
            raise EMO2Error(where, f"{name}_score {assumed.shape}", given, "Export the set again.")
        scores[name] = np.clip(own, 0, 1)
    size = tuple(int(side) for side in np.ravel(arrays.get("size", (SIDE, SIDE))))
    if len(size) != 2 or min(size) < 1:
        raise EMO2Error(where, "size (H, W)", f"{size} in {path.name}", "Export the set again.")
    pad = FACE_POINTS - face.shape[1]
    face, face_scores = np.pad(face, ((0, 0), (0, pad), (0, 0))), np.pad(scores["face"], ((0, 0), (0, pad)))
    found = Points(*_known(arrays["body"], scores["body"]), *_known(arrays["hands"], scores["hands"]),
                   *_known(face, face_scores))  # fmt: skip
    if not found.hand_scores.any():
        raise EMO2Error(where, "hands that are known in at least one frame", f"none in {path.name}", "Take another.")
    return found, (size[0], size[1])


def _known(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and scores with everything that is unknown at zero."""
    lost = ~np.isfinite(points).all(-1) | (points == 0).all(-1) | ~(scores >= KNOWN)
    return np.where(lost[..., None], 0.0, points), np.where(lost, 0.0, scores)


def _archive(path: Path, where: str) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise EMO2Error(where, "a keypoint set (.npz, or a folder of .npy frames)", f"no file at {path}",
                        "Check the name and the folder.")  # fmt: skip
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name], np.float64) for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        given = f"a damaged file, or arrays of objects ({path.name})"
        raise EMO2Error(where, f"a keypoint set (.npz) with {WANTED}", given, "Export the set again.") from error
    if not {"body", "hands"} <= set(arrays):
        given = f"{', '.join(sorted(arrays)[:5]) or 'nothing'} in {path.name}"
        raise EMO2Error(where, f"a keypoint set (.npz) with {WANTED}", given, "Choose another file.")
    return arrays


def _numbered(folder: Path) -> list[Path]:
    """The .npy files of a folder that are called by a number, in order."""
    found = [path for path in folder.glob("*.npy") if re.fullmatch(r"\d+", path.stem)]
    return sorted(found, key=lambda path: int(path.stem))


def _frames(folder: Path, where: str) -> dict[str, np.ndarray]:
    """EchoMimicV2's frames 0.npy, 1.npy, ...: dictionaries with bodies, hands, faces and where the picture was cut."""
    files = _numbered(folder)
    if not files:
        raise EMO2Error(where, "frames 0.npy, 1.npy, ...", f"none in {folder.name}", "Choose another folder.")
    rows: dict[str, list[np.ndarray]] = {}
    for path in files:
        frame = _read_frame(path, where)
        try:
            height, width, top, _, left, _ = (float(value) for value in frame["draw_pose_params"])
            cut = np.array([[width, height], [left, top]]) / SIDE
            place = lambda points, cut=cut: np.asarray(points) * cut[0] + cut[1]
            bodies = frame["bodies"]
            row = {
                "body": place(bodies["candidate"])[:BODY_POINTS], "body_score": np.ravel(bodies["score"])[:BODY_POINTS],
                "hands": place(frame["hands"])[:2], "hands_score": np.asarray(frame["hands_score"])[:2],
                "face": place(frame["faces"])[0], "face_score": np.asarray(frame["faces_score"])[0],
            }  # fmt: skip
        except (KeyError, IndexError, TypeError, ValueError) as error:
            given = f"{path.name} without {error}"
            raise EMO2Error(where, "EchoMimicV2's frames of keypoints", given, "Export the set again.") from error
        for name, values in row.items():
            rows.setdefault(name, []).append(np.asarray(values, np.float64))
    try:
        return {name: np.stack(values) for name, values in rows.items()}
    except ValueError as error:
        given = f"frames that differ in {folder.name} ({error})"
        raise EMO2Error(where, "frames with the same points", given, "Export the set again.") from error


def _read_frame(path: Path, where: str) -> dict[str, Any]:
    """The dictionary in a .npy of one object, by the restricted reader."""
    expected, remedy = "EchoMimicV2's keypoints, a pickle of arrays and numbers", "Do not use this file."
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("far too large")
        stream = io.BytesIO(path.read_bytes())
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        _, _, dtype = read(stream)
        if not dtype.hasobject:
            raise ValueError("numbers where a dictionary should be")
        held = RestrictedUnpickler(stream, where, path.name, _FRAME, expected, remedy).load()
        frame = held.item() if isinstance(held, np.ndarray) else held
        if not isinstance(frame, dict):
            raise ValueError(f"a {type(frame).__name__} where a dictionary should be")
        return frame
    except EMO2Error:
        raise
    except Exception as error:  # a damaged pickle can fail in every way there is
        reason = str(error) or type(error).__name__
        raise EMO2Error(where, expected, f"{path.name} ({reason})", "Export the set again.") from error


__all__ = ["is_keypoint_set", "load_keypoints", "motion_from_keypoints"]
