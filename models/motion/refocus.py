"""Refocusing a motion on the voice: strong accents enlarge the gesture around its own rest pose, quiet parts calm it.

After ApoAvatar (Lin et al.), whose authors say of their Audio-Pose Prior Refocusing that strong accents increase the
magnitude of gestures, quiet parts suppress needless motion, and that the energy of speech says how much pose guidance
is kept in each frame. How it is computed here is this pack's own; the same idea, as an edit of the motion itself and
as the strength with which it leads.

Why a gain and not a clock: playing the motion faster on accents and slower between them, by as much, was tried too. On
stage 1's motions, with as much added jerk, it raised the correlation of speed with the voice less, calmed silence less,
and moved strokes off their words by up to a quarter of a second.
"""

from __future__ import annotations

import numpy as np
import torch

from ..errors import EMO2Error
from ..hands import HandModel, load_hands
from ..hands.layer import forward_kinematics, to_matrix
from ..hands.quaternions import angle, continuous, normalise, slerp
from ..pose.body import FOREARM, SHOULDERS, UPPER_ARM, body_joints
from ..types import HANDS, STRONGEST, Motion
from .edit import LARGEST_FINGER_AMPLITUDE
from .edit_blend import follow, hand_indices, number

GROWTH = 0.7
"""Logarithm of the gain at the strongest accents: twice as large."""
CALM = 0.7
"""How much of a gesture goes in silence."""
SMOOTH_SECONDS, LEAD_SECONDS = 0.45, 0.08
"""Stage 1's hands are fastest 0.12 s before an accent is at its height: the stroke lands on it. Leading by two thirds
of that raises the correlation there and at the same instant."""
REST_SECONDS = 2.4
"""Width at half height of the window that a hand's rest pose is the mean over: a gesture and its way back."""
SPOKEN = 0.05
"""Prosodic intensity from which a frame counts as speech."""
SPREAD = 1.5
"""Standard deviations of the speech's intensity that count as strong."""
MOST_COMPENSATION, LARGEST = 0.5, 10.0
SETTLING = (np.pi / 3, 2 * np.pi / 3)
"""Radians from rest between which a wrist's turn is scaled less and less: near half a circle no way is the shorter."""
REACH = 0.99 * (UPPER_ARM + FOREARM)
LAST = [15, 3, 6, 12, 9]
"""MANO's joints that the fingertips hang on, thumb first."""
ROUNDS = 4
PER_SIGMA = 2.355


def refocus(
    motion: Motion,
    intensity: np.ndarray,
    amount: float = 1.0,
    calm: float = CALM,
    hands: str = "both",
    smooth_seconds: float = SMOOTH_SECONDS,
    lead_seconds: float = LEAD_SECONDS,
    strength_amount: float = 0.0,
    model: HandModel | None = None,
) -> Motion:
    """The motion refocused on a voice's prosodic intensity (F,) 0..1, one value a frame (`AudioFeatures.intensity_at`).

    amount 0..2: 0 gives back the same hands bit for bit; at 1 gestures are twice as large on the strongest accents and
    1 - calm times as large in silence. calm 0..0.95. smooth_seconds: width at half height of the Gaussian under which
    intensity becomes a gain; lead_seconds: how much sooner than the voice the hands react (below 0: later).
    strength_amount 0..1: how much less `pose_strength` is in silence than on accents; 0 leaves it.

    Each hand's rest pose is its own mean over 2.4 s around a frame. Place and turn of the wrist are scaled about it,
    fingers too but by at most 1.25. Over the spoken part the gains are raised until a hand is on average as far from
    rest as before: calming the quiet does not make the whole smaller. Where a gain above 1 would take a wrist out of
    the arm's reach or a point of the hand out of the picture, it stays as large as it may. model: the hands whose
    points must stay in the picture (None: the pack's own). Arms of the body points follow. Errors name the node's
    inputs.
    """
    amount = number("amount", amount, 0, 2)
    calm = number("calm", calm, 0, 0.95)
    strength_amount = number("strength_amount", strength_amount, 0, 1)
    number("smooth_seconds", smooth_seconds, 0, 10, "seconds")
    number("lead_seconds", lead_seconds, -2, 2, "seconds")
    which = list(hand_indices(hands))
    intensity = np.asarray(intensity, np.float64)
    if intensity.shape != (len(motion),) or not np.isfinite(intensity).all():
        given = f"shape {intensity.shape}" if np.isfinite(intensity).all() else "NaN or infinity"
        raise EMO2Error("intensity", f"{len(motion)} numbers, one a frame", given, "Measure it at the motion's frames.")
    if amount == 0 and strength_amount == 0:
        return motion
    stress, spoken = emphasis(intensity, motion.fps, smooth_seconds, lead_seconds)
    refocused = motion
    if amount:
        gain = np.exp(amount * np.where(stress > 0, GROWTH * stress, -np.log(1 - calm) * stress))
        refocused = follow(motion, _enlarged(motion, gain, spoken, which, model))
    if strength_amount:
        share = 1 - strength_amount * (1 - stress) / 2
        strength = np.clip(motion.pose_strength * share, 0, STRONGEST)
        refocused = refocused.replace(pose_strength=strength)
    return refocused


