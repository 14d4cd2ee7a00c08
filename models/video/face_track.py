"""What the face does beside speaking, frame by frame: how far the eyes are closed, and which emotion shows.

The facial controls of VersaAnimator (arXiv 2503.08714): a blink ratio and an emotion label per frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import EMO2Error
from ..types import _array, _positive

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "fearful", "disgusted", "contempt")
"""In the order of the columns of `FaceTrack.emotion`; models are trained with it, so it never changes."""
NEUTRAL = EMOTIONS.index("neutral")
REMAKE = "Make the track again with EMO2 Blink Track or EMO2 Emotion Track."


@dataclass(frozen=True)
class FaceTrack:
    """Facial controls over time (wire EMO2_FACE); edits return a new one.

    blink (F,): 0 eyes open as usual, 1 closed. emotion (F, 8): weights of EMOTIONS, each row 0 or more and adding up to
    1; None is neutral throughout. fps frames a second. blink_known, emotion_known: whether anybody said so; what is not
    known has the values of a calm face, and models that can leave it open do.
    """

    blink: np.ndarray
    emotion: np.ndarray | Any
    fps: float
    blink_known: bool = True
    emotion_known: bool = True

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)
        put("blink", _array("face", "blink", self.blink, (None,)))
        count = len(self.blink)
        if count == 0:
            raise EMO2Error("face.blink", "at least one frame", "no frames", REMAKE)
        if self.emotion is None:
            put("emotion", np.tile(weights("neutral"), (count, 1)))
        put("emotion", _array("face", "emotion", self.emotion, (count, len(EMOTIONS))))
        put("fps", _positive("face", "fps", self.fps, "frames a second"))
        for name in ("blink", "emotion"):
            values = getattr(self, name)
            if values.min() < 0 or values.max() > 1:
                given = f"{values.min():.3g} to {values.max():.3g}"
                raise EMO2Error(f"face.{name}", "values from 0 to 1", given, REMAKE)
        off = float(np.abs(self.emotion.sum(-1, dtype=np.float64) - 1).max())
        if off > 1e-3:
            raise EMO2Error("face.emotion", "weights that add up to 1 in each frame", f"a sum off by {off:.3g}", REMAKE)

    def __len__(self) -> int:
        return len(self.blink)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    def replace(self, **changes: Any) -> FaceTrack:
        """A new track with some fields changed; the new one is validated again."""
        return replace(self, **changes)

    def frames(self, start: int, stop: int) -> FaceTrack:
        """Frames start..stop-1 as a track of their own."""
        return self.replace(blink=self.blink[start:stop], emotion=self.emotion[start:stop])

    def resampled(self, fps: float, count: int) -> FaceTrack:
        """The track at another frame rate with exactly `count` frames; frame i shows the instant (i + 0.5) / fps.

        Lines between frames. Beyond its end the eyes are open and the last emotion stays. A blink is shorter than the
        time between slow frames, so at a lower rate each frame shows how far the eyes are closed at the most within it.
        """
        if fps == self.fps and count == len(self):
            return self
        _positive("face", "fps", fps, "frames a second")
        if count < 1:
            raise EMO2Error("frame_count", "at least one frame", count, "Ask for more frames.")
        places = (np.arange(count) + 0.5) * (self.fps / fps) - 0.5
        own = np.arange(len(self))
        blink = np.interp(places, own, self.blink)
        if fps < self.fps:
            owner = np.floor((own + 0.5) * (fps / self.fps)).astype(np.int64)
            inside = owner < count
            np.maximum.at(blink, owner[inside], self.blink[inside])
        blink[places > len(self) - 0.5] = 0
        emotion = np.stack([np.interp(places, own, column) for column in self.emotion.T], -1)
        return self.replace(blink=blink, emotion=emotion, fps=float(fps))


def weights(emotion: str, strength: float = 1.0) -> np.ndarray:
    """The weights (8,) of one emotion at a strength of 0..1; the rest is neutral."""
    if emotion not in EMOTIONS:
        raise EMO2Error("emotion", f"one of {', '.join(EMOTIONS)}", repr(emotion), "Choose one of them.")
    result = np.zeros(len(EMOTIONS), np.float32)
    result[NEUTRAL] = 1 - strength
    result[EMOTIONS.index(emotion)] += strength
    return result


def calm(count: int, fps: float) -> FaceTrack:
    """Open eyes and a neutral face for `count` frames, neither of them asked for by anybody."""
    return FaceTrack(np.zeros(count), None, fps, blink_known=False, emotion_known=False)
