"""One training step of stage 2: noise on clean latents, the network's prediction, and the weighted error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..models.video.condition_batch import ConditionBatch
from ..models.video.config import VideoConfig
from ..models.video.face_control import is_face_part
from ..models.video.model import VideoModel
from ..models.video.schedulers import make_scheduler


class VideoLesson(nn.Module):
    """The network and its loss; batches as `video_data.ImagePairs` or `video_data.Clips` makes them.

    pictures: the frames have nothing to do with each other and the temporal modules are passed over (first stage).
    snr_gamma: limit on a noise level's weight (`level_weights`), 0 for none. discriminator, discriminator_weight,
    discriminator_level: a frozen pose discriminator whose loss on the one-step estimate of the clean latents counts
    that much, below that share of the noise levels.
    """

    def __init__(self, video: VideoModel, pictures: bool, snr_gamma: float = 5.0, discriminator: Any = None,
                 discriminator_weight: float = 0.0, discriminator_level: float = 0.3):  # fmt: skip
        super().__init__()
        self.video, self.pictures = video, pictures
        alphas = make_scheduler("ddim", video.config, 1).alphas_cumprod
        self.register_buffer("alphas", alphas.clone(), persistent=False)
        weights = level_weights(alphas, video.config.prediction_type, snr_gamma)
        self.register_buffer("weights", weights, persistent=False)
        self.judge = [discriminator] if discriminator is not None and discriminator_weight > 0 else []
        self.judge_weight, self.judge_level = discriminator_weight, discriminator_level
        self.frozen_reference = not any(p.requires_grad for p in video.reference_net.parameters())

    def checkpoint_gradients(self) -> None:
        """Recompute layers in the backward pass."""
        self.video.checkpoint_gradients()

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """(losses (B,), their parts, each (B,))."""
        clean, noise, times = batch["target"], batch["noise"], batch["timestep"]
        alpha = _level(self.alphas, times)
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        predicted = self.video(noisy, times, conditions=self.conditions(batch)).float()
        wanted = objective(self.video.config, clean, noise, alpha)
        error = (predicted - wanted).square().mean(dim=1) * batch["weight"]
        per_frame = error.mean(dim=(2, 3))
        level = self.weights[times]
        losses = (per_frame * (level if level.ndim == 2 else level[:, None])).mean(dim=1)
        estimate = clean_latents(self.video.config, noisy, predicted, alpha)
        parts = {
            "error": per_frame.mean(dim=1).detach(),
            "clean_error": (estimate - clean).square().mean(dim=(1, 2, 3, 4)).detach(),
        }
        if self.judge and "points" in batch:
            told = self._judged(estimate, batch)
            losses = losses + self.judge_weight * told
            parts["pose"] = told.detach()
        return losses, parts

    def conditions(self, batch: dict[str, Tensor]) -> ConditionBatch:
        """What the rows of a batch are told, in the form that the sampler uses."""
        video, rows = self.video, len(batch["target"])
        present: dict[str, tuple[bool, ...]] = {}
        known: dict[str, Any] = {}
        told = lambda name: tuple(bool(value) for value in batch[f"has_{name}"].reshape(rows, -1).any(dim=1).tolist())
        rows_of = lambda name: [row for row, here in enumerate(present[name]) if here]
        for name in ("reference", "motion_frames", "audio", "pose"):
            if f"has_{name}" in batch and any(told(name)):
                present[name] = told(name)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen_reference):
            if "reference" in present:
                known["reference"] = video.encode_reference(batch["reference"][rows_of("reference")])
            if "motion_frames" in present:
                before = batch["motion_frames"][rows_of("motion_frames")]
                known["motion_frames"] = video.encode_motion_frames(before)
        if "audio" in present:
            known["audio"] = video.encode_audio(batch["audio"][rows_of("audio")])
        if "pose" in present:
            these = rows_of("pose")
            maps = batch["maps"][these].to(batch["target"].dtype) / 255
            pose = video.encode_maps(maps, batch["confidence"][these])
            assert pose is not None
            if batch["has_pose"].ndim == 2:  # nothing added to the features is no pose at all
                pose = pose * batch["has_pose"][these][:, None, :, None, None].to(pose.dtype)
            known["pose"] = pose
        return ConditionBatch(rows, present=present, pictures=self.pictures, **known)

    def _judged(self, estimate: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """(B,): the pose discriminator's loss where there is little noise, 0 elsewhere."""
        discriminator = self.judge[0].to(estimate.device)  # no child of this module: it is not trained
        few = batch["timestep"] < self.judge_level * len(self.alphas)
        told = estimate.new_zeros(len(estimate))
        rows = torch.nonzero(few).flatten().tolist()
        if rows:
            frames = estimate[rows].transpose(1, 2)
            error = discriminator.judge(frames.flatten(0, 1), batch["points"][rows].flatten(0, 1),
                                        batch["scores"][rows].flatten(0, 1))  # fmt: skip
            told[rows] = error.unflatten(0, frames.shape[:2]).mean(dim=1).to(told.dtype)
        return told


