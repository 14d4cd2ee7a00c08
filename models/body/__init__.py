"""Whole bodies: skeleton, motion of all joints, its vector, and the tokens that it is told in (VersaAnimator)."""

from .skeleton import BODY_JOINTS, JOINTS, PARENTS, forward
from .whole_body import WholeBody

__all__ = ["BODY_JOINTS", "JOINTS", "PARENTS", "WholeBody", "forward"]
