"""Directed performance: text says what the hands do, the voice says when (VersaAnimator, arXiv 2503.08714)."""
