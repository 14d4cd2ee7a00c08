"""Parts `framings` (heads, half bodies, full figures) and `faces` (blinks and emotions that are asked for)."""

from __future__ import annotations

from dataclasses import replace

from ...models.errors import EMO2Error
from ...models.video.face_track import EMOTIONS, FaceTrack
from ..bootstrap import bootstrap, over_clips, paired_difference
from ..report import Row
from ..video.puppet_faces import blink_correlation, emotion_right
from ..video.puppet_hands import hands_within
from ..video.puppet_mouth import common_lag
from ..video.puppet_seen import see
from ..video.puppet_truth import Truth
from .bench import FPS, Bench, Scene
from .goals import from_clips, not_measured, noted, row
from .pictures import right_people

FRAMINGS = ("head", "half", "full")
FRAMED, MOODS = 14, 15
"""Purposes of puppets, see `Bench.numbers`; of framings one after the other."""


def framings(bench: Bench) -> list[Row]:
    """Hands, mouths and identity of pictures that show a head, half a body, a whole figure."""
    kinds = ("video", "vae", "audio", "puppet_estimator")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("framings", lacking)
    rows = []
    count = bench.amounts.framed
    for place, framing in enumerate(FRAMINGS):
        numbers = bench.numbers(FRAMED, count * len(FRAMINGS))[place * count : (place + 1) * count]
        scenes = [Scene(number, bench.amounts.frames, framing=framing) for number in numbers]
        videos = bench.studio.videos([scene.shot() for scene in scenes], f"videos of framing {framing}")
        seen = [see(video, bench.networks.puppet_estimator) for video in videos]
        truths = [Truth.of(scene.puppet, count=scene.frames) for scene in scenes]
        sounds, mouths = [scene.mouth[:, 0] for scene in scenes], [one.mouth[:, 0] for one in seen]
        best = over_clips(lambda chosen, m=mouths, s=sounds: common_lag(m, s, chosen)[1], len(scenes), samples=300)
        rows += [
            from_clips(f"framings.{framing}_hands", hands_within(seen, truths, 0.1), "where they are in the picture"),
            row(f"framings.{framing}_mouth", best, f"lag {common_lag(mouths, sounds)[0]:+.0f} frames"),
            row(f"framings.{framing}_identity", bootstrap(right_people(bench, scenes, videos))),
        ]
    return noted(rows, bench.networks.untrained(*kinds))


def measure(bench: Bench) -> list[Row]:
    """Part `faces`: every emotion in turn, heads and half bodies, with the blinks of the performance."""
    kinds = ("video", "vae", "audio", "face_encoder", "face_reader")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("faces", lacking)
    if not bench.networks.video.config.face_control:
        return not_measured("faces", "the video network has no facial controls (emo2 train video-face)")
    numbers, frames = bench.numbers(MOODS, bench.amounts.moods), bench.amounts.frames
    scenes = [
        Scene(number, frames, framing=FRAMINGS[(i // len(EMOTIONS)) % 2], emotion=EMOTIONS[i % len(EMOTIONS)])
        for i, number in enumerate(numbers)
    ]
    tracks = [track_of(scene) for scene in scenes]
    shots = [replace(s.shot(), face=track, identity=True) for s, track in zip(scenes, tracks)]
    made = bench.studio.videos(shots, "videos with facial controls")
    plain = bench.studio.videos([scene.shot() for scene in scenes], "videos without")
    motions, reader = [scene.motion for scene in scenes], bench.networks.face_reader
    true = [scene.truth for scene in scenes]
    with_, without = (right_people(bench, scenes, videos) for videos in (made, plain))
    kept = paired_difference(with_, without)
    rows = [
        from_clips("faces.blink", blink_correlation(made, tracks, motions, reader)),
        from_clips("faces.blink_true", blink_correlation(true, tracks, motions, reader)),
        from_clips("faces.emotion", emotion_right(made, tracks, motions, reader)),
        from_clips("faces.emotion_true", emotion_right(true, tracks, motions, reader)),
        row("faces.identity", bootstrap(with_)),
        row("faces.identity_kept", kept, f"without: {without.mean():.3f}"),
    ]
    return noted(rows, bench.networks.untrained(*kinds))


def track_of(scene: Scene) -> FaceTrack:
    """The scene's own blinks and emotions as facial controls."""
    performance = scene.puppet.performance
    if performance.emotion is None:
        raise EMO2Error("scene", "a puppet with an emotion", "none", "Draw it with one.")
    return FaceTrack(performance.blink[: scene.frames], performance.emotion[: scene.frames], float(FPS))
