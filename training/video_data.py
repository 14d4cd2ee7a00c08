"""What stage 2 learns from: pictures and clips of painted puppets, with their maps, confidence and sound.

Conditions are made by the same functions as when a video is sampled (`models.video.conditions`). Whatever is random
about a sample comes from (seed, index).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..models.errors import EMO2Error
from ..models.maps.face import HEAD, LIPS, hidden
from ..models.types import FRAME_FIELDS, Motion
from ..models.video.config import VideoConfig
from ..models.video.guidance import body_maps, steadied
from .recipe import normal, sample_rng

FACE_METRES, MOUTH_CELLS = 0.17, 0.75
"""Radius of what counts as the face, round a point above the mouth; and of the mouth, in latent cells."""
KEPT_BYTES, KEPT_SOUNDS = 4 << 30, 8_000


@dataclass(frozen=True)
class Drops:
    """How often a sample lacks what it could be told (EMO2 section 3.4; Ho & Salimans 2022 for guidance).

    everything: all at once, the unconditional half of guidance. reference, pose, audio, motion_frames: that one alone.
    keypoints: black keypoint maps, so that hand maps alone suffice. hands: black hand maps.

    Where the maps show faces, parts of a pose go in the order in which they would drown the voice: lips in a share
    `lips`, of these the head as well in a share `head`, then the body with `keypoints`, then all of it with `pose`.
    stretch: the pose is there in the clip's first or last part only, with a soft end.
    """

    everything: float = 0.06
    reference: float = 0.03
    pose: float = 0.07
    keypoints: float = 0.3
    hands: float = 0.03
    audio: float = 0.05
    motion_frames: float = 0.25
    lips: float = 0.6
    head: float = 0.5
    stretch: float = 0.0


@dataclass(frozen=True)
class Emphasis:
    """Extra weight of the loss on latent cells where hands are, on the face, and at the mouth."""

    hands: float = 1.0
    face: float = 0.5
    mouth: float = 0.0


class Puppets:
    """The records of a cache as a stage-2 network of `config` sees them."""

    def __init__(self, folder: Path | str, config: VideoConfig):
        from .puppets.cache import PuppetCache

        self.cache, self.config = PuppetCache(folder), config
        self._records: dict[int, Any] = {}
        self._steady: dict[str, Motion] = {}
        self._bytes = 0
        if not self.cache.encoded:
            given = f"pictures alone in {folder}"
            command = "prepare" if self.cache.info.get("kind") == "footage" else "puppets"
            remedy = f"Run `emo2 {command} --vae FILE` on it."
            raise EMO2Error("config recipe.data", "records with latents", given, remedy)
        first = self.cache[0]
        shape = tuple(first.latents.shape[1:])
        wanted = (config.latent_channels, *config.latent_size)
        if shape != wanted or first.size != config.size:
            given = f"{shape} of pictures {first.size}"
            raise EMO2Error("config recipe.data", f"latents {wanted} of pictures {config.size}", given, "Encode again.")

    def __len__(self) -> int:
        return len(self.cache)

    def draw(self, rng: np.random.Generator) -> Any:
        """A random record. Those read once stay in memory, their pictures packed, as long as there is room."""
        index = int(rng.integers(len(self.cache)))
        record = self._records.get(index)
        if record is None:
            record = self.cache[index]
            self._bytes += record.latents.nbytes + sum(array.nbytes for array in record.arrays.values())
            if self._bytes <= KEPT_BYTES:
                self._records[index] = record
        return record

    def latents(self, record: Any, frames: Sequence[int]) -> Tensor:
        """(C, n, h, w) float32 of some frames, as the network takes them."""
        return self._scaled(record.latents[list(frames)]).transpose(0, 1)

    def reference(self, record: Any) -> Tensor:
        """(C, h, w) float32 of the record's reference picture."""
        return self._scaled(record.reference_latents)

    def _scaled(self, latents: np.ndarray) -> Tensor:
        return torch.from_numpy(latents.astype(np.float32)) * self.config.latent_scale

    def maps(self, record: Any, frames: Sequence[int], unknown: Sequence[int] = ()) -> Tensor:
        """(6, n, H, W) uint8: hand and keypoint maps, as `Conditions.maps` has them before the division by 255.

        unknown: which of the face's 70 points the maps do not show, where they show faces.
        """
        config = self.config
        frames = list(frames)
        if config.keypoint_maps and config.keypoint_median == 1 and not (config.face_maps or config.head_mask):
            both = record.maps_at(frames)
        else:
            hands = record.maps_at(frames)[..., :3]
            steady = self._steadied(record)
            shown = steady.replace(**{name: getattr(steady, name)[frames] for name in FRAME_FIELDS})
            if config.face_maps:
                shown = hidden(shown, unknown)
            both = np.concatenate([hands, body_maps(shown, config)], axis=-1)
        return torch.from_numpy(both).permute(3, 0, 1, 2).contiguous()

    def _steadied(self, record: Any) -> Motion:
        """The record's motion with its keypoints steadied; made once."""
        key = str(record.path)
        if key not in self._steady:
            if len(self._steady) >= len(self.cache):
                self._steady.clear()
            self._steady[key] = steadied(record.motion, self.config.keypoint_median)
        return self._steady[key]

    def confidence(self, record: Any, frames: Sequence[int]) -> np.ndarray:
        """(n, 2) float32 0..1 of the hands, 0 where one is out of sight."""
        frames = list(frames)
        return np.where(record.visible[frames], record.confidence[frames], 0).astype(np.float32)

    def weight(self, record: Any, frames: Sequence[int], maps: Tensor, emphasis: Emphasis) -> Tensor:
        """Weight (n, h, w) of each latent cell in the loss, mean 1 over a picture; maps: (6, n, H, W), whole."""
        factor = self.config.vae_factor
        height, width = self.config.latent_size
        hands = torch.nn.functional.max_pool2d((maps[2] > 0).float()[:, None], factor)[:, 0]
        weight = 1 + emphasis.hands * hands
        y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
        mouths = torch.from_numpy(record.mouth_places[list(frames)].astype(np.float32)) / factor
        fitted = record.motion.framing.fitted(self.config.size)
        face = FACE_METRES * fitted.pixels_per_metre / factor
        away = lambda up: torch.hypot(x - mouths[:, 0, None, None], y - (mouths[:, 1, None, None] - up))
        weight = weight + emphasis.face * (away(face * 0.4) < face).float()
        weight = weight + emphasis.mouth * (1.5 - away(0.0) / MOUTH_CELLS).clamp(0, 1)
        return weight / weight.mean(dim=(1, 2), keepdim=True)


