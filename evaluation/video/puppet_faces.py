"""Faces of puppets: do they blink and show the emotions that were asked for, and are they told apart?

What a made clip shows is read by the face reader (`emo2 train face-reader`) and compared with what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...models.pose.face_encoder import PuppetFaceEncoder
from ...models.pose.face_reader import FaceReader
from ...models.types import Framing, Motion
from ...models.video.face_track import FaceTrack
from ...training.puppets.faces import head_picture
from .measured import Measured

PEOPLE, VIEWS = 100, 4


def blink_correlation(
    made: Sequence[np.ndarray], asked: Sequence[FaceTrack], motions: Sequence[Motion], reader: FaceReader
) -> Measured:
    """Pearson's correlation of the blink asked for with how far eyes are closed in clips (F, H, W, 3).

    One value a clip, none for one without a blink. motions: as the clips were made, for where heads are. Higher is
    better.
    """
    values = []
    for clip, track, motion in zip(made, asked, motions, strict=True):
        count = min(len(clip), len(track), len(motion))
        found, _ = reader.read(clip[:count], head_framings(motion, count))
        wanted = track.blink[:count]
        known = wanted.std() > 0.05 and found.std() > 1e-6
        values.append(float(np.corrcoef(wanted, found)[0, 1]) if known else (np.nan if wanted.std() <= 0.05 else 0.0))
    return Measured("blink correlation", "higher", values, note="asked for and seen; 1 is best")


def emotion_right(
    made: Sequence[np.ndarray], asked: Sequence[FaceTrack], motions: Sequence[Motion], reader: FaceReader
) -> Measured:
    """Share of a clip's frames whose strongest emotion is the one that was asked for; chance is 1 / 8.

    Higher is better. Eyes that are nearly closed hide half of a face: such frames do not count.
    """
    values = []
    for clip, track, motion in zip(made, asked, motions, strict=True):
        count = min(len(clip), len(track), len(motion))
        _, found = reader.read(clip[:count], head_framings(motion, count))
        open_eyes = track.blink[:count] < 0.5
        right = found.argmax(1) == track.emotion[:count].argmax(1)
        values.append(float(right[open_eyes].mean()) if open_eyes.any() else np.nan)
    return Measured("emotion right", "higher", values, note="chance is 0.12")


def head_framings(motion: Motion, count: int) -> list[Framing]:
    """The framing of each frame, moved as the body is."""
    framing = motion.framing
    necks = framing.project(framing.root() + motion.body_offset[:count])
    return [Framing((float(x), float(y)), framing.shoulder_width, framing.size, framing.focal) for x, y in necks]


def same_person_auc(encoder: PuppetFaceEncoder, people: int = PEOPLE, views: int = VIEWS, first: int = 0) -> float:
    """Area under the ROC curve of cosine similarity on held-out puppets, 0..1; chance is 0.5, higher is better.

    Each puppet is seen `views` times, in other clothes, places, moods and poses each time, cut out as a framing does.
    """
    side, seen = encoder.network.side, [(first + n, view) for n in range(people) for view in range(views)]
    heads = [head_picture(number, "held-out", view, side) for number, view in seen]
    found = encoder.embed(np.stack(heads))
    owner = np.repeat(np.arange(people), views)
    one, other = np.triu_indices(len(owner), 1)
    return area_under_roc((found[one] * found[other]).sum(1), owner[one] == owner[other])


def area_under_roc(scores: np.ndarray, positive: np.ndarray) -> float:
    """How often a positive (N,) scores higher than a negative; equal scores count half (Mann and Whitney 1947)."""
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    yes, no = int(positive.sum()), int((~positive).sum())
    if not yes or not no:
        raise ValueError("area_under_roc needs positives and negatives")
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    # The mean rank of equal scores.
    rank = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return float((rank[positive].sum() - yes * (yes + 1) / 2) / (yes * no))
