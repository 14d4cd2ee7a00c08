"""What the video model is shown of a motion: MANO maps, keypoint maps and OpenPose drawings, clip by clip."""

from .body import project_body
from .keypoints import keypoint_maps
from .mano import mano_maps
from .openpose import openpose_maps

__all__ = ["keypoint_maps", "mano_maps", "openpose_maps", "project_body"]
