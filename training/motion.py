"""The trainer of stage 1 (EMO2 section 3.3): recipe `motion`.

With `train_encoders` the small voice and image encoders learn along, as in the tiny profile; otherwise encoders with
weights are given and stay as they are, as in the paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from ..models import audio
from ..models.audio.encoder import VoiceEncoder
from ..models.checkpoints.format import load_checkpoint, save_checkpoint
from ..models.checkpoints.precision import halved, packed
from ..models.errors import EMO2Error
from ..models.motion import MotionConfig, MotionTransformer
from .motion_data import Source, check_sources, open_sources, statistics
from .motion_lesson import WEIGHTS, MotionLesson
from .motion_windows import MotionWindows, WindowOptions
from .options import check_names
from .recipe import Recipe

OPTIONS: dict[str, Any] = {
    "data": None,
    "takes": None,
    "profile": "tiny",
    "network": {},
    "windows": {},
    "weights": {},
    "train_encoders": True,
    "audio_encoder": None,
    "clip_vision": None,
    "name": "tiny",
}
"""data, takes (how many a folder of puppets gets): see `motion_data.check_sources`. profile: MotionConfig's paper or
tiny, and network: fields of it to change.
windows: `WindowOptions`. weights: `motion_lesson.WEIGHTS`. audio_encoder, clip_vision: checkpoints (or a Hugging Face
folder for the voice) to start from, needed where encoders are not trained. name: of the exported files."""


class MotionRecipe(Recipe):
    name: ClassVar[str] = "motion"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        check_names(options, OPTIONS)
        merged = OPTIONS | self.options
        self.entries = check_sources(merged["data"], merged["takes"])
        self.config = _config(merged["profile"], merged["network"])
        self.windows = _window_options(merged["windows"])
        self.weights = _weights(merged["weights"])
        self.train_encoders = bool(merged["train_encoders"])
        self.files = {name: merged[name] for name in ("audio_encoder", "clip_vision")}
        self.label = str(merged["name"])
        if not self.train_encoders:
            for name, wanted in (("audio_encoder", True), ("clip_vision", bool(self.config.image_width))):
                if wanted and not self.files[name]:
                    raise EMO2Error(
                        f"config recipe.{name}", "an encoder's checkpoint, since encoders are not trained", "none",
                        f"Name one with --set recipe.{name}=FILE, or set recipe.train_encoders=true.",
                    )  # fmt: skip
        self._sources: list[Source] | None = None

    def sources(self) -> list[Source]:
        """The data, opened once."""
        if self._sources is None:
            self._sources = open_sources(self.entries, self.config.fps)
        return self._sources

    def build(self) -> MotionLesson:
        mean, deviation, ordinary = statistics(self.sources())
        voice = self._voice()
        sight = self._sight()
        config = dataclasses.replace(
            self.config, audio_layers=voice.states, audio_width=voice.width, ordinary_speed=round(ordinary, 6)
        )
        motion = MotionTransformer(config)
        motion.set_normalisation(torch.tensor(mean), torch.tensor(deviation))
        return MotionLesson(motion, voice, sight, self.weights)

    def dataset(self) -> MotionWindows:
        # wav2vec 2.0's receptive field is the same at every size: 400 samples every 320.
        hear = None if self.train_encoders else self._hear()
        return MotionWindows(self.sources(), self.config, self.windows, self.seed, hear=hear)

    def _hear(self) -> Callable[[np.ndarray], np.ndarray]:
        """The frozen voice encoder as it is used at run time: waveform (T,) to states (N, L, D) float16."""
        voice = self._voice()
        return lambda waveform: np.asarray(audio.encode(voice, waveform, name="training").hidden)

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        assert isinstance(module, MotionLesson)
        motion = module.motion
        notes = dict(notes) | {"profile": self.label}
        what = {"description": "Hand motion from a voice, trained with `emo2 train motion`."}
        written = [
            save_checkpoint(
                folder / f"emo2_motion_{self.label}.safetensors", "motion", motion.config.to_dict(),
                packed(motion.state_dict()), notes=notes | what,
            )
        ]  # fmt: skip
        if not self.train_encoders:
            return written
        voice = {"description": "The voice encoder of the motion model of the same profile, trained with it."}
        sight = {"description": "The image encoder of the motion model of the same profile, trained with it."}
        written.append(
            save_checkpoint(
                folder / f"emo2_audio_{self.label}.safetensors", "audio", audio.TINY, halved(module.voice),
                notes=notes | voice,
            )
        )  # fmt: skip
        if module.sight is not None:
            from ..models.video import clip_vision

            written.append(
                save_checkpoint(
                    folder / f"emo2_clip_vision_{self.label}.safetensors", "clip_vision", clip_vision.TINY,
                    halved(module.sight), notes=notes | sight,
                )
            )  # fmt: skip
        return written

    def preview(self, module: nn.Module, folder: Path, step: int) -> list[Path]:
        """Height and speed of the hands over time: two takes of the data, and what the network does to their sound."""
        from .motion_preview import preview

        assert isinstance(module, MotionLesson)
        return preview(module, self.sources(), folder, step)

    def _voice(self) -> VoiceEncoder:
        path = self.files["audio_encoder"]
        if path:
            voice, _ = audio.load_encoder(Path(path), "config recipe.audio_encoder")
            return voice.requires_grad_(self.train_encoders)
        return audio.build(audio.TINY).eval()

    def _sight(self) -> Any:
        from ..models.video import clip_vision

        if not self.config.image_width:
            return None
        path = self.files["clip_vision"]
        if path:
            sight, _ = load_checkpoint(Path(path), "clip_vision", clip_vision.build, "config recipe.clip_vision")
            return sight.requires_grad_(self.train_encoders)
        return clip_vision.build(clip_vision.TINY).eval()


def _config(profile: Any, changes: Any) -> MotionConfig:
    profiles = {"paper": MotionConfig.paper, "tiny": MotionConfig.tiny}
    if profile not in profiles:
        raise EMO2Error("config recipe.profile", "paper or tiny", repr(profile), "Choose one of them.")
    try:
        return MotionConfig.from_dict(profiles[profile]().to_dict() | dict(changes))
    except (ValueError, TypeError) as error:
        raise EMO2Error("config recipe.network", "fields of a motion model's config", error, "Correct it.") from error


def _window_options(values: Any) -> WindowOptions:
    known = WindowOptions.names()
    if not isinstance(values, Mapping) or (extra := sorted(set(values) - set(known))):
        given = repr(values) if not isinstance(values, Mapping) else ", ".join(extra)
        raise EMO2Error("config recipe.windows", f"keys {', '.join(known)}", given, "Correct it.")
    try:
        return WindowOptions(**values)
    except (ValueError, TypeError) as error:
        raise EMO2Error("config recipe.windows", "windows that can be cut", error, "Correct it.") from error


def _weights(values: Any) -> dict[str, float]:
    fits = isinstance(values, Mapping) and not set(values) - set(WEIGHTS)
    if not fits or any(not isinstance(v, (int, float)) or v < 0 for v in values.values()):
        raise EMO2Error(
            "config recipe.weights", f"numbers from 0 up for {', '.join(WEIGHTS)}", repr(values), "Correct it."
        )
    return WEIGHTS | {name: float(value) for name, value in values.items()}
