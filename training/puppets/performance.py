"""A performance: what is heard, and how a body moves, speaks and blinks to it. No looks; those are the identity's."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ...models.audio import frame_count
from ...models.errors import EMO2Error
from ...models.hands.quaternions import continuous, from_axis_angle, multiply
from ...models.motion.vector import hand_variance
from ...models.pose.body import SHOULDERS, arm_keypoints, body_joints
from ...models.pose.portrait import inside
from ...models.types import HAND_POINTS, Framing, Motion
from .gesture import talk_with_hands
from .mouth import mouth_shapes
from .music import dance_music, play
from .rhythm import dance, play_instrument, sing_along
from .singing import sing
from .sound import Sound, worn
from .speech import talk
from .styles import SPEAKING, STORYTELLING, check_style, draw_style
from .track import Track
from .voices import SPLITS, check_split

if TYPE_CHECKING:
    from .actions import Acted

FPS = 25.0
SHORTEST, LONGEST = 4.0, 15.0
"""Seconds of a performance whose length is not asked for."""
MOST_SPEED = 2.0
REACH = 0.5
"""Metres from the shoulder that a wrist never passes; the arm is 0.53 m long."""
NEAREST = -0.02
"""Metres: wrists stay this far before the neck root's plane, so that no hand is inside the body."""
ORDINARY_VARIANCE = 0.0052
"""m^2: what the hands of an ordinary speaker vary by (`MotionConfig.ordinary_speed`), idle sway aside."""
EVENED = (0.7, 1.5)
"""How much a clip's movements may be shrunk or stretched towards that."""
SHARP = 1.2
"""Pixels (at width 96) a frame below which a moving hand is not blurred."""


@dataclass(frozen=True)
class Performance:
    """What is heard and how the body moves to it; F frames at 25 fps, frame i centred on (i + 0.5) / 25 s.

    waveform (T,) float32 mono 16 kHz. style: one of STYLES. motion: in the framing asked for. mouth (F, 2): opening and
    width 0..1, `mouth_shapes(waveform)`. blink (F,): lid closure 0..1. head (F, 3): nod, turn, tilt in radians. blur
    (F, 2): length of each hand's motion blur in pixels at width 96, 0 sharp. syllables (n, 3): start s, end s, stress
    0..1 (for music: its notes or beats). speed: asked liveliness of the left and right hand, 1 = ordinary. voice,
    sentence: who says what. feet (F, 2, 3): how far the ankles are from where the resting body has them, metres; None:
    the legs go with the trunk. emotion (F, 8): how much of each of `emotions.EMOTIONS` the face shows; None: none.
    acted: what was asked for, and when.
    """

    waveform: np.ndarray
    style: str
    motion: Motion
    mouth: np.ndarray
    blink: np.ndarray
    head: np.ndarray
    blur: np.ndarray
    syllables: np.ndarray
    speed: tuple[float, float]
    voice: str
    sentence: str
    feet: np.ndarray | None = None
    emotion: np.ndarray | None = None
    acted: tuple[Acted, ...] = ()


def perform(
    seed: int,
    split: str,
    framing: Framing,
    *,
    seconds: float | None = None,
    style: str | None = None,
    speed: tuple[float, float] | None = None,
) -> Performance:
    """The performance of a seed: the same for the same arguments, on any machine with the same packages.

    split: "train" or "held-out", which share neither voices nor sentences. seconds: exact length (None: 4 to 15).
    style: one of STYLES (None: any). speed: liveliness of the left and the right hand, 0 to 2, 1 =
    ordinary (None: any): how far a hand typically is from its average place grows in proportion to it.
    Raises EMO2Error for values outside these, and where espeak-ng is missing.
    """
    place = SPLITS.index(check_split(split))
    draws = [np.random.default_rng([seed, place, stream]) for stream in range(7)]
    # Everything is drawn whether it is asked for or not: asking for a speed changes the speed and nothing else.
    drawn_seconds, drawn_style, drawn_speed = (
        draws[0].uniform(SHORTEST, LONGEST),
        draw_style(draws[0]),
        _speeds(draws[0]),
    )
    length = drawn_seconds if seconds is None else _checked_seconds(seconds)
    style = drawn_style if style is None else check_style(style)
    speed = drawn_speed if speed is None else _checked_speed(speed)
    sound = _sound(style, draws[1], split, length)
    count = frame_count(len(sound.waveform) / 16000, FPS)
    times = (np.arange(count) + 0.5) / FPS
    tracks, rests = _tracks(style, sound, speed, times, [seed, place, 2])
    body_offset, body_rotation, head = _trunk(sound, style, times, draws[3])
    wrists, rotations = _hands(tracks, times, draws[3])
    motion = Motion(
        rotations, wrists, FPS, framing, body_rotation=body_rotation, body_offset=body_offset
    )  # fmt: skip
    points, scores = arm_keypoints(framing, motion.wrists(), body_offset, body_rotation)
    pocket = np.stack(
        [_in_pocket(tracks[h], times) if rests[h] == "pocket" else np.zeros(count, bool) for h in (0, 1)], 1
    )
    blur, confidence = _blur(motion, draws[4])
    visible = ~pocket & ~_missed(confidence, draws[5]) & inside(motion)
    confidence = np.where(visible, confidence, 0.0)
    motion = motion.replace(
        keypoints=points,
        keypoint_scores=scores,
        visible=visible,
        confidence=confidence,
        hand_scores=np.repeat(confidence[..., None], HAND_POINTS, axis=2),
    )
    waveform = worn(sound.waveform, draws[6], 1.0 if split == "train" else 0.6)
    return Performance(
        waveform, style, motion, mouth_shapes(waveform, FPS), _blinks(times, draws[5]), head, blur,
        sound.syllables.astype(np.float32), speed, sound.voice, sound.sentence,
    )  # fmt: skip


