"""Who speaks: espeak-ng voices in two lists that never meet, and the pitch, liveliness and speed of a take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.errors import EMO2Error

SPLITS = ("train", "held-out")

VARIANTS = {
    "train": (
        "m1", "m2", "m3", "m4", "m6", "m8", "f1", "f2", "f4", "f5", "klatt", "klatt4", "adam", "Annie", "Andy",
        "linda", "max", "Gene2", "steph", "david", "edward", "belinda", "paul", "travis", "victor", "Alicia",
    ),
    "held-out": ("m5", "m7", "f3", "klatt2", "anika", "benjamin", "steph2", "Gene", "Marco", "zac"),
}  # fmt: skip
"""Who speaks: espeak's voice variants, which set formants, breath and timbre."""

ACCENTS = {
    "train": {"en-us": 5, "en-gb-x-rp": 3, "en-gb-scotland": 2, "en-us-nyc": 1, "de": 1, "es": 1, "fr": 1, "it": 1},
    "held-out": {"en-us": 5, "en-029": 2, "en-gb-x-gbclan": 2, "en-gb-x-gbcwmd": 2, "de": 1, "es": 1, "fr": 1, "it": 1},
}
"""How they speak: base voices and how often each comes. Languages other than English have sentences of their own."""


@dataclass(frozen=True)
class Voice:
    """An espeak voice with its settings: words a minute, pitch and pitch range 0..99, and the speaker's size: the sound
    is played that much slower (and lower), which makes many throats out of one voice."""

    name: str
    rate: int
    pitch: int
    pitch_range: int
    size: float = 1.0

    @property
    def language(self) -> str:
        return self.name.split("-")[0].split("+")[0]


def check_split(split: str) -> str:
    """`split` itself; EMO2Error when it is not one of SPLITS."""
    if split not in SPLITS:
        raise EMO2Error("split", " or ".join(SPLITS), repr(split), "Give one of these.")
    return split


def draw_voice(rng: np.random.Generator, split: str, slow: float = 1.0) -> Voice:
    """A voice of a split; `slow` scales its speed."""
    accents = ACCENTS[split]
    weights = np.array(list(accents.values()), float)
    base = list(accents)[rng.choice(len(accents), p=weights / weights.sum())]
    variant = VARIANTS[split][rng.integers(len(VARIANTS[split]))]
    rate, size = float(np.clip(rng.normal(160, 20), 115, 210)) * slow, float(rng.uniform(0.9, 1.12))
    pitch, pitch_range = int(rng.integers(22, 80)), int(rng.integers(35, 90))
    return Voice(f"{base}+{variant}", round(rate * size), pitch, pitch_range, size)
