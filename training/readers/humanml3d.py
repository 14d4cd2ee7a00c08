"""HumanML3D-style folders (Guo et al. 2022): bodies of 22 joints with several descriptions each, 20 fps, no hands.

new_joint_vecs/NAME.npy  (F, 263): root, joints relative to it, turns, velocities, foot contacts; or
new_joints/NAME.npy      (F, 22, 3): joints, metres, y up, the person facing +z in the first frame
texts/NAME.txt           one description a line: text#words with tags#from#to, seconds; 0 and 0: the whole motion
train.txt, val.txt ...   names, one a line; a name with M in front is the mirror image
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...models.body import WholeBody
from ...models.errors import EMO2Error
from ...models.hands.quaternions import rotate
from ..described import Described
from .positions import turns_from
from .smplx_skeleton import JOINTS, PARENTS, Skeleton, approximate_skeleton
from .whole import smpl_body

LOG = logging.getLogger("emo2")
WHERE = "HumanML3D folder"
REMEDY = "Make the folder with HumanML3D's own scripts."
FPS = 20.0
VECTOR = 263
FURTHEST = 50.0
"""Metres from the start, beyond which numbers are no body's any more."""
SHORTEST = 0.2
"""Seconds of a description below which its times are taken for a mistake and the whole motion is meant."""


def read_names(folder: Path | str, split: str = "train") -> list[str]:
    """The names in `split`.txt, in its order. Those without a motion are left out with a warning, as the set has some;
    EMO2Error where the list is missing or nothing is left."""
    folder = Path(folder)
    path = folder / f"{split}.txt"
    if not path.is_file():
        lists = ", ".join(sorted(p.stem for p in folder.glob("*.txt"))) or "no lists"
        raise EMO2Error(WHERE, f"the list {split}.txt", f"{lists} in {folder}", "Name another split or folder.")
    names = [line.strip() for line in _lines(path) if line.strip()]
    found = [name for name in names if _file(folder, name) is not None]
    if len(found) < len(names):
        LOG.warning("%s: %d of %d names have no motion", path, len(names) - len(found), len(names))
    if not found:
        given = f"none of {len(names)} names in {folder}"
        raise EMO2Error(WHERE, "motions in new_joint_vecs or new_joints", given, REMEDY)
    return found


def read_motion(folder: Path | str, name: str, fps: float | None = 25.0) -> WholeBody:
    """One motion as a whole body whose hands are unknown. fps: None: the set's own 20.

    Joints come from the vectors' positions (`joints_of`), or from new_joints where there are no vectors; turns from the
    joints (`positions.turns_from`). EMO2Error for a damaged file, odd shapes, NaN, or numbers that are no body's.
    """
    path = _file(Path(folder), name)
    if path is None:
        raise EMO2Error(WHERE, f"{name}.npy in new_joint_vecs or new_joints", f"none in {folder}", REMEDY)
    array = _array(path)
    joints = joints_of(array) if array.ndim == 2 else array
    if not np.isfinite(joints).all() or np.abs(joints).max(initial=0.0) > FURTHEST:
        given = f"{np.abs(joints).max():.3g} m in {path}"
        raise EMO2Error(WHERE, f"joints within {FURTHEST:g} m of the start", given, "Do not normalise the vectors.")
    body = body_of(joints)
    return body if fps is None else body.resampled(fps)


def read_captions(folder: Path | str, name: str, duration: float) -> tuple[Described, ...]:
    """The descriptions of a motion that lasts `duration` seconds; EMO2Error for none, or a damaged line."""
    path = Path(folder) / "texts" / f"{name}.txt"
    if not path.is_file():
        raise EMO2Error(WHERE, f"texts/{name}.txt", f"no file at {path}", REMEDY)
    found = [caption_of(line, duration, f"{path}, line {n}") for n, line in enumerate(_lines(path), 1) if line.strip()]
    if not found:
        raise EMO2Error(WHERE, "at least one description", f"an empty {path}", REMEDY)
    return tuple(found)


def read_folder(
    folder: Path | str, split: str = "train", fps: float | None = 25.0, strict: bool = False
) -> Iterator[tuple[str, WholeBody, tuple[Described, ...]]]:
    """(name, body, captions) of a split, one after the other. strict: a damaged motion stops the reading instead of
    being left out with a warning (the set is known to have some)."""
    used = 0
    for name in read_names(folder, split):
        try:
            body = read_motion(folder, name, fps)
            captions = read_captions(folder, name, body.duration)
        except EMO2Error as error:
            if strict:
                raise
            LOG.warning("left out: %s", error)
            continue
        used += 1
        yield name, body, captions
    if not used:
        raise EMO2Error(WHERE, "at least one motion that can be used", f"none in {folder}", "See the warnings.")


