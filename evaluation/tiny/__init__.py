"""The tiny profile, the shipped weights, measured on held-out puppets: what `emo2 evaluate --profile tiny` does."""

PARTS = (
    "vae", "video", "mouth", "motion", "continuity", "drift", "speech", "generation", "modes", "framings", "faces",
    "directed", "ablations",
)  # fmt: skip
"""The parts of an evaluation; a figure's key begins with its part."""
