"""Cleaning one person's keypoints over time: gates, swaps, outliers, gaps, bone lengths, smoothing, in that order.

Distances are in shoulder widths and times in seconds, so that neither the picture's size nor the frame rate matters.
What no step changes comes back bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..types import BODY_POINTS, FACE_POINTS, HAND_POINTS
from . import limbs
from .body import ELBOWS, MIRRORED, SHOULDERS, WRISTS
from .gaps import fill, hysteresis
from .keypoint_motion import Points
from .time_filters import median_filter, one_euro, outliers

HYSTERESIS = 0.2
"""A point comes in at a score this much above the gate, and goes out at the gate."""
TRUNK_SPEED = 0.5
"""Trunk, head and face move at most at this share of the hands' speed."""
FAR_TOO_LONG = 1.5
"""A bone of this many times its limit is no bone: its far end is taken out rather than drawn in."""
FACE_PACE = 3.0
"""Cut-offs for the face are this many times the body's: lips move little, but several times a second."""
EVIDENCE = 0.25
"""What a hand's distance from the body's wrist counts for in each frame, against the ways between frames."""
PALM_SHARE = 0.24
"""Wrist to middle knuckle in shoulder widths: the unit where no shoulders are known."""


@dataclass(frozen=True)
class Cleaning:
    """What is done. 0 or False switches a step off; `OFF` has nothing on.

    gate: scores below count as unknown, with hysteresis. swaps: left and right that carry each other's name are put
    right. outlier_speed: shoulder widths a second (38 cm each) above which a jump away and back is an error.
    longest_gap: seconds up to which gaps are bridged. limb_lengths: bones are held to the clip's own longest.
    median_seconds: window of the median filter. smooth_hz: the one-euro filter's cut-off at rest; smooth_beta: how many
    Hz it rises for each shoulder width a second; zero_phase: run both ways. long_gaps: "unknown" leaves hands that are
    away for longer as they are, marked not visible; "rest" lets them sink to rest (motions only).
    """

    gate: float = 0.3
    swaps: bool = True
    outlier_speed: float = 8.0
    longest_gap: float = 0.5
    limb_lengths: bool = True
    median_seconds: float = 0.0
    smooth_hz: float = 3.0
    smooth_beta: float = 4.0
    zero_phase: bool = True
    long_gaps: str = "unknown"


OFF = Cleaning(gate=0, swaps=False, outlier_speed=0, longest_gap=0, limb_lengths=False, smooth_hz=0)
"""Nothing on: everything comes back as it came."""


@dataclass
class Report:
    """What was done over `count` frames. entries: for each (what, part) how many, and in which frames (F,) bool."""

    count: int
    fps: float
    entries: dict[tuple[str, str], tuple[int, np.ndarray]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, part: str, mask: np.ndarray) -> None:
        """Note the marked entries (F, ...) of a part."""
        total, frames = int(mask.sum()), mask.reshape(len(mask), -1).any(1)
        if total:
            before, earlier = self.entries.get((what, part), (0, np.zeros(self.count, bool)))
            self.entries[what, part] = before + total, earlier | frames

    def total(self, what: str, part: str | None = None) -> int:
        """How many entries were `what` (of one part, or of all)."""
        return sum(n for (w, p), (n, _) in self.entries.items() if w == what and part in (None, p))

    def __str__(self) -> str:
        lines = [f"{self.count} frames, {self.count / self.fps:.2f} s at {self.fps:g} fps"]
        for what in dict.fromkeys(w for w, _ in self.entries):
            parts = [
                f"{part} {total} in {frames.sum()} frames ({frames.sum() / self.fps:.2f} s)"
                for (w, part), (total, frames) in self.entries.items()
                if w == what
            ]
            lines.append(f"{what}: {', '.join(parts)}")
        lines += self.notes
        return "\n".join(lines if len(lines) > 1 else [*lines, "nothing to clean"])

    def smoothed(self, part: str, moved: np.ndarray) -> None:
        """Note by how much smoothing moved points (...), in shoulder widths."""
        if moved.size:
            self.notes.append(f"smoothed: {part} by {100 * moved.mean():.2f} % of the shoulders' width on the average")


def shoulder_unit(found: Points, size: tuple[int, int]) -> np.ndarray:
    """(2,): factors from positions normalised to a picture of `size` (H, W) to shoulder widths, the clip's median.

    Without shoulders it goes by the palms, and without these by an ordinary half-body picture.
    """
    pixels = np.array([size[1], size[0]], np.float64)
    both = (found.body_scores[:, SHOULDERS[0]] > 0) & (found.body_scores[:, SHOULDERS[1]] > 0)
    gap = found.body[both, SHOULDERS[0]] - found.body[both, SHOULDERS[1]]
    unit = float(np.median(np.linalg.norm(gap * pixels, axis=-1))) if both.any() else 0.0
    if unit < 1e-6:
        palms = (found.hand_scores[..., 0] > 0) & (found.hand_scores[..., 9] > 0)
        gap = (found.hands[..., 0, :] - found.hands[..., 9, :])[palms]
        unit = float(np.percentile(np.linalg.norm(gap * pixels, axis=-1), 90)) / PALM_SHARE if palms.any() else 0.0
    return pixels / (unit if unit >= 1e-6 else 0.36 * size[1])