def emphasis(
    intensity: np.ndarray, fps: float, smooth_seconds: float = SMOOTH_SECONDS, lead_seconds: float = LEAD_SECONDS
) -> tuple[np.ndarray, np.ndarray]:
    """How each frame stands out of the speech around it, (F,) -1..1, and how much it is speech at all, (F,) 0..1.

    tanh((x - mean) / (1.5 deviations)), x the smoothed and advanced intensity (F,), mean and deviation over the frames
    in which something is said: 0 is ordinary speech, whoever speaks and however lively. A clip without speech is -1.
    """
    frames = np.arange(len(intensity))
    curve = _smooth(intensity, smooth_seconds * fps / PER_SIGMA)
    curve = np.interp(frames + lead_seconds * fps, frames, curve)
    said = intensity > SPOKEN
    if not said.any():
        return np.full(len(intensity), -1.0), np.zeros(len(intensity))
    mean, deviation = curve[said].mean(), max(curve[said].std(), SPOKEN)
    return np.tanh((curve - mean) / (SPREAD * deviation)), np.clip(curve / mean, 0, 1)


def _enlarged(
    motion: Motion, gain: np.ndarray, spoken: np.ndarray, which: list[int], model: HandModel | None
) -> Motion:
    """The motion with the hands `which` scaled about their rest poses by `gain` (F,), as far as they may go."""
    turns = continuous(motion.rotations.astype(np.float64))
    places = motion.translations.astype(np.float64)
    rest_turns, rest_places = rest_poses(motion)
    away = np.linalg.norm(places - rest_places, axis=-1)
    wanted = np.repeat(gain[:, None], HANDS, 1)
    swing = angle(rest_turns[:, :, 0], turns[:, :, 0])
    near = 1 - np.clip((swing - SETTLING[0]) / (SETTLING[1] - SETTLING[0]), 0, 1)

    def scaled(gains: np.ndarray) -> Motion:
        share = np.repeat(np.minimum(gains, LARGEST_FINGER_AMPLITUDE)[..., None], turns.shape[2], 2)
        share[..., 0] = 1 + (gains - 1) * near
        rotations, translations = motion.rotations.copy(), motion.translations.copy()
        rotations[:, which] = slerp(rest_turns, turns, share)[:, which]
        translations[:, which] = (rest_places + gains[..., None] * (places - rest_places))[:, which]
        return motion.replace(rotations=rotations, translations=translations)

    limits = Limits(motion, model or load_hands(None))
    most = np.full(wanted.shape, LARGEST)
    for number_ in range(ROUNDS + 1):
        gains = _kept_large(wanted, _below(most, 0.04 * motion.fps), spoken, away)
        result = scaled(gains)
        broken = limits.broken(result) & (gains > 1)
        if not broken.any() or number_ == ROUNDS:
            break
        # Half as much as was too much; in the last round nothing beyond what was there.
        most[broken] = 1 + (gains[broken] - 1) * (0.5 if number_ < ROUNDS - 1 else 0.0)
    return result