class ImagePairs(Dataset[dict[str, Tensor]]):
    """Sample i: one reference and `targets` other pictures of the same puppet, each with its own noise level.

    {"reference" (C, h, w), "target" and "noise" (C, K, h, w), "timestep" (K,), "maps" (6, K, H, W) uint8, "confidence"
    (K, 2), "weight" (K, h, w), "has_reference" (), "has_pose" (K,)}.
    """

    def __init__(self, puppets: Puppets, seed: int, targets: int, other_reference: float, drops: Drops,
                 emphasis: Emphasis, confidence_noise: float):  # fmt: skip
        self.puppets, self.seed, self.targets, self.other = puppets, seed, targets, other_reference
        self.drops, self.emphasis, self.confidence_noise = drops, emphasis, confidence_noise

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng, puppets, drops = sample_rng(self.seed, index), self.puppets, self.drops
        record = puppets.draw(rng)
        order = rng.permutation(len(record.latents))
        if len(order) < self.targets:
            raise EMO2Error("config recipe.targets", f"at most {len(order)}", self.targets, "Paint longer puppets.")
        frames = order[: self.targets].tolist()
        reference = puppets.reference(record)
        if rng.random() < self.other:
            reference = puppets.latents(record, [int(order[-1])])[:, 0]
        target, maps = puppets.latents(record, frames), puppets.maps(record, frames)
        weight = puppets.weight(record, frames, maps, self.emphasis)
        confidence = shaken(rng, puppets.confidence(record, frames), self.confidence_noise)
        everything = rng.random() < drops.everything
        has_pose = (rng.random(self.targets) >= drops.pose) & (not everything)
        for place in range(self.targets):
            drop_maps(rng, maps[:, place], drops)
        has_reference = not everything and rng.random() >= drops.reference
        steps = puppets.config.train_steps
        return {
            "reference": reference,
            "target": target,
            "noise": normal(rng, *target.shape),
            "timestep": torch.from_numpy(spread_levels(rng, self.targets, steps)),
            "maps": maps,
            "confidence": torch.from_numpy(confidence),
            "weight": weight,
            "has_reference": torch.tensor(has_reference),
            "has_pose": torch.from_numpy(has_pose),
        }