def clean_points(found: Points, fps: float, size: tuple[int, int], how: Cleaning) -> tuple[Points, Report]:
    """(points, report): one person's points, normalised to a picture of `size` (H, W), cleaned as `how` says.

    Unknown points have score 0 and position 0, before and after.
    """
    report = Report(len(found.body), fps)
    if how == OFF or not any(s.any() for s in (found.body_scores, found.hand_scores, found.face_scores)):
        return found, report
    unit = shoulder_unit(found, size)
    tracks = _Tracks(found, unit)
    if how.gate > 0:
        kept = hysteresis(tracks.scores, how.gate, min(how.gate + HYSTERESIS, 1.0))
        tracks.drop(tracks.known & ~kept, "too unsure", report)
    if how.swaps:
        _unswap(tracks, fps, report)
    if how.outlier_speed > 0:
        speeds = how.outlier_speed * np.where(_FAST, 1.0, TRUNK_SPEED)
        tracks.drop(outliers(tracks.values, tracks.known, fps, speeds), "outliers removed", report)
        _astray_fingers(tracks, fps, how.outlier_speed, report)
    limits = _limits(tracks, fps) if how.limb_lengths else []
    for part, bones, lengths in limits:
        wrong = limbs.too_long(tracks.of(part), tracks.known[:, part], bones, lengths * FAR_TOO_LONG)
        mask = np.zeros_like(tracks.known)
        mask[:, part] = wrong
        tracks.drop(mask, "outliers removed", report)
    if how.longest_gap > 0:
        values, scores, filled = fill(tracks.values, tracks.scores, tracks.known, fps, how.longest_gap)
        tracks.put(values, scores, filled, "gaps filled", report)
    for part, bones, lengths in limits:
        values, moved = limbs.limited(tracks.of(part), tracks.known[:, part], bones, lengths)
        everything, mask = tracks.values.copy(), np.zeros_like(tracks.known)
        everything[:, part], mask[:, part] = values, moved
        tracks.put(everything, tracks.scores, mask, "bones shortened", report)
    before = tracks.values
    smooth = median_filter(before, tracks.known, fps, how.median_seconds)
    if how.smooth_hz > 0:
        pace = np.where(_IN_FACE, FACE_PACE, 1.0)
        hertz, beta = how.smooth_hz * pace, how.smooth_beta * pace
        smooth = one_euro(smooth, tracks.known, fps, hertz, beta, zero_phase=how.zero_phase)
    if smooth is not before:  # one of them was on
        tracks.values, tracks.touched = smooth, tracks.touched | (smooth != before).any(-1)
        for name, part in _PARTS:
            moved = np.linalg.norm(smooth[:, part] - before[:, part], axis=-1)
            report.smoothed(name, moved[tracks.known[:, part]])
    return tracks.points(), report


_BODY = slice(0, BODY_POINTS)
_HANDS = tuple(slice(BODY_POINTS + HAND_POINTS * hand, BODY_POINTS + HAND_POINTS * (hand + 1)) for hand in (0, 1))
_FACE = slice(BODY_POINTS + 2 * HAND_POINTS, BODY_POINTS + 2 * HAND_POINTS + FACE_POINTS)
_PARTS = (("body", _BODY), ("hands", slice(_HANDS[0].start, _HANDS[1].stop)), ("face", _FACE))
_IN_FACE = np.arange(_FACE.stop) >= _FACE.start
_FAST = np.zeros(_FACE.stop, bool)
_FAST[[*ELBOWS, *WRISTS]] = True
_FAST[_HANDS[0].start : _HANDS[1].stop] = True


