"""What a video model is shown of a motion, clip by clip: MANO maps, keypoint maps, the drawings of others."""

from .body import project_body
from .echomimic import echomimic_maps
from .keypoints import keypoint_maps
from .mano import mano_maps
from .openpose import openpose_maps

__all__ = ["echomimic_maps", "keypoint_maps", "mano_maps", "openpose_maps", "project_body"]
