"""The things that travel on the wires between nodes. Each validates itself when it is made and never changes after.

Frame axis first. `F` frames, `H W` pixels (written height x width), quaternions wxyz, camera axes x right, y down,
z away from the camera, metres. Hand 0 is the person's left hand, hand 1 the right one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch

from .errors import EMO2Error

SHOULDER_METRES = 0.38
"""The shoulder width that sets the metric scale of every framing (design, section 2)."""

HANDS, JOINTS, BODY_POINTS, FACE_POINTS, HAND_POINTS = 2, 16, 18, 70, 21
STRONGEST = 5.0
"""The greatest factor on a condition that samplers and motions take."""
REMAKE = "Make it again with the node that produces it, or load another file."


def _array(owner: str, name: str, value: Any, shape: tuple[int | None, ...], dtype: Any = np.float32) -> np.ndarray:
    """`value` as a read-only, finite array of `dtype` whose shape fits `shape` (None: any length)."""
    where = f"{owner}.{name}"
    try:
        array = np.array(value, dtype=dtype, copy=True)
    except (TypeError, ValueError) as error:
        raise EMO2Error(where, f"numbers of type {np.dtype(dtype).name}", error, REMAKE) from error
    fits = array.ndim == len(shape) and all(want is None or want == have for want, have in zip(shape, array.shape))
    if not fits:
        wanted = "(" + ", ".join("F" if n is None else str(n) for n in shape) + ")"
        raise EMO2Error(where, f"shape {wanted}", f"shape {array.shape}", REMAKE)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise EMO2Error(where, "finite numbers", "NaN or infinity", REMAKE)
    array.setflags(write=False)
    return array


def _unit(owner: str, name: str, array: np.ndarray) -> None:
    """Quaternions must have length 1 to within 1e-3."""
    worst = float(np.abs(np.linalg.norm(array, axis=-1) - 1).max(initial=0.0))
    if worst > 1e-3:
        raise EMO2Error(f"{owner}.{name}", "unit quaternions (w, x, y, z)", f"a length off by {worst:.3g}", REMAKE)


def _positive(owner: str, name: str, value: Any, unit: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise EMO2Error(f"{owner}.{name}", f"a positive number of {unit}", repr(value), "Give a number.") from error
    if not (np.isfinite(number) and number > 0):
        raise EMO2Error(f"{owner}.{name}", f"a positive number of {unit}", value, "Give a value above zero.")
    return number


@dataclass(frozen=True)
class Framing:
    """Where the person is in the picture (wire EMO2_FRAMING); it aligns motion with a reference image.

    neck: (x, y) of the neck root relative to the image, (0, 0) top left, (1, 1) bottom right.
    shoulder_width: relative to the image's width; it stands for 0.38 m and so sets the metric scale.
    size: (H, W) pixels. focal: focal length of the pinhole camera in pixels of `size`, principal point at the centre.
    """

    neck: tuple[float, float] = (0.5, 0.45)
    shoulder_width: float = 0.36
    size: tuple[int, int] = (704, 512)
    focal: float | Any = None  # Any: None may be given, but a number is always there

    def __post_init__(self) -> None:
        neck = _array("framing", "neck", self.neck, (2,), np.float64)
        height, width = (int(n) for n in _array("framing", "size", self.size, (2,), np.int64))
        if height < 1 or width < 1:
            raise EMO2Error("framing.size", "a height and a width of at least 1 pixel", f"{height} x {width}", REMAKE)
        if np.abs(neck).max() > 1000:
            given = f"({neck[0]:g}, {neck[1]:g})"
            raise EMO2Error("framing.neck", "a point in or near the picture (0 to 1)", given, "Move the neck.")
        object.__setattr__(self, "neck", (float(neck[0]), float(neck[1])))
        object.__setattr__(self, "size", (height, width))
        object.__setattr__(
            self, "shoulder_width", _positive("framing", "shoulder_width", self.shoulder_width, "image widths")
        )
        focal = 2.0 * max(height, width) if self.focal is None else self.focal
        object.__setattr__(self, "focal", _positive("framing", "focal", focal, "pixels"))

    @property
    def pixels_per_metre(self) -> float:
        """Scale at the depth of the neck root."""
        return self.shoulder_width * self.size[1] / SHOULDER_METRES

    def root(self) -> np.ndarray:
        """The neck root in camera axes, (3,) metres."""
        height, width = self.size
        depth = self.focal / self.pixels_per_metre
        x, y = self.neck[0] * width - width / 2, self.neck[1] * height - height / 2
        return np.array([x * depth / self.focal, y * depth / self.focal, depth])

    def project(self, points: np.ndarray) -> np.ndarray:
        """Camera-axes points (..., 3) in metres to positions (..., 2) normalised to the image."""
        points = np.asarray(points, dtype=np.float64)
        height, width = self.size
        depth = np.maximum(points[..., 2:], 1e-3)
        pixels = points[..., :2] * self.focal / depth + np.array([width / 2, height / 2])
        return pixels / np.array([width, height])

    def fitted(self, size: tuple[int, int]) -> Framing:
        """The framing after the picture is scaled to cover `size` (H, W) and cut at the centre, as `cover_box` says."""
        scale, left, top = cover_box(self.size, size)
        neck = (
            (self.neck[0] * self.size[1] * scale - left) / size[1],
            (self.neck[1] * self.size[0] * scale - top) / size[0],
        )
        return Framing(neck, self.shoulder_width * self.size[1] * scale / size[1], size, self.focal * scale)


def cover_box(size: tuple[int, int], target: tuple[int, int]) -> tuple[float, float, float]:
    """(scale, left, top): scale a picture of `size` (H, W) by `scale`, then cut `target` at pixel (left, top).

    The one place that fixes how a picture of another shape becomes the model's: covering, centred, nothing stretched.
    """
    scale = max(target[0] / size[0], target[1] / size[1])
    return scale, (size[1] * scale - target[1]) / 2, (size[0] * scale - target[0]) / 2


@dataclass(frozen=True)
class Motion:
    """Hand and body motion (wire EMO2_MOTION); edits return a new one through `replace`.

    rotations (F, 2, 16, 4): unit quaternions; joint 0 the wrist in camera axes, 1..15 MANO's joints relative to their
    parents, identity = MANO's flat hand. translations (F, 2, 3): wrist relative to the neck root, metres, camera axes.
    body_rotation (F, 4), body_offset (F, 3): turn and displacement of the neck root from the framing's.
    keypoints (F, 18, 2) OpenPose body order and face (F, 70, 2), normalised to the image, scores 0..1 (0: unknown).
    hand_scores (F, 2, 21). visible (F, 2) bool, confidence (F, 2) 0..1. pose_strength (F,): how strongly video models
    are held to the pose in each frame, 1 as usual, 0 not at all. fps frames a second.
    """

    rotations: np.ndarray
    translations: np.ndarray
    fps: float
    framing: Framing = field(default_factory=Framing)
    body_rotation: np.ndarray | Any = None
    body_offset: np.ndarray | Any = None
    keypoints: np.ndarray | Any = None
    keypoint_scores: np.ndarray | Any = None
    face: np.ndarray | Any = None
    face_scores: np.ndarray | Any = None
    hand_scores: np.ndarray | Any = None
    visible: np.ndarray | Any = None
    confidence: np.ndarray | Any = None
    pose_strength: np.ndarray | Any = None

    def __post_init__(self) -> None:
        put = lambda name, value: object.__setattr__(self, name, value)
        put("rotations", _array("motion", "rotations", self.rotations, (None, HANDS, JOINTS, 4)))
        count = self.rotations.shape[0]
        if count == 0:
            raise EMO2Error("motion.rotations", "at least one frame", "no frames", REMAKE)
        put("fps", _positive("motion", "fps", self.fps, "frames a second"))
        if not isinstance(self.framing, Framing):
            raise EMO2Error("motion.framing", "a Framing", type(self.framing).__name__, REMAKE)
        identity = np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1))
        shapes: dict[str, tuple[tuple[int, ...], Any]] = {
            "translations": ((count, HANDS, 3), None),
            "body_rotation": ((count, 4), identity),
            "body_offset": ((count, 3), 0.0),
            "keypoints": ((count, BODY_POINTS, 2), 0.0),
            "keypoint_scores": ((count, BODY_POINTS), 0.0),
            "face": ((count, FACE_POINTS, 2), 0.0),
            "face_scores": ((count, FACE_POINTS), 0.0),
            "hand_scores": ((count, HANDS, HAND_POINTS), 1.0),
            "confidence": ((count, HANDS), 1.0),
            "pose_strength": ((count,), 1.0),
        }
        for name, (shape, default) in shapes.items():
            value = getattr(self, name)
            if value is None:
                value = np.broadcast_to(np.asarray(default, np.float32), shape)
            put(name, _array("motion", name, value, shape))
        visible = np.ones((count, HANDS), bool) if self.visible is None else self.visible
        put("visible", _array("motion", "visible", visible, (count, HANDS), bool))
        for name in ("rotations", "body_rotation"):
            _unit("motion", name, getattr(self, name))
        for name in ("keypoint_scores", "face_scores", "hand_scores", "confidence"):
            values = getattr(self, name)
            if values.min(initial=0.0) < 0 or values.max(initial=0.0) > 1:
                given = f"{values.min():.3g} to {values.max():.3g}"
                raise EMO2Error(f"motion.{name}", "values from 0 to 1", given, REMAKE)
        if self.pose_strength.min() < 0 or self.pose_strength.max() > STRONGEST:
            given = f"{self.pose_strength.min():.3g} to {self.pose_strength.max():.3g}"
            raise EMO2Error("motion.pose_strength", f"values from 0 to {STRONGEST:g}", given, REMAKE)

    def __len__(self) -> int:
        return self.rotations.shape[0]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self) / self.fps

    def replace(self, **changes: Any) -> Motion:
        """A new motion with some fields changed; the new one is validated again."""
        return replace(self, **changes)

    def frames(self, start: int, stop: int) -> Motion:
        """Frames start..stop-1 as a motion of their own."""
        return self.replace(**{name: getattr(self, name)[start:stop] for name in FRAME_FIELDS})

    def wrists(self) -> np.ndarray:
        """(F, 2, 3) wrists in camera axes, metres: the framing's root + body offset + translation."""
        return self.framing.root() + self.body_offset[:, None].astype(np.float64) + self.translations