def _level(table: Tensor, times: Tensor) -> Tensor:
    """Entries of `table` for `times` (B,) or (B, F), to be multiplied with latents (B, C, F, h, w)."""
    values = table[times]
    return values[:, None, :, None, None] if times.ndim == 2 else values[:, None, None, None, None]


def objective(config: VideoConfig, clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    """What is to be predicted: the noise, v = sqrt(a) noise - sqrt(1 - a) clean (Salimans & Ho 2022), or the clean."""
    if config.prediction_type == "v_prediction":
        return alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
    return noise if config.prediction_type == "epsilon" else clean


def clean_latents(config: VideoConfig, noisy: Tensor, predicted: Tensor, alpha: Tensor) -> Tensor:
    """The one-step estimate of the clean latents."""
    if config.prediction_type == "v_prediction":
        return alpha.sqrt() * noisy - (1 - alpha).sqrt() * predicted
    if config.prediction_type == "sample":
        return predicted
    return (noisy - (1 - alpha).sqrt() * predicted) / alpha.clamp(min=1e-6).sqrt()


def level_weights(alphas: Tensor, prediction: str, gamma: float) -> Tensor:
    """Weight of each noise level's squared error: min-SNR (Hang et al. 2023) with SNR + 1 in place of SNR.

    An error of v counts SNR + 1 times as an error of the clean latents; that factor is limited to gamma, so that levels
    with little noise, which are easy, do not rule. Unlike SNR it is 1, not 0, where all is noise: a schedule of zero
    terminal SNR must learn that level too, since sampling begins there.
    """
    snr = alphas / (1 - alphas).clamp(min=1e-8)
    if gamma <= 0:
        return torch.ones_like(snr)
    limited = (snr + 1).clamp(max=gamma)
    if prediction == "v_prediction":
        return limited / (snr + 1)
    if prediction == "epsilon":
        return (limited / snr.clamp(min=1e-8)).clamp(max=1.0)
    return limited


def image_parameters(video: VideoModel) -> Iterator[tuple[str, nn.Parameter]]:
    """What the image stage trains: reference network, map guider, confidence, and the backbone's spatial layers."""
    last = len(video.config.widths) - 1
    # Behind the last place where the backbone reads the reference nothing would get a gradient.
    end = f"reference_net.up_blocks.{last}.attentions.{video.config.layers_per_block}."
    unread = tuple(end + name for name in (
        "transformer_blocks.0.attn1", "transformer_blocks.0.norm3", "transformer_blocks.0.ff", "proj_out"))  # fmt: skip
    for name, parameter in video.named_parameters():
        if name.startswith(unread) or is_clip_part(name):
            continue
        yield name, parameter


def is_clip_part(name: str) -> bool:
    """Whether a parameter of a VideoModel is trained by the clip stage alone."""
    return is_temporal(name) or is_audio(name) or is_face_part(name)


def is_temporal(name: str) -> bool:
    """Whether a parameter of a VideoModel belongs to a temporal module."""
    return ".motion_modules." in name


def is_audio(name: str) -> bool:
    """Whether a parameter of a VideoModel belongs to the audio attention or projection."""
    if name.startswith("audio_projection."):
        return True
    return name.startswith("backbone.") and ".transformer_blocks." in name and (".attn2." in name or ".norm2." in name)


@torch.no_grad()
def silence_audio(video: VideoModel) -> None:
    """Make the audio attentions add nothing yet, as ControlNet's and AnimateDiff's additions begin."""
    for block in video.backbone.spatial().values():
        for parameter in block.attn2.to_out.parameters():
            parameter.zero_()
