"""Reading hands: MANO's official files (.pkl, .npz), ours, or the pack's own neutral hand."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EMO2Error
from .layer import FINGER_JOINTS, PARENTS, Hand, HandModel
from .pickles import read_pickle

NEUTRAL = Path(__file__).resolve().parents[2] / "weights" / "hands" / "neutral_hand.npz"
SUFFIXES = (".npz", ".pkl")
MANO_VERTICES = 778
MANO_TIPS = (744, 320, 443, 554, 671)
"""Fingertip vertices of MANO's own mesh, thumb to little finger (the numbers smplx uses)."""
NEEDED = ("v_template", "f", "weights", "J_regressor", "shapedirs", "posedirs", "kintree_table")
WHERE = "hands"
REMEDY = "Choose MANO_RIGHT or MANO_LEFT as .pkl or .npz, or 'neutral'."


def load_hands(path: str | Path | None = None) -> HandModel:
    """Both hands from a MANO file, from a folder with MANO files, or (None) the pack's own neutral hand.

    A file named ..LEFT.. or ..RIGHT.. brings its partner when that lies beside it; otherwise the other hand is its
    mirror image. A file with neither word in its name counts as a right hand. Raises EMO2Error for a missing, damaged
    or hostile file, and for missing or wrong arrays.
    """
    if path is None:
        return _pair(None, read_hand(NEUTRAL), "neutral")
    path = Path(path)
    if path.is_dir():
        found = [p for word in ("RIGHT", "LEFT") for p in _files(path) if word in p.stem.upper()]
        if not found:
            given = f"none in {path}"
            raise EMO2Error(WHERE, "a folder with MANO_RIGHT or MANO_LEFT (.pkl or .npz)", given, REMEDY)
        path = found[0]
    side = "LEFT" if "LEFT" in path.stem.upper() else "RIGHT"
    partner = _partner(path, side)
    hand = read_hand(path)
    other = read_hand(partner) if partner else None
    left, right = (hand, other) if side == "LEFT" else (other, hand)
    return _pair(left, right, path.name)


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and "MANO" in p.stem.upper())


def _partner(path: Path, side: str) -> Path | None:
    """The other side's file beside `path`: the same name but for the side, with either suffix."""
    if side not in path.stem.upper():
        return None
    other = path.stem.upper().replace(side, "LEFT" if side == "RIGHT" else "RIGHT")
    same_first = sorted(path.parent.iterdir(), key=lambda p: (p.suffix.lower() != path.suffix.lower(), p.name))
    return next((p for p in same_first if p.suffix.lower() in SUFFIXES and p.stem.upper() == other), None)


def _pair(left: Hand | None, right: Hand | None, name: str) -> HandModel:
    """A model of both hands; a missing one is the mirror image of the other."""
    if left is None or right is None:
        known = left or right
        assert known is not None
        return HandModel(left or known.mirrored(), right or known.mirrored(), name)
    if left.v_template.shape != right.v_template.shape or left.faces.shape != right.faces.shape:
        raise EMO2Error(
            WHERE, "left and right hands with equally many vertices and triangles",
            f"{len(left.v_template)} and {len(right.v_template)} vertices beside {name}", REMEDY,
        )  # fmt: skip
    # The official left file holds the right hand's shape directions along x, unmirrored: betas would widen one hand
    # and narrow the other. Every user of the file turns the sign; a file that is already right is left alone.
    if left.shapedirs.shape == right.shapedirs.shape and right.shapedirs.shape[-1]:
        a, b = left.shapedirs[:, 0], right.shapedirs[:, 0]
        if np.abs(a - b).sum() < np.abs(a + b).sum():
            fixed = left.shapedirs * np.array([-1.0, 1.0, 1.0])[:, None]
            left = Hand(**{**vars(left), "shapedirs": fixed})
    return HandModel(left, right, name)