FRAME_FIELDS = tuple(f.name for f in fields(Motion) if f.name not in ("fps", "framing"))
"""Names of the fields of Motion that have one entry a frame."""


@dataclass(frozen=True)
class AudioFeatures:
    """What a voice encoder heard (wire EMO2_AUDIO), at the encoder's own rate.

    hidden (N, L, D) float16: all L hidden states, memory-mapped when long; state n is centred on (n + 0.5) / rate s.
    loudness (N,): how loud, 0..1. duration: seconds. rate: states a second. encoder: its name. intensity (N,): how
    strongly each moment is stressed, 0..1; the loudness where it was not measured.
    """

    hidden: np.ndarray
    loudness: np.ndarray
    duration: float
    rate: float = 50.0
    encoder: str = ""
    intensity: np.ndarray | Any = None

    def __post_init__(self) -> None:
        if self.hidden.ndim != 3 or 0 in self.hidden.shape:
            raise EMO2Error("audio.hidden", "shape (N, L, D) with N > 0", f"shape {self.hidden.shape}", REMAKE)
        object.__setattr__(self, "intensity", self.loudness if self.intensity is None else self.intensity)
        for name in ("loudness", "intensity"):
            values = _array("audio", name, getattr(self, name), (self.hidden.shape[0],))
            object.__setattr__(self, name, values)
            if values.min() < 0 or values.max() > 1:
                given = f"{values.min():.3g} to {values.max():.3g}"
                raise EMO2Error(f"audio.{name}", "values from 0 to 1", given, REMAKE)
        object.__setattr__(self, "duration", _positive("audio", "duration", self.duration, "seconds"))
        object.__setattr__(self, "rate", _positive("audio", "rate", self.rate, "states a second"))

    @property
    def layers(self) -> int:
        return self.hidden.shape[1]

    @property
    def width(self) -> int:
        return self.hidden.shape[2]

    def _blend(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Linear interpolation of states at `times` (s): lower index, upper index, weight of the upper one."""
        place = np.clip(times * self.rate - 0.5, 0, self.hidden.shape[0] - 1)
        low = np.floor(place).astype(np.int64)
        return low, np.minimum(low + 1, self.hidden.shape[0] - 1), place - low

    def check_encoder(self, layers: int, width: int, model: str) -> None:
        """EMO2Error for a voice that came through another encoder than the one a `model` was made for."""
        if (self.layers, self.width) != (layers, width):
            raise EMO2Error(
                "audio_features", f"{layers} hidden states of {width} numbers, as this {model} was made for",
                f"{self.layers} of {self.width}" + (f" from {self.encoder}" if self.encoder else ""),
                f"Encode the voice with the encoder that belongs to this {model}.",
            )  # fmt: skip

    def at_frames(self, fps: float, start: int, count: int, radius: int = 0, steps_per_frame: int = 1) -> np.ndarray:
        """Hidden states for frames start..start+count-1: (count, K, L, D) float32, K = (2 radius + 1) steps_per_frame.

        Frame i is centred on (i + 0.5) / fps seconds; `radius` neighbouring frames stand on either side, each sampled
        at `steps_per_frame` instants. States before the beginning and past the end are zeros (there is no sound).
        Only the states that are asked for are read, so a memory-mapped hour stays on the disk.
        """
        per = steps_per_frame
        fine = np.arange((start - radius) * per, (start + count + radius) * per)
        times = (fine + 0.5) / (fps * per)
        low, high, weight = self._blend(times)
        first, last = int(low.min()), int(high.max())
        block = np.asarray(self.hidden[first : last + 1], dtype=np.float32)
        weight = weight.astype(np.float32)[:, None, None]
        states = block[low - first] * (1 - weight) + block[high - first] * weight
        states[(times < 0) | (times > self.duration)] = 0
        windows = np.arange(count)[:, None] * per + np.arange((2 * radius + 1) * per)[None]
        return states[windows]

    def half_frames(self, fps: float, start: int, count: int, radius: int = 2) -> np.ndarray:
        """States for frames start..start+count-1 as EchoMimicV2 picks them: (count, K, L, D) float32, K = 4 radius + 2.

        Frame i has the states from int(i rate / fps) - 2 radius to int(i rate / fps) + 2 radius + 1, none interpolated;
        before the beginning and past the end the outermost state stands.
        """
        at = np.floor(np.arange(start, start + count) * self.rate / fps).astype(np.int64)
        places = (at[:, None] + np.arange(-2 * radius, 2 * radius + 2)).clip(0, len(self.hidden) - 1)
        first, last = int(places.min()), int(places.max())
        return np.asarray(self.hidden[first : last + 1], dtype=np.float32)[places - first]

    def loudness_at(self, fps: float, start: int, count: int) -> np.ndarray:
        """Loudness (count,) of video frames start..start+count-1; 0 outside the sound."""
        return self._curve_at(self.loudness, fps, start, count)

    def intensity_at(self, fps: float, start: int, count: int) -> np.ndarray:
        """Prosodic intensity (count,) of video frames start..start+count-1; 0 outside the sound."""
        return self._curve_at(self.intensity, fps, start, count)

    def _curve_at(self, curve: np.ndarray, fps: float, start: int, count: int) -> np.ndarray:
        times = (np.arange(start, start + count) + 0.5) / fps
        low, high, weight = self._blend(times)
        values = curve[low] * (1 - weight) + curve[high] * weight
        return np.where((times < 0) | (times > self.duration), 0, values).astype(np.float32)


@dataclass(frozen=True)
class Reference:
    """A reference picture prepared for one video model (wire EMO2_REFERENCE): computed once, used for every clip.

    latents (1, C, h, w): the picture in the VAE's latent space, unscaled. features: for each spatial self-attention
    place of the backbone, the reference network's tensor (1, tokens, width). image (1, H, W, 3) float 0..1 at the
    model's size. framing: where the person is, or None. model: fingerprint of the video model that made the features.
    identity (D,): whose face it is, as a face encoder has it, or None where none was asked.
    """

    latents: torch.Tensor
    features: Mapping[str, torch.Tensor]
    image: torch.Tensor
    model: str
    framing: Framing | None = None
    identity: torch.Tensor | None = None

    def __post_init__(self) -> None:
        if self.identity is not None and self.identity.ndim != 1:
            raise EMO2Error("reference.identity", "shape (D,)", f"shape {tuple(self.identity.shape)}", REMAKE)
        if self.latents.ndim != 4 or self.latents.shape[0] != 1:
            raise EMO2Error("reference.latents", "shape (1, C, h, w)", f"shape {tuple(self.latents.shape)}", REMAKE)
        if self.image.ndim != 4 or self.image.shape[0] != 1 or self.image.shape[-1] != 3:
            raise EMO2Error("reference.image", "shape (1, H, W, 3)", f"shape {tuple(self.image.shape)}", REMAKE)
        for name, value in {"latents": self.latents, "identity": self.identity, **self.features}.items():
            if value is not None and not torch.isfinite(value).all():
                raise EMO2Error(f"reference.{name}", "finite numbers", "NaN or infinity", REMAKE)
