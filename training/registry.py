"""The trainers by name. A trainer's module is imported when it is asked for, so that the list costs nothing."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ..models.errors import EMO2Error

if TYPE_CHECKING:
    from .recipe import Recipe

TRAINERS = {
    "motion": ("motion", "MotionRecipe", "stage 1: hand motion from sound, with the tiny voice and image encoders"),
    "autoencoder": ("autoencoder", "AutoencoderRecipe", "the tiny autoencoder between pictures and latents"),
    "gesture-encoder": ("gesture_encoder", "GestureEncoderRecipe", "the network behind the Frechet gesture distance"),
    "pose-discriminator": ("pose_discriminator", "PoseDiscriminatorRecipe", "keypoint and limb heatmaps from latents"),
    "video-image": (
        "video_image",
        "VideoImageRecipe",
        "stage 2 on pairs of frames: all but sound and time",
    ),
    "video-clip": ("video_clip", "VideoClipRecipe", "stage 2 on clips: temporal modules and audio attention"),
    "text-motion": ("text_motion", "TextMotionRecipe", "the text branch of directed motion, with its text encoder"),
    "audio-motion": ("audio_motion", "AudioMotionRecipe", "the audio branch of directed motion, on the text branch"),
    "text-matching": ("text_matching", "TextMatchingRecipe", "the network behind R-precision: texts and motion"),
    "tokenizer": ("tokenizer", "TokenizerRecipe", "whole-body motion as codes, for what text directs"),
    "video-face": ("video_face", "VideoFaceRecipe", "stage 2: emotion, blink and identity of faces"),
    "face-reader": ("face_reader", "FaceReaderRecipe", "reads lids and emotions of puppets, for the evaluation"),
    "face-identity": ("face_identity", "FaceIdentityRecipe", "tells puppets apart by their heads"),
    "puppet-estimator": ("puppet_estimator", "PuppetEstimatorRecipe", "finds a puppet's hands, arms and mouth"),
}
"""Name on the command line: (module, class, what it learns)."""


def recipe_class(name: str) -> type[Recipe]:
    """The recipe behind `name`. EMO2Error for a name that is not in TRAINERS."""
    if name not in TRAINERS:
        raise EMO2Error("trainer", f"one of {', '.join(TRAINERS)}", repr(name), "Choose a trainer from the list.")
    module, cls, _ = TRAINERS[name]
    found: type[Recipe] = getattr(import_module(f".{module}", __package__), cls)
    return found