def read_hand(path: Path) -> Hand:
    """One hand from a MANO-format `.pkl` or `.npz`, checked."""
    if not path.is_file():
        raise EMO2Error(WHERE, "a MANO file", f"no file at {path}", REMEDY)
    if path.suffix.lower() == ".pkl":
        arrays: Mapping[str, Any] = read_pickle(path, WHERE)
    elif path.suffix.lower() == ".npz":
        arrays = _read_npz(path)
    else:
        raise EMO2Error(WHERE, "a .pkl or .npz file", path.name, REMEDY)
    return _hand(arrays, path.name)


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path):  # where it is none, NumPy would take it for a pickle
            pass
        with np.load(path, allow_pickle=False) as archive:
            wanted = [k for k in archive.files if k in (*NEEDED, "fingertips")]
            return {name: archive[name] for name in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        reason = "it holds pickled objects, which could run code" if "allow_pickle" in str(error) else error
        raise EMO2Error(WHERE, "a whole MANO .npz file of plain arrays", f"{path.name} ({reason})", REMEDY) from error


def _hand(arrays: Mapping[str, Any], name: str) -> Hand:
    """Check names, shapes and numbers, and make the Hand."""
    missing = [key for key in NEEDED if key not in arrays]
    if missing:
        raise EMO2Error(WHERE, f"a MANO file with the arrays {', '.join(NEEDED)}",
                        f"{name} without {', '.join(missing)}", REMEDY)  # fmt: skip
    numbers = {}
    for key in NEEDED:
        try:
            numbers[key] = np.asarray(arrays[key], np.float64)
        except (TypeError, ValueError) as error:
            raise EMO2Error(WHERE, f"numbers in {key}", f"something else in {name}", REMEDY) from error
    count = numbers["v_template"].shape[0] if numbers["v_template"].ndim else 0
    joints = len(PARENTS)
    shapes: dict[str, tuple[int | None, ...]] = {
        "v_template": (count, 3), "f": (None, 3), "weights": (count, joints), "J_regressor": (joints, count),
        "shapedirs": (count, 3, None), "posedirs": (count, 3, 9 * (joints - 1)), "kintree_table": (2, joints),
    }  # fmt: skip
    for key, shape in shapes.items():
        have = numbers[key].shape
        if len(have) != len(shape) or any(w is not None and w != h for w, h in zip(shape, have)) or not count:
            wanted = ", ".join("any" if n is None else str(n) for n in shape)
            raise EMO2Error(WHERE, f"{key} of shape ({wanted})", f"shape {have} in {name}", REMEDY)
        if key != "kintree_table" and not np.isfinite(numbers[key]).all():
            raise EMO2Error(WHERE, f"finite numbers in {key}", f"NaN or infinity in {name}", REMEDY)
    if not np.array_equal(numbers["kintree_table"][0, 1:], PARENTS[1:]):
        given = f"parents {arrays['kintree_table'][0].tolist()} in {name}"
        raise EMO2Error(WHERE, f"MANO's joint tree {PARENTS[1:]} in kintree_table", given, REMEDY)
    tips = np.asarray(arrays["fingertips"] if "fingertips" in arrays else _fingertips(numbers))
    if tips.dtype.kind not in "iu":
        raise EMO2Error(WHERE, "whole numbers in fingertips", f"{tips.dtype} in {name}", REMEDY)
    for key, index in (("f", numbers["f"]), ("fingertips", tips)):
        if index.size and not (index.min() >= 0 and index.max() < count):
            raise EMO2Error(WHERE, f"vertex numbers 0 to {count - 1} in {key}", f"{index.max():.0f} in {name}", REMEDY)
    if tips.shape != (5,):
        raise EMO2Error(WHERE, "5 vertex numbers in fingertips", f"shape {tips.shape} in {name}", REMEDY)
    n = numbers
    return Hand(n["v_template"], n["f"], n["weights"], n["J_regressor"], n["shapedirs"], n["posedirs"], tips)


def _fingertips(numbers: Mapping[str, np.ndarray]) -> np.ndarray:
    """MANO's fingertip vertices; for another mesh, the vertex of each last finger bone farthest from its joint."""
    vertices, weights = numbers["v_template"], numbers["weights"]
    if len(vertices) == MANO_VERTICES:
        return np.array(MANO_TIPS)
    places, main = numbers["J_regressor"] @ vertices, weights.argmax(1)
    tips = []
    for chain in FINGER_JOINTS.values():
        last = chain[-1]
        distance = np.linalg.norm(vertices - places[last], axis=1)
        tips.append(int(np.argmax(np.where(main == last, distance + 1e3, weights[:, last]))))
    return np.array(tips)
