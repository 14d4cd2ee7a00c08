"""Stage 2: the video network, its conditions, samplers and decoding (EMO2 section 3.4)."""
