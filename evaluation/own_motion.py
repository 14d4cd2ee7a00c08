"""One's own hand motions: every stage-1 metric that can be had from them, their truth and their sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ..models.audio import intensity
from ..models.errors import EMO2Error
from ..models.motion.edit import resample
from ..models.motion.files import load_motion
from ..models.types import Motion
from .bootstrap import Interval, bootstrap
from .motion import (
    accent_scores,
    audio_beats,
    beat_alignment,
    diversity,
    fgd,
    gesture_features,
    hand_points,
    hand_speed,
    jerk,
    motion_beats,
    motion_in_silence,
    pauses,
    pck,
    retrieval,
    speed_intensity,
)
from .motion.emphasis import LEAD
from .motion.frechet import gesture_encoder
from .report import Row, missing
from .sounds import read_sound


def measure_motions(
    made: Sequence[Path], true: Sequence[Path], sounds: Sequence[Path], folders: Sequence[Path]
) -> list[Row]:
    """Rows for the `made` motion files, against the `true` ones and their `sounds`; without those, without the metrics.

    A true motion of another frame rate is brought to the made one's. folders: where the gesture encoder is looked for.
    """
    motions = [load_motion(path, "--motion") for path in made]
    truths = [load_motion(path, "--truth") for path in true]
    truths = [t if t.fps == m.fps else resample(t, m.fps) for t, m in zip(truths, motions)]
    points, true_points = [hand_points(m) for m in motions], [hand_points(t) for t in truths]
    rows = [
        *_pair("motion.div", "DIV, m", diversity, points, true_points),
        *_pair("motion.jerk", "jerk, m/s^3", lambda p: jerk(p, motions[0].fps), points, true_points),
    ]
    if truths:
        score = [pck(a[: len(b)], b[: len(a)]) for a, b in zip(points, true_points)]
        rows.append(_row("motion.pck", "PCK within 0.1 m (higher is better)", bootstrap(np.array(score))))
        rows.append(_fgd(motions, truths, folders))
    else:
        rows += [missing(f"motion.{n.lower()}", n, "missing the true motion (--truth)") for n in ("PCK", "FGD")]
    return rows + _with_sound(motions, points, sounds)


def _pair(
    key: str, label: str, score: Callable[[np.ndarray], float], made: list[np.ndarray], true: list[np.ndarray]
) -> list[Row]:
    """A figure of the made motions, and its ratio to the true ones'."""
    values = np.array([score(p) for p in made])
    if not np.isfinite(values).any():
        return [missing(key, label, "too short, or no hand is visible")]
    rows = [_row(key, label, bootstrap(values))]
    if true:
        both = np.stack([values, [score(p) for p in true]], axis=1)
        share = bootstrap(both, lambda v: float(v[:, 0].mean() / v[:, 1].mean()))
        rows.append(_row(f"{key}_ratio", f"{label.split(',')[0]}, times the truth's (best is 1)", share))
    return rows


def _fgd(motions: list[Motion], truths: list[Motion], folders: Sequence[Path]) -> Row:
    from .tiny.networks import Networks

    key, label = "motion.fgd", "FGD (lower is better)"
    try:
        encoder = gesture_encoder(Networks(folders).path("gesture_encoder"))
        features = [np.concatenate(gesture_features(side, encoder)) for side in (motions, truths)]
        return Row(key, label, fgd(*features), count=len(motions), note="in the pack's gesture encoder")
    except EMO2Error as error:
        return missing(key, label, error)


def _with_sound(motions: list[Motion], points: list[np.ndarray], sounds: Sequence[Path]) -> list[Row]:
    names = {"motion.ba": "BA (higher is better)", "motion.ba_null": "BA against 20 time shifts of the sound"}
    names["motion.retrieval"] = "retrieval, times chance (higher is better)"
    names |= ACCENTED
    if not sounds:
        return [missing(key, label, "missing the voice (--audio)") for key, label in names.items()]
    waveforms, seconds = [read_sound(path) for path in sounds], [m.duration for m in motions]
    heard = [audio_beats(w) for w in waveforms]
    found = beat_alignment(heard, [motion_beats(p, m.fps) for p, m in zip(points, motions)], seconds)
    if not np.isfinite(found.score):
        rows = [missing(k, names[k], "no beats in the sound or the motion") for k in ("motion.ba", "motion.ba_null")]
    else:
        note = f"{found.direction}, sigma {found.sigma:g} s, onsets against landings of strokes"
        spread = f"deviation {np.std(found.null, ddof=1):.4f}; BA hardly beats chance on real speech"
        rows = [_row("motion.ba", names["motion.ba"], bootstrap(found.clips), note)]
        rows.append(Row("motion.ba_null", names["motion.ba_null"], float(np.mean(found.null)), note=spread))
    rows += _accented(motions, points, waveforms)
    key = "motion.retrieval"
    if len(motions) < 2:
        return [*rows, missing(key, names[key], "needs two motions or more")]
    picked = retrieval(accent_scores(waveforms, motions))
    note = f"among {len(motions)}, by the hands' speed and the sound's accents"
    return [*rows, _row(key, names[key], bootstrap(picked.credit[:, 0] / picked.chance[0]), note)]


ACCENTED = {
    "motion.accents": "speed against the voice's intensity, correlation (higher is more accented)",
    "motion.accents_led": f"the same, {LEAD:g} s before the voice",
    "motion.silence": "motion in silence, m/s (lower is calmer)",
}


def _accented(motions: list[Motion], points: list[np.ndarray], waveforms: list[np.ndarray]) -> list[Row]:
    """How much the hands move with the voice's accents, and how much in its pauses."""
    found: dict[str, list[float]] = {key: [] for key in ACCENTED}
    for motion, hands, waveform in zip(motions, points, waveforms):
        speed, moments = hand_speed(hands, motion.fps), (np.arange(len(motion)) + 0.5) / motion.fps
        curve = intensity(waveform)
        stress = np.interp(moments, (np.arange(len(curve)) + 0.5) / 50, curve, right=0)
        found["motion.accents"].append(speed_intensity(speed, stress))
        found["motion.accents_led"].append(speed_intensity(speed, stress, -round(LEAD * motion.fps)))
        found["motion.silence"].append(motion_in_silence(speed, pauses(stress, motion.fps)))
    rows = []
    for key, values in found.items():
        if np.isfinite(values).any():
            rows.append(_row(key, ACCENTED[key], bootstrap(np.array(values))))
        else:
            why = "the voice has no pause" if key == "motion.silence" else "too short, or nothing moves"
            rows.append(missing(key, ACCENTED[key], why))
    return rows


def _row(key: str, label: str, interval: Interval, note: str = "") -> Row:
    return Row(key, label, interval.value, interval.pair, note=note, count=interval.count)
