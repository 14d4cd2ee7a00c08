"""Part `modes`: one network led by a pose alone, by a voice alone, and by both.

The pose is what a detector sees in the puppet's own video: hands, body, head and lips. With both, the lips are the
voice's; a pose that drowns the voice would show in the mouth.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...models.types import Motion
from ..bootstrap import bootstrap, over_clips
from ..report import Row
from ..video.puppet_hands import SIDES, hands_within
from ..video.puppet_mouth import common_lag, mouth_correlation, pearson
from ..video.puppet_seen import see
from ..video.puppet_truth import Truth
from .bench import Bench, Scene
from .goals import from_clips, not_measured, noted, row
from .motion import ratio


def seen_motion(scene: Scene) -> Motion:
    """The scene's motion with the face as a detector sees it."""
    return scene.puppet.with_face(scene.puppet.motion).frames(0, scene.frames)


def measure(bench: Bench) -> list[Row]:
    """All rows of the part."""
    kinds = ("video", "vae", "audio", "puppet_estimator")
    lacking = bench.networks.lacking(*kinds)
    if lacking:
        return not_measured("modes", lacking)
    scenes = bench.main[: bench.amounts.modes]
    pose = [replace(s.shot(seen_motion(s)), silent=True, lips="motion") for s in scenes]
    free = [replace(s.shot(), motion=None) for s in scenes]
    both = [s.shot(seen_motion(s)) for s in scenes]
    made = [bench.studio.videos(shots, f"videos led by {name}")
            for shots, name in ((pose, "a pose"), (free, "a voice"), (both, "both"))]  # fmt: skip
    seen = [[see(video, bench.networks.puppet_estimator) for video in videos] for videos in made]
    truths = [Truth.of(scene.puppet, count=scene.frames) for scene in scenes]
    sounds = [scene.mouth[:, 0] for scene in scenes]
    mouths = [[one.mouth[:, 0] for one in some] for some in seen]
    rows = []
    for index, side in enumerate(SIDES):
        for share, name in ((0.1, "tenth"), (0.05, "twentieth")):
            rows.append(from_clips(f"modes.pose_{side}_{name}", hands_within(seen[0], truths, share, index)))
    rows.append(from_clips("modes.pose_mouth", mouth_correlation(mouths[0], sounds)))
    rows.append(from_clips("modes.both_hands", hands_within(seen[2], truths, 0.1)))
    for key, openings in (("modes.voice_mouth", mouths[1]), ("modes.both_mouth", mouths[2])):
        best = over_clips(lambda chosen, o=openings: common_lag(o, sounds, chosen)[1], len(scenes), samples=300)
        rows.append(row(key, best, f"lag {common_lag(openings, sounds)[0]:+.0f} frames"))
    pairs = np.array([[pearson(b, sound), pearson(a, sound)] for a, b, sound in zip(*mouths[1:], sounds)])
    rows.append(row("modes.both_share", bootstrap(pairs[np.isfinite(pairs).all(1)], ratio), "both at lag 0"))
    return noted(rows, bench.networks.untrained(*kinds))
