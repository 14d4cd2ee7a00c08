"""Does a face encoder tell held-out puppets apart? Pairs of heads of one person against pairs of two people."""

from __future__ import annotations

import numpy as np

from ...models.pose.face_encoder import PuppetFaceEncoder
from ...training.puppets.faces import head_picture

PEOPLE, VIEWS = 100, 4


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
