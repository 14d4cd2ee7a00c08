"""What the face does beside speaking, as an artist says it: blinks and emotions over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..models.audio import duration_of, prepare_waveform
from ..models.audio.prosody import loudness
from ..models.audio.timing import frame_count
from ..models.direction.script import Script, parse_script
from ..models.errors import EMO2Error
from ..models.picture import image_of
from ..models.pose.expression import emotions_seen
from ..models.pose.eye_opening import blink_ratio
from ..models.types import Motion
from ..models.video.blinks import PER_MINUTE, natural_blinks, written_blinks
from ..models.video.emotions import emotion_weights
from ..models.video.face_picture import face_picture
from ..models.video.face_track import EMOTIONS, FaceTrack, calm
from . import host
from .registry import node

BLINKS = ("natural", "written", "video", "none")
VIDEO = "as in the video"
"""The emotion that is read from a motion's face."""
CHECKED = (25.0, 250)
"""Frames a second, and frames, at which a written track is looked at before anything runs."""
FPS = ("FLOAT", {"default": 25.0, "min": 1.0, "max": 240.0, "step": 1.0, "round": 0.001,
    "tooltip": "Frames a second of the track; models take it at their own rate."})  # fmt: skip
SECONDS = ("FLOAT", {"default": 10.0, "min": 0.1, "max": 86400.0, "step": 0.1, "round": 0.001,
    "tooltip": "How long the track is where neither audio nor motion nor face says so."})  # fmt: skip
AUDIO = ("AUDIO", {"tooltip": "The voice: its length."})
OUTPUTS = (
    "The track, for the face input of the video nodes.",
    "The track as curves over time, for Preview Image.",
    "Its frames a second.",
    "How many frames it has.",
)


def base_track(
    face: FaceTrack | None, motion: Motion | None, audio: dict[str, Any] | None, fps: float, seconds: float
) -> FaceTrack:
    """What is to be changed: the track that came in, or a calm one as long as the motion, the sound or the seconds."""
    if motion is not None:
        fps, count = motion.fps, len(motion)
    elif audio is not None:
        count = frame_count(duration_of(audio), fps)
    elif face is not None:
        return face
    else:
        count = frame_count(seconds, fps)
    return calm(count, fps) if face is None else face.resampled(fps, count)


class Track:
    """What both nodes give."""

    RETURN_TYPES = ("EMO2_FACE", "IMAGE", "FLOAT", "INT")
    RETURN_NAMES = ("face", "image", "fps", "frame_count")
    OUTPUT_TOOLTIPS = OUTPUTS
    FUNCTION = "make"

    @staticmethod
    def told(track: FaceTrack) -> tuple[FaceTrack, torch.Tensor, float, int]:
        return track, image_of(face_picture(track)), track.fps, len(track)