def _kept_large(wanted: np.ndarray, cap: np.ndarray, spoken: np.ndarray, away: np.ndarray) -> np.ndarray:
    """The gains (F, 2) that are `wanted`, nowhere above `cap`, and in speech so much larger, by one factor a hand, that
    its mean distance from rest `away` (F, 2) is no less than before; by at most a half."""
    raised = lambda more: np.minimum(wanted * (1 + more * spoken[:, None]), cap)
    low, high = np.zeros(HANDS), np.full(HANDS, MOST_COMPENSATION)
    for _ in range(20):
        middle = (low + high) / 2
        short = (away * raised(middle)).sum(0) < away.sum(0)
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return raised(high * (high > 1e-4))


class Limits:
    """What an enlarged motion must keep: wrists within reach, and in the picture all hand points that were in it."""

    def __init__(self, motion: Motion, model: HandModel):
        rest = np.stack([hand.joints for hand in (model.left, model.right)])
        tips = np.stack([hand.v_template[hand.tips] for hand in (model.left, model.right)]) - rest[:, LAST]
        self.rest, self.tips = torch.from_numpy(rest), torch.from_numpy(tips)
        self.reach = np.maximum(self._stretch(motion), REACH)
        self.inside = self._inside(motion)

    def broken(self, motion: Motion) -> np.ndarray:
        """(F, 2) frames and hands in which the motion goes further than the first one did."""
        further = self._stretch(motion) > self.reach + 1e-6
        return further | (self.inside & ~self._inside(motion)).any(-1)

    def _stretch(self, motion: Motion) -> np.ndarray:
        """(F, 2) metres from shoulder to wrist."""
        wrists = motion.wrists()
        joints = body_joints(motion.framing, wrists, motion.body_offset, motion.body_rotation)
        return np.linalg.norm(wrists - joints[:, SHOULDERS], axis=-1)

    def _inside(self, motion: Motion) -> np.ndarray:
        """(F, 2, 21) whether a point of the hand lies in the picture."""
        # Joints and, each stiff on its last one, fingertips: the whole mesh would take ten times as long.
        local = to_matrix(torch.from_numpy(motion.rotations.astype(np.float64)))
        turns, joints = forward_kinematics(local, self.rest.expand(len(motion), -1, -1, -1))
        tips = joints[:, :, LAST] + (turns[:, :, LAST] @ self.tips[..., None])[..., 0]
        points = torch.cat([joints, tips], dim=2).numpy() + motion.wrists()[:, :, None]
        placed = motion.framing.project(points)
        return np.asarray(((placed >= 0) & (placed <= 1)).all(-1))


def rest_poses(motion: Motion, seconds: float = REST_SECONDS) -> tuple[np.ndarray, np.ndarray]:
    """Each hand's rest pose around every frame: rotations (F, 2, 16, 4) and translations (F, 2, 3).

    Means under a Gaussian of width `seconds` at half height, over the frames in which the hand is visible (all of them
    where it is not for long).
    """
    sigma = seconds * motion.fps / PER_SIGMA
    weight = motion.visible.astype(np.float64) + 1e-6
    turns = continuous(motion.rotations.astype(np.float64)) * weight[..., None, None]
    places = motion.translations.astype(np.float64) * weight[..., None]
    return normalise(_smooth(turns, sigma)), _smooth(places, sigma) / _smooth(weight, sigma)[..., None]


def _below(most: np.ndarray, sigma: float) -> np.ndarray:
    """A curve (F, 2) that changes gently and nowhere exceeds `most`: its running minimum, smoothed by less."""
    from scipy.ndimage import minimum_filter1d

    radius = int(np.ceil(4 * sigma)) + 1
    return _smooth(minimum_filter1d(most, 2 * radius + 1, axis=0, mode="nearest"), sigma)


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian along axis 0, ends held."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(values, sigma, axis=0, mode="nearest") if sigma > 0 else values
