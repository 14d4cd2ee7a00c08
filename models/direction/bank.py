"""The relation bank: real poses with the motion tokens they came from (VersaAnimator, section 3.3).

Every pose is held in one normal form, so that people of all builds lie in one space: in the picture the neck at one
place and shoulders of one width, in space arms of average length. A clip keeps its order: what follows a pose is known.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ..body.config import DOWNSAMPLING
from ..errors import EMO2Error
from ..hands import HandModel, load_hands
from ..hands.layer import forward_kinematics, to_matrix
from ..motion.edit_blend import gather
from ..motion.edit_time import resample
from ..motion.files import write_whole
from ..motion.retarget import retarget
from ..motion.vector import to_shoulders
from ..pose.proportions import Proportions
from ..types import FRAME_FIELDS, SHOULDER_METRES, Framing, Motion

NORMAL = Framing((0.5, 0.45), 0.36, (704, 512))
"""The framing of all poses in a bank."""
FPS, PER_TOKEN = 25.0, DOWNSAMPLING
FORMAT, VERSION = "emo2-pose-bank", 2
STEP = 1 / 8192
"""What a file keeps of places and turns: eighths of a millimetre, hundredths of a degree."""
LAST = [15, 3, 6, 12, 9]
"""MANO's joints that the fingertips hang on, thumb first."""


@dataclass(frozen=True)
class BankClip:
    """One sample that has both: a motion whose points come from a picture (or from projection, then `projected`), and
    the tokens (n,) of the same performance, of which each lasts four frames at 25 a second."""

    motion: Motion
    codes: np.ndarray
    projected: bool = False


