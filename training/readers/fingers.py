"""Fingers of SMPL-X data: from MANO's mean hand, and from its PCA coefficients, to turns from the flat hand.

SMPL-X and MANO count finger angles from an average, half-curled hand (`flat_hand_mean=False`, as BEAT2 and SHOW do);
the pack counts from the flat one. The difference, 45 numbers a hand, and the PCA directions stand in the licensed model
files, so those must be the user's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...models.errors import EMO2Error
from ...models.hands.pickles import read_pickle
from ...models.hands.poses import finger_pose
from ...models.hands.quaternions import from_axis_angle, to_axis_angle
from .arrays import load_arrays, numbers

MANO_FILES = ("MANO_RIGHT.pkl", "MANO_RIGHT.npz", "MANO_LEFT.pkl", "MANO_LEFT.npz")
ANGLES = 45
APPROXIMATE = (0.3, 0.45, 0.52, 0.55, 0.45)
"""Bending of thumb to little finger, radians a joint, of a hand at ease: the pack's own guess at the mean hand."""
WHERE = "hand model"
REMEDY = "Give SMPLX_NEUTRAL_2020.npz, or MANO_LEFT and MANO_RIGHT (.pkl or .npz), or fingers='approximate'."


@dataclass(frozen=True)
class FingerSpace:
    """mean (2, 45): the mean hand from the flat one, axis-angle, left and right. components (2, 45, 45): PCA directions
    as rows, or None where they are unknown. source: what it comes from."""

    mean: np.ndarray
    components: np.ndarray | None
    source: str

    def turns(self, left: np.ndarray, right: np.ndarray, where: str) -> np.ndarray:
        """Finger turns (F, 2, 15, 4) from the flat hand, from angles (F, 45) or PCA coefficients (F, n < 45) a hand."""
        hands = [self._angles(values, hand, where) for hand, values in enumerate((left, right))]
        return from_axis_angle(np.stack(hands, axis=1).reshape(len(left), 2, 15, 3))

    def _angles(self, values: np.ndarray, hand: int, where: str) -> np.ndarray:
        count = values.shape[1]
        if count != ANGLES:
            if self.components is None:
                raise EMO2Error(
                    where, f"finger angles, or the PCA directions of {count} coefficients a hand",
                    f"coefficients, and no directions in {self.source}",
                    "Give MANO_LEFT and MANO_RIGHT, or SMPL-X, of which these coefficients are.",
                )  # fmt: skip
            values = values @ self.components[hand, :count]
        return values + self.mean[hand]


def approximate_fingers() -> FingerSpace:
    """The pack's own guess at the mean hand, for those who have no MANO: single joints are off by 0.2 to 0.4 rad."""
    poses = [to_axis_angle(finger_pose(APPROXIMATE, hand)[1:]).ravel() for hand in (0, 1)]
    return FingerSpace(np.stack(poses), None, "the pack's own guess at the mean hand")


def read_fingers(path: Path) -> FingerSpace:
    """From the user's SMPL-X file, a MANO file, or a folder with either. EMO2Error for anything else.

    A MANO file whose other hand does not lie beside it serves both for the mean (a mirror image), not for PCA.
    """
    if path.is_dir():
        names = [*MANO_FILES, "SMPLX_NEUTRAL_2020.npz", "SMPLX_NEUTRAL.npz"]
        found = next((path / name for name in names if (path / name).is_file()), None)
        if found is None:
            raise EMO2Error(WHERE, "a folder with MANO or SMPL-X files", f"none in {path}", REMEDY)
        path = found
    if not path.is_file():
        raise EMO2Error(WHERE, "a MANO or SMPL-X file, or a folder with one", f"nothing at {path}", REMEDY)
    if "SMPLX" in path.stem.upper():
        return _smplx(path)
    return _mano(path)


