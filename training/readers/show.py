"""SHOW (Yi et al. 2023, TalkSHOW): speakers of videos as SMPL-X at 30 fps, one `.pkl` and one `.wav` a clip.

Arrays: global_orient (F, 3), body_pose_axis (F, 21, 3), left_hand_pose and right_hand_pose (F, 12) coefficients of
MANO's PCA, counted from its mean hand, transl (F, 3), betas (300,). Axes are the video camera's. A few files hold
a list with the dictionary in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...models.errors import EMO2Error
from ...models.types import Framing
from .arrays import frames, numbers
from .beat2 import models
from .recording import Recording, in_folder, paired
from .restricted_pickle import read_plain_pickle
from .smplx_skeleton import JOINTS, body_motion

WHERE = "SHOW recording"
REMEDY = "Get the recording again from the SHOW data set."
FPS = 30.0
NEEDED = ("global_orient", "body_pose_axis", "left_hand_pose", "right_hand_pose", "transl")


def read_show(
    path: Path | str,
    *,
    body: Path | str | None = None,
    hands: Path | str | None = None,
    fps: float | None = 25.0,
    style: str = "speaking",
    framing: Framing | None = None,
) -> Recording:
    """One recording with the sound of the same name. Options as in `read_beat2`.

    The fingers are PCA coefficients, which mean nothing without the directions: `hands` (MANO_LEFT and MANO_RIGHT, or
    SMPL-X) must be given or lie near the data; there is no approximation. The file is read by an unpickler that knows
    plain data only. Raises EMO2Error for anything else, missing names, odd shapes, NaN, a damaged file.
    """
    path = Path(path)
    content = read_plain_pickle(path, WHERE, REMEDY)
    if isinstance(content, list) and len(content) == 1:
        content = content[0]
    if not isinstance(content, dict):
        raise EMO2Error(WHERE, "a dictionary of arrays", f"a {type(content).__name__} in {path.name}", REMEDY)
    missing = [name for name in NEEDED if name not in content]
    if missing:
        given = f"{path.name} without {', '.join(missing)}"
        raise EMO2Error(WHERE, f"the arrays {', '.join(NEEDED)}", given, REMEDY)
    arrays = {name: numbers(content[name], name, path.name, WHERE, REMEDY) for name in NEEDED}
    size = {"body_pose_axis": 63} | {name: arrays[name].size // max(len(arrays[name]), 1) if arrays[name].ndim else 0
                                     for name in ("left_hand_pose", "right_hand_pose")}  # fmt: skip
    parts = {
        name: frames(np.atleast_1d(value), size.get(name, 3), name, path.name, WHERE, REMEDY)
        for name, value in arrays.items()
    }
    counts = {len(value) for value in parts.values()}
    if len(counts) != 1 or 0 in counts:
        given = f"{', '.join(str(n) for n in sorted(counts))} in {path.name}"
        raise EMO2Error(WHERE, "as many frames in all arrays, at least one", given, REMEDY)
    if not 0 < parts["left_hand_pose"].shape[1] == parts["right_hand_pose"].shape[1] <= 45:
        shapes = f"{parts['left_hand_pose'].shape} and {parts['right_hand_pose'].shape} in {path.name}"
        raise EMO2Error(WHERE, "12 coefficients (or 45 angles) a hand", shapes, REMEDY)
    betas = numbers(content.get("betas", np.zeros(0)), "betas", path.name, WHERE, REMEDY)
    betas = betas[0] if betas.ndim == 2 and len(betas) else betas.ravel()
    space, skeleton = models(path.parent, betas, body, hands, "exact", "SHOW", WHERE)
    turns = np.concatenate([parts["global_orient"], parts["body_pose_axis"]], axis=1).reshape(-1, JOINTS, 3)
    fingers = space.turns(parts["left_hand_pose"], parts["right_hand_pose"], WHERE)
    motion = body_motion(turns, parts["transl"], fingers, FPS, skeleton, framing)
    return paired(path, motion, style, fps, WHERE)


def read_folder(
    folder: Path | str,
    *,
    body: Path | str | None = None,
    hands: Path | str | None = None,
    fps: float | None = 25.0,
    style: str = "speaking",
    strict: bool = True,
) -> Iterator[Recording]:
    """All recordings under a folder, by name; options as in `read_show`. strict: a damaged one stops the reading
    instead of being left out with a warning."""
    options = {"body": body, "hands": hands, "fps": fps, "style": style}
    return in_folder(Path(folder), "*.pkl", lambda path: read_show(path, **options), WHERE, strict)
