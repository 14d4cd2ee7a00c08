"""The network of stage 1 as it is trained: motion transformer, voice encoder, image encoder, and heads that teach them.

DDPM's loss (arXiv 2006.11239, equation 14) on the new, annotated frames. A network that gives the clean motion
(`MotionConfig.predicts`) takes the loss on it, all timesteps alike, and on its velocity; both have the same optimum as
the epsilon loss, but let a small network spend itself on what is seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models.audio.encoder import VoiceEncoder
from ..models.motion import Conditions, MotionTransformer, vector
from ..models.motion.conditions import NAMES
from ..models.types import HANDS
from ..models.video.clip_vision import CLIPVision
from .motion_sound import BANDS

WEIGHTS = {
    "velocity": 0.5, "sound": 0.2, "sight": 0.1, "early": 4.0,
    "translation": 6.0, "wrist": 2.0, "fingers": 0.15, "points": 0.5,
}  # fmt: skip
"""velocity: of the loss on frame-to-frame differences, in units of the data's own. sound, sight: of the encoders' own
lessons. early: timesteps weigh 1 + the signal-to-noise ratio, this at most, of a network that gives the motion: what
little noise hides can be learned at once. translation, wrist, fingers, points: of each number of that kind. Fingers
are 120 of 170 numbers, but move as a few do: alike, they would be all that is learned for a long while."""


class SoundHeads(nn.Module):
    """Linear readings of every hidden state: log-mel energies, loudness, and the mouth's opening and width. And
    of the last one: how fast the hands move, fall and brake, a shorter way to hear accents than through the diffusion.

    They make the features a good ear for a mouth too, and are thrown away after training.
    """

    def __init__(self, states: int, width: int):
        super().__init__()
        self.tones = nn.ModuleList(nn.Linear(width, BANDS + 1) for _ in range(states))
        self.mouths = nn.ModuleList(nn.Linear(width, 2) for _ in range(states))
        self.hands = nn.Linear(width, 3)

    def forward(self, hidden: Tensor, frames: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Losses (B,) of states (B, S, L, D) and frame features (B, T, L, D)."""
        targets = torch.cat([batch["mel"], 2 * batch["loudness"][..., None]], dim=-1)
        mouth = 2 * batch["mouth"]
        sounding = batch["sounding"].float()
        seen = (batch["heard"] & batch["valid"]).float()
        total = torch.zeros(len(hidden), device=hidden.device)
        for layer, (tone, lips) in enumerate(zip(self.tones, self.mouths)):
            error = (tone(hidden[:, :, layer]).float() - targets).square()
            # Loudness is one number beside forty.
            error = error[..., :-1].mean(-1) + error[..., -1]
            total = total + _mean(error, sounding)
            error = (lips(frames[:, :, layer]).float() - mouth).square().sum(-1)
            total = total + _mean(error, seen)
        movement, seen = hand_movement(batch)
        error = (self.hands(frames[:, :, -1]).float() - movement).square().sum(-1)
        return total / len(self.tones) + _mean(error, seen)