def _checked_seconds(seconds: float) -> float:
    if not (np.isfinite(seconds) and 1 <= seconds <= 3600):
        raise EMO2Error("seconds", "a length from 1 to 3600 seconds", seconds, "Give a length in that range.")
    return float(seconds)


def _checked_speed(speed: tuple[float, float]) -> tuple[float, float]:
    left, right = (float(s) for s in speed)
    if not (0 <= left <= MOST_SPEED and 0 <= right <= MOST_SPEED):
        raise EMO2Error("speed", f"two numbers from 0 to {MOST_SPEED:g}", speed, "Give the speed of each hand.")
    return left, right


def _speeds(rng: np.random.Generator) -> tuple[float, float]:
    """Liveliness of both hands: alike mostly, now and then one that hardly takes part."""
    common, own, idle, calm = rng.normal(0, 0.35), rng.normal(0, 0.25, 2), rng.uniform(), rng.uniform(0.0, 0.3)
    pair = np.exp(common + own)
    if idle < 0.16:
        pair[0 if idle < 0.08 else 1] = calm
    left, right = np.clip(pair, 0.0, MOST_SPEED)
    return float(left), float(right)


def _sound(style: str, rng: np.random.Generator, split: str, seconds: float) -> Sound:
    if style == "singing":
        return sing(rng, split, seconds)
    if style == "dance":
        return dance_music(rng, split, seconds)
    if style == "instrument":
        return play(rng, split, seconds)
    return talk(rng, split, seconds, (STORYTELLING if style == "storytelling" else SPEAKING).slow)


def _tracks(
    style: str, sound: Sound, speed: tuple[float, float], times: np.ndarray, seed: list[int]
) -> tuple[tuple[Track, Track], tuple[str, str]]:
    """The hands' tracks, evened out so that the same speed moves every clip's hands about equally much.

    What is left of the difference is a clip's own: few accents, long pauses, hands that take turns.
    """
    plain, _ = _planned(style, sound, (1.0, 1.0), np.random.default_rng(seed))
    amounts = hand_variance(np.stack([track.sample(times)[0] for track in plain], 1))
    share = np.clip(np.sqrt(ORDINARY_VARIANCE / np.maximum(amounts, 1e-9)), *EVENED)
    return _planned(style, sound, (speed[0] * share[0], speed[1] * share[1]), np.random.default_rng(seed))


def _planned(
    style: str, sound: Sound, amount: tuple[float, float], rng: np.random.Generator
) -> tuple[tuple[Track, Track], tuple[str, str]]:
    if style in ("speaking", "storytelling"):
        return talk_with_hands(sound, STORYTELLING if style == "storytelling" else SPEAKING, amount, rng)
    move = {"singing": sing_along, "dance": dance, "instrument": play_instrument}[style]
    return move(sound, amount, rng), ("", "")


def idle_waves(times: np.ndarray, rng: np.random.Generator, channels: int) -> np.ndarray:
    """Slow idle movement (F, channels) of deviation about 1: three sines of 2.5 to 8 seconds each."""
    frequency = rng.uniform(0.12, 0.4, (3, 1, channels))
    phase = rng.uniform(0, 2 * np.pi, (3, 1, channels))
    return np.sin(2 * np.pi * frequency * times[None, :, None] + phase).sum(0) * 0.8


def _bumps(sound: Sound, times: np.ndarray, width: float) -> np.ndarray:
    """(F,): a smooth bump of `width` seconds on each accented syllable (beat), as high as its stress."""
    strong = sound.syllables[:, 2] >= 0.6 if len(sound.syllables) else np.zeros(0, bool)
    away = (times[:, None] - sound.apexes[strong][None]) / width
    return (np.exp(-0.5 * away * away) * sound.syllables[strong, 2][None]).max(axis=1, initial=0.0)


