"""Co-speech gestures as Kendon (1980) and McNeill (1992) describe them: rest, preparation, stroke, hold, retraction.

A stroke's end (its apex) falls on the loudest moment of a stressed syllable (McClave 1994; Loehr 2012), and grows with
the stress. Strokes that follow each other closely form one unit; the hands go back to rest where the voice pauses.
"""

from __future__ import annotations

import numpy as np

from .sound import Sound
from .styles import HANDSHAPES, STROKES, TalkingStyle, rest_pose
from .track import Pose, Track, make_pose

RECOIL = 0.12
"""Seconds from a stroke's apex to the end of its small rebound, which is followed by the hold."""
REST_SHARE = {"belly": 0.45, "clasped": 0.2, "hanging": 0.25, "pocket": 0.1, "ready": 1.0}
REBOUND = 0.28
"""How much of the stroke's way the hand springs back."""


def talk_with_hands(
    sound: Sound, style: TalkingStyle, speed: tuple[float, float], rng: np.random.Generator
) -> tuple[tuple[Track, Track], tuple[str, str]]:
    """Tracks of the left and the right hand for speech, and the names of their rest poses.

    speed: liveliness of each hand; all its movements grow in proportion to it.
    """
    rests = _rests(style, rng)
    homes = [rest_pose(rests[hand], hand) for hand in (0, 1)]
    wander = rng.normal(0, 0.012, 3)
    homes = [h.at(h.wrist + wander * (np.array([-1, 1, 1]) if i == 0 else 1)) for i, h in enumerate(homes)]
    tracks = (Track(), Track())
    for hand in (0, 1):
        tracks[hand].key(-1.0, homes[hand])
    for unit in _units(strokes(sound, style), sound, style):
        _unit(unit, sound, style, speed, homes, tracks, rng)
    return tracks, rests


def strokes(sound: Sound, style: TalkingStyle) -> list[int]:
    """The syllables that get a stroke, in order: the most stressed first, none nearer to another than the style's gap.

    A function of the sound alone, which is what makes gestures predictable from it.
    """
    chosen: list[int] = []
    stress = sound.syllables[:, 2]
    for i in np.argsort(-stress, kind="stable"):
        if stress[i] < style.least:
            break
        if all(abs(sound.apexes[i] - sound.apexes[j]) >= style.gap for j in chosen):
            chosen.append(int(i))
    return sorted(chosen)


def _units(chosen: list[int], sound: Sound, style: TalkingStyle) -> list[list[int]]:
    """Strokes in groups: a new one begins where the last apex is longer ago than the style's `stay`."""
    units: list[list[int]] = []
    for i in chosen:
        if units and sound.apexes[i] - sound.apexes[units[-1][-1]] < style.stay:
            units[-1].append(i)
        else:
            units.append([i])
    return units


def _rests(style: TalkingStyle, rng: np.random.Generator) -> tuple[str, str]:
    """Names of the rest poses of the left and the right hand."""
    p = np.array([REST_SHARE[name] for name in style.rests])
    first = style.rests[int(rng.choice(len(p), p=p / p.sum()))]
    mixed, swapped = rng.uniform(size=2) < 0.5
    second = "belly" if first in ("hanging", "pocket") and mixed else first
    return (second, first) if swapped else (first, second)


def _unit(
    unit: list[int],
    sound: Sound,
    style: TalkingStyle,
    speed: tuple[float, float],
    homes: list[Pose],
    tracks: tuple[Track, Track],
    rng: np.random.Generator,
) -> None:
    """One gesture unit: out of rest, a stroke on each accent, back to rest."""
    together = rng.uniform() < style.both
    leading = int(rng.uniform() < 0.55)
    centre = np.array(style.centre) + np.array(style.spread) * rng.normal(0, 1, 3).clip(-1.5, 1.5)
    kinds, weights = list(style.kinds), np.array(list(style.kinds.values()))
    kind = kinds[int(rng.choice(len(kinds), p=weights))]
    for number, i in enumerate(unit):
        apex, stress = float(sound.apexes[i]), float(sound.syllables[i, 2])
        if number and rng.uniform() < 0.25:
            kind = kinds[int(rng.choice(len(kinds), p=weights))]
        size = style.size * (0.35 + 0.85 * stress)
        jitter = rng.normal(0, 0.012, 3)
        for hand in (0, 1):
            share = 1.0 if together or hand == leading else 0.25
            before, after = (_stroke_pose(kind, end, centre + jitter, size, hand) for end in (0, 1))
            _stroke(tracks[hand], apex, style, homes[hand], before, after, speed[hand] * share)
    for hand in (0, 1):
        last = tracks[hand].times[-1]
        tracks[hand].hold(last + 0.5 * style.prepare)
        tracks[hand].key(last + 0.5 * style.prepare + style.retract, homes[hand])


def _stroke_pose(kind: str, end: int, centre: np.ndarray, size: float, hand: int) -> Pose:
    """Where a stroke of a kind starts (end 0) or lands (end 1)."""
    fingers, palm, bend, spread = HANDSHAPES[kind]
    return make_pose(centre + size * np.array(STROKES[kind][end]), fingers, palm, hand, bend, spread)


def _stroke(
    track: Track, apex: float, style: TalkingStyle, home: Pose, before: Pose, after: Pose, amount: float
) -> None:
    """Preparation, stroke that ends at `apex`, rebound; the hold lasts until the next preparation begins."""
    if len(track.times) > 2 and apex - track.times[-1] < style.stroke + style.prepare:
        # No time for a hold: the way back from the last apex is the preparation of this stroke.
        track.drop()
    begin = apex - min(style.stroke, 0.5 * max(apex - track.times[-1], 0.1))
    track.hold(max(begin - style.prepare, track.times[-1]))
    start, landed = home.towards(before, amount), home.towards(after, amount)
    track.key(begin, start)
    track.key(apex, landed)
    track.key(apex + RECOIL, landed.at(landed.wrist + REBOUND * (start.wrist - landed.wrist)))
