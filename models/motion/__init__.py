"""Stage 1: from voice to hand motion, and the tools that work on motion."""

from .conditions import Conditions
from .config import STYLES, MotionConfig
from .sampler import SMOOTHING, sample_motion
from .schedule import SCHEDULERS
from .transformer import MotionTransformer, build, write_tiny

__all__ = [
    "SCHEDULERS", "SMOOTHING", "STYLES", "Conditions", "MotionConfig", "MotionTransformer", "build", "sample_motion",
    "write_tiny",
]  # fmt: skip
