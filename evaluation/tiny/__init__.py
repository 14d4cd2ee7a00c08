"""The tiny profile, the shipped weights, measured on held-out puppets: what `emo2 evaluate --profile tiny` does."""
