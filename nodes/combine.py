"""Who leads what in a video: the voice's motion and a video's as one."""

from __future__ import annotations

from typing import Any

from ..models.errors import EMO2Error
from ..models.motion.combine import CHECKED, FACE_LEADERS, LEADERS, combine, shares
from ..models.pose.portrait import outside_warning
from ..models.types import Motion
from . import host
from .registry import node


@node("EMO2CombineMotion", "EMO2 Combine Motion", "EMO2/motion")
class CombineMotion:
    DESCRIPTION = (
        "Makes one motion of the voice's and a video's: says for hands, body, head and lips who leads them, and when. "
        "What nobody leads is left to the video model and the voice."
    )
    RETURN_TYPES = ("EMO2_MOTION", "FLOAT", "INT")
    RETURN_NAMES = ("motion", "fps", "frame_count")
    OUTPUT_TOOLTIPS = (
        "The motion, for EMO2 Sample Video, EMO2 Stream Video, or the maps of other models.",
        "Its frames a second.",
        "How many frames it has.",
    )
    FUNCTION = "combine"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        who = lambda what, default, leaders=LEADERS: (list(leaders), {"default": default, "tooltip": what})
        return {
            "required": {
                "hands": who("Whose hands: the video's, the voice's (stage 1), or free: the model moves them as it "
                             "likes.", "voice"),
                "body": who("Whose trunk, arms and legs. Arms always reach the hands, whoever leads those.", "video"),
                "head": who("video: the head moves as in the video. free: the voice and the model move it.", "video",
                            FACE_LEADERS),
                "lips": who("free: the voice moves the mouth. video: the mouth is the video's; then also set lips of "
                            "the sampler to motion where a voice is connected.", "free", FACE_LEADERS),
                "share": ("STRING", {"default": "", "multiline": True,
                    "tooltip": "When the video leads: second:value pairs from 0 (the voice) to 1 (the video), such as "
                               "'0:1, 4:1, 4.5:0'. Empty: it leads all the time."}),
            },
            "optional": {
                "voice_motion": ("EMO2_MOTION", {"tooltip": "From EMO2 Sample Hand Motion or EMO2 Gesture Library. It "
                    "sets frame rate, length and framing."}),
                "video_motion": ("EMO2_MOTION", {"tooltip": "From EMO2 Extract Pose, EMO2 Load Keypoints or EMO2 Pose "
                    "Keypoint to Motion; another framing is moved to the voice's (EMO2 Retarget Motion does it by "
                    "bone lengths)."}),
            },
        }  # fmt: skip

    @classmethod
    def VALIDATE_INPUTS(cls, share: str | None = None) -> bool | str:
        try:
            shares(share or "", *CHECKED)
        except EMO2Error as error:
            return str(error)
        return True

    def combine(
        self, hands: str, body: str, head: str, lips: str, share: str, voice_motion: Motion | None = None,
        video_motion: Motion | None = None,
    ) -> tuple[Motion, float, int]:  # fmt: skip
        motion = combine(voice_motion, video_motion, hands, body, head, lips, share)
        warning = outside_warning(motion)
        if warning:
            host.warn(warning)
        return motion, motion.fps, len(motion)
