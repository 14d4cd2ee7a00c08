"""How well a motion tokenizer tells whole bodies: codes in use, and what is lost on the way through the tokens."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ...models.body import WholeBody, skeleton
from ...models.body.tokenizer import MotionTokenizer
from ...models.errors import EMO2Error

HAND_SIZE = float(np.linalg.norm(skeleton.REST_TIPS[1, 2] - skeleton.REST_JOINTS[skeleton.WRISTS[1]]))
"""Metres from the wrist to the tip of the middle finger of the skeleton's flat hand."""


@dataclass(frozen=True)
class TokenReport:
    """used (Q,): share 0..1 of each codebook's codes that occur; more is better. all_used: the same of all codebooks
    together. hand_joints: metres that the 20 hand points are off, relative to their wrist, in the camera's axes; share:
    the same as a share of the hand's size; fingers: the same share with the wrist's turn taken out, so what the fingers
    alone are off. wrists: metres that wrists are off, relative to the neck root. velocity: metres a second that the
    speeds of the 22 body joints are off; still: what they would be off were nothing to move. Less is better."""

    used: tuple[float, ...]
    hand_joints: float
    fingers: float
    wrists: float
    velocity: float
    still: float

    @property
    def share(self) -> float:
        return self.hand_joints / HAND_SIZE

    @property
    def all_used(self) -> float:
        return float(np.mean(self.used))

    def lines(self) -> list[str]:
        """The figures in words."""
        used = " ".join(f"{share:.0%}" for share in self.used)
        return [
            f"codes in use: {self.all_used:.1%} (of each codebook: {used})",
            f"hand joints off their place from the wrist: {self.share:.2%} of the hand's size "
            f"({1000 * self.hand_joints:.1f} mm; the fingers alone {self.fingers:.2%})",
            f"wrists off their place: {1000 * self.wrists:.1f} mm",
            f"velocities of the body's joints off: {self.velocity:.4f} m/s (standing still: {self.still:.4f})",
        ]


def report(tokenizer: MotionTokenizer, bodies: Iterable[WholeBody], levels: int | None = None) -> TokenReport:
    """Bodies (any frame rate) through the tokenizer and back. levels: told in so many codebooks; None: in all.

    EMO2Error for no bodies.
    """
    kept = tokenizer.config.levels if levels is None else levels
    codes, rows, weights = [], [], []
    for body in bodies:
        true = body.resampled(tokenizer.config.fps)
        found = tokenizer.tokens(true)[:kept]
        made = tokenizer.body(found).frames(0, len(true))
        codes.append(found)
        posed, truly = _Posed.of(made), _Posed.of(true)
        fingers = _distance(_fingers(made), _fingers(true), true.hands)
        hands = _hands_off(posed, truly, true.hands)
        rows.append([hands, fingers, _wrists_off(posed, truly), *_velocity_off(posed, truly, true.fps)])
        weights.append(len(true))
    if not rows:
        raise EMO2Error("bodies", "at least one body's motion", "none", "Give held-out bodies.")
    table = np.array(rows)
    share = np.array(weights)[:, None] * np.isfinite(table)
    mean = np.where(np.isfinite(table), table, 0)
    off, fingers_off, wrists, velocity, still = (mean * share).sum(0) / np.maximum(share.sum(0), 1)
    return TokenReport(
        codes_used(codes, tokenizer.config.codes), float(off), float(fingers_off) / HAND_SIZE, float(wrists),
        float(velocity), float(still),
    )  # fmt: skip


def codes_used(codes: Iterable[np.ndarray], count: int) -> tuple[float, ...]:
    """Share 0..1 of the `count` codes of each codebook that occur in code arrays (Q, n); Q shares. More is better."""
    together = np.concatenate([np.asarray(c) for c in codes], axis=1)
    return tuple(len(np.unique(row[row >= 0])) / count for row in together)


@dataclass(frozen=True)
class _Posed:
    """A body's points, posed once: from_wrist (F, 2, 20, 3), wrists (F, 2, 3) from the neck root, joints (F, 22, 3)."""

    from_wrist: np.ndarray
    wrists: np.ndarray
    joints: np.ndarray

    @classmethod
    def of(cls, body: WholeBody) -> _Posed:
        turns, places = body.forward()
        points = skeleton.hand_points(turns, places)
        wrists = points[:, :, 0] - skeleton.neck_root(turns, places)[:, None]
        return cls(points[:, :, 1:] - points[:, :, :1], wrists, places[:, : skeleton.BODY_JOINTS])


def hand_errors(made: WholeBody, true: WholeBody) -> tuple[float, float]:
    """Mean distance in metres of the 20 hand points relative to their wrists over frames and known hands; and the same
    with both wrists at rest, which leaves the fingers. NaN where no hand is known. Less is better."""
    whole = _hands_off(_Posed.of(made), _Posed.of(true), true.hands)
    return whole, _distance(_fingers(made), _fingers(true), true.hands)


def wrist_error(made: WholeBody, true: WholeBody) -> float:
    """Mean distance in metres of both wrists relative to the neck root. Less is better."""
    return _wrists_off(_Posed.of(made), _Posed.of(true))


def velocity_errors(made: WholeBody, true: WholeBody) -> tuple[float, float]:
    """Mean length, metres a second, of the difference of the 22 body joints' velocities; and of the true velocities
    themselves, which is what a body that stands still is off. NaN for a single frame. Less is better."""
    return _velocity_off(_Posed.of(made), _Posed.of(true), true.fps)


def _hands_off(made: _Posed, true: _Posed, seen: np.ndarray) -> float:
    return _distance(made.from_wrist, true.from_wrist, seen)


def _wrists_off(made: _Posed, true: _Posed) -> float:
    return float(np.linalg.norm(made.wrists - true.wrists, axis=-1).mean())


def _velocity_off(made: _Posed, true: _Posed, fps: float) -> tuple[float, float]:
    if len(true.joints) < 2:
        return float("nan"), float("nan")
    speeds = [np.diff(posed.joints, axis=0) * fps for posed in (made, true)]
    off, all_of_it = (np.linalg.norm(v, axis=-1).mean() for v in (speeds[0] - speeds[1], speeds[1]))
    return float(off), float(all_of_it)


def _fingers(body: WholeBody) -> np.ndarray:
    turns = np.zeros((len(body), skeleton.JOINTS, 4))
    turns[..., 0] = 1
    turns[:, skeleton.BODY_JOINTS :] = body.rotations[:, skeleton.BODY_JOINTS :]
    return skeleton.hand_points(*skeleton.forward(turns, np.zeros((len(body), 3))))[:, :, 1:]


def _distance(made: np.ndarray, true: np.ndarray, seen: np.ndarray) -> float:
    off = np.linalg.norm(made - true, axis=-1).mean(-1)[seen]
    return float(off.mean()) if off.size else float("nan")
