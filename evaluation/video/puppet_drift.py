"""Does a long video drift? The errors of its last second against those of its first."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from .measured import Measured
from .puppet_truth import Truth, person_mask

BLUR = 0.02
STRIDE = 3
"""Every third frame of a second is looked at."""


def drift(made: Sequence[np.ndarray], truths: Sequence[Truth], fps: float = 25.0) -> tuple[Measured, Measured]:
    """(identity drift, background drift) of long clips: the mean error in the last second over that in the first.

    Identity: the smoothed colour distance to the true person where that stands. Background: the distance to the empty
    scene where neither the person stands nor a margin around it. 1: no drift; lower is better. Each is a ratio of means
    over clips, so that one clip with a tiny first error does not rule; `clips` holds each clip's own ratio.
    """
    first, last = [], []
    second = round(fps)
    for clip, truth in zip(made, truths):
        first.append(frame_errors(clip, truth, range(0, second, STRIDE)))
        last.append(frame_errors(clip, truth, range(len(clip) - second, len(clip), STRIDE)))
    before, after = np.array(first).reshape(-1, 2), np.array(last).reshape(-1, 2)

    def ratio(kind: int, name: str) -> Measured:
        over = lambda indices: float(after[indices, kind].mean() / max(before[indices, kind].mean(), 1e-6))
        each = after[:, kind] / np.maximum(before[:, kind], 1e-6)
        note = f"error {before[:, kind].mean():.2f} in the first second, {after[:, kind].mean():.2f} in the last"
        return Measured(name, "lower", each, over, len(each), note=note if len(each) else "")

    return ratio(0, "identity drift"), ratio(1, "background drift")


def frame_errors(clip: np.ndarray, truth: Truth, frames: Sequence[int] | range) -> tuple[float, float]:
    """(identity, background) error in levels of 0..255, means over the chosen frames."""
    truth.check(clip)
    at = [index for index in frames if 0 <= index < len(clip)]
    rendered = truth.render(frames=at)
    width = clip.shape[2]
    kernel = np.ones((2 * round(0.06 * width) + 1,) * 2, np.uint8)
    smooth = lambda picture: cv2.GaussianBlur(picture.astype(np.float32), (0, 0), BLUR * width)
    people, backgrounds = [], []
    for k, index in enumerate(at):
        mask = person_mask(rendered[k], truth.empty)
        people.append(np.abs(smooth(clip[index]) - smooth(rendered[k])).mean(-1)[mask].mean())
        free = cv2.dilate(mask.astype(np.uint8), kernel) == 0
        if free.any():
            backgrounds.append(np.abs(clip[index].astype(np.float32) - truth.empty).mean(-1)[free].mean())
    return float(np.mean(people)), float(np.mean(backgrounds)) if backgrounds else float("nan")
