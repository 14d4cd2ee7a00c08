"""What the tiny profile's figures ought to be: the floor must be shipped in any case, the target asks for a long run.

Every figure has its words and its goal here, so that the table, the model card and the tests name the same things.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..bootstrap import Interval, bootstrap
from ..report import Goal, Row, missing, with_note
from ..video.measured import Measured

at_least = lambda floor, target=None: Goal(low=floor, target_low=target)
at_most = lambda floor, target=None: Goal(high=floor, target_high=target)
favour = Goal(low=0, strict=True)

FIGURES: dict[str, tuple[str, Goal | None]] = {
    # part vae
    "vae.psnr": ("reconstruction, PSNR dB", at_least(28, 32)),
    "vae.ssim": ("reconstruction, SSIM", None),
    # part video
    "video.psnr": ("true motion, PSNR dB", None),
    "video.psnr_alone": ("true motion without the reference's still detail, PSNR dB", None),
    "video.ssim": ("true motion, SSIM", None),
    "video.repeat_psnr": ("repeating the reference, PSNR dB", None),
    "video.repeat_ssim": ("repeating the reference, SSIM", None),
    "video.gain": ("better than repeating the reference, dB", at_least(4, 6)),
    "video.gap": ("below the reconstruction, dB", at_most(6, 4)),
    "video.identity": ("the right person among 20", at_least(0.80, 0.95)),
    "video.hands_true_left_tenth": ("true motion, left hand within 1/10 of the width", at_least(0.70, 0.90)),
    "video.hands_true_right_tenth": ("true motion, right hand within 1/10 of the width", at_least(0.70, 0.90)),
    "video.hands_true_left_twentieth": ("true motion, left hand within 1/20 of the width", at_least(0.45, 0.70)),
    "video.hands_true_right_twentieth": ("true motion, right hand within 1/20 of the width", at_least(0.45, 0.70)),
    "video.hands_made_left_tenth": ("generated motion, left hand within 1/10", at_least(0.70, 0.90)),
    "video.hands_made_right_tenth": ("generated motion, right hand within 1/10", at_least(0.70, 0.90)),
    "video.hands_made_left_twentieth": ("generated motion, left hand within 1/20", at_least(0.45, 0.70)),
    "video.hands_made_right_twentieth": ("generated motion, right hand within 1/20", at_least(0.45, 0.70)),
    "video.hands_real": ("the estimator on real renders, within 1/20", at_least(0.98)),
    # part mouth
    "mouth.correlation": ("mouth and sound, correlation at the best lag", at_least(0.5, 0.7)),
    "mouth.lag": ("lag of the best correlation, frames", Goal(low=-1, high=1)),
    "mouth.shuffled": ("mouth and other clips' sound, correlation at lag 0", Goal(high=0.1)),
    "mouth.true": ("the same measure on real renders", None),
    # part speech
    "speech.correlation": ("real voices, correlation at the best lag", at_least(0.4)),
    "speech.lag": ("real voices, lag, frames", None),
    # part motion
    "motion.div": ("DIV, times the truth's", Goal(low=0.7, high=1.5)),
    "motion.jerk": ("jerk, times the truth's", at_most(1.5)),
    "motion.fgd": ("FGD, times that of the mean pose", at_most(0.3)),
    "motion.retrieval": ("retrieval among 32, times chance", at_least(4)),
    "motion.ba": ("BA", None),
    "motion.ba_null": ("BA against 20 time shifts of the sound", None),
    "motion.ba_sigmas": ("BA above its null, standard deviations", at_least(3)),
    "motion.speed_left": ("asked and measured speed, left hand, Spearman", at_least(0.9)),
    "motion.speed_right": ("asked and measured speed, right hand, Spearman", at_least(0.9)),
    "motion.style": ("style classified rightly", at_least(0.80, 0.90)),
    "motion.seams": ("velocity jump at seams, times the 99th percentile elsewhere", at_most(1.5)),
    "motion.pck": ("PCK against the truth (one of many right answers)", None),
    # part continuity
    "continuity.arms": ("arm continuity, hand maps alone / with keypoints", at_least(0.85, 0.95)),
    "continuity.elbows": ("elbow position, hand maps alone / with keypoints", at_least(0.85, 0.95)),
    # part drift
    "drift.identity": ("identity error, last second / first, over 20 s", at_most(1.3)),
    "drift.background": ("background error, last second / first, over 20 s", at_most(1.3)),
    "drift.identity_kept": ("identity error with the reference's still detail, last / first", None),
    "drift.background_kept": ("background error with the reference's still detail, last / first", None),
    # part generation
    "generation.psnr": ("true minus generated motion, PSNR dB", favour),
    "generation.ssim": ("true minus generated motion, SSIM", favour),
    "generation.hkv": ("generated minus true motion, HKV", favour),
    # part modes: who leads
    "modes.pose_left_tenth": ("pose alone, left hand within 1/10 of the width", at_least(0.70, 0.90)),
    "modes.pose_right_tenth": ("pose alone, right hand within 1/10 of the width", at_least(0.70, 0.90)),
    "modes.pose_left_twentieth": ("pose alone, left hand within 1/20 of the width", at_least(0.45, 0.70)),
    "modes.pose_right_twentieth": ("pose alone, right hand within 1/20 of the width", at_least(0.45, 0.70)),
    "modes.pose_mouth": ("pose alone, mouth and the video's lips, correlation", None),
    "modes.voice_mouth": ("voice alone (pose-free), mouth and sound, best correlation", at_least(0.45, 0.63)),
    "modes.both_mouth": ("voice and pose, mouth and sound, best correlation", at_least(0.5, 0.7)),
    "modes.both_share": ("the same, times that of voice alone", at_least(0.9)),
    "modes.both_hands": ("voice and pose, hands within 1/10 of the width", at_least(0.70, 0.90)),
    # part framings: head, half body, full figure
    **{f"framings.{framing}_{what}": (f"{words}: {label}", goal)
       for framing, words in (("head", "head"), ("half", "half body"), ("full", "full figure"))
       for what, label, goal in (
           ("hands", "hands within 1/10 of the width", at_least(0.70, 0.90)),
           ("mouth", "mouth and sound, best correlation", at_least(0.5, 0.7)),
           ("identity", "the right person among 20", at_least(0.80, 0.95)))},
    # part faces: blinks and emotions that are asked for
    "faces.blink": ("asked blinks and seen ones, correlation", at_least(0.8)),
    "faces.blink_true": ("blinks, the same measure on real renders", None),
    "faces.emotion": ("emotions classified rightly", at_least(0.8)),
    "faces.emotion_true": ("emotions, the same measure on real renders", None),
    "faces.identity": ("the right person among 20, with facial controls", None),
    "faces.identity_kept": ("with minus without facial controls, the right person", Goal(low=0)),
    # part directed: text says what, the voice says when
    "directed.codes": ("codes in use, share of the first codebook", at_least(0.8)),
    "directed.hands": ("through the tokens, hand joints off, share of the hand's size", at_most(0.05)),
    "directed.fingers": ("the same with the wrist's turn taken out", None),
    "directed.top1": ("the text's own motion is the nearest among 32", at_least(0.5)),
    "directed.top3": ("the text's own motion is among the three nearest of 32", at_least(0.75)),
    "directed.true_top1": ("the same for true motion, the nearest", None),
    "directed.true_top3": ("the same for true motion, the three nearest", None),
    "directed.shuffled_top1": ("true motion and other clips' texts, the nearest", None),
    "directed.fid": ("FID in the directed stretches, times that of the voice alone", at_most(0.5)),
    "directed.in_time": ("actions inside their time span", at_least(0.9)),
    "directed.beats": ("beat alignment outside the spans, times that of the voice alone", Goal(low=0.95, high=1.05)),
    "directed.bank_jerk": ("real poses against projection, jerk", Goal(high=1, strict=True)),
    "directed.bank_distance": ("real poses against projection, distance to true poses", Goal(high=1, strict=True)),
    "directed.fusion_layers": ("branches summed layer by layer: the nearest among 32", None),
    "directed.fusion_last": ("branches summed after the last layer: the nearest among 32", None),
    "directed.fusion_none": ("no text branch: the nearest among 32", None),
    "directed.fusion_over_last": ("layer by layer minus last layer, the nearest among 32", favour),
    # part ablations: differences "with minus without"
    "ablations.confidence_hkc": ("with minus without hand confidence, HKC", favour),
    "ablations.discriminator": ("with minus without pose discriminator, hands within 1/10", None),
    "ablations.keypoints": ("with minus without keypoints, arm continuity", None),
    "ablations.motion_frames": ("with minus without motion frames, jump at clip seams", None),
    "ablations.interaction_mouth": ("with minus without interaction, mouth and sound, correlation", at_least(-0.02)),
    "ablations.interaction_lag": ("with minus without interaction, mouth lag, frames", None),
    "ablations.interaction_hands": ("with minus without interaction, hands within 1/10", None),
}  # fmt: skip
"""Key -> (label, goal). Which part a figure belongs to is said by the key."""


def figure(key: str, value: float | None, **more: Any) -> Row:
    """The row of a figure, with its words and its goal."""
    label, goal = FIGURES[key]
    return Row(key, label, value, goal=goal, **more)


def row(key: str, interval: Interval, note: str = "") -> Row:
    """A figure with its interval."""
    return figure(key, interval.value, interval=interval.pair, count=interval.count, note=note)


def from_clips(key: str, measured: Measured, note: str = "") -> Row:
    """A figure of a metric that has one value a clip."""
    notes = [text for text in (note, measured.note) if text]
    if measured.missing:
        return figure(key, None, note=f"missing {measured.missing}")
    values = measured.clips[np.isfinite(measured.clips)]
    if not len(values):
        return figure(key, None, note="no clip had anything to measure")
    return row(key, bootstrap(values), "; ".join(notes))


def not_measured(part: str, why: object, done: Iterable[Row] = ()) -> list[Row]:
    """Rows for all figures of a part that are not among `done`, each with the reason."""
    have = {row.key for row in done}
    rows = [missing(key, label, why, goal) for key, (label, goal) in FIGURES.items()]
    return [row for row in rows if row.part == part and row.key not in have]


def in_order(rows: Iterable[Row]) -> list[Row]:
    """The rows as FIGURES lists them; others come last."""
    places = {key: place for place, key in enumerate(FIGURES)}
    return sorted(rows, key=lambda row: places.get(row.key, len(places)))


def noted(rows: Iterable[Row], note: str) -> list[Row]:
    """The rows that have a value with one more remark, where there is one to make."""
    return [with_note(row, note) if note and row.value is not None else row for row in rows]