class _Tracks:
    """All points as tracks (F, 130): body, left hand, right hand, face; values in shoulder widths."""

    def __init__(self, found: Points, unit: np.ndarray):
        count = len(found.body)
        flat = lambda points: np.asarray(points).reshape(count, -1, 2)
        self.found, self.unit = found, unit
        self.original = np.concatenate([flat(p) for p in (found.body, found.hands, found.face)], 1, dtype=np.float64)
        self.values = self.original * unit
        pieces = (found.body_scores, found.hand_scores, found.face_scores)
        self.scores = np.concatenate([np.asarray(s).reshape(count, -1) for s in pieces], 1, dtype=np.float64)
        self.touched = np.zeros(self.scores.shape, bool)

    @property
    def known(self) -> np.ndarray:
        return np.asarray(self.scores > 0)

    def of(self, part: slice) -> np.ndarray:
        return self.values[:, part]

    def drop(self, mask: np.ndarray, what: str, report: Report) -> None:
        """Make entries unknown."""
        self.put(np.where(mask[..., None], 0.0, self.values), np.where(mask, 0.0, self.scores), mask, what, report)

    def put(self, values: np.ndarray, scores: np.ndarray, mask: np.ndarray, what: str, report: Report) -> None:
        """New values and scores, which differ where `mask` says."""
        self.values, self.scores, self.touched = values, scores, self.touched | mask
        for name, part in _PARTS:
            report.add(what, name, mask[:, part])

    def exchange(self, frames: np.ndarray, order: np.ndarray) -> None:
        """Give the points of some frames each other's names: `order` (130,) says whose."""
        for array in (self.original, self.values, self.scores, self.touched):
            array[frames] = array[frames][:, order]

    def points(self) -> Points:
        """What has been touched anew, the rest as it came."""
        values = np.where(self.touched[..., None], self.values / self.unit, self.original)
        give = lambda array, part, like: array[:, part].reshape(like.shape).astype(like.dtype)
        pieces = []
        for (_, part), name in zip(_PARTS, ("body", "hand", "face")):
            where = getattr(self.found, "hands" if name == "hand" else name)
            own = getattr(self.found, f"{name}_scores")
            pieces += [give(values, part, where), give(self.scores, part, own)]
        return Points(*pieces)


def _unswap(tracks: _Tracks, fps: float, report: Report) -> None:
    """Left and right put right: of the whole body by its shoulders, then of the arms, then of the hands."""
    names = np.arange(_FACE.stop)
    whole, arms, hands = names.copy(), names.copy(), names.copy()
    whole[_BODY] = MIRRORED
    arms[[*ELBOWS, *WRISTS]] = [*ELBOWS[::-1], *WRISTS[::-1]]
    hands[_HANDS[0]], hands[_HANDS[1]] = names[_HANDS[1]], names[_HANDS[0]]
    sides = lambda *pairs: ([p[0] for p in pairs], [p[1] for p in pairs])
    for part, order, (left, right), joint in (
        ("body", whole, sides(SHOULDERS), None),
        ("arms", arms, sides(ELBOWS, WRISTS), SHOULDERS),
        ("hands", hands, (list(names[_HANDS[0]]), list(names[_HANDS[1]])), WRISTS),
    ):
        evidence = None if joint is None else _evidence(tracks, left[0], right[0], joint)
        known = np.stack([tracks.known[:, left], tracks.known[:, right]], 1)
        wrong = limbs.swapped_frames(tracks.values[:, left], tracks.values[:, right], known, fps, evidence)
        # A clip that is swapped for the most part is one with other names.
        if wrong.any() and wrong.mean() <= 0.5:
            tracks.exchange(wrong, order)
            report.add("left and right swapped back", part, wrong)


def _evidence(tracks: _Tracks, left: int, right: int, joints: tuple[int, int]) -> np.ndarray:
    """(F, 2): how far a left and a right point lie from their own joints, and from each other's; 0 where unknown."""
    points = [left, right, *joints]
    known = np.asarray(tracks.known[:, points].all(1))
    a, b, own, other = (tracks.values[:, p] for p in points)
    gap = lambda p, q: np.linalg.norm(p - q, axis=-1)
    cost = np.stack([gap(a, own) + gap(b, other), gap(a, other) + gap(b, own)], 1)
    return EVIDENCE * np.where(known[:, None], cost - cost.min(1, keepdims=True), 0.0)


def _astray_fingers(tracks: _Tracks, fps: float, speed: float, report: Report) -> None:
    """Outliers of a hand's points as seen from its wrist, where a fast arm does not hide them."""
    for part in _HANDS:
        wrist = tracks.known[:, part][:, :1]
        known = tracks.known[:, part] & wrist
        away = tracks.of(part) - tracks.of(part)[:, :1]
        mask = np.zeros_like(tracks.known)
        mask[:, part] = outliers(away, known, fps, speed * 0.75)
        tracks.drop(mask, "outliers removed", report)


def _limits(tracks: _Tracks, fps: float) -> list[tuple[slice, tuple[tuple[int, int], ...], np.ndarray]]:
    """For body and hands the bones and how long they may be."""
    body, known = tracks.of(_BODY), tracks.known[:, _BODY]
    hands = [tracks.of(part) for part in _HANDS]
    lengths = limbs.hand_limits(np.stack(hands, 1), np.stack([tracks.known[:, p] for p in _HANDS], 1), fps)
    arms = np.concatenate([limbs.shoulder_limits(body, known, fps), limbs.arm_limits(body, known, fps)])
    body_bones = (*limbs.SHOULDER_BONES, *limbs.ARM_BONES)
    return [(_BODY, body_bones, arms), *((part, limbs.HAND_BONES, lengths) for part in _HANDS)]


__all__ = ["OFF", "Cleaning", "Report", "clean_points", "shoulder_unit"]