def _smplx(path: Path) -> FingerSpace:
    names = ("hands_meanl", "hands_meanr", "hands_componentsl", "hands_componentsr")
    arrays = load_arrays(path, names, WHERE, REMEDY)
    left, right = (_checked(arrays[names[k]], arrays[names[k + 2]], path.name) for k in (0, 1))
    return FingerSpace(np.stack([left[0], right[0]]), np.stack([left[1], right[1]]), path.name)


def _mano(path: Path) -> FingerSpace:
    side = "LEFT" if "LEFT" in path.stem.upper() else "RIGHT"
    partner = _partner(path, side)
    mean, components = _one(path)
    if partner is None:
        # A mirror at x = 0 keeps the x of an axis-angle and turns the others.
        mirrored = (mean.reshape(-1, 3) * np.array([1, -1, -1])).ravel()
        return FingerSpace(np.stack([mean, mirrored] if side == "LEFT" else [mirrored, mean]), None, path.name)
    other = _one(partner)
    pair = [(mean, components), other] if side == "LEFT" else [other, (mean, components)]
    source = f"{path.name} and {partner.name}"
    return FingerSpace(np.stack([p[0] for p in pair]), np.stack([p[1] for p in pair]), source)


def _partner(path: Path, side: str) -> Path | None:
    other = "RIGHT" if side == "LEFT" else "LEFT"
    wanted = path.stem.upper().replace(side, other)
    beside = [
        p for p in sorted(path.parent.iterdir()) if p.stem.upper() == wanted and p.suffix.lower() in (".pkl", ".npz")
    ]
    beside.sort(key=lambda p: p.suffix.lower() != path.suffix.lower())
    return beside[0] if beside and wanted != path.stem.upper() else None


def _one(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(hands_mean (45,), hands_components (45, 45)) of a MANO file."""
    names = ("hands_mean", "hands_components")
    if path.suffix.lower() == ".npz":
        arrays = load_arrays(path, names, WHERE, REMEDY)
    elif path.suffix.lower() == ".pkl":
        content = read_pickle(path, WHERE)
        missing = [name for name in names if name not in content]
        if missing:
            given = f"{path.name} without {', '.join(missing)}"
            raise EMO2Error(WHERE, f"the arrays {', '.join(names)}", given, REMEDY)
        arrays = {name: numbers(content[name], name, path.name, WHERE, REMEDY) for name in names}
    else:
        raise EMO2Error(WHERE, "a MANO or SMPL-X file (.pkl or .npz)", path.name, REMEDY)
    return _checked(arrays["hands_mean"], arrays["hands_components"], path.name)


def _checked(mean: np.ndarray, components: np.ndarray, file: str) -> tuple[np.ndarray, np.ndarray]:
    if mean.size != ANGLES or components.shape != (ANGLES, ANGLES):
        wanted = f"hands_mean of {ANGLES} numbers and hands_components of shape ({ANGLES}, {ANGLES})"
        raise EMO2Error(WHERE, wanted, f"shapes {mean.shape} and {components.shape} in {file}", REMEDY)
    return mean.ravel(), components


def choose_fingers(hands: Path | str | None, fingers: str, found: Path | None, data: str, where: str) -> FingerSpace:
    """The finger space of a data set: the user's file `hands`, else one `found` beside the data, else the pack's own
    guess where `fingers` is "approximate". Without any of them an EMO2Error says what is needed and why."""
    if fingers not in ("exact", "approximate"):
        raise EMO2Error("fingers", "exact or approximate", repr(fingers), "Choose one of them.")
    if hands is not None:
        return read_fingers(Path(hands))
    if found is not None:
        return read_fingers(found)
    if fingers == "approximate":
        return approximate_fingers()
    raise EMO2Error(
        where, f"your own MANO or SMPL-X file, because {data} counts finger angles from MANO's mean hand and the pack "
        "from the flat one", "none", "Put SMPLX_NEUTRAL_2020.npz, or MANO_LEFT and MANO_RIGHT, into the data set's "
        "folder or a folder models beside it, or allow fingers='approximate'.",
    )  # fmt: skip
