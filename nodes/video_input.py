"""A VIDEO on a wire, whoever made it: its pictures to be read block by block, and its sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..models.errors import EMO2Error
from ..models.video.read_frames import Frames, PictureFrames, VideoFrames
from ..models.video.read_sound import cut_sound, read_sound, silence


@dataclass(frozen=True)
class Footage:
    """Pictures, and where their sound is: a file (`source`, from `skipped` seconds on), or an AUDIO, or nowhere."""

    frames: Frames
    source: Any = None
    skipped: float = 0.0
    audio: dict[str, Any] | None = None

    def sound(self, start: float, stop: float) -> dict[str, Any]:
        """The sound from `start` to `stop` seconds after the first picture, silence where there is none."""
        heard = None
        if self.source is not None:
            heard = read_sound(self.source, self.skipped + start, self.skipped + stop)
        elif self.audio is not None:
            heard = cut_sound(self.audio, start, stop)
        return silence(stop - start) if heard is None else heard


def footage(video: Any, where: str = "video") -> Footage:
    """What a VIDEO holds. One that lies in a file is not loaded; one that was trimmed begins at its own zero."""
    if not hasattr(video, "get_components"):
        raise EMO2Error(where, "a video", type(video).__name__, "Connect Load Video.")
    if in_file(video):
        skipped, kept = video.get_active_trim_window() if hasattr(video, "get_active_trim_window") else (0.0, 0.0)
        source = video.get_stream_source()
        return Footage(VideoFrames(source, (skipped, kept), where), source, skipped)
    parts = video.get_components()
    return Footage(PictureFrames(parts.images, parts.frame_rate, where), audio=parts.audio)


def in_file(video: Any) -> bool:
    """Whether a video's stream is a file as it is. ComfyUI's VIDEO that is made of pictures has a stream too, which
    encodes them first; that method stands in the abstract class, where nobody has said how to get the pictures.
    """
    owner = next((cls for cls in type(video).__mro__ if "get_stream_source" in vars(cls)), None)
    return owner is not None and not getattr(getattr(owner, "get_components", None), "__isabstractmethod__", False)
