"""What an artist sees: one file per stage, thin. Importing this package registers every node."""

from importlib import import_module

from .registry import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

STAGES = (
    "audio", "sample_motion", "motion_edit", "refocus", "combine", "retarget", "motion_files", "motion_view",
    "gestures", "maps", "framing", "pose_detectors", "pose_extract", "cleaning", "video", "echomimic", "speed",
    "decode", "face_encoder", "direct", "direct_motion", "face_track",
)  # fmt: skip
for _stage in STAGES:
    import_module(f".{_stage}", __name__)

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]
