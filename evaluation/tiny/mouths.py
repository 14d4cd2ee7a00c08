"""Parts `mouth` and `speech`: whether the mouth in the picture follows the sound, of puppets and of real voices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...models.errors import EMO2Error
from ...training.puppets.mouth import mouth_shapes
from ..bootstrap import over_clips
from ..report import Row
from ..sounds import read_sound, sound_files
from ..video.puppet_mouth import common_lag, mouth_control, mouth_correlation
from ..video.puppet_seen import see
from .bench import FPS, RATE, Bench
from .goals import figure, from_clips, not_measured, noted, row
from .studio import Gesture, Shot

SPEAKERS = 7
"""Purpose of the puppets that real voices speak through, see `Bench.numbers`."""


def measure(bench: Bench) -> list[Row]:
    """Part `mouth`: on the main clips, with true motion."""
    kinds = ("video", "vae", "audio", "puppet_estimator")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("mouth", lacking)
    sounds = [scene.mouth[:, 0] for scene in bench.main]
    openings = watched(bench, bench.main_videos)
    rows = follows("mouth", openings, sounds)
    control = mouth_control(openings, sounds)
    few = "" if len(openings) >= 50 else f"only {len(openings)} clips: 50 are needed"
    rows.append(from_clips("mouth.shuffled", control, few))
    real = watched(bench, [scene.truth for scene in bench.main])
    rows.append(from_clips("mouth.true", mouth_correlation(real, sounds), "what the estimator itself can reach"))
    return noted(rows, bench.networks.untrained(*kinds))


def watched(bench: Bench, videos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The opening (F,) of the mouth that the estimator sees in each video."""
    return [see(video, bench.networks.puppet_estimator).mouth[:, 0] for video in videos]


def follows(part: str, openings: Sequence[np.ndarray], sounds: Sequence[np.ndarray]) -> list[Row]:
    """The correlation at the lag that is best for all clips together, and that lag.

    A best lag for each clip by itself would find something in chance alone.
    """
    count = len(openings)
    lag, _ = common_lag(openings, sounds)
    best = over_clips(lambda chosen: common_lag(openings, sounds, chosen)[1], count, samples=300)
    each = mouth_correlation(openings, sounds)
    lags = over_clips(lambda chosen: common_lag(openings, sounds, chosen)[0], count, samples=300, method="percentile")
    note = "one lag for all clips; positive: the mouth comes late"
    single = "" if each.value is None else f"each clip at its own best lag: {each.value:.3f}"
    return [
        row(f"{part}.correlation", best, single),
        figure(f"{part}.lag", lag, interval=lags.pair, count=count, note=note),
    ]


def real_voices(bench: Bench) -> list[Row]:
    """Part `speech`: recordings of real people, with generated motion, spoken by held-out puppets."""
    kinds = ("video", "vae", "audio", "motion", "clip_vision", "puppet_estimator")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("speech", lacking)
    if bench.speech is None:
        return not_measured("speech", "no recordings: give a folder of them with --speech DIR")
    files = sound_files(bench.speech)
    voices = [(path, stretch(path, bench.amounts.voice_seconds)) for path in files]
    shots, sounds, names = [], [], []
    people = bench.scenes(SPEAKERS, bench.amounts.speakers, 25)
    for path, waveform in voices:
        shapes = mouth_shapes(waveform)[:, 0]
        for number, scene in enumerate(people):
            framing = scene.puppet.framing
            gesture = Gesture(waveform, framing, "speaking", None, scene.picture, seed=number)
            (motion,) = bench.studio.motions([gesture], "hand motion for real voices")
            shots.append(Shot(scene.picture, waveform, len(motion), motion, framing, seed=number))
            sounds.append(shapes[: len(motion)])
            names.append(path.name)
    openings = watched(bench, bench.studio.videos(shots, "videos of real voices"))
    rows = follows("speech", openings, sounds)
    each = mouth_correlation(openings, sounds).clips
    said = [f"{f.name} {np.mean([v for v, n in zip(each, names) if n == f.name]):.2f}" for f in files]
    note = f"{len(files)} voices, {len(people)} people each: {', '.join(said)}"
    return noted([rows[0]], note) + noted(rows[1:], bench.networks.untrained(*kinds))


def stretch(path: Path, seconds: float) -> np.ndarray:
    """The first `seconds` of speech in a recording, 16 kHz mono: whole frames, leading silence left out."""
    waveform = read_sound(path)
    loud = np.abs(waveform) > 0.1 * np.abs(waveform).max(initial=1e-9)
    first = max(0, int(loud.argmax()) - RATE // 10) if loud.any() else 0
    samples = int(min(seconds, (len(waveform) - first) / RATE) * FPS) * RATE // FPS
    if samples < RATE // 2:
        raise EMO2Error("--speech", "recordings of at least half a second", path.name, "Take it out of the folder.")
    return waveform[first : first + samples]
