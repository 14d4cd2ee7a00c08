"""The trainer of the text branch (VersaAnimator, arXiv 2503.08714; MoMask, section 3.2): recipe `text-motion`.

With `train_encoder` a small CLIP text encoder learns along, as in the tiny profile; otherwise one with weights is given
and stays as it is, as in the paper.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from ..models.checkpoints.format import fingerprint, load_checkpoint, save_checkpoint
from ..models.checkpoints.precision import packed
from ..models.direction import text
from ..models.direction.branches import MotionBranch
from ..models.direction.config import DEFAULT_TEXT, BranchConfig, TextConfig
from ..models.errors import EMO2Error
from .directed_clips import Drawn, open_clips
from .directed_lesson import TextLesson
from .directed_windows import MaskedWindows, MaskOptions
from .kept_clips import check_clips
from .options import check_names
from .recipe import Recipe

OPTIONS: dict[str, Any] = {
    "data": None, "clips": None, "tokenizer": None, "profile": "tiny", "network": {}, "text": {}, "masks": {},
    "train_encoder": True, "text_encoder": None, "vocabulary": 1024, "name": "tiny",
}  # fmt: skip
"""data, clips (how many a folder of puppets gets): see `kept_clips.check_clips`. tokenizer: checkpoint of the
motion tokenizer. profile: BranchConfig's paper or tiny, and network: fields of it to change. text: fields of
TextConfig.tiny to change, of an encoder that learns along. masks: `MaskOptions`. text_encoder: checkpoint (or a Hugging
Face folder) to start from, needed where the encoder is not trained. vocabulary: pieces that are learned from the data's
texts. name: of the exported files."""


class TextMotionRecipe(Recipe):
    name: ClassVar[str] = "text-motion"

    def __init__(self, options: Mapping[str, Any], seed: int):
        super().__init__(options, seed)
        check_names(options, OPTIONS)
        merged = OPTIONS | self.options
        self.entries = check_clips(merged["data"], merged["clips"])
        self.config = branch_config(merged["profile"], merged["network"], "text")
        self.masks = mask_options(merged["masks"])
        self.tokenizer = needed(merged, "tokenizer", "the motion tokenizer's checkpoint")
        self.train_encoder = bool(merged["train_encoder"])
        self.text_encoder = merged["text_encoder"]
        if not self.train_encoder and not self.text_encoder:
            needed(merged, "text_encoder", "an encoder's checkpoint, since it is not trained")
        try:
            self.text = TextConfig.from_dict(TextConfig.tiny().to_dict() | dict(merged["text"]))
        except (ValueError, TypeError) as error:
            wanted = "fields of a text encoder's config"
            raise EMO2Error("config recipe.text", wanted, error, "Correct it.") from error
        self.vocabulary = merged["vocabulary"]
        if isinstance(self.vocabulary, bool) or not isinstance(self.vocabulary, int) or self.vocabulary < 258:
            raise EMO2Error("config recipe.vocabulary", "at least 258 pieces", repr(self.vocabulary), "Correct it.")
        self.label = str(merged["name"])
        self._sources: list[Drawn] | None = None
        self._encoder: text.TextEncoder | None = None

    def sources(self) -> list[Drawn]:
        """The data, opened once; clips that are missing are made."""
        if self._sources is None:
            self._sources = open_tokens(self.entries, self.tokenizer)
        return self._sources

    def encoder(self) -> text.TextEncoder:
        """The text encoder, untrained or from its file; the same object each time."""
        if self._encoder is None:
            self._encoder = self._new_encoder()
        return self._encoder

    def _new_encoder(self) -> text.TextEncoder:
        if self.text_encoder:
            return load_text_encoder(Path(self.text_encoder)).requires_grad_(self.train_encoder)
        said = {DEFAULT_TEXT, *(one for source in self.sources() for one in source.clips.texts())}
        return text.new_encoder(self.text, said, self.vocabulary)

    def build(self) -> TextLesson:
        # The encoder anew: the loop has seeded torch for what is built here.
        self._encoder = self._new_encoder()
        tokenizer = load_tokenizer(self.tokenizer)
        branch = MotionBranch(fitted(self.config, tokenizer.config, text_width=self._encoder.width))
        branch.begin_with_codes(tokenizer.codebooks())
        return TextLesson(branch, self._encoder, self.train_encoder)

    def dataset(self) -> MaskedWindows:
        config = fitted(self.config, load_tokenizer(self.tokenizer).config)
        return MaskedWindows(self.sources(), config, self.encoder().pieces, self.masks, self.seed, speech=speech())

    def export(self, module: nn.Module, folder: Path, notes: Mapping[str, str]) -> list[Path]:
        assert isinstance(module, TextLesson)
        notes = dict(notes) | {"profile": self.label, "tokenizer": fingerprint(Path(self.tokenizer))}
        what = {"description": "Motion tokens from a text, trained with `emo2 train text-motion`."}
        branch = module.branch
        written = [
            save_checkpoint(
                folder / f"emo2_text_motion_{self.label}.safetensors", "text_motion", branch.config.to_dict(),
                packed(branch.state_dict()), notes=notes | what,
            )
        ]  # fmt: skip
        if self.train_encoder:
            what = {"description": "The text encoder of the directed-motion model of the same profile."}
            encoder = module.encoder
            path = folder / f"emo2_text_encoder_{self.label}.safetensors"
            written.append(
                save_checkpoint(
                    path, "text_encoder", encoder.config.to_dict(), packed(encoder.state_dict()), notes=notes | what
                )
            )
        return written


def needed(options: Mapping[str, Any], name: str, what: str) -> str:
    """An option that must be given."""
    value = options[name]
    if not isinstance(value, str) or not value:
        raise EMO2Error(f"config recipe.{name}", what, repr(value), f"Name one: --set recipe.{name}=FILE.")
    return value


def branch_config(profile: Any, changes: Any, listens: str) -> BranchConfig:
    """BranchConfig of a profile with changes; EMO2Error for what is wrong with them."""
    profiles = {"paper": BranchConfig.paper, "tiny": BranchConfig.tiny}
    if profile not in profiles:
        raise EMO2Error("config recipe.profile", "paper or tiny", repr(profile), "Choose one of them.")
    try:
        values = profiles[profile](listens).to_dict() | dict(changes)
        return BranchConfig.from_dict(values | {"listens": listens})
    except (ValueError, TypeError) as error:
        raise EMO2Error("config recipe.network", "fields of a branch's config", error, "Correct it.") from error


def mask_options(values: Any) -> MaskOptions:
    """`MaskOptions` of a config's `masks`; EMO2Error for what is wrong with them."""
    known = MaskOptions.names()
    if not isinstance(values, Mapping) or (extra := sorted(set(values) - set(known))):
        given = repr(values) if not isinstance(values, Mapping) else ", ".join(extra)
        raise EMO2Error("config recipe.masks", f"keys {', '.join(known)}", given, "Correct it.")
    try:
        return MaskOptions(**values)
    except (ValueError, TypeError) as error:
        raise EMO2Error("config recipe.masks", "masks that can be drawn", error, "Correct it.") from error


