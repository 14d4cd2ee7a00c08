"""What the facial controls learn from: clips of puppets whose blinks, emotions and faces are known."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..models.errors import EMO2Error
from ..models.pose.eye_opening import blink_ratio
from ..models.pose.face_encoder import FaceEncoder
from ..models.video.face_track import FaceTrack
from .video_data import Clips, Puppets


@dataclass(frozen=True)
class FaceDrops:
    """How often a sample lacks a control: all of them together, or one alone."""

    face: float = 0.08
    emotion: float = 0.1
    blink: float = 0.1
    identity: float = 0.1


class Identities:
    """The embedding of each record's person, from its reference picture; computed once."""

    def __init__(self, encoder: FaceEncoder):
        self.encoder, self.width = encoder, encoder.width
        self._known: dict[str, np.ndarray | None] = {}

    def of(self, record: Any) -> np.ndarray | None:
        """(D,) float32 of length 1, or None where no face is found."""
        key = str(record.path)
        if key not in self._known:
            try:
                self._known[key] = self.encoder.encode(record.reference, record.motion.framing)
            except EMO2Error:
                self._known[key] = None
        return self._known[key]


def face_of(record: Any) -> FaceTrack | None:
    """Blinks and emotions of a record; None where neither is known.

    Puppets have both. In real footage the blinks are those of the eyes' outlines, where they were found.
    """
    blink, emotion = record.arrays.get("blink"), record.arrays.get("emotion")
    if blink is None:
        with suppress(EMO2Error):
            blink = blink_ratio(record.motion)
    if blink is None and emotion is None:
        return None
    return FaceTrack(
        np.zeros(len(record)) if blink is None else np.clip(blink, 0, 1), emotion, float(record.info["fps"]),
        blink_known=blink is not None, emotion_known=emotion is not None,
    )  # fmt: skip


class FaceClips(Clips):
    """Sample i of `Clips`, and its face: {"emotion" (F, n), "blink" (F,), "identity" (D,)}, and "has_" for each of
    them, and for "face" as a whole.

    The first `close_up_samples` samples are close-ups, where a face has many pixels; later ones a share
    `close_up_share`. The others come from all `sources` equally often.
    """

    def __init__(self, sources: Sequence[Puppets], close_ups: Puppets | None, close_up_samples: int,
                 close_up_share: float, identities: Identities | None, face_drops: FaceDrops, *clips: Any):  # fmt: skip
        super().__init__(sources[0], *clips)
        self.sources, self.close_ups = list(sources), close_ups
        self.close_up_samples, self.close_up_share = close_up_samples, close_up_share
        self.identities, self.face_drops = identities, face_drops

    def source(self, rng: np.random.Generator, index: int) -> Puppets:
        near = rng.random() < self.close_up_share or index < self.close_up_samples
        if self.close_ups is not None and near:
            return self.close_ups
        return self.sources[int(rng.integers(len(self.sources)))]

    def more(self, rng: np.random.Generator, record: Any, frames: range, everything: bool) -> dict[str, Tensor]:
        config, drops = self.puppets.config, self.face_drops
        kept = {name: bool(rng.random() >= getattr(drops, name)) for name in ("face", "emotion", "blink", "identity")}
        track = face_of(record)
        part = None if track is None else track.frames(frames.start, frames.stop)
        identity = self.identities.of(record) if self.identities is not None else None
        blink = torch.zeros(len(frames)) if part is None else torch.tensor(part.blink)
        emotion = torch.zeros(len(frames), config.face_emotions) if part is None else torch.tensor(part.emotion)
        told = {
            "emotion": part is not None and part.emotion_known and kept["emotion"],
            "blink": part is not None and part.blink_known and kept["blink"],
            "identity": identity is not None and kept["identity"],
        }
        told["face"] = kept["face"] and not everything and any(told.values())
        return {
            "emotion": emotion,
            "blink": blink,
            "identity": torch.zeros(config.face_identity) if identity is None else torch.from_numpy(identity),
            **{f"has_{name}": torch.tensor(value) for name, value in told.items()},
        }