@dataclass(frozen=True)
class PoseBank:
    """T tokens with the four frames of each, clip after clip.

    motion: 4 T frames in the normal form. codes (T,) int64: each snippet's token. clips (T,) int64: which clip it is
    of; snippets of a clip follow one another. projected (clips,) bool: whose points were not seen but projected.
    tokenizer: fingerprint of the file whose tokens these are, or "".
    """

    motion: Motion
    codes: np.ndarray
    clips: np.ndarray
    projected: np.ndarray
    tokenizer: str = ""

    def __post_init__(self) -> None:
        count = len(self.codes)
        fits = len(self.motion) == PER_TOKEN * count and self.clips.shape == (count,) and count > 0
        if (
            not fits
            or self.clips.max() >= len(self.projected)
            or (np.diff(self.clips) < 0).any()
            or self.codes.min() < 0
        ):
            given = f"{count} tokens for {len(self.motion)} frames"
            raise EMO2Error("pose_bank", f"{PER_TOKEN} frames a token, clip after clip", given, "Build the bank again.")

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, clips: Iterable[BankClip], tokenizer: str = "") -> PoseBank:
        """A bank of clips; each is cut to whole tokens. EMO2Error where there are none."""
        motions: list[Motion] = []
        codes: list[np.ndarray] = []
        owners: list[np.ndarray] = []
        projected: list[bool] = []
        for clip in clips:
            motion = normal_form(clip.motion)
            count = min(len(motion) // PER_TOKEN, len(clip.codes))
            if count:
                motions.append(motion.frames(0, PER_TOKEN * count))
                codes.append(np.asarray(clip.codes[:count], np.int64))
                owners.append(np.full(count, len(projected)))
                projected.append(clip.projected)
        if not motions:
            raise EMO2Error("pose_bank", "clips of at least one token", "none", "Give samples with motion and tokens.")
        fields = {name: np.concatenate([getattr(motion, name) for motion in motions]) for name in FRAME_FIELDS}
        return cls(
            motions[0].replace(**fields), np.concatenate(codes), np.concatenate(owners), np.array(projected), tokenizer
        )

    @cached_property
    def follows(self) -> np.ndarray:
        """(T,) bool: whether the next snippet goes on with this one's clip."""
        return np.append(self.clips[1:] == self.clips[:-1], False)

    def stretch(self, first: int, count: int) -> Motion:
        """`count` frames from the beginning of snippet `first` on; the clip's last frame is held past its end."""
        last = PER_TOKEN * int(np.searchsorted(self.clips, self.clips[first], side="right")) - 1
        return gather(self.motion, np.minimum(np.arange(count) + PER_TOKEN * first, last))


def normal_form(motion: Motion) -> Motion:
    """The motion at 25 frames a second, in the bank's framing, with arms of average length."""
    return retarget(resample(motion, FPS), NORMAL, Proportions())


def hand_points(motion: Motion, hands: HandModel | None = None) -> np.ndarray:
    """Wrist, joints and fingertips of both hands (F, 2, 21, 3), metres from the framing's neck; each tip is stiff on
    its last joint."""
    model = hands or load_hands(None)
    rest = np.stack([hand.joints for hand in (model.left, model.right)])
    tips = np.stack([hand.v_template[hand.tips] for hand in (model.left, model.right)]) - rest[:, LAST]
    local = to_matrix(torch.from_numpy(motion.rotations.astype(np.float64)))
    turns, joints = forward_kinematics(local, torch.from_numpy(rest).expand(len(motion), -1, -1, -1))
    ends = joints[:, :, LAST] + (turns[:, :, LAST] @ torch.from_numpy(tips)[..., None])[..., 0]
    points = torch.cat([joints, ends], dim=2).numpy()
    return points - points[:, :, :1] + (motion.wrists() - motion.framing.root())[:, :, None]


def pose_points(motion: Motion, hands: HandModel | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What a picture shows of a pose: 18 body points and 21 of each hand, (F, 60, 2), from the neck in shoulder widths,
    and their scores (F, 60)."""
    placed = hand_points(motion, hands).reshape(len(motion), -1, 3) + motion.framing.root()
    shown = np.concatenate([motion.keypoints, motion.framing.project(placed)], axis=1)
    scores = np.concatenate(
        [motion.keypoint_scores, (motion.hand_scores * motion.visible[..., None]).reshape(len(motion), -1)], axis=1
    )
    return to_shoulders(shown, motion.framing), scores


def features(motion: Motion) -> np.ndarray:
    """(F, 36): wrists and fingertips from the neck, in shoulder widths, weighted so that the Euclidean distance of two
    rows is a mean over both hands of which the wrists make half."""
    points = hand_points(motion)[:, :, [0, *range(16, 21)]] / SHOULDER_METRES
    weight = np.sqrt(np.array([0.5, *[0.1] * 5]) / 2)
    return (points * weight[:, None]).reshape(len(motion), -1)


def save_bank(bank: PoseBank, path: Path | str) -> Path:
    """Write a bank (.npz of plain arrays), whole or not at all; places and turns to `STEP`."""
    arrays = {"format": np.array(FORMAT), "version": np.array(VERSION), "codes": bank.codes, "clips": bank.clips}
    arrays |= {"projected": bank.projected, "tokenizer": np.array(bank.tokenizer)}
    for name in FRAME_FIELDS:
        values = getattr(bank.motion, name)
        changes = _changes(values) if values.dtype.kind == "f" else None
        arrays |= {name: values} if changes is None else {f"{name}_changes": changes}
    return write_whole(path, lambda stream: np.savez_compressed(stream, allow_pickle=False, **arrays))


def load_bank(path: Path | str, where: str = "pose_bank") -> PoseBank:
    """The bank in a file that `save_bank` wrote."""
    path = Path(path)
    again = "Build it again with emo2 build-pose-bank, or choose another file."
    if not path.is_file():
        raise EMO2Error(where, "a pose bank (.npz)", f"no file at {path}", "Check the name and the folder.")
    try:
        with np.load(path, allow_pickle=False) as archive:
            if str(archive.get("format")) != FORMAT or int(archive["version"]) > VERSION:
                raise EMO2Error(
                    where, f"a pose bank of version {VERSION} or earlier", f"another file ({path.name})", again
                )
            fields = {name: archive[name] if name in archive else _summed(archive, name) for name in FRAME_FIELDS}
            motion = Motion(fps=FPS, framing=NORMAL, **fields)
            return PoseBank(motion, archive["codes"], archive["clips"], archive["projected"], str(archive["tokenizer"]))
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, ValueError) as error:
        if isinstance(error, EMO2Error):
            raise
        raise EMO2Error(where, "a pose bank (.npz)", f"a damaged or other file ({path.name})", again) from error


def _changes(values: np.ndarray) -> np.ndarray | None:
    """(2, ...) uint8: low and high bytes of how much each number of (F, ...) changes from frame to frame, in `STEP`s,
    frames last: nearly all high bytes are alike, which compresses to a tenth. None where they do not fit."""
    scaled = np.rint(np.asarray(values, np.float64) / STEP)
    if not np.abs(scaled).max(initial=0) < 1 << 30:
        return None
    change = np.moveaxis(np.diff(scaled.astype(np.int64), axis=0, prepend=0), 0, -1)
    if np.abs(change).max(initial=0) >= 1 << 15:
        return None
    whole = change.astype(np.int16).view(np.uint16)
    return np.stack([whole & 255, whole >> 8]).astype(np.uint8)


def _summed(archive: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """Numbers (F, ...) float32 of their `_changes`."""
    low, high = archive[f"{name}_changes"].astype(np.uint16)
    change = np.moveaxis((low | high << 8).view(np.int16).astype(np.int64), -1, 0)
    return (np.cumsum(change, axis=0) * STEP).astype(np.float32)