def _trunk(
    sound: Sound, style: str, times: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """body_offset (F, 3), body_rotation (F, 4), head (F, 3): idle sway, and nods and bobs with the accents."""
    idle = idle_waves(times, rng, 8)
    accent = _bumps(sound, times, 0.09)
    bob = {"dance": 0.016, "instrument": 0.005}.get(style, 0.003)
    offset = np.stack([0.005 * idle[:, 0], 0.002 * idle[:, 1] + bob * accent, 0.003 * idle[:, 2] - 0.004 * accent], 1)
    lean = 0.012 * idle[:, 3] + 0.02 * accent
    turn = np.stack([lean, 0.03 * idle[:, 4], 0.012 * idle[:, 3]], 1)
    nod = 0.03 * idle[:, 5] + (0.13 if style == "dance" else 0.1) * accent
    head = np.stack([nod, 0.07 * idle[:, 6], 0.035 * idle[:, 7]], 1)
    return offset.astype(np.float32), from_axis_angle(turn).astype(np.float32), head.astype(np.float32)


def _hands(tracks: tuple[Track, Track], times: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Wrists (F, 2, 3) in reach and in front of the body, rotations (F, 2, 16, 4), with a little idle movement."""
    sampled = [track.sample(times) for track in tracks]
    wrists = np.stack([places for places, _ in sampled], 1)
    rotations = np.stack([turns for _, turns in sampled], 1)
    idle = idle_waves(times, rng, 12).reshape(-1, 2, 6)
    wrists = within_reach(wrists + 0.004 * idle[..., :3])
    wobble = from_axis_angle(0.03 * idle[..., 3:])
    rotations[:, :, 0] = multiply(rotations[:, :, 0], wobble)
    return wrists, continuous(rotations)


def within_reach(wrists: np.ndarray) -> np.ndarray:
    """Wrists (F, 2, 3) relative to the neck root, brought softly to where an arm can be: near ones do not change."""
    depth = NEAREST - wrists[..., 2]
    wrists = wrists.copy()
    wrists[..., 2] = NEAREST - np.where(depth > 0.05, depth, 0.05 * np.exp(np.minimum(depth / 0.05 - 1, 0)))
    shoulders = _shoulders()
    line = wrists - shoulders
    far = np.linalg.norm(line, axis=-1, keepdims=True)
    soft = 0.43
    short = soft + (REACH - soft) * np.tanh((far - soft) / (REACH - soft))
    return shoulders + line * np.where(far > soft, short / np.maximum(far, 1e-9), 1.0)


@lru_cache(maxsize=1)
def _shoulders() -> np.ndarray:
    """Left and right shoulder (2, 3), metres from the neck root, of the resting body."""
    framing = Framing()
    joints = body_joints(framing, np.zeros((1, 2, 3)) + framing.root())[0]
    return joints[list(SHOULDERS)] - framing.root()


def _in_pocket(track: Track, times: np.ndarray) -> np.ndarray:
    """Frames (F,) in which a hand lies where the track began."""
    places, _ = track.sample(times)
    return np.linalg.norm(places - track.poses[0].wrist, axis=-1) < 0.02


def _blur(motion: Motion, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Blur (F, 2) in pixels at width 96, and the confidence (F, 2) that a detector would have in such a hand.

    A fast hand smears by its way while the shutter is open; now and then a hand is unsharp for no reason.
    """
    count = len(motion)
    shutter = rng.uniform(0.0, 0.9) if rng.uniform() < 0.8 else 0.0
    pixels = motion.framing.project(motion.wrists()) * np.array(
        [96.0, 96.0 * motion.framing.size[0] / motion.framing.size[1]]
    )
    way = np.linalg.norm(np.gradient(pixels, axis=0), axis=-1) if count > 1 else np.zeros((count, 2))
    blur = np.clip(shutter * (way - SHARP), 0, 8)
    for _ in range(rng.poisson(count / FPS / 12)):
        start, length = int(rng.integers(count)), int(rng.integers(6, 26))
        hand, most = int(rng.integers(2)), rng.uniform(2.0, 6.0)
        stop = min(start + length, count)
        rise = np.sin(np.pi * (np.arange(stop - start) + 0.5) / length)
        blur[start:stop, hand] = np.maximum(blur[start:stop, hand], most * rise)
    confidence = np.clip(1.0 - 0.16 * blur + rng.normal(0, 0.015, blur.shape), 0.05, 1.0)
    return blur.astype(np.float32), confidence


def _missed(confidence: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Frames (F, 2) in which a detector would not have found the hand: some where it is unsharp, and some runs."""
    count = len(confidence)
    missed = (confidence < 0.35) & (rng.uniform(size=confidence.shape) < 0.5)
    for _ in range(rng.poisson(count / FPS / 14)):
        start, length, hand = int(rng.integers(count)), int(rng.integers(5, 26)), int(rng.integers(2))
        missed[start : start + length, hand] = True
    return missed


def _blinks(times: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Lid closure (F,): blinks of about a fifth of a second, every few seconds."""
    closed = np.zeros(len(times))
    at = rng.uniform(0.2, 3.0)
    while at < times[-1] + 0.2:
        closed = np.maximum(closed, np.clip(1.6 - np.abs(times - at) / 0.065, 0, 1))
        at += 0.4 + rng.exponential(2.8)
    return closed.astype(np.float32)
