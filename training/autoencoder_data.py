"""Single pictures of puppets, with where their hands are: from a cache, or drawn as they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..models.errors import EMO2Error
from .recipe import normal, sample_rng

SWAPPED = 0.3
"""How often colours change places, so that few people wear many colours."""
COLOURS = tuple(permutations(range(3)))
FEATURE, WHOLE = 4.0, 600.0
"""What eyes, brows and mouth weigh against the rest of a face, and all of it together, in pixels."""


class Pictures(Dataset[dict[str, Tensor]]):
    """Sample i: {"picture" (3, H, W) uint8, "hands" (1, H, W) bool, "noise" (C, h, w)} of a random frame.

    folders: puppet caches, all equally often; none draws a new puppet for every sample. faces: also "faces" (1, H, W),
    weights of the face (`face_weights`), and "first" (), whether the frame is from the first folder.
    """

    def __init__(self, seed: int, folders: Sequence[str], size: tuple[int, int], augment: bool, channels: int,
                 factor: int, faces: bool = False):  # fmt: skip
        self.seed, self.size, self.augment, self.channels, self.factor = seed, size, augment, channels, factor
        self.faces = faces
        self.caches: list[Any] = []
        if folders:
            from .puppets.cache import PuppetCache

            self.caches = [PuppetCache(folder) for folder in folders]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        place = int(rng.integers(len(self.caches))) if len(self.caches) > 1 else 0
        picture, *masks = self._kept(rng, self.caches[place]) if self.caches else self._drawn(rng)
        if self.augment:
            if rng.random() < 0.5:
                picture, masks = picture[:, ::-1], [mask[:, ::-1] for mask in masks]
            if rng.random() < SWAPPED:
                picture = picture[..., list(COLOURS[rng.integers(len(COLOURS))])]
        height, width = picture.shape[:2]
        sample = {name: torch.from_numpy(np.ascontiguousarray(m[None])) for name, m in zip(("hands", "faces"), masks)}
        if self.faces:
            sample["first"] = torch.tensor(place == 0)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), **sample,
            "noise": normal(rng, self.channels, height // self.factor, width // self.factor),
        }  # fmt: skip

    def _kept(self, rng: np.random.Generator, cache: Any) -> tuple[np.ndarray, ...]:
        record = cache[int(rng.integers(len(cache)))]
        frame = int(rng.integers(len(record)))
        picture, hands = _frame(record, frame)
        faces = (face_weights(record.arrays["face"][frame], hands.shape),) if self.faces else ()
        return picture, hands, *faces

    def _drawn(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        from .puppets.world import Puppet

        puppet = Puppet.draw(int(rng.integers(2**31)), "train", seconds=1.0)
        frame = int(rng.integers(len(puppet.motion)))
        picture = puppet.video(self.size, start=frame, count=1)[0]
        return picture, _hand_pixels(puppet, frame, picture.shape[:2])


class Sampled(Dataset[dict[str, Tensor]]):
    """Sample i: {"picture" (3, H, W) uint8, "hands" (1, H, W) bool, "latents" (C, h, w)} of a random frame of a cache.

    share: how many of the latents are as a video network sampled them; the others are the frame's own.
    """

    def __init__(self, seed: int, folder: str, share: float):
        from .puppets.cache import PuppetCache

        self.seed, self.share, self.cache = seed, share, PuppetCache(folder)
        for kind, option in (("latents", "--vae"), ("sampled_latents", "--video")):
            if getattr(self.cache[0], kind) is None:
                given = f"puppets without {kind.replace('_', ' ')} in {folder}"
                wanted = "puppets with encoded and with sampled latents"
                raise EMO2Error("config recipe.data", wanted, given, f"Run `emo2 puppets {option} FILE` on it.")

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = sample_rng(self.seed, index)
        number, sampled = int(rng.integers(len(self.cache))), bool(rng.random() < self.share)
        record = self.cache[number]
        frame = int(rng.integers(len(record)))
        latents = record.sampled_latents if sampled else record.latents
        if latents is None:
            given = f"none for {record.path}"
            raise EMO2Error("config recipe.data", "latents of every puppet", given, "Run `emo2 puppets` on it again.")
        picture, hands = _frame(record, frame)
        return {
            "picture": torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))),
            "hands": torch.from_numpy(np.ascontiguousarray(hands[None])),
            "latents": torch.from_numpy(latents[frame].astype(np.float32)),
        }


def _frame(record: Any, frame: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame (H, W, 3) uint8 of a record, and (H, W) bool where its hands are."""
    return record.frames_at([frame])[0], record.maps_at([frame])[0, ..., :3].any(axis=-1)


def face_weights(points: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """(H, W) float32: where eyes, brows and mouth of one face (70, 2), in shares of the picture, are; 1 on the average
    of a face of WHOLE pixels. A small face weighs as much as a large one, and its features FEATURE times the rest."""
    import cv2

    def fill(chosen: slice, reach: float, value: float) -> None:
        shown = points[chosen] * size[::-1]
        middle = shown.mean(axis=0)
        hull = cv2.convexHull(np.rint(middle + reach * (shown - middle)).astype(np.int32))
        cv2.fillConvexPoly(weights, hull, value)

    weights = np.zeros(size, np.float32)
    fill(slice(17, 68), 1.25, 1.0)
    for feature in (slice(36, 42), slice(42, 48), slice(17, 22), slice(22, 27), slice(48, 60)):
        fill(feature, 1.4, FEATURE)
    return weights * (WHOLE / max(float(weights.sum()), 1.0))


def held_out_pictures(folder: str | None, count: int, size: tuple[int, int]) -> Tensor:
    """(count, H, W, 3) uint8: the first frame of the first held-out people."""
    pictures = []
    if folder is not None:
        from .puppets.cache import PuppetCache

        cache = PuppetCache(folder)
        for index in range(count):
            record = cache[index % len(cache)]
            pictures.append(record.frames_at([(index // len(cache) * 7 + 5) % len(record)])[0])
    else:
        from .puppets.world import Puppet

        for index in range(count):
            puppet = Puppet.draw(index, "held-out", seconds=1.0)
            pictures.append(puppet.video(size, start=len(puppet.motion) // 2, count=1)[0])
    return torch.from_numpy(np.stack(pictures))


def _hand_pixels(puppet: Any, frame: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: where the MANO map has a hand."""
    from ..models.maps import mano_maps
    from .puppets.hands import neutral_hands

    drawn = mano_maps(puppet.motion.frames(frame, frame + 1), neutral_hands(), size)[0]
    return np.asarray(drawn.any(axis=-1))
