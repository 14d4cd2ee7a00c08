"""What a video is made from, checked before any long work and cut to the frames that a clip needs."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import EMO2Error
from ..types import FRAME_FIELDS, AudioFeatures, Motion, Reference
from .guidance import guidance_maps, steadied
from .sampling import check_seconds, first_frame
from .schedulers import MAX_STEPS, SCHEDULERS

if TYPE_CHECKING:
    from ..hands import HandModel
    from .config import VideoConfig
    from .face_track import FaceTrack

MISMATCH_SECONDS = 0.5
MAP_CACHE_BYTES = 256 << 20
QUICK_STEPS = 6
LIPS = ("voice", "motion")
"""Who moves the mouth where both could."""


@dataclass(frozen=True)
class Settings:
    """How a video is sampled. Strengths scale what the network takes from a condition; 0 leaves it out.

    inner_every n: the network's inner levels run at every n-th step only; guidance_every n: so does the unconditional
    half of guidance. In between what they made before is used again (`prediction`).
    """

    seed: int = 0
    steps: int = 25
    cfg: float = 2.5
    scheduler: str = "ddim"
    reference_strength: float = 1.0
    audio_strength: float = 1.0
    pose_strength: float = 1.0
    face_strength: float = field(default=1.0, repr=False)
    inner_every: int = 1
    guidance_every: int = 1

    def __post_init__(self) -> None:
        if self.scheduler not in SCHEDULERS:
            raise EMO2Error("scheduler", "one of " + ", ".join(SCHEDULERS), self.scheduler, "Choose one of them.")
        if not 1 <= self.steps <= MAX_STEPS:
            raise EMO2Error("steps", f"a whole number from 1 to {MAX_STEPS}", self.steps, "Change the number of steps.")
        for name in ("cfg", "reference_strength", "audio_strength", "pose_strength", "face_strength"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise EMO2Error(name, "a number of 0 or more", value, "Give 1 for the normal effect, 0 for none.")
        for name in ("inner_every", "guidance_every"):
            value = getattr(self, name)
            if not 1 <= value <= MAX_STEPS:
                raise EMO2Error(name, f"a whole number from 1 to {MAX_STEPS}", value, "1 changes nothing.")

    def content(self) -> dict[str, Any]:
        """All values, for fingerprints of what is made with them; what came later is left out where it changes nothing.

        So is it in the text of these settings, which caches of sampled latents are known by.
        """
        values = asdict(self)
        if self.face_strength == 1:
            del values["face_strength"]
        return values

    def quick(self) -> Settings:
        """The quick preview: few steps, no guidance. It shows motion and framing, not detail."""
        scheduler = self.scheduler if self.scheduler == "lcm" else "dpm++"
        return replace(self, steps=min(self.steps, QUICK_STEPS), cfg=1.0, scheduler=scheduler)


@dataclass
class Conditions:
    """The reference, motion and face (at the model's frame rate) and sound of one video; absent ones are None.

    Which of them lead is decided by which are there: sound with hands, sound alone, a motion alone, or both.
    """

    config: VideoConfig
    reference: Reference | None = None
    motion: Motion | None = None
    audio: AudioFeatures | None = None
    hands: HandModel | None = None
    face: FaceTrack | None = None

    def __post_init__(self) -> None:
        self._slots: OrderedDict[int, int] = OrderedDict()  # frame -> where in the store
        self._store: np.ndarray | None = None

    def audio_windows(self, frames: np.ndarray) -> torch.Tensor:
        """Hidden states around each video frame of `frames`: (1, F, K, L, D); zeros where there is no sound, or as the
        model has it."""
        assert self.audio is not None
        config, audio = self.config, self.audio
        parts = []
        for first, count in _runs(frames):
            if config.audio_instants == "half_frames":
                parts.append(audio.half_frames(config.fps, first, count, config.audio_radius))
            else:
                parts.append(audio.at_frames(config.fps, first, count, config.audio_radius, config.audio_steps))
        return torch.from_numpy(np.concatenate(parts))[None]

    def maps(self, frames: np.ndarray, remember: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
        """The model's maps of `frames`, (1, channels, F, H, W) 0..1, and hand confidence (1, F, 2).

        Rasterised when asked for, and forgotten. `remember`: a bounded number is kept, because overlapping windows ask
        for the same frames at every step. Past its end the motion holds its last pose.
        """
        assert self.motion is not None
        places = np.minimum(frames, len(self.motion) - 1)
        drawn: dict[int, np.ndarray] = {}
        for first, count in _runs(np.array([n for n in np.unique(places) if n not in self._slots], dtype=np.int64)):
            drawn.update(enumerate(self._drawn(first, count), first))
        maps = np.stack([drawn[n] if n in drawn else self._kept(n) for n in places.tolist()])
        if remember:
            self._keep(drawn)
        tensor = torch.from_numpy(maps).permute(3, 0, 1, 2)[None].float() / 255
        confidence = np.where(self.motion.visible, self.motion.confidence, 0).astype(np.float32)[places]
        return tensor, torch.from_numpy(confidence)[None]

    def pose_strengths(self, frames: np.ndarray) -> torch.Tensor:
        """How strongly the pose is followed in each of `frames`, (1, F); past its end the motion's last value."""
        assert self.motion is not None
        return torch.from_numpy(self.motion.pose_strength[np.minimum(frames, len(self.motion) - 1)])[None]

    def face_controls(self, frames: np.ndarray) -> dict[str, torch.Tensor]:
        """What is known of the face in `frames`: emotion (1, F, n), blink (1, F) and the reference's identity (1, D).

        Past the track's end the eyes are open and the last emotion stays. Nothing where the model has no such controls.
        """
        known: dict[str, torch.Tensor] = {}
        if not self.config.face_control:
            return known
        if self.face is not None:
            places = np.minimum(frames, len(self.face) - 1)
            if self.face.emotion_known:
                known["emotion"] = torch.from_numpy(self.face.emotion[places])[None]
            if self.face.blink_known:
                blink = np.where(frames < len(self.face), self.face.blink[places], 0).astype(np.float32)
                known["blink"] = torch.from_numpy(blink)[None]
        if self.reference is not None and self.reference.identity is not None:
            known["identity"] = self.reference.identity[None]
        return known

    def _drawn(self, first: int, count: int) -> np.ndarray:
        assert self.motion is not None and self.hands is not None
        # Only what the medians of these frames see is copied: an hour's motion stays where it is.
        reach = self.config.keypoint_median // 2
        low = max(first - reach, 0)
        near = steadied(self.motion.frames(low, first + count + reach), self.config.keypoint_median)
        return guidance_maps(near, self.hands, self.config, first - low, count)

    def _kept(self, frame: int) -> np.ndarray:
        assert self._store is not None
        return self._store[self._slots[frame]]

    def _keep(self, drawn: dict[int, np.ndarray]) -> None:
        """Remember these maps in place of the oldest ones.

        They lie in one block: thousands of small arrays, allocated in between what the network needs for a moment,
        would leave holes in the memory ten times their own size.
        """
        for frame, picture in drawn.items():
            if self._store is None:
                assert self.motion is not None
                room = min(MAP_CACHE_BYTES // picture.nbytes, len(self.motion))
                self._store = np.empty((room, *picture.shape), picture.dtype)
            if not len(self._store):
                return
            full = len(self._slots) == len(self._store)
            slot = self._slots.popitem(last=False)[1] if full else len(self._slots)
            self._store[slot] = picture
            self._slots[frame] = slot


def _runs(frames: np.ndarray) -> list[tuple[int, int]]:
    """Consecutive runs (first, count) of frame numbers, in order: a window of a closed loop has two."""
    if len(frames) == 0:
        return []
    cuts = np.flatnonzero(np.diff(frames) != 1) + 1
    return [(int(run[0]), len(run)) for run in np.split(frames, cuts)]


def prepare(
    config: VideoConfig,
    fingerprint: str,
    *,
    reference: Reference | None = None,
    motion: Motion | None = None,
    audio: AudioFeatures | None = None,
    hands: HandModel | None = None,
    lips: str = LIPS[0],
    face: FaceTrack | None = None,
) -> Conditions:
    """Check the conditions against the model and bring motion and face to its frame rate.

    lips: who moves the mouth where there are both a voice and a motion that knows the lips (LIPS).
    """
    if lips not in LIPS:
        raise EMO2Error("lips", f"one of {', '.join(LIPS)}", repr(lips), "Choose one of them.")
    if reference is not None:
        if reference.model != fingerprint:
            raise EMO2Error(
                "reference", "a reference made with this video model", "one made with another model",
                "Connect the same model to EMO2 Encode Reference.",
            )  # fmt: skip
        shape = (1, config.latent_channels, *config.latent_size)
        if tuple(reference.latents.shape) != shape:
            raise EMO2Error(
                "reference",
                f"latents {shape}",
                tuple(reference.latents.shape),
                "Use the VAE that belongs to the model.",
            )
        check_identity(config, reference)
    if face is not None:
        if not config.face_control:
            raise EMO2Error(
                "face", "a video model with facial controls", "one without them",
                "Disconnect face, or load a model that `emo2 train video-face` has given them.",
            )  # fmt: skip
        from ..audio import frame_count

        face = face.resampled(config.fps, frame_count(face.duration, config.fps))
    if audio is not None:
        audio.check_encoder(config.audio_layers, config.audio_dim, "video model")
    if motion is not None:
        if abs(motion.fps - config.fps) > 1e-6:
            from ..motion.edit import resample

            motion = resample(motion, config.fps)
        if audio is not None and lips == "voice":
            motion = without_lips(motion)
        if hands is None:
            from ..hands import load_hands

            hands = load_hands(None)
    return Conditions(config, reference, motion, audio, hands, face)


def check_identity(config: VideoConfig, reference: Reference) -> None:
    """EMO2Error where the reference's identity comes from another face encoder than the model learned with."""
    identity = reference.identity
    if identity is not None and config.face_control and len(identity) != config.face_identity:
        raise EMO2Error(
            "reference", f"an identity of {config.face_identity} numbers", f"one of {len(identity)}",
            "Connect the face encoder that this video model was trained with to EMO2 Encode Reference.",
        )  # fmt: skip


def without_lips(motion: Motion) -> Motion:
    """The motion with a mouth that nobody knows."""
    from ..maps.face import LIPS, hidden

    return hidden(motion, LIPS)


def video_length(conditions: Conditions, sound_seconds: float | None = None, end_second: float = 0.0) -> int:
    """Frames of the whole video: ceil(duration * fps) of the sound where there is one, else of the motion.

    `sound_seconds` is the length of a sound track that comes without features. With neither sound nor motion, the
    range's end says how long the video is.
    """
    from ..audio import frame_count

    fps = conditions.config.fps
    if conditions.audio is not None:
        return frame_count(conditions.audio.duration, fps)
    if sound_seconds is not None:
        return frame_count(sound_seconds, fps)
    if conditions.motion is not None:
        return len(conditions.motion)
    if end_second > 0:
        return frame_count(end_second, fps)
    raise EMO2Error(
        "motion",
        "a motion, a sound, or an end_second above 0",
        "none of them",
        "Connect one, or say how long the video is.",
    )


def mismatch(conditions: Conditions, count: int) -> str | None:
    """A warning when the motion is much shorter or longer than the sound that sets the video's length."""
    if conditions.motion is None or count == len(conditions.motion):
        return None
    fps = conditions.config.fps
    if abs(len(conditions.motion) - count) / fps <= MISMATCH_SECONDS:
        return None
    what = "its last pose is held" if len(conditions.motion) < count else "the rest is not used"
    seconds = f"{len(conditions.motion) / fps:.2f} s and the sound {count / fps:.2f} s"
    return (
        f"The motion lasts {seconds}: {what}. For a short try, set end_second on this node and leave the motion whole."
    )


def track_mismatch(conditions: Conditions, sound_seconds: float) -> str | None:
    """A warning when the sound track is not as long as the sound that the face follows."""
    if conditions.audio is None or abs(conditions.audio.duration - sound_seconds) <= MISMATCH_SECONDS:
        return None
    heard = f"{conditions.audio.duration:.2f} s"
    return f"The sound track lasts {sound_seconds:.2f} s and audio_features {heard}: are they the same recording?"


def framing_mismatch(conditions: Conditions) -> str | None:
    """A warning when reference picture and motion place the person differently."""
    reference, motion = conditions.reference, conditions.motion
    if reference is None or motion is None or reference.framing is None:
        return None
    there, here = reference.framing, motion.framing.fitted(conditions.config.size)
    distance = max(abs(a - b) for a, b in zip(there.neck, here.neck))
    ratio = here.shoulder_width / there.shoulder_width
    if distance <= 0.03 and abs(ratio - 1) <= 0.05:
        return None
    return (
        f"The motion is framed otherwise than the reference picture (neck off by {distance:.0%} of the picture, "
        f"shoulders {ratio:.2f} times as wide): use EMO2 Apply Framing, or hands and arms will not fit."
    )


def frame_range(total: int, fps: float, start_second: float = 0.0, end_second: float = 0.0) -> tuple[int, int]:
    """(start, count): the frames whose time i / fps lies in [start_second, end_second); an end of 0 means the video's.

    Neighbouring ranges share no frame and leave none out.
    """
    check_seconds(start_second, end_second)
    length = f"{total / fps:.2f} s"
    start = first_frame(start_second, fps)
    if start >= total:
        raise EMO2Error("start_second", f"a time before the video's end at {length}", start_second, "Start earlier.")
    if end_second == 0:
        return start, total - start
    stop = first_frame(end_second, fps)
    if stop > total:
        raise EMO2Error("end_second", f"a time up to the video's end at {length}", end_second, "Use 0 for the end.")
    if stop <= start:
        raise EMO2Error(
            "end_second",
            f"a time at least one frame after start_second ({start_second})",
            end_second,
            "Make it later, or 0.",
        )
    return start, stop - start


def held(motion: Motion, start: int, count: int) -> Motion:
    """Frames start..start+count-1; past its end the motion holds its last pose."""
    places = np.clip(np.arange(start, start + count), 0, len(motion) - 1)
    return motion.replace(**{name: getattr(motion, name)[places] for name in FRAME_FIELDS})
