"""BEAT2 (Liu et al. 2024, EMAGE): speech with SMPL-X motion at 30 fps, one `.npz` a recording, sound in `wave16k`.

Arrays: poses (F, 165) axis-angle of 55 joints (22 of the body, jaw, eyes, 75:120 the left and 120:165 the right hand),
trans (F, 3), betas (300,), mocap_frame_rate. Fingers are counted from MANO's mean hand (the set's own tools build
SMPL-X with flat_hand_mean=False).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...models.body import WholeBody
from ...models.errors import EMO2Error
from ...models.hands.quaternions import from_axis_angle
from ...models.types import Framing
from .arrays import frames, load_arrays, numbers
from .fingers import MANO_FILES, FingerSpace, choose_fingers
from .recording import Recording, files_in, find_models, in_folder, paired
from .smplx_skeleton import JOINTS, MODEL_FILES, Skeleton, approximate_skeleton, body_motion, read_skeleton
from .whole import smpl_body

WHERE = "BEAT2 recording"
REMEDY = "Get the recording again from the BEAT2 data set."
POSES, LEFT, RIGHT = 165, slice(75, 120), slice(120, 165)
RATES = (10.0, 240.0)


def read_beat2(
    path: Path | str,
    *,
    body: Path | str | None = None,
    hands: Path | str | None = None,
    fingers: str = "exact",
    fps: float | None = 25.0,
    style: str = "speaking",
    framing: Framing | None = None,
) -> Recording:
    """One recording with the sound of the same name (beside it, or in ../wave16k).

    body: the user's SMPL-X file; None: one found in the data set's folder or a folder models beside it, else an
    approximate skeleton, which places the wrists within a few centimetres. hands: the user's MANO or SMPL-X file for
    the fingers' zero; None: one found likewise. Without any, `fingers` = "approximate" takes the pack's own guess at
    the mean hand, and "exact" is an EMO2Error that names what is needed. fps: of the motion that is returned, None:
    the recording's own. Raises EMO2Error for missing names, odd shapes, NaN, an unlikely frame rate, a damaged file.
    """
    path = Path(path)
    return _recording(path, _parts(path, body, hands, fingers), fps, style, framing)


def read_whole(
    path: Path | str,
    *,
    body: Path | str | None = None,
    hands: Path | str | None = None,
    fingers: str = "exact",
    fps: float | None = 25.0,
) -> tuple[np.ndarray, WholeBody]:
    """One recording from head to feet: the waveform (T,) at 16 kHz and the body; options and errors as `read_beat2`."""
    path = Path(path)
    parts = _parts(path, body, hands, fingers)
    recording = _recording(path, parts, None, "speaking", None)
    whole = smpl_body(from_axis_angle(parts.body), parts.trans, parts.rate, parts.skeleton, parts.fingers)
    whole = whole.frames(0, len(recording.motion))
    return recording.waveform, whole if fps is None else whole.resampled(fps)


@dataclass(frozen=True)
class _Parts:
    """body (F, 22, 3) axis-angle, trans (F, 3), fingers (F, 2, 15, 4) from the flat hand, rate fps."""

    body: np.ndarray
    trans: np.ndarray
    fingers: np.ndarray
    rate: float
    skeleton: Skeleton


def _recording(path: Path, parts: _Parts, fps: float | None, style: str, framing: Framing | None) -> Recording:
    motion = body_motion(parts.body, parts.trans, parts.fingers, parts.rate, parts.skeleton, framing)
    return paired(path, motion, style, fps, WHERE)


def _parts(path: Path, body: Path | str | None, hands: Path | str | None, fingers: str) -> _Parts:
    arrays = load_arrays(path, ("poses", "trans"), WHERE, REMEDY, ("betas", "mocap_frame_rate"))
    poses = frames(arrays["poses"], POSES, "poses", path.name, WHERE, REMEDY)
    trans = frames(arrays["trans"], 3, "trans", path.name, WHERE, REMEDY)
    if not 0 < len(poses) == len(trans):
        given = f"{len(poses)} and {len(trans)} in {path.name}"
        raise EMO2Error(WHERE, "as many frames in poses as in trans, at least one", given, REMEDY)
    rate = _rate(arrays.get("mocap_frame_rate"), path.name)
    betas = numbers(arrays.get("betas", np.zeros(0)), "betas", path.name, WHERE, REMEDY).ravel()
    space, skeleton = models(path.parent, betas, body, hands, fingers, "BEAT2", WHERE)
    turns = space.turns(poses[:, LEFT], poses[:, RIGHT], WHERE)
    return _Parts(poses[:, : 3 * JOINTS].reshape(-1, JOINTS, 3), trans, turns, rate, skeleton)


def read_folder(
    folder: Path | str,
    *,
    body: Path | str | None = None,
    hands: Path | str | None = None,
    fingers: str = "exact",
    fps: float | None = 25.0,
    style: str = "speaking",
    strict: bool = True,
) -> Iterator[Recording]:
    """All recordings under a folder, by name; options as in `read_beat2`. strict: a damaged one stops the reading
    instead of being left out with a warning."""
    options = {"body": body, "hands": hands, "fingers": fingers, "fps": fps, "style": style}
    return in_folder(Path(folder), "*.npz", lambda path: read_beat2(path, **options), WHERE, strict)


def find_recordings(folder: Path) -> list[Path]:
    """The recordings' files under a folder, by name; EMO2Error for none."""
    return files_in(folder, "*.npz", WHERE)


def models(
    folder: Path,
    betas: np.ndarray,
    body: Path | str | None,
    hands: Path | str | None,
    fingers: str,
    data: str,
    where: str,
) -> tuple[FingerSpace, Skeleton]:
    """What the user's model files say, given or found near the data; the pack's own stand-ins where that is allowed."""
    near = find_models(folder, MODEL_FILES) or find_models(folder.parent, MODEL_FILES)
    mano = find_models(folder, MANO_FILES) or find_models(folder.parent, MANO_FILES)
    known = Path(body) if body is not None else near
    space = choose_fingers(hands, fingers, mano or known, data, where)
    return space, approximate_skeleton() if known is None else read_skeleton(known, betas)


def _rate(value: np.ndarray | None, file: str) -> float:
    if value is None:
        return 30.0
    rate = numbers(value, "mocap_frame_rate", file, WHERE, REMEDY).ravel()
    if len(rate) != 1 or not RATES[0] <= rate[0] <= RATES[1]:
        given = f"{value} in {file}"
        raise EMO2Error(WHERE, f"a mocap_frame_rate from {RATES[0]:g} to {RATES[1]:g} fps", given, REMEDY)
    return float(rate[0])
