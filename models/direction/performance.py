"""From a script and a voice to `Motion`: text encoder, branches, tokenizer and translator as one model."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from torch import nn

from ..audio.timing import frame_count
from ..body.tokenizer import MotionTokenizer
from ..errors import EMO2Error
from ..pose.proportions import Proportions
from ..types import AudioFeatures, Framing, Motion
from .bank import PER_TOKEN, PoseBank
from .branches import TwoBranch
from .conditions import Conditions, listen
from .config import DEFAULT_TEXT
from .directions import Directions
from .sampling import sample
from .script import Script
from .text import TextEncoder
from .translator import translate


class DirectedModel(nn.Module):
    """All networks of directed motion. bank: real poses for its tokens, or None: then tokens are projected directly."""

    def __init__(
        self, text_encoder: TextEncoder, branches: TwoBranch, tokenizer: MotionTokenizer, bank: PoseBank | None = None
    ):
        super().__init__()
        self.text_encoder, self.branches, self.tokenizer, self.bank = text_encoder, branches, tokenizer, bank
        text, audio, own = branches.config.text, branches.config.audio, tokenizer.config
        if branches.text is not None and text.text_width != text_encoder.width:
            given = f"one of width {text_encoder.width}"
            raise EMO2Error("text_encoder", f"an encoder of width {text.text_width}", given, "Choose the model's own.")
        if (audio.codes, audio.levels, audio.rate * PER_TOKEN) != (own.codes, own.levels, own.fps):
            wanted = f"one with {audio.levels} x {audio.codes} codes at {audio.rate * PER_TOKEN:g} frames a second"
            given = f"one with {own.levels} x {own.codes} at {own.fps:g}"
            raise EMO2Error("tokenizer", wanted, given, "Choose the tokenizer that the model was trained with.")
        if bank is not None and bank.codes.max() >= own.codes:
            given = f"code {bank.codes.max()} in it"
            raise EMO2Error("pose_bank", f"a bank of {own.codes} tokens", given, "Build the bank with this tokenizer.")

    @property
    def fps(self) -> float:
        """Frames a second of its motions."""
        return self.tokenizer.config.fps


def perform(
    model: DirectedModel,
    script: Script | None,
    features: AudioFeatures | None = None,
    *,
    seconds: float = 0.0,
    seed: int = 0,
    steps: int = 18,
    guidance: float = 3.0,
    audio_guidance: float | None = None,
    temperature: float = 0.6,
    default_text: str = DEFAULT_TEXT,
    use_bank: bool = True,
    continuity: float = 1.0,
    framing: Framing | None = None,
    target: Proportions | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Motion:
    """The motion that `script` says, in time with the voice (VersaAnimator sections 3.2 and 3.3).

    It lasts as long as the voice, else `seconds`, else the script. script: None for the voice alone, with default_text
    all the way. steps, guidance, audio_guidance, temperature, seed: as `sampling.sample`. use_bank: tokens become poses
    of the model's bank, if it has one; otherwise the decoded body is projected. framing, target: the person in the
    picture, as `translator.translate` takes them; a projection has average arms.

    EMO2Error before anything is sampled: nothing says how long it lasts, the script goes on past the voice, the voice
    came through another encoder.
    """
    count = frames_of(model, script, features, seconds)
    tokens = math.ceil(count / PER_TOKEN)
    rate = model.branches.config.audio.rate
    directions = Directions.at_tokens(script, tokens, rate, default_text.strip() or DEFAULT_TEXT)
    sound = None if features is None else listen(features, rate, tokens)
    asked = Conditions(
        model.text_encoder.encode(directions.texts), directions.rows, directions.strength, sound
    )  # fmt: skip
    codes = sample(
        model.branches, asked, tokens, steps=steps, guidance=guidance, audio_guidance=audio_guidance,
        temperature=temperature, seed=seed, codebooks=model.tokenizer.codebooks(), on_step=on_step,
    )  # fmt: skip
    decoded = model.tokenizer.body(codes).to_motion(framing)
    if not use_bank or model.bank is None:
        return decoded.frames(0, count)
    made = translate(
        model.bank, codes[0], model.tokenizer.codebook(), decoded, framing=framing or Framing(), target=target,
        continuity=continuity,
    )  # fmt: skip
    return made.frames(0, count)


def frames_of(model: DirectedModel, script: Script | None, features: AudioFeatures | None, seconds: float) -> int:
    """How many frames the motion has; EMO2Error where nothing says it, or the script goes on past its end."""
    if features is not None:
        config = model.branches.config.audio
        features.check_encoder(config.audio_layers, config.audio_width, "directed model")
    lasts = features.duration if features is not None else seconds or (script.seconds if script is not None else 0.0)
    if not (lasts > 0 and np.isfinite(lasts)):
        raise EMO2Error("seconds", "a voice, a script, or a length above 0", seconds, "Connect one, or set seconds.")
    if script is not None and script.lines[-1].end > lasts + 1 / model.fps:
        last = script.lines[-1]
        raise EMO2Error(
            "script", f"lines that end before {lasts:.2f} s", f"line {last.line}, which ends at {last.end:.2f} s",
            "Give EMO2 Direct Script the same voice, or shorten the line.",
        )  # fmt: skip
    return frame_count(lasts, model.fps)
