"""What the video model is shown of a motion: MANO maps, keypoint maps and OpenPose drawings, clip by clip."""

from .mano import mano_maps

__all__ = ["mano_maps"]
