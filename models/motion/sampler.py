"""Sampling hand motion for audio of any length (EMO2 section 3.3): windows of 300 new frames after 12 carried ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import EMO2Error
from ..types import HANDS, AudioFeatures, Framing, Motion
from . import vector
from .conditions import OFFSET, Conditions
from .config import MotionConfig
from .edit import smooth
from .edit_blend import number
from .liveliness import BEGIN, held_to_speed
from .schedule import clean_estimate, noise_schedule, step
from .transformer import MotionTransformer

OnStep = Callable[[int, int], None]
SMOOTHING = 0.12
"""Seconds of smoothing that give the tiny model's motion, at a guidance of 2.5, the jerk of true motion."""


def sample_motion(
    model: MotionTransformer,
    audio: AudioFeatures,
    *,
    seed: int = 0,
    steps: int = 25,
    cfg: float = 2.0,
    scheduler: str = "ddim",
    style: str | None = None,
    speed: Sequence[float | None] | None = None,
    framing: Framing | None = None,
    mask: np.ndarray | None = None,
    offset: np.ndarray | None = None,
    image_embed: Tensor | None = None,
    start: int = 0,
    count: int | None = None,
    smoothing: float = 0.0,
    on_step: OnStep | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Motion:
    """Hand and body motion for video frames start..start+count-1 of `audio`, at the model's fps.

    count: default up to the end, frame_count(duration, fps) - start. cfg: guidance; 1 follows the conditions as they
    are and needs half the work. style: a name of the model's config, None for none. speed: variance of the left and
    the right hand's translation in m^2 (`config.variance(amount)`), None where it is free; the network is told, and
    every estimate is held to it (`liveliness`). framing: where the keypoints are placed. mask (count, 2) or (2,) bool:
    which hands are visible; default both. offset (count, 7) or (7,): body position (m) and rotation (wxyz) relative to
    the framing's root; default not given, and the body stays. image_embed (1, E) or (E,): CLIP class embedding of
    the reference picture. smoothing: width at half height, in seconds, of a Gaussian that evens out the result (not the
    paper's); 0 leaves it as it was sampled. on_step(done, total) after each denoising step; what it raises passes
    through. device: where to compute, default where the parameters are. The result depends on the seed, not on the
    device: noise is drawn on the CPU from (seed, window).

    Hands that are not visible get the model's mean pose in those frames. Raises EMO2Error for anything that does not
    fit the model, before sampling starts.
    """
    plan = _plan(model.config, audio, seed, cfg, style, speed, mask, offset, image_embed, start, count)
    number("smoothing", smoothing, 0, 10, "seconds")
    noise_schedule(model.config, scheduler, steps)
    device = torch.device(device) if device is not None else model.mean.device
    spans = list(windows(plan.count, model.config.window, model.config.carried))
    total, done = len(spans) * int(steps), 0
    result = np.zeros((plan.count, vector.SIZE), np.float32)
    mean, std = (b.detach().cpu().double().numpy() for b in (model.mean, model.std))

    def tick() -> None:
        nonlocal done
        done += 1
        if on_step is not None:
            on_step(done, total)

    with torch.inference_mode():
        for index, span in enumerate(spans):
            carried = (result[span.start - span.carried : span.start] - mean) / std
            noise = WindowNoise(seed, index, model.config.window)
            clean = _sample_window(model, audio, plan, span, carried, noise, scheduler, steps, device, dtype, tick)
            # Carried frames are unit quaternions, as they are in training.
            result[span.start : span.stop] = vector.unit(clean * std + mean)
    motion = vector.unpack(
        result,
        model.config.fps,
        framing,
        visible=plan.mask,
        body_offset=None if plan.offset is None else plan.offset[:, :3],
        body_rotation=None if plan.offset is None else plan.offset[:, 3:],
        keypoint_scores=_scores(plan.count, framing or Framing()),
    )
    return evened(motion, smoothing)


def evened(motion: Motion, seconds: float) -> Motion:
    """The motion without the sampler's trembling: hands and body points smoothed, the body's place as it was.

    Guidance enlarges gestures and the trembling on them alike. Each hand is smoothed by itself in every stretch that
    shows it, so that it does not move towards the pose that stands for a hidden one.
    """
    if seconds == 0:
        return motion
    even = smooth(motion, seconds, body=True)
    rotations, translations = even.rotations.copy(), even.translations.copy()
    for hand, side in enumerate(("left", "right")):
        if motion.visible[:, hand].all():
            continue
        rotations[:, hand], translations[:, hand] = motion.rotations[:, hand], motion.translations[:, hand]
        changes = np.flatnonzero(np.diff(motion.visible[:, hand].astype(int))) + 1
        for start, stop in itertools.pairwise([0, *changes.tolist(), len(motion)]):
            if motion.visible[start, hand]:
                piece = smooth(motion.frames(start, stop), seconds, side)
                rotations[start:stop, hand], translations[start:stop, hand] = (
                    piece.rotations[:, hand], piece.translations[:, hand]
                )  # fmt: skip
    return motion.replace(rotations=rotations, translations=translations, keypoints=even.keypoints)


@dataclass(frozen=True)
class Window:
    """New frames start..stop-1, after `carried` frames start-carried..start-1 of the window before."""

    start: int
    stop: int
    carried: int


def windows(count: int, window: int = 300, carried: int = 12) -> Iterator[Window]:
    """The windows of `count` frames: each brings `window` new ones, the last what is left; the first carries none."""
    for start in range(0, count, window):
        yield Window(start, min(start + window, count), carried if start else 0)


class WindowNoise:
    """The noise of one window, from (seed, window) alone, drawn on the CPU so that every device gets the same."""

    def __init__(self, seed: int, number: int, frames: int):
        words = np.random.SeedSequence([int(seed), number]).generate_state(1, np.uint64)
        self.generator = torch.Generator("cpu").manual_seed(int(words[0]))
        # Always drawn for a whole window: a shorter last one begins alike.
        self.first = torch.randn((frames, vector.SIZE), generator=self.generator)


def _sample_window(
    model: MotionTransformer,
    audio: AudioFeatures,
    plan: Plan,
    span: Window,
    carried: np.ndarray,
    noise: WindowNoise,
    scheduler: str,
    steps: int,
    device: torch.device,
    dtype: torch.dtype,
    tick: Callable[[], None],
) -> np.ndarray:
    """Normalised new frames (n, 170) of one window; `carried` (c, 170) normalised."""
    first, count = span.start - span.carried, span.stop - span.start
    frames = span.carried + count
    conditions = plan.conditions(audio, model.config.fps, first, frames, device)
    guided = plan.cfg != 1.0
    if guided:
        conditions = conditions.guided()
    batch = 2 if guided else 1
    front = torch.as_tensor(carried, dtype=torch.float32, device=device)
    x = noise.first[:count].to(device)
    clean = (torch.arange(frames, device=device) < span.carried).expand(batch, -1)
    like = torch.empty((batch, frames, vector.SIZE), dtype=dtype, device=device)
    prepared = model.prepare(like, conditions, clean)
    hidden = torch.as_tensor(plan.shown(span.start, span.stop), device=device)
    keep = None if bool(hidden.all()) else hidden
    schedule = noise_schedule(model.config, scheduler, steps)
    wanted = plan.cfg > 0 and any(value >= 0 for value in plan.speed)
    seen = torch.as_tensor(plan.mask[span.start : span.stop], device=device)
    mean, std = model.mean.to(device), model.std.to(device)
    for timestep in schedule.timesteps:
        together = torch.cat([front, x]).to(dtype).expand(batch, -1, -1)
        when = torch.full((batch,), float(timestep), device=device)
        predicted = model.denoise(together, when, prepared)[:, span.carried :].float()
        epsilon = predicted[0] if not guided else predicted[1] + plan.cfg * (predicted[0] - predicted[1])
        signal = schedule.alphas_cumprod[int(timestep)]
        clean_motion = clean_estimate(x, epsilon, signal, model.config.clip, keep)
        if wanted and signal >= BEGIN:
            clean_motion = held_to_speed(clean_motion, plan.speed, mean, std, seen, span.carried)
        x = step(schedule, timestep, x, clean_motion, noise.generator)
        tick()
    return x.cpu().double().numpy()


@dataclass(frozen=True)
class Plan:
    """The checked wishes of a call, for all its frames."""

    start: int
    count: int
    cfg: float
    style: int
    speed: tuple[float, float]
    mask: np.ndarray
    offset: np.ndarray | None
    image: Tensor | None

    def shown(self, start: int, stop: int) -> np.ndarray:
        """(stop - start, 170) bool, False at the numbers of hidden hands."""
        hands = np.repeat(self.mask[start:stop], vector.HAND_SIZE, axis=1)
        return np.pad(hands, ((0, 0), (0, vector.SIZE - hands.shape[1])), constant_values=True)

    def conditions(self, audio: AudioFeatures, fps: float, first: int, frames: int, device: torch.device) -> Conditions:
        """A batch of one for the plan's frames first..first+frames-1; only their audio is read."""
        put = lambda value, dtype: torch.as_tensor(value, dtype=dtype)[None].to(device)
        span = slice(first, first + frames)
        heard = audio.at_frames(fps, self.start + first, frames)[:, 0]
        if not np.isfinite(heard).all():
            second = (self.start + first) / fps
            raise EMO2Error(
                "audio_features", "finite features", f"NaN or infinity after {second:.1f} s", "Encode the audio again."
            )
        return Conditions(
            audio=put(heard, torch.float32),
            style=put(self.style, torch.long),
            speed=put(self.speed, torch.float32),
            mask=put(self.mask[span], torch.bool),
            offset=None if self.offset is None else put(self.offset[span], torch.float32),
            image=None if self.image is None else put(self.image, torch.float32),
        )


def _plan(
    config: MotionConfig,
    audio: AudioFeatures,
    seed: int,
    cfg: float,
    style: str | None,
    speed: Sequence[float | None] | None,
    mask: np.ndarray | None,
    offset: np.ndarray | None,
    image_embed: Tensor | None,
    start: int,
    count: int | None,
) -> Plan:
    from ..audio import frame_count

    audio.check_encoder(config.audio_layers, config.audio_width, "motion model")
    if not 0 <= int(seed) < 1 << 64:
        raise EMO2Error("seed", "a whole number from 0 to 2^64 - 1", seed, "Choose another seed.")
    if not (np.isfinite(cfg) and cfg >= 0):
        raise EMO2Error("cfg", "a number of at least 0", cfg, "Use 1 to 4.")
    if style is not None and style not in config.styles:
        raise EMO2Error("style", f"one of {', '.join(config.styles)}", repr(style), "Choose one of these, or no style.")
    end = frame_count(audio.duration, config.fps)
    if not 0 <= start < end:
        raise EMO2Error("start", f"a frame from 0 to {end - 1}", start, "Start inside the audio.")
    count = end - start if count is None else int(count)
    if not 1 <= count <= end - start:
        raise EMO2Error("count", f"1 to {end - start} frames, what the audio has", count, "Ask for a shorter stretch.")
    return Plan(
        start=int(start),
        count=count,
        cfg=float(cfg),
        style=-1 if style is None else config.styles.index(style),
        speed=_speed(speed),
        mask=_mask(mask, count),
        offset=None if offset is None else _per_frame("offset", offset, count, OFFSET, np.float32),
        image=_image(image_embed, config),
    )


def _speed(speed: Sequence[float | None] | None) -> tuple[float, float]:
    values = [None] * HANDS if speed is None else list(speed)
    if len(values) != HANDS or any(v is not None and not (np.isfinite(v) and v >= 0) for v in values):
        raise EMO2Error(
            "speed", "a variance of at least 0 (or None) for the left and the right hand", speed, "Change it."
        )
    left, right = (-1.0 if v is None else float(v) for v in values)
    return left, right


def _mask(mask: np.ndarray | None, count: int) -> np.ndarray:
    return np.ones((count, HANDS), bool) if mask is None else _per_frame("mask", mask, count, HANDS, bool)


def _per_frame(name: str, value: np.ndarray, count: int, size: int, dtype: type) -> np.ndarray:
    array: np.ndarray = np.asarray(value, dtype)
    if array.shape == (size,):
        array = np.tile(array, (count, 1))
    if array.shape != (count, size):
        raise EMO2Error(name, f"shape ({count}, {size}) or ({size},)", f"shape {array.shape}", "Give one row a frame.")
    if dtype is not bool and not np.isfinite(array).all():
        raise EMO2Error(name, "finite numbers", "NaN or infinity", "Make it again.")
    return array


def _image(embed: Tensor | None, config: MotionConfig) -> Tensor | None:
    if embed is None:
        return None
    if not config.image_width:
        raise EMO2Error("clip_vision_output", "no picture, which this model cannot use", "one", "Disconnect the input.")
    flat = torch.as_tensor(embed).detach().float().reshape(-1)
    if flat.numel() != config.image_width or not torch.isfinite(flat).all():
        raise EMO2Error(
            "clip_vision_output",
            f"the embedding of one picture, {config.image_width} finite numbers",
            f"shape {tuple(embed.shape)}",
            "Use the CLIP vision model that belongs to this motion model, and one picture.",
        )
    return flat


def _scores(count: int, framing: Framing) -> np.ndarray:
    """Keypoint scores (count, 18): 1 for arms and neck, and for what a resting body shows inside the picture."""
    from ..pose.body import arm_keypoints

    still = framing.root() + np.zeros((1, HANDS, 3))
    return np.tile(arm_keypoints(framing, still)[1], (count, 1))
