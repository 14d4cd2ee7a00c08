"""The director's stage 1: a text says what the hands do, the voice when (VersaAnimator, arXiv 2503.08714)."""

DEFAULT_TEXT = "A person is giving a speech."
"""What is said where nobody says anything, in training and in scripts."""

__all__ = ["DEFAULT_TEXT"]
