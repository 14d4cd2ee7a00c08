"""The director's desk: a script with times, a transcript to hang it on, and motions set into another at its times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..models.audio import duration_of, prepare_waveform
from ..models.checkpoints.format import fingerprint
from ..models.direction.script import NO_TRANSCRIPT, Script, format_script, parse_script
from ..models.direction.splice import TIMINGS, insert, splice_by_script
from ..models.direction.timeline import timeline_picture
from ..models.direction.transcript import parse_transcript
from ..models.errors import EMO2Error
from ..models.picture import image_of
from ..models.pose.portrait import outside_warning
from ..models.types import Motion
from . import host
from .motion_edit import MOTION, SECOND, Timed, blend, hands, told
from .motion_files import listed, named
from .registry import node

SCRIPT = (
    "# when, then what: one line a beat\n0:01-0:03 wave with the right hand\n0:04 point at the camera [strength 0.8]"
)
TRANSCRIPTS = (".json", ".srt", ".vtt", ".txt", ".tsv")
LARGEST = 32 * 2**20
"""Bytes of a transcript; an hour of words with times has about one million."""


@node("EMO2DirectScript", "EMO2 Direct Script", "EMO2/motion")
class DirectScript:
    DESCRIPTION = (
        "Reads a director's script, one line a beat: '0:03-0:05 wave with the right hand', or 'on \"hello\" point at "
        "the camera' where a transcript is given. Shows it as a timeline under the voice."
    )
    RETURN_TYPES = ("EMO2_SCRIPT", "IMAGE", "STRING")
    RETURN_NAMES = ("script", "timeline", "beats")
    OUTPUT_TOOLTIPS = (
        "What is done when, for EMO2 Insert Motion and the directed motion model.",
        "The script over time with the voice, for Preview Image.",
        "Every line as it was understood, with all its times; it can be pasted back as a script.",
    )
    FUNCTION = "read"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "text": ("STRING", {"default": SCRIPT, "multiline": True,
                    "tooltip": "One line a beat: a time, then the action in plain words, then options in brackets "
                               "[strength 0.7, in 0.3, out 0.5]. # begins a remark."}),
                "seconds": ("FLOAT", {**SECOND,
                    "tooltip": "How long the piece is where no audio is connected; 0: until the last line's end."}),
                "width": ("INT", {"default": 1280, "min": 320, "max": 8192, "step": 8,
                    "tooltip": "Width of the timeline in pixels; long pieces are laid out in rows."}),
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": "The voice: its length, which no line may outlast, and its waveform."}),
                "transcript": ("STRING", {"default": "", "multiline": True,
                    "tooltip": "The words with their times, for lines such as on \"hello\": JSON of Whisper, WhisperX "
                               "or Gentle, SRT, VTT, or 'hello 0.40 0.85' line by line. Files: EMO2 Load Transcript."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, text: str | None = None, transcript: str | None = None) -> bool | str:
        """What can be told before anything runs; what comes over a wire is None here, and read when it is there."""
        try:
            words = parse_transcript(transcript) if transcript and transcript.strip() else None
            if text is not None:
                parse_script(text, transcript=words, where="text")
        except EMO2Error as error:
            if transcript is not None or not error.expected.startswith(NO_TRANSCRIPT):
                return str(error)
        return True

    def read(
        self, text: str, seconds: float, width: int, audio: dict[str, Any] | None = None, transcript: str = ""
    ) -> tuple[Script, torch.Tensor, str]:
        words = parse_transcript(transcript) if transcript and transcript.strip() else None
        heard = float(duration_of(audio)) if audio is not None else None
        script = parse_script(text, transcript=words, duration=heard or seconds or None, where="text")
        wave = None if audio is None else prepare_waveform(audio, on_block=host.check_cancelled)
        return script, image_of(timeline_picture(script, width, wave)), format_script(script)


@node("EMO2LoadTranscript", "EMO2 Load Transcript", "EMO2/audio")
class LoadTranscript:
    DESCRIPTION = (
        "Loads the words of a voice with their times, for a director's script: JSON of Whisper, WhisperX or Gentle, "
        "SRT or VTT subtitles, or lines of words."
    )
    RETURN_TYPES = ("STRING", "STRING")
    RETURN_NAMES = ("transcript", "words")
    OUTPUT_TOOLTIPS = ("The file's text, for EMO2 Direct Script.", "What was read: one word a line with its times.")
    FUNCTION = "load"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        tip = "A file (.json, .srt, .vtt, .txt, .tsv) in ComfyUI's input folder, or in its output folder."
        patterns = [f"{folder}*{suffix}" for folder in ("", "*/") for suffix in TRANSCRIPTS]
        return {"required": {"transcript_file": (listed(Path.is_file, *patterns), {"tooltip": tip})}}

    @classmethod
    def VALIDATE_INPUTS(cls, transcript_file: str | None = None) -> bool | str:
        try:
            if transcript_file is not None:
                _transcript_path(transcript_file)
        except EMO2Error as error:
            return str(error)
        return True

    @classmethod
    def IS_CHANGED(cls, transcript_file: str | None = None) -> str:
        try:
            return fingerprint(_transcript_path(transcript_file)) if transcript_file is not None else ""
        except (EMO2Error, OSError):
            return ""

    def load(self, transcript_file: str) -> tuple[str, str]:
        data = _transcript_path(transcript_file).read_bytes()
        for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252"):
            try:
                text = data.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
        else:
            raise EMO2Error("transcript_file", "a text in UTF-8", "other bytes", "Save it as UTF-8.")
        words = parse_transcript(text).words
        return text, "\n".join(f"{word.text} {word.start:.3f} {word.end:.3f}" for word in words)


def _transcript_path(name: str) -> Path:
    if not host.inside() and host.outside.find and (found := host.outside.find(name)):
        path = found
    else:
        path = named(name, "transcript_file")
    if path.suffix.lower() not in TRANSCRIPTS or not path.is_file():
        wanted = f"a file ({', '.join(TRANSCRIPTS)}) in ComfyUI's input or output folder"
        raise EMO2Error("transcript_file", wanted, repr(name), "Put it there, or choose another one.")
    if path.stat().st_size > LARGEST:
        given = f"{path.stat().st_size / 2**20:.0f} MB"
        raise EMO2Error("transcript_file", f"at most {LARGEST / 2**20:g} MB", given, "Is it the right file?")
    return path


@node("EMO2InsertMotion", "EMO2 Insert Motion", "EMO2/motion")
class InsertMotion(Timed):
    DESCRIPTION = (
        "Sets a motion into another at the times of a director's script, or over one stretch, with soft edges: a "
        "recorded gesture into a generated speech, or a directed motion into one that the voice alone made."
    )
    FUNCTION = "set_in"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motion": MOTION,
                "inserted": ("EMO2_MOTION", {"tooltip": "The motion to set in; it is brought to the other one's frame "
                                                        "rate and framing."}),
                "timing": (list(TIMINGS), {"default": TIMINGS[0],
                    "tooltip": "in time: both motions belong to one sound, second 5 replaces second 5. from its "
                               "beginning: the inserted motion starts anew at each line, or at start_second."}),
                "hands": hands("Whose hands change."),
                "body": ("BOOLEAN", {"default": True,
                    "tooltip": "On: trunk, head and face change too. Off: the hands only; the arms follow them."}),
                "start_second": ("FLOAT", {**SECOND, "tooltip": "Where it comes in, without a script."}),
                "end_second": ("FLOAT", {**SECOND, "tooltip": "Where it is gone again, without a script; 0: at the end "
                                                              "of the inserted motion."}),
                "blend_in": blend(0.3, "Seconds over which it comes in, without a script."),
                "blend_out": blend(0.3, "Seconds over which it goes out, without a script."),
            },
            "optional": {
                "script": ("EMO2_SCRIPT", {"tooltip": "From EMO2 Direct Script: its lines say where the other "
                    "motion stands, how strongly, and how it comes and goes, and the numbers above do not count."}),
            },
        }  # fmt: skip

    def set_in(
        self, motion: Motion, inserted: Motion, timing: str, hands: str, body: bool, start_second: float,
        end_second: float, blend_in: float, blend_out: float, script: Script | None = None,
    ) -> tuple[Motion, float, int]:  # fmt: skip
        if script is not None:
            made = splice_by_script(motion, inserted, script, hands, body, timing)
        else:
            made = insert(motion, inserted, start_second, end_second, blend_in, blend_out, hands, body, timing)
        warning = outside_warning(made)
        if warning:
            host.warn(warning)
        return told(made)
