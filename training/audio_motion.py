"""The trainer of the audio branch on the frozen text branch (VersaAnimator): recipe `audio-motion`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from ..models.checkpoints.format import fingerprint, load_checkpoint, read_header, save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.direction.branches import MotionBranch, TwoBranch, build_branch
from ..models.direction.config import FUSIONS, BranchConfig
from ..models.errors import EMO2Error
from .directed_clips import Drawn
from .directed_lesson import AudioLesson
from .directed_windows import MaskedWindows
from .kept_clips import check_clips
from .options import check_names
from .recipe import Recipe
from .text_motion import branch_config, load_text_encoder, mask_options, needed, open_tokens, speech

OPTIONS: dict[str, Any] = {
    "data": None, "clips": None, "tokenizer": None, "text_motion": None, "text_encoder": None, "audio_encoder": None,
    "profile": "tiny", "network": {}, "masks": {}, "fusion": "layers", "begin_as_text": True, "name": "tiny",
}  # fmt: skip
"""data, clips, tokenizer, profile, network, masks, name: as in `text_motion.OPTIONS`. text_motion, text_encoder: the
checkpoints of the trained text branch and its encoder, audio_encoder: of the voice encoder; all stay as they are.
fusion: where the text branch is added: layers, last or none. begin_as_text: the audio branch begins with the text
branch's weights wherever it has the same parts."""


class AudioMotionRecipe(Recipe):
    name: ClassVar[str] = "audio-motion"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        check_names(options, OPTIONS)
        merged = OPTIONS | self.options
        self.entries = check_clips(merged["data"], merged["clips"])
        self.asked = branch_config(merged["profile"], merged["network"], "audio")
        self.masks = mask_options(merged["masks"])
        self.tokenizer = needed(merged, "tokenizer", "the motion tokenizer's checkpoint")
        self.text_motion = needed(merged, "text_motion", "the text branch's checkpoint")
        self.text_encoder = needed(merged, "text_encoder", "the text encoder's checkpoint")
        self.audio_encoder = needed(merged, "audio_encoder", "the voice encoder's checkpoint")
        self.fusion = merged["fusion"]
        if self.fusion not in FUSIONS:
            wanted = f"one of {', '.join(FUSIONS)}"
            raise EMO2Error("config recipe.fusion", wanted, repr(self.fusion), "Choose one of them.")
        self.begin_as_text, self.label = bool(merged["begin_as_text"]), str(merged["name"])
        self._sources: list[Drawn] | None = None

    def sources(self) -> list[Drawn]:
        """The data, opened once; clips that are missing are made."""
        if self._sources is None:
            self._sources = open_tokens(self.entries, self.tokenizer, self.audio_encoder)
        return self._sources

    def config(self) -> BranchConfig:
        """The audio branch's config: the text branch's shape and codes, the voice encoder's sizes."""
        from ..models.audio import load_encoder

        notes = read_header(self.text_motion, "text_motion", "config recipe.text_motion").notes
        if notes.get("tokenizer", "") not in ("", fingerprint(Path(self.tokenizer))):
            raise EMO2Error(
                "config recipe.tokenizer", "the tokenizer that the text branch was trained with", self.tokenizer,
                "Name that one, or train the text branch anew.",
            )  # fmt: skip
        text = self._text().config
        voice, _ = load_encoder(Path(self.audio_encoder), "config recipe.audio_encoder")
        shape = {name: getattr(text, name) for name in ("width", "layers", "heads", "codes", "levels", "rate")}
        return dataclasses.replace(self.asked, **shape, audio_layers=voice.states, audio_width=voice.width)

    def _text(self) -> MotionBranch:
        found, _ = load_checkpoint(Path(self.text_motion), "text_motion", build_branch, "config recipe.text_motion")
        assert isinstance(found, MotionBranch)
        return found.float()

    def build(self) -> AudioLesson:
        text, audio = self._text(), MotionBranch(self.config())
        if self.begin_as_text:
            begin_as(audio, text)
        encoder = load_text_encoder(Path(self.text_encoder))
        return AudioLesson(TwoBranch(text, audio, self.fusion), encoder)

    def dataset(self) -> MaskedWindows:
        pieces = load_text_encoder(Path(self.text_encoder)).pieces
        return MaskedWindows(
            self.sources(), self.config(), pieces, self.masks, self.seed, sound=True, speech=speech()
        )  # fmt: skip

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        assert isinstance(module, AudioLesson)
        files = {"tokenizer": self.tokenizer, "text_encoder": self.text_encoder, "audio_encoder": self.audio_encoder}
        prints = {name: fingerprint(Path(path)) for name, path in files.items() if Path(path).is_file()}
        what = {"description": "Motion tokens from a text and a voice, trained with `emo2 train audio-motion`."}
        model = module.model
        path = folder / f"emo2_direction_{self.label}.safetensors"
        notes = dict(notes) | {"profile": self.label} | prints | what
        return [save_checkpoint(path, "direction", model.config.to_dict(), packed(model.state_dict()), notes=notes)]


def begin_as(audio: MotionBranch, text: MotionBranch) -> list[str]:
    """Give the audio branch the text branch's weights wherever names and shapes are the same; the names."""
    own, other = audio.state_dict(), text.state_dict()
    same = [name for name in own if name in other and own[name].shape == other[name].shape]
    audio.load_state_dict(own | {name: other[name].to(own[name]) for name in same})
    return same
