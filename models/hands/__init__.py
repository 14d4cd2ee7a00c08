"""MANO-format hands: reading, posing, quaternions, named directions and finger poses."""

from .files import load_hands
from .layer import FINGER_JOINTS, OPENPOSE, PARENTS, Hand, HandModel
from .poses import finger_pose

__all__ = ["FINGER_JOINTS", "OPENPOSE", "PARENTS", "Hand", "HandModel", "finger_pose", "load_hands"]
