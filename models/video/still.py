"""What stands still keeps the reference picture's detail: not the paper's, but what an autoencoder loses need not be.

A frame that shows, in some place, what the reference picture shows there once it has been through the autoencoder, is
given the picture itself in that place: walls, plants and shirts stay as sharp as they were photographed or drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch

from ..errors import EMO2Error
from ..types import Reference
from .decode import decode_chunks

TOLERANCE = 13 / 255
"""Difference at which a place counts as the same by 1/e. Measured on training puppets: 0.7 dB better, hands and mouth
as before; with twice that, hands that were in the reference begin to shine through, and small mouths close."""
AROUND = 1.2 / 128
"""Deviation, relative to the picture's height, of the neighbourhood whose difference counts: one pixel may agree by
chance."""
FINE, REACH, BLUR = 0.004, 2 / 128, 0.8 / 128
"""What the autoencoder lost of the picture (squared difference) from which on a place is fine detail; how far, relative
to the height, everything about fine detail must agree as well; and the blur of what was lost. Fingertips before a wall
are fine detail too, and the rest of their hand has gone: a quarter fewer of them are left standing there."""


@dataclass(frozen=True)
class Still:
    """picture (H, W, 3) float32 0..1; rebuilt: the same through the autoencoder; strength 0..1, of the picture."""

    picture: np.ndarray
    rebuilt: np.ndarray
    strength: float = 1.0

    @classmethod
    def of(cls, vae: Any, reference: Reference | None, strength: float = 1.0) -> Still | None:
        """From a video's reference and the VAE that decodes it; None without a reference, and where strength is 0."""
        if not (np.isfinite(strength) and 0 <= strength <= 1):
            raise EMO2Error("keep_still", "a number from 0 to 1", strength, "Use 1, or 0 to switch it off.")
        if reference is None or strength == 0:
            return None
        (rebuilt,) = decode_chunks(vae, reference.latents)
        picture = reference.image[0].float().cpu().numpy()
        if rebuilt.shape[1:] != picture.shape:
            given = "{1} x {0}".format(*rebuilt.shape[1:3])
            wanted = "pictures of {1} x {0}".format(*picture.shape)
            raise EMO2Error("vae", wanted, given, "Load the VAE that the reference was encoded with.")
        return cls(picture, rebuilt[0].numpy(), float(strength))

    def kept(self, frames: torch.Tensor) -> torch.Tensor:
        """Frames (F, H, W, 3) float32 0..1 with the picture where they show the same. EMO2Error for another size."""
        if frames.shape[1:] != self.picture.shape:
            given = "{2} x {1}".format(*frames.shape)
            wanted = "frames of {1} x {0}".format(*self.picture.shape)
            raise EMO2Error("reference", wanted, given, "Connect the reference that the video was made with.")
        return torch.from_numpy(np.stack([self._kept(frame) for frame in frames.numpy()]))

    def _kept(self, frame: np.ndarray) -> np.ndarray:
        height = len(frame)
        away = cv2.GaussianBlur(np.square(frame - self.rebuilt).mean(-1), (0, 0), AROUND * height)
        away += self.fine * (cv2.dilate(away, _disc(round(REACH * height))) - away)
        same = self.strength * np.exp(-away / TOLERANCE**2)
        return frame + same[..., None] * (self.picture - frame)

    @cached_property
    def fine(self) -> np.ndarray:
        """(H, W) 0..1: where the picture has detail that its rebuilt self lacks."""
        lost = np.square(self.picture - self.rebuilt).mean(-1)
        return np.clip(cv2.GaussianBlur(lost, (0, 0), BLUR * len(lost)) / FINE, 0, 1)


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
