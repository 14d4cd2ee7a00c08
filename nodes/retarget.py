"""A motion for another body."""

from __future__ import annotations

from typing import Any

from ..models.errors import EMO2Error
from ..models.motion.retarget import Bodies, bodies, retarget
from ..models.pose.keypoint_motion import framing_of
from ..models.pose.portrait import outside_warning
from ..models.pose.pose_keypoint import points_of
from ..models.pose.proportions import Proportions, build_of, measure
from ..models.types import Framing, Motion
from . import host
from .motion_edit import MOTION
from .registry import node

LENGTHS = ("upper_arm", "forearm", "shoulders", "nose", "head", "torso")


@node("EMO2RetargetMotion", "EMO2 Retarget Motion", "EMO2/motion")
class RetargetMotion:
    DESCRIPTION = (
        "Gives a motion to another body by its bone lengths: arms reach as far in proportion, hands at the face, the "
        "hips or each other stay there, and a tall driver does not stretch a small reference."
    )
    RETURN_TYPES = ("EMO2_MOTION", "STRING")
    RETURN_NAMES = ("motion", "report")
    OUTPUT_TOOLTIPS = (
        "The motion for the other body, frame for frame.",
        "Both bodies' lengths as measured, in centimetres for shoulders 38 cm wide.",
    )
    FUNCTION = "retarget"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "motion": MOTION,
                "contacts": ("BOOLEAN", {"default": True,
                    "tooltip": "Hands at the face and at the hips stay at the face and the hips of the other body."}),
                "hands_together": ("BOOLEAN", {"default": True,
                    "tooltip": "Hands that touch or nearly do keep their distance, measured in hands."}),
                "keep_in_picture": ("BOOLEAN", {"default": False,
                    "tooltip": "Draw hands in from the picture's edges. The room near an edge is pressed together, the "
                               "same way in every frame, so that nothing stops at the edge."}),
                "margin": ("FLOAT", {"default": 0.02, "min": 0.0, "max": 0.3, "step": 0.01, "round": 0.001,
                    "tooltip": "How far from the edges hands are kept then, as a share of the picture's width."}),
            },
            "optional": {
                "framing": ("EMO2_FRAMING", {"tooltip": "Where the person of your picture is. Without it, as in the "
                                                        "reference's points, or where the motion is."}),
                "reference_pose": ("POSE_KEYPOINT", {"tooltip": "The points of the person in your picture, from any "
                    "pose detector: bone lengths are measured on them. Without any, arms of average length."}),
                "reference_motion": ("EMO2_MOTION", {"tooltip": "The same as a motion (one frame is enough); it counts "
                                                                "if both are connected."}),
            },
        }  # fmt: skip

    def retarget(
        self, motion: Motion, contacts: bool, hands_together: bool, keep_in_picture: bool, margin: float,
        framing: Framing | None = None, reference_pose: Any = None, reference_motion: Motion | None = None,
    ) -> tuple[Motion, str]:  # fmt: skip
        target, place = reference(reference_pose, reference_motion, framing)
        framing = framing or place or motion.framing
        if target is None and framing == motion.framing:
            # Nobody else is there: it stays the motion's own body.
            target = bodies(motion).source
        two = bodies(motion, target)
        moved = retarget(motion, framing, target, None, contacts, hands_together, keep_in_picture, margin)
        warning = outside_warning(moved)
        if warning and not outside_warning(motion):
            host.warn(warning)
        return moved, told(two)


def reference(
    pose: Any, motion: Motion | None, given: Framing | None = None
) -> tuple[Proportions | None, Framing | None]:
    """(build, framing) that the reference's points show, (None, None) without any.

    given: the framing to measure a pose in, for points that show no shoulders; None: their own.
    """
    if motion is not None:
        return build_of(motion), motion.framing
    if pose is None:
        return None, None
    try:
        found, size = points_of(pose, given)
        framing = given or framing_of(found.body, found.body_scores, size)
    except EMO2Error as error:
        raise error.at(input="reference_pose") from error
    return measure(found.body, found.body_scores, framing), framing


def told(two: Bodies) -> str:
    """A line for each length: the driver's, the reference's."""
    number = lambda value: f"{100 * value:.1f} cm" if value > 0 else "unknown"
    lines = [
        f"{name.replace('_', ' ')}: {number(getattr(two.source, name))} -> {number(getattr(two.target, name))}"
        for name in LENGTHS
    ]
    return "\n".join(["driver -> reference, for shoulders 38 cm wide", *lines])