@node("EMO2BlinkTrack", "EMO2 Blink Track", "EMO2/video")
class BlinkTrack(Track):
    DESCRIPTION = (
        "Says when the eyes blink: at natural, irregular intervals that favour pauses of the voice, at moments that "
        "you write, along a curve that you draw, or as a person in a video does."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "blinks": (list(BLINKS), {"default": "natural",
                    "tooltip": "natural: at random, as people do. written: as the text below says. video: as in the "
                               "motion of EMO2 Extract Pose. none: the eyes stay open."}),
                "per_minute": ("FLOAT", {"default": PER_MINUTE, "min": 0.0, "max": 120.0, "step": 1.0, "round": 0.001,
                    "tooltip": "How often natural blinks come on the average: 26 in conversation, 17 at rest."}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 0xFFFFFFFFFFFFFFFF, "control_after_generate": True,
                    "tooltip": "Another seed, other moments of natural blinks."}),
                "written": ("STRING", {"default": "1.2, 3.4", "multiline": True,
                    "tooltip": "Moments in seconds at which the eyes blink: '1.2, 3.4'. Or a curve of second:closure "
                               "pairs, 0 open, 1 closed: '0:0, 2:0, 2.5:1, 4:1, 4.3:0'."}),
                "fps": FPS,
                "seconds": SECONDS,
            },
            "optional": {
                "audio": ("AUDIO", {"tooltip": "The voice: its length, and its pauses, in which natural blinks fall."}),
                "motion": ("EMO2_MOTION", {"tooltip": "Its length and frame rate; for video, the one of EMO2 Extract "
                                                      "Pose with the eyes in it."}),
                "face": ("EMO2_FACE", {"tooltip": "A track whose emotions are kept, from EMO2 Emotion Track."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, blinks: str | None = None, written: str | None = None) -> bool | str:
        try:
            _check_blinks(blinks)
            if blinks == "written" and written is not None:
                written_blinks(written, CHECKED[1], CHECKED[0])
        except EMO2Error as error:
            return str(error)
        return True

    def make(
        self, blinks: str, per_minute: float, seed: int, written: str, fps: float, seconds: float,
        audio: dict[str, Any] | None = None, motion: Motion | None = None, face: FaceTrack | None = None,
    ) -> tuple[FaceTrack, torch.Tensor, float, int]:  # fmt: skip
        _check_blinks(blinks)
        track = base_track(face, motion, audio, fps, seconds)
        count = len(track)
        if blinks == "video":
            if motion is None:
                remedy = "Connect the motion of EMO2 Extract Pose, or choose natural."
                raise EMO2Error("motion", "a motion with the eyes of a video", "none", remedy)
            closed = blink_ratio(motion)
        elif blinks == "written":
            closed = written_blinks(written, count, track.fps)
        elif blinks == "natural":
            loud = None if audio is None else _loudness(audio, track.fps, count)
            closed = natural_blinks(count, track.fps, seed, per_minute, loud)
        else:
            closed = np.zeros(count)
        return self.told(track.replace(blink=closed, blink_known=True))


@node("EMO2EmotionTrack", "EMO2 Emotion Track", "EMO2/video")
class EmotionTrack(Track):
    DESCRIPTION = (
        "Says which emotion the face shows: one throughout, or as a person in a video, and others over stretches of "
        "time, written like a director's script: '0:03-0:05 surprised [strength 0.8]'."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "emotion": ([*EMOTIONS, VIDEO], {"default": "neutral",
                    "tooltip": "What the face shows where the text says nothing. as in the video: as in the motion of "
                               "EMO2 Extract Pose."}),
                "strength": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0, "step": 0.05, "round": 0.001,
                    "tooltip": "How strongly: 0 is neutral, 1 the whole emotion."}),
                "text": ("STRING", {"default": "", "multiline": True,
                    "tooltip": "One line a stretch: a time, then one of neutral, happy, sad, angry, surprised, "
                               "fearful, disgusted, contempt, then options: '0:03-0:05 happy [strength 0.7]'."}),
                "fps": FPS,
                "seconds": SECONDS,
            },
            "optional": {
                "audio": AUDIO,
                "motion": ("EMO2_MOTION", {"tooltip": "Its length and frame rate; as in the video: the one of EMO2 "
                                                      "Extract Pose with the face in it."}),
                "face": ("EMO2_FACE", {"tooltip": "A track whose blinks are kept, from EMO2 Blink Track."}),
                "calm": ("EMO2_MOTION", {"tooltip": "As in the video: the same person with a calm face (EMO2 Extract "
                                                    "Pose of a picture). Without it, what the face mostly is like in "
                                                    "the video is taken for calm."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, emotion: str | None = None, text: str | None = None) -> bool | str:
        try:
            base = "neutral" if emotion in (None, VIDEO) else str(emotion)
            emotion_weights(_script(text or "", None), CHECKED[1], CHECKED[0], base, where="text")
        except EMO2Error as error:
            return str(error)
        return True

    def make(
        self, emotion: str, strength: float, text: str, fps: float, seconds: float,
        audio: dict[str, Any] | None = None, motion: Motion | None = None, face: FaceTrack | None = None,
        calm: Motion | None = None,
    ) -> tuple[FaceTrack, torch.Tensor, float, int]:  # fmt: skip
        track = base_track(face, motion, audio, fps, seconds)
        script = _script(text, track.duration)
        base: str | np.ndarray = emotion
        if emotion == VIDEO:
            if motion is None:
                remedy = "Connect the motion of EMO2 Extract Pose, or choose an emotion."
                raise EMO2Error("motion", "a motion with the face of a video", "none", remedy)
            base = emotions_seen(motion, calm)
        shown = emotion_weights(script, len(track), track.fps, base, strength, "text")
        return self.told(track.replace(emotion=shown, emotion_known=True))


def _script(text: str, duration: float | None) -> Script | None:
    return parse_script(text, duration=duration, where="text") if text.strip() else None


def _check_blinks(blinks: str | None) -> None:
    if blinks is not None and blinks not in BLINKS:
        raise EMO2Error("blinks", f"one of {', '.join(BLINKS)}", repr(blinks), "Choose one of them.")


def _loudness(audio: dict[str, Any], fps: float, count: int) -> np.ndarray:
    """Loudness (count,) of the sound at the track's frames; 0 after its end."""
    curve = loudness(prepare_waveform(audio, on_block=host.check_cancelled))
    times = (np.arange(count) + 0.5) / fps
    return np.interp(times, (np.arange(len(curve)) + 0.5) / 50, curve, right=0.0)
