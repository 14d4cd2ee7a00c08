"""The directed stage 1 as an artist sees it: load what text and voice lead together, and let it perform a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..models.body.tokenizer import build as build_tokenizer
from ..models.checkpoints.format import fingerprint, load_checkpoint, read_header
from ..models.direction.bank import PoseBank, load_bank
from ..models.direction.branches import build
from ..models.direction.config import DEFAULT_TEXT
from ..models.direction.performance import DirectedModel, frames_of, perform
from ..models.direction.script import Script
from ..models.direction.text import build as build_text_encoder
from ..models.errors import EMO2Error
from ..models.pose.portrait import outside_warning
from ..models.types import AudioFeatures, Framing, Motion
from . import host
from .loading import check_model, warn_untrained
from .motion_edit import SECOND, told
from .registry import node
from .retarget import reference
from .sample_motion import Ticks

AUTO, NONE = "auto", "none"
POSES = ("real poses", "direct projection")
PARTS = {"text_encoder": ("text_encoder", build_text_encoder), "tokenizer": ("tokenizer", build_tokenizer)}
"""The files beside the directed model: the kind and what builds it; the model's notes name each by its fingerprint."""
BANKS = (".npz",)


@node("EMO2LoadDirectedModel", "EMO2 Load Directed Motion Model", "EMO2/motion")
class LoadDirectedModel:
    DESCRIPTION = (
        "Loads a model whose hands do what a script says, in the rhythm of the voice (VersaAnimator): the model, its "
        "text encoder, its motion tokenizer, and the bank of real poses that its motion is made of."
    )
    RETURN_TYPES = ("EMO2_DIRECTED_MODEL",)
    RETURN_NAMES = ("model",)
    OUTPUT_TOOLTIPS = ("The directed-motion model, for EMO2 Sample Directed Motion.",)
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        files = lambda kind: host.model_files("emo2", kind=kind)
        own = "auto takes the file that the model was trained with."
        return {
            "required": {
                "model_name": (files("direction"), {
                    "tooltip": "A directed-motion checkpoint (.safetensors) in ComfyUI's models/emo2 folder, or the "
                               "small one in the pack."}),
                "text_encoder": ([AUTO, *files("text_encoder")], {
                    "tooltip": f"What reads the script's lines; {own}"}),
                "tokenizer": ([AUTO, *files("tokenizer")], {
                    "tooltip": f"What turns the model's tokens into whole bodies; {own}"}),
                "pose_bank": ([AUTO, NONE, *host.model_files("emo2", suffixes=BANKS)], {
                    "tooltip": "Real poses that the motion is put together from (emo2 build-pose-bank). auto takes one "
                               "that fits the tokenizer, if there is any; none: tokens are projected directly."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(
        cls, model_name: str | None = None, text_encoder: str | None = None, tokenizer: str | None = None,
        pose_bank: str | None = None,
    ) -> bool | str:  # fmt: skip
        good = check_model(model_name, "direction", "model_name")
        for name, value in (("text_encoder", text_encoder), ("tokenizer", tokenizer)):
            if good is True and value not in (None, AUTO):
                good = check_model(value, PARTS[name][0], name)
        try:
            if good is True and pose_bank not in (None, AUTO, NONE):
                host.model_path(str(pose_bank), "emo2", "pose_bank")
        except EMO2Error as error:
            return str(error)
        return good

    def load(
        self, model_name: str, text_encoder: str = AUTO, tokenizer: str = AUTO, pose_bank: str = AUTO
    ) -> tuple[host.ModelHandle]:
        path = host.model_path(model_name, "emo2", "model_name")
        notes = read_header(path, "direction", "model_name").notes
        chosen = {"text_encoder": text_encoder, "tokenizer": tokenizer}
        paths = {name: part_path(name, value, notes.get(name, "")) for name, value in chosen.items()}
        bank = bank_of(pose_bank, fingerprint(paths["tokenizer"]))
        branches, header = load_checkpoint(path, "direction", build, "model_name")
        parts = {}
        for name, (kind, builder) in PARTS.items():
            parts[name], found = load_checkpoint(paths[name], kind, builder, name)
            warn_untrained(found)
        warn_untrained(header)
        model = DirectedModel(branches=branches, bank=bank, **parts)  # type: ignore[arg-type]
        return (host.wrap(model, header),)


def part_path(name: str, chosen: str, noted: str) -> Path:
    """The file of the text encoder or the tokenizer: the chosen one, or the one whose fingerprint the model noted."""
    if chosen != AUTO:
        return host.model_path(chosen, "emo2", name)
    files = host.model_files("emo2", kind=PARTS[name][0])
    paths = [host.model_path(file, "emo2", name) for file in files]
    for path in paths:
        if noted and fingerprint(path) == noted:
            return path
    given = f"none of {', '.join(files)}" if files else "no such file in models/emo2"
    remedy = "Put the file beside the model, or choose one that fits it."
    raise EMO2Error(name, "the file that the model was trained with", given, remedy)


def bank_of(chosen: str, tokenizer: str) -> PoseBank | None:
    """The chosen bank; with AUTO the first one for the tokenizer with this fingerprint, or None."""
    if chosen == NONE:
        return None
    if chosen != AUTO:
        bank = load_bank(host.model_path(chosen, "emo2", "pose_bank"), "pose_bank")
        if bank.tokenizer not in ("", tokenizer):
            remedy = "Build it again with emo2 build-pose-bank --tokenizer, or choose auto."
            raise EMO2Error("pose_bank", "a bank of this tokenizer's tokens", f"another one's ({chosen})", remedy)
        return bank
    for name in host.model_files("emo2", suffixes=BANKS):
        try:
            bank = load_bank(host.model_path(name, "emo2", "pose_bank"), "pose_bank")
        except EMO2Error:
            continue  # another .npz: nobody asked for it
        if bank.tokenizer == tokenizer:
            return bank
    return None


@node("EMO2SampleDirectedMotion", "EMO2 Sample Directed Motion", "EMO2/motion")
class SampleDirectedMotion:
    DESCRIPTION = (
        "Makes a person do what a script says, when it says so, and gesture to the voice in between. The result is a "
        "motion like any other: edit it, splice it, or paint it."
    )
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frame_count")
    OUTPUT_TOOLTIPS = (
        "Hands, arms, head and legs, one entry a frame.",
        "Frames a second of the motion.",
        "How many frames the motion has.",
    )
    FUNCTION = "sample"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        seed = {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True}
        cfg = {"min": 0.0, "max": 20.0, "step": 0.1, "round": 0.01}
        return {
            "required": {
                "model": ("EMO2_DIRECTED_MODEL", {"tooltip": "From EMO2 Load Directed Motion Model."}),
                "seed": ("INT", {**seed, "tooltip": "Another number gives another performance of the same script."}),
                "steps": ("INT", {"default": 18, "min": 1, "max": 1000,
                    "tooltip": "Decoding steps for each window of some seconds; 8 to 20 is usual."}),
                "text_cfg": ("FLOAT", {**cfg, "default": 3.0,
                    "tooltip": "How strictly the script is followed; each line's own strength multiplies it."}),
                "voice_cfg": ("FLOAT", {**cfg, "default": 2.0,
                    "tooltip": "How strictly the voice is followed. 1 is plain."}),
                "temperature": ("FLOAT", {"default": 0.6, "min": 0.0, "max": 5.0, "step": 0.05, "round": 0.001,
                    "tooltip": "How bold the choices are: 0 always the likeliest, 1 as they were learned."}),
                "poses": (list(POSES), {"default": POSES[0],
                    "tooltip": "real poses: put together from the bank's snippets and given this person's build. "
                               "direct projection: the model's own skeleton, stiffer."}),
                "continuity": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.1, "round": 0.01,
                    "tooltip": "Real poses: how much going on smoothly counts against doing exactly what was asked."}),
                "seconds": ("FLOAT", {**SECOND,
                    "tooltip": "How long the motion is without a voice; 0: as long as the script."}),
                "default_text": ("STRING", {"default": DEFAULT_TEXT,
                    "tooltip": "What holds where the script says nothing."}),
            },
            "optional": {
                "script": ("EMO2_SCRIPT", {
                    "tooltip": "From EMO2 Direct Script. Without it the voice alone leads."}),
                "audio_features": ("EMO2_AUDIO", {
                    "tooltip": "The voice, from EMO2 Encode Audio; the motion is as long. Without it: silence."}),
                "framing": ("EMO2_FRAMING", {
                    "tooltip": "Where the person is (from EMO2 Set Framing): head, half body or whole figure."}),
                "reference_pose": ("POSE_KEYPOINT", {
                    "tooltip": "The points of the person in your picture: real poses get their bone lengths."}),
            },
        }  # fmt: skip

    def sample(
        self, model: host.ModelHandle, seed: int, steps: int, text_cfg: float, voice_cfg: float, temperature: float,
        poses: str, continuity: float, seconds: float, default_text: str, script: Script | None = None,
        audio_features: AudioFeatures | None = None, framing: Framing | None = None, reference_pose: Any = None,
    ) -> tuple[Motion, float, int]:  # fmt: skip
        directed = model.module
        assert isinstance(directed, DirectedModel)
        count = frames_of(directed, script, audio_features, seconds)
        target, place = reference(reference_pose, None, framing)
        warn_untrained(model.header)
        if poses == POSES[0] and directed.bank is None:
            host.warn("There is no pose bank for this model: tokens are projected directly.")
        host.load(model)
        progress = Ticks(f"directed motion, {count} frames")
        try:
            motion = perform(
                directed, script, audio_features, seconds=seconds, seed=seed, steps=steps, guidance=text_cfg,
                audio_guidance=voice_cfg, temperature=temperature, default_text=default_text,
                use_bank=poses == POSES[0], continuity=continuity, framing=framing or place, target=target,
                on_step=progress,
            )  # fmt: skip
        finally:
            progress.close()
        warning = outside_warning(motion)
        if warning:
            host.warn(warning)
        return told(motion)