def hand_movement(batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(B, T, 3) of both hands together: logarithm of the speed, fall, braking, each of about unit size, and where that
    is known, (B, T) 0 or 1."""
    total, hands = batch["valid"].shape[1], []
    seen = batch["valid"].float()
    for index in range(HANDS):
        numbers = vector.hand(index)
        hands.append(batch["motion"][..., numbers.stop - 3 : numbers.stop].float())
        seen = seen * batch["known"][..., numbers.stop - 1].float()
    velocity = torch.stack(hands).diff(dim=2) * FPS
    speed = velocity.norm(dim=-1).mean(0)
    braking = F.pad(-speed.diff(dim=1) * FPS, (0, 1))
    # Strokes are rare and ten times as fast as idling: unbounded, they would be all that is learned from.
    bounded = torch.stack([4 * velocity[..., 1].mean(0), braking / 3], dim=-1).asinh() / 1.5
    movement = torch.cat([(speed + 0.05).log()[..., None] + 1.5, bounded], dim=-1)
    known = seen[:, 1:] * seen[:, :-1]
    known = known * F.pad(known[:, 1:], (0, 1))
    # One frame less than there are: the last is not known.
    return F.pad(movement, (0, 0, 0, total - movement.shape[1])), F.pad(known, (0, total - known.shape[1]))


class MotionLesson(nn.Module):
    """`module(batch)` -> (losses (B,), parts): the loop's view of stage 1. Batches are those of `MotionWindows`.

    voice and sight are trained along when they are given as trainable, and used frozen otherwise.
    """

    def __init__(
        self, motion: MotionTransformer, voice: VoiceEncoder, sight: CLIPVision | None, weights: Mapping[str, float]
    ):
        super().__init__()
        self.motion = motion
        self.weights = WEIGHTS | dict(weights)
        self.teach_voice = any(p.requires_grad for p in voice.parameters())
        self.teach_sight = sight is not None and any(p.requires_grad for p in sight.parameters())
        # A frozen encoder is no part of the training's state: inside a tuple it is not registered.
        self._frozen: dict[str, Any] = {}
        for name, encoder, teach in (("voice", voice, self.teach_voice), ("sight", sight, self.teach_sight)):
            if teach:
                self.add_module(f"{name}_encoder", encoder)
            else:
                self._frozen[name] = (encoder,)
        self.sound_heads = SoundHeads(voice.states, voice.width) if self.teach_voice else None
        self.looks = nn.Linear(motion.config.image_width, 3 * 64) if self.teach_sight else None
        self.register_buffer("emphasis", emphasis(self.weights), persistent=False)
        with torch.no_grad():
            # The first layer listens to what counts, too.
            motion.embed.weight *= self.emphasis.sqrt() / self.emphasis.mean().sqrt()

    def train(self, mode: bool = True) -> MotionLesson:
        """The encoders never drop anything at random: what the loop repeats must come out alike."""
        super().train(mode)
        for encoder in (self.voice, self.sight):
            if encoder is not None:
                encoder.eval()
        return self

    @property
    def voice(self) -> VoiceEncoder:
        """The voice encoder, trained or frozen."""
        return self._encoder("voice")

    @property
    def sight(self) -> CLIPVision | None:
        """The image encoder, trained or frozen, where there is one."""
        return self._encoder("sight")

    def _encoder(self, name: str) -> Any:
        if name in self._frozen:
            (encoder,) = self._frozen[name]
            return None if encoder is None else encoder.to(self.motion.mean.device)
        return getattr(self, f"{name}_encoder")

    def forward(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        hidden, frames = self.listen(batch)
        losses, parts = self.moves(batch, frames, self.look(batch))
        if self.sound_heads is not None:
            parts["sound"] = self.sound_heads(hidden, frames, batch)
            losses = losses + self.weights["sound"] * parts["sound"]
        return losses, parts

    def listen(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Hidden states (B, S, L, D), and the same at frames (B, T, L, D) as `AudioFeatures.at_frames` gives them."""
        if "hidden" in batch:
            hidden = batch["hidden"].float()
        else:
            with torch.set_grad_enabled(self.teach_voice and torch.is_grad_enabled()):
                hidden = self.voice(batch["waveform"])
        place = batch["place"]
        low = place.floor().long()
        high = (low + 1).clamp_max(hidden.shape[1] - 1)
        rows = torch.arange(len(hidden), device=hidden.device)[:, None]
        weight = (place - low)[..., None, None].to(hidden.dtype)
        frames = hidden[rows, low] * (1 - weight) + hidden[rows, high] * weight
        return hidden, frames * batch["heard"][..., None, None].to(frames)

    def look(self, batch: Mapping[str, Tensor]) -> Tensor | None:
        """Class embeddings (B, E) of the reference pictures."""
        if self.sight is None:
            return None
        with torch.set_grad_enabled(self.teach_sight and torch.is_grad_enabled()):
            return self.sight(batch["picture"])[0]

    def moves(
        self, batch: Mapping[str, Tensor], frames: Tensor, image: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The diffusion losses (B,), the mean over a sample's draws, and their parts."""
        draws = batch["timestep"].shape[1]
        many = lambda t: t.repeat_interleave(draws, 0)
        motion = self.motion
        clean, valid = many(batch["clean"]), many(batch["valid"])
        known = batch["known"]
        # What is not annotated becomes the mean: neither looked at nor learned.
        truth = many(motion.normalise(batch["motion"].float()) * known)
        timestep = batch["timestep"].flatten()
        alpha = motion.alphas[timestep].view(-1, 1, 1)
        noise = batch["noise"].flatten(0, 1)
        noisy = alpha.sqrt() * truth + (1 - alpha).sqrt() * noise
        carried = truth + F.pad(many(batch["jitter"]), (0, 0, 0, truth.shape[1] - batch["jitter"].shape[1]))
        noisy = torch.where(clean[..., None], carried, noisy)
        keep = {name: batch[f"keep_{name}"].flatten() for name in NAMES}
        keep["image"] = keep["image"] & many(batch["has_picture"])
        conditions = Conditions(
            audio=many(frames), style=many(batch["style"]), speed=batch["speed"].flatten(0, 1),
            image=None if image is None else many(image), mask=many(batch["mask"]), offset=many(batch["offset"]),
        )  # fmt: skip
        if image is None:
            del keep["image"]
        predicted = motion(noisy, timestep.float(), conditions.dropped(**keep), clean, valid).float()
        counts = (many(known) & (valid & ~clean)[..., None]).float() * self.emphasis
        estimate = (noisy - (1 - alpha).sqrt() * predicted) / alpha.sqrt()
        epsilon = _mean((predicted - noise).square(), counts)
        error = estimate - truth
        parts = {"epsilon": epsilon.detach(), "motion": _mean(error.square(), counts)}
        losses = epsilon
        if motion.config.predicts == "motion":
            # A difference of two frames counts where both are new; the step from the last carried frame counts too.
            error = torch.where(clean[..., None], 0, error)
            both = many(known)[:, 1:] & many(known)[:, :-1] & (valid[:, 1:] & ~clean[:, 1:])[..., None]
            parts["velocity"] = VELOCITY * _mean(error.diff(dim=1).square(), both.float() * self.emphasis)
            losses = parts["motion"] + self.weights["velocity"] * parts["velocity"]
            most = self.weights["early"]
            losses = losses * (1 + (alpha / (1 - alpha)).clamp_max(most)).flatten() / (1 + most / 4)
        per_window = lambda t: t.view(-1, draws).mean(1)
        losses, parts = per_window(losses), {name: per_window(value) for name, value in parts.items()}
        if self.looks is not None and image is not None:
            small = F.adaptive_avg_pool2d(batch["picture"], 8).flatten(1)
            parts["sight"] = (self.looks(image).float() - small).square().mean(-1) * batch["has_picture"]
            losses = losses + self.weights["sight"] * parts["sight"]
        return losses, parts


FPS = 25.0
"""Only a unit here: the heads' targets are of about unit size at this frame rate."""
VELOCITY = 25.0
"""Gestures of unit deviation move by about a fifth of it from frame to frame; this brings its square to unit size."""


def emphasis(weights: Mapping[str, float] = WEIGHTS) -> Tensor:
    """Weight (170,) of each number of a motion vector in the loss, of mean 1."""
    each = torch.full((vector.SIZE,), float(weights["fingers"]))
    each[vector.KEYPOINTS] = weights["points"]
    for index in range(HANDS):
        numbers = vector.hand(index)
        each[numbers.start : numbers.start + 4] = weights["wrist"]
        each[numbers.stop - 3 : numbers.stop] = weights["translation"]
    return each / each.mean()


def _mean(values: Tensor, counts: Tensor) -> Tensor:
    """Weighted mean over all but the first axis, (B,); 0 where nothing counts."""
    return (values * counts).flatten(1).sum(1) / counts.flatten(1).sum(1).clamp_min(1e-6)