def joints_of(vectors: np.ndarray) -> np.ndarray:
    """Places (F, 22, 3) of the joints that vectors (F, 263) describe.

    0: half the turn about y to the next frame; 1, 2: the root's step on the floor to the next frame, as the body faces;
    3: its height; 4..66: the other joints, relative to the root on the floor, as the body faces.
    """
    vectors = np.asarray(vectors, np.float64)
    before = lambda steps: np.concatenate([np.zeros_like(steps[:1]), np.cumsum(steps[:-1], axis=0)])
    half = before(vectors[:, 0])
    # The vectors have the body turned to face +z; this turns it back.
    back = np.stack([np.cos(half), 0 * half, -np.sin(half), 0 * half], axis=-1)
    steps = np.stack([vectors[:, 1], 0 * half, vectors[:, 2]], axis=-1)
    # A step is told as the body faces at its end.
    floor = np.concatenate([np.zeros((1, 3)), np.cumsum(rotate(back[1:], steps[:-1]), axis=0)])
    joints = np.zeros((len(vectors), JOINTS, 3))
    joints[:, 0, 1] = vectors[:, 3]
    joints[:, 1:] = vectors[:, 4:67].reshape(-1, JOINTS - 1, 3)
    return rotate(back[:, None], joints) + floor[:, None]


def body_of(joints: np.ndarray, fps: float = FPS) -> WholeBody:
    """The whole body of joints (F, 22, 3); metres, y up."""
    lengths = np.median(np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1), axis=0)
    skeleton = sized(approximate_skeleton(), np.concatenate([[0.0], lengths]))
    trans = joints[:, 0] - skeleton.joints[0]
    return smpl_body(turns_from(joints, skeleton), trans, fps, skeleton)


def sized(skeleton: Skeleton, lengths: np.ndarray) -> Skeleton:
    """The skeleton with bones of other lengths (22,), the first without meaning; directions stay."""
    joints = np.array(skeleton.joints)
    for joint in range(1, JOINTS):
        line = skeleton.joints[joint] - skeleton.joints[PARENTS[joint]]
        joints[joint] = joints[PARENTS[joint]] + line / np.linalg.norm(line) * lengths[joint]
    return Skeleton(joints, f"{skeleton.source}, sized")


def caption_of(line: str, duration: float, where: str = "") -> Described:
    """What a line of a text file says, its times cut to the motion's `duration`; EMO2Error for a damaged line."""
    text, *rest = line.strip().split("#")
    if not text.strip() or len(rest) not in (0, 1, 3):
        raise EMO2Error(WHERE, "a line like text#words#0.0#0.0", f"{line.strip()[:80]!r} in {where}", REMEDY)
    start = end = 0.0
    if len(rest) == 3:
        try:
            start, end = (float(part) for part in rest[1:])
        except ValueError as error:
            given = f"{line.strip()[-40:]!r} in {where}"
            raise EMO2Error(WHERE, "seconds after the second #", given, REMEDY) from error
    # The set says nan where nothing was noted.
    start, end = (0.0 if math.isnan(t) else t for t in (start, end))
    start, end = max(start, 0.0), min(end, duration)
    if end - start < SHORTEST:
        start, end = 0.0, duration
    return Described(text.strip(), start, end)


def _file(folder: Path, name: str) -> Path | None:
    for part in ("new_joint_vecs", "new_joints"):
        if (path := folder / part / f"{name}.npy").is_file():
            return path
    return None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EMO2Error(WHERE, "a text file in UTF-8", f"{path} ({error})", REMEDY) from error


def _array(path: Path) -> np.ndarray:
    """(F, 263) or (F, 22, 3), F > 0, finite float64."""
    try:
        array = np.load(path, allow_pickle=False)
        if array.dtype.kind not in "fiu":
            raise ValueError(f"numbers of type {array.dtype}")
    except (OSError, ValueError, EOFError) as error:
        raise EMO2Error(WHERE, "a whole .npy file of numbers", f"{path} ({error})", REMEDY) from error
    if array.shape[1:] not in ((VECTOR,), (JOINTS, 3)) or not len(array):
        hint = "KIT-ML's bodies have 21 joints and cannot be read." if array.shape[1:] in ((251,), (21, 3)) else REMEDY
        wanted = f"shape (F, {VECTOR}) or (F, {JOINTS}, 3) with F > 0"
        raise EMO2Error(WHERE, wanted, f"shape {array.shape} in {path}", hint)
    if not np.isfinite(array).all():
        raise EMO2Error(WHERE, "finite numbers", f"NaN or infinity in {path}", "Leave this motion out.")
    return np.asarray(array, np.float64)
