"""Motion to music: hands that play, dance, or sing along. What happens when is told by the sound alone."""

from __future__ import annotations

import numpy as np

from .sound import Sound
from .styles import HANDSHAPES, rest_pose
from .track import Pose, Track, make_pose

LATE = 0.03
"""Seconds after a note begins, at which the hands arrive: where it has become loud."""

DANCES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], bool]] = {
    "pump": ((0.0, 0.09, 0.02), (-0.02, -0.1, -0.05), False),
    "alternate": ((0.0, 0.1, 0.05), (0.0, -0.1, -0.06), True),
    "sway": ((0.11, 0.02, 0.0), (-0.1, -0.02, -0.02), True),
    "swing": ((0.1, 0.04, 0.0), (-0.09, -0.05, -0.03), False),
}
"""Displacement of the right hand on even and on odd beats (m), and whether the left one does the opposite."""


def dance(sound: Sound, speed: tuple[float, float], rng: np.random.Generator) -> tuple[Track, Track]:
    """Both hands swing from one beat to the next and are at the end of a swing on the beat."""
    moves = list(DANCES)
    move = moves[int(rng.integers(len(moves)))]
    lift = rng.normal(0, 0.02, 3)
    tracks = (Track(), Track())
    homes = [_moved(rest_pose("groove", hand), lift, hand) for hand in (0, 1)]
    for hand in (0, 1):
        tracks[hand].key(-1.0, homes[hand])
    for number, (apex, row) in enumerate(zip(sound.apexes, sound.syllables)):
        if number and number % 8 == 0 and rng.uniform() < 0.5:
            move = moves[int(rng.integers(len(moves)))]
        even, odd, opposed = DANCES[move]
        strength = 0.55 + 0.5 * row[2]
        for hand in (0, 1):
            place = np.array(even if (number + (opposed and hand == 0)) % 2 == 0 else odd) * strength
            tracks[hand].key(float(apex), _moved(homes[hand], 0.95 * speed[hand] * place, hand))
    return tracks


def play_instrument(sound: Sound, speed: tuple[float, float], rng: np.random.Generator) -> tuple[Track, Track]:
    """Guitar: the right hand crosses the strings at each strum, the left one shifts along the neck at each chord.

    Piano: both hands strike the keys, further outwards for higher notes, and rise in between.
    """
    return _piano(sound, speed, rng) if sound.voice == "piano" else _guitar(sound, speed, rng)


def _guitar(sound: Sound, speed: tuple[float, float], rng: np.random.Generator) -> tuple[Track, Track]:
    shift = rng.normal(0, 0.012, 3)
    neck, strings = _moved(rest_pose("neck", 0), shift, 0), _moved(rest_pose("strings", 1), shift, 1)
    left, right = Track(), Track()
    left.key(-1.0, neck)
    right.key(-1.0, strings)
    along = np.array([0.2, 0.09, -0.03])  # down the neck, towards the body, for the mirrored left hand
    way = np.array([0.1, 1.0, -0.1]) * 0.13 * speed[1]
    eighth, chord = sound.beat / 2, None
    for i, (row, pitch) in enumerate(zip(sound.syllables, sound.pitch)):
        start, side = float(row[0]) + LATE, 1 if row[2] > 0.6 else -1
        # Down and up by turns; where the sound skips one, the hand goes back all the same, only less far.
        ago = start - right.times[-1]
        if i == 0 or (sound.syllables[i - 1, 2] > 0.6) == (side > 0):
            right.hold(start - 2 * eighth)
            right.key(start - min(eighth, 0.5 * ago), _moved(strings, -0.8 * side * way, 1))
        right.key(start, _moved(strings, side * (0.6 + 0.4 * row[2]) * way, 1))
        if chord is None or abs(pitch - chord) > 1e-6:
            chord = pitch
            left.hold(start - 0.25)
            left.key(start, _moved(neck, speed[0] * (1.6 * pitch - 0.5) * along, 0))
    return left, right


def _piano(sound: Sound, speed: tuple[float, float], rng: np.random.Generator) -> tuple[Track, Track]:
    shift = rng.normal(0, 0.012, 3)
    homes = [_moved(rest_pose("keys", hand), shift, hand) for hand in (0, 1)]
    tracks = (Track(), Track())
    for hand in (0, 1):
        tracks[hand].key(-1.0, homes[hand])
    for number, (row, pitch) in enumerate(zip(sound.syllables, sound.pitch)):
        for hand in (0, 1):
            if hand == 0 and row[2] < 0.5:
                continue
            side = (-0.22 * (pitch - 0.5)) if hand else (0.09 if number % 2 else -0.09)
            strike = np.array([side, 0.035, 0.0]) * speed[hand]
            raised = np.array([side, -0.1 * (0.4 + 0.6 * row[2]), 0.02]) * speed[hand]
            start, ago = float(row[0]) + LATE, float(row[0]) + LATE - tracks[hand].times[-1]
            tracks[hand].hold(start - 0.8)
            tracks[hand].key(start - min(0.5 * ago, 0.24), _moved(homes[hand], raised, hand))
            tracks[hand].key(start, _moved(homes[hand], strike, hand))
    return tracks


def sing_along(sound: Sound, speed: tuple[float, float], rng: np.random.Generator) -> tuple[Track, Track]:
    """Hands open with the song: as high as the note, as wide as it is strong, and back to the breast in the pauses."""
    alone = rng.uniform() < 0.35
    leading = int(rng.uniform() < 0.5)
    rests = ["heart" if alone and hand != leading else "folded" for hand in (0, 1)]
    homes = [rest_pose(rests[hand], hand) for hand in (0, 1)]
    tracks = (Track(), Track())
    for hand in (0, 1):
        tracks[hand].key(-1.0, homes[hand])
    fingers, palm, bend, spread = HANDSHAPES["sung"]
    for i, (row, pitch) in enumerate(zip(sound.syllables, sound.pitch)):
        for hand in (0, 1):
            share = 0.3 if alone and hand != leading else 1.0
            wrist = np.array([-0.17 - 0.13 * row[2], 0.26 - 0.28 * pitch, -0.26])
            full = make_pose(wrist, fingers, palm, hand, bend, spread)
            start = float(row[0]) + LATE
            tracks[hand].hold(start - 1.1)
            tracks[hand].key(start, homes[hand].towards(full, 0.75 * share * speed[hand]))
        following = sound.syllables[i + 1, 0] if i + 1 < len(sound.syllables) else np.inf
        if following - row[1] > 0.45:
            for hand in (0, 1):
                tracks[hand].hold(float(row[1]) - 0.1)
                tracks[hand].key(float(row[1]) + 0.6, homes[hand])
    return tracks


def _moved(pose: Pose, by: np.ndarray, hand: int) -> Pose:
    """A pose displaced by an amount that is given for the right hand."""
    return pose.at(pose.wrist + np.asarray(by) * (np.array([1.0, 1.0, 1.0]) if hand else np.array([-1.0, 1.0, 1.0])))