def fitted(config: BranchConfig, tokenizer: Any, **more: Any) -> BranchConfig:
    """The config with the tokenizer's codes, levels and rate."""
    return dataclasses.replace(
        config, codes=tokenizer.codes, levels=tokenizer.levels, rate=tokenizer.fps / 4, **more
    )  # fmt: skip


def load_tokenizer(path: str) -> Any:
    """The motion tokenizer of a checkpoint."""
    from ..models.body.tokenizer import build

    return load_checkpoint(Path(path), "tokenizer", build, "config recipe.tokenizer")[0]


def load_text_encoder(path: Path) -> Any:
    """The text encoder of a checkpoint of ours, or of a CLIP folder."""
    if path.is_dir():
        from ..models.checkpoints.clip_text import load_clip_text

        return load_clip_text(path, "config recipe.text_encoder")[0]
    return load_checkpoint(path, "text_encoder", text.build, "config recipe.text_encoder")[0]


def open_tokens(entries: Sequence[Mapping[str, Any]], tokenizer: str, voice: str | None = None) -> list[Drawn]:
    """The data of an entries' list as tokens, with what the voice encoder hears of it."""
    hear, key = None, ""
    if voice:
        from ..models.audio import load_encoder

        hear, _ = load_encoder(Path(voice), "config recipe.audio_encoder")
        key = fingerprint(Path(voice))[:8] if Path(voice).is_file() else Path(voice).name
    return open_clips(entries, load_tokenizer(tokenizer), hear, key)


def speech() -> tuple[str, ...]:
    """The puppets' descriptions of plain speech, for which the default text may stand."""
    from .puppets.phrasings import SPEECH

    return tuple(one for split in SPEECH.values() for one in split)