class Sounds:
    """Voice-encoder states of the records' sounds, each computed when it is first asked for and kept."""

    def __init__(self, encoder: Any, config: VideoConfig):
        self.encoder, self.config = encoder, config
        self._known: OrderedDict[str, Any] = OrderedDict()

    def windows(self, record: Any, start: int, count: int) -> Tensor:
        """States (n, K, L, D) float32 around frames start..start+count-1 of the record, as `Conditions` gives them."""
        config = self.config
        heard = self._heard(record)
        first = record.start + start
        return torch.from_numpy(heard.at_frames(config.fps, first, count, config.audio_radius, config.audio_steps))

    def _heard(self, record: Any) -> Any:
        from ..models.audio import encode

        key = str(record.path)
        if key not in self._known:
            while len(self._known) >= KEPT_SOUNDS:
                self._known.popitem(last=False)
            self._known[key] = encode(self.encoder, record.waveform)
        return self._known[key]


class Clips(Dataset[dict[str, Tensor]]):
    """Sample i: `frames` frames in a row, their sound and poses, and the frames before them.

    {"reference" (C, h, w), "target" and "noise" (C, F, h, w), "timestep" (), "maps" (6, F, H, W) uint8, "confidence"
    (F, 2), "audio" (F, K, L, D), "motion_frames" (C, M, h, w) with a little noise on them, "weight" (F, h, w), "points"
    (F, 60, 2) and "scores" (F, 60) for the pose discriminator, "has_pose" (F,) 0..1, "has_reference", "has_audio",
    "has_motion_frames" ()}.
    """

    def __init__(self, puppets: Puppets, sounds: Sounds | None, seed: int, frames: int, drops: Drops,
                 emphasis: Emphasis, confidence_noise: float, motion_noise: float, motion_frames: bool):  # fmt: skip
        self.puppets, self.sounds, self.seed, self.frames = puppets, sounds, seed, frames
        self.drops, self.emphasis, self.confidence_noise = drops, emphasis, confidence_noise
        self.motion_noise, self.motion_frames = motion_noise, motion_frames

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        from .video_points import record_points

        rng, drops, config = sample_rng(self.seed, index), self.drops, self.puppets.config
        puppets = self.source(rng, index)
        record = puppets.draw(rng)
        carried, length = config.motion_frames, len(record.latents)
        if length < carried + self.frames:
            raise EMO2Error(
                "config recipe.data", f"records of at least {carried + self.frames} frames", length,
                "Paint longer puppets (emo2 puppets --frames), or set recipe.frames.",
            )  # fmt: skip
        everything = rng.random() < drops.everything
        before = self.motion_frames and carried > 0 and not everything and rng.random() >= drops.motion_frames
        if before:
            start = int(rng.integers(carried, length - self.frames + 1))
        else:  # a first clip, where the record has the beginning
            start = 0 if record.first and rng.random() < 0.5 else int(rng.integers(length - self.frames + 1))
        frames = range(start, start + self.frames)
        unknown = unknown_face(rng, drops) if config.face_maps else ()
        target, maps = puppets.latents(record, frames), puppets.maps(record, frames, unknown)
        weight = puppets.weight(record, frames, maps, self.emphasis)
        drop_maps(rng, maps, drops)
        motion = torch.zeros(config.latent_channels, carried, *config.latent_size)
        if before:
            motion = puppets.latents(record, range(start - carried, start))
            motion = motion + normal(rng, *motion.shape) * float(rng.uniform(0, self.motion_noise))
        points, scores = record_points(record, frames)
        confidence = shaken(rng, puppets.confidence(record, frames), self.confidence_noise)
        sample = {
            "reference": puppets.reference(record),
            "target": target,
            "noise": normal(rng, *target.shape),
            "timestep": torch.tensor(rolling_level(self.seed, index, config.train_steps)),
            "maps": maps,
            "confidence": torch.from_numpy(confidence),
            "motion_frames": motion,
            "weight": weight,
            "points": torch.from_numpy(points),
            "scores": torch.from_numpy(scores),
            "has_reference": torch.tensor(not everything and rng.random() >= drops.reference),
            "has_pose": torch.from_numpy(pose_presence(rng, self.frames, drops) * (not everything)),
            "has_audio": torch.tensor(self.sounds is not None and not everything and rng.random() >= drops.audio),
            "has_motion_frames": torch.tensor(before),
        }
        if self.sounds is not None:
            sample["audio"] = self.sounds.windows(record, start, self.frames)
        return sample | self.more(rng, record, frames, everything)

    def source(self, rng: np.random.Generator, index: int) -> Puppets:
        """Whose records sample `index` is cut from."""
        return self.puppets

    def more(self, rng: np.random.Generator, record: Any, frames: range, everything: bool) -> dict[str, Tensor]:
        """What a lesson of another kind adds to a sample; everything: whether all conditions are dropped."""
        return {}


