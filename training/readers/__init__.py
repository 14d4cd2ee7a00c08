"""Real recordings of people who speak and move, as the puppets come: sound at 16 kHz and a `Motion` with its style.

BEAT2 (`beat2`) and SHOW (`show`) come as SMPL-X. Their fingers are counted from MANO's mean hand, ours from the flat
one, so the user's own MANO or SMPL-X files are needed; without SMPL-X an approximate skeleton places the wrists.
"""

from .beat2 import read_beat2
from .recording import Recording
from .show import read_show

__all__ = ["Recording", "read_beat2", "read_show"]