def drop_maps(rng: np.random.Generator, maps: Tensor, drops: Drops) -> None:
    """Black keypoint maps or black hand maps, in place, in some samples; maps: (6, ...)."""
    keypoints, hands = rng.random() < drops.keypoints, rng.random() < drops.hands
    if keypoints:
        maps[3:] = 0
    elif hands:
        maps[:3] = 0


def unknown_face(rng: np.random.Generator, drops: Drops) -> list[int]:
    """The points of a face that a sample does not show: none, the lips, or the lips and the head."""
    lips = rng.random() < drops.lips
    head = lips and rng.random() < drops.head
    return (LIPS if lips else []) + (HEAD if head else [])


def pose_presence(rng: np.random.Generator, frames: int, drops: Drops) -> np.ndarray:
    """How much of the pose each of a clip's frames is given, (F,) float32: all, nothing, or a part with a soft end."""
    if rng.random() < drops.pose:
        return np.zeros(frames, np.float32)
    if drops.stretch == 0 or rng.random() >= drops.stretch:
        return np.ones(frames, np.float32)
    at, soft = rng.uniform(0, frames), rng.uniform(1, 8)
    rising = np.clip((np.arange(frames) - at) / soft + 0.5, 0, 1).astype(np.float32)
    return rising if rng.random() < 0.5 else 1 - rising


def shaken(rng: np.random.Generator, confidence: np.ndarray, amount: float) -> np.ndarray:
    """Confidence (n, 2) moved a little, for all frames alike: what a detector says is never exact."""
    moved = confidence + rng.normal(0, amount, (1, 2)) if amount else confidence
    return np.where(confidence > 0, moved, 0).clip(0, 1).astype(np.float32)


def spread_levels(rng: np.random.Generator, count: int, steps: int) -> np.ndarray:
    """`count` noise levels 0..steps-1, uniform, one from each of `count` equal parts, in random order."""
    places = (rng.permutation(count) + rng.random(count)) / count
    return np.minimum((places * steps).astype(np.int64), steps - 1)


def rolling_level(seed: int, index: int, steps: int) -> int:
    """The noise level of sample `index`: uniform over the samples, and evenly spread over any few in a row."""
    offset = float(sample_rng(seed, 2**32).random())
    return min(int((offset + index * 0.6180339887498949) % 1.0 * steps), steps - 1)
