"""What a puppet looks like: a person and a scene, drawn from a seed. Colours are RGB 0..255, lengths in metres.

Train and held-out puppets come from different seeds of one distribution: no held-out person is ever seen in training.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from ...models.errors import EMO2Error

Colour = tuple[int, int, int]
SPLITS = ("train", "held-out")
HAIR_STYLES = ("bald", "short", "crop", "bob", "long", "bun", "curly", "cap")
SLEEVES = ("long", "long", "half", "none")
PATTERNS = ("plain", "plain", "stripes", "bands", "badge", "panel")
NECKLINES = ("round", "v", "collar", "scarf")
ITEMS = ("window", "frame", "lamp", "shelf", "plant", "band")

_SKINS = (
    (255, 219, 190),
    (241, 194, 150),
    (224, 172, 120),
    (198, 134, 90),
    (160, 104, 66),
    (116, 74, 48),
    (84, 54, 38),
)
_HAIRS = ((32, 26, 24), (70, 44, 28), (120, 76, 40), (190, 140, 70), (226, 190, 120), (160, 60, 34), (150, 150, 156),
          (210, 206, 200), (60, 80, 150), (150, 60, 120))  # fmt: skip


@dataclass(frozen=True)
class Person:
    """One character. head (width, height) radii of the skull in metres; build: width of the trunk, 1 ordinary."""

    skin: Colour
    hair: Colour
    hair_style: str
    head: tuple[float, float]
    build: float
    top: Colour
    second: Colour
    pattern: str
    neckline: str
    sleeve: str
    trousers: Colour
    iris: Colour
    lips: Colour
    brow: float
    eye: float
    glasses: bool
    beard: bool


@dataclass(frozen=True)
class Item:
    """A thing on the wall: kind, centre and half size relative to the picture, two colours."""

    kind: str
    place: tuple[float, float]
    size: tuple[float, float]
    colours: tuple[Colour, Colour]


@dataclass(frozen=True)
class Scene:
    """What is behind: a gradient from `above` to `below`, a floor line (relative height, above 1: none), and items."""

    above: Colour
    below: Colour
    floor: float
    ground: Colour
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Identity:
    """A person before a scene; `seed` and `split` name it."""

    person: Person
    scene: Scene
    seed: int
    split: str

    @classmethod
    def draw(cls, seed: int, split: str = "train") -> Identity:
        """The puppet with that number, always the same one."""
        rng = split_rng(seed, split, 1)
        return cls(_person(rng), _scene(rng), seed, split)


def split_rng(seed: int, split: str, purpose: int) -> np.random.Generator:
    """Random numbers of puppet `seed` in a split, one stream for each `purpose`."""
    if split not in SPLITS:
        raise EMO2Error("split", " or ".join(SPLITS), repr(split), "Choose one of them.")
    return np.random.default_rng([SPLITS.index(split), purpose, seed])


def _tint(rng: np.random.Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Colour:
    rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))
    return _colour(np.array(rgb) * 255)


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (int(v) for v in np.clip(np.rint(values), 0, 255))
    return red, green, blue


def _between(rng: np.random.Generator, palette: tuple[Colour, ...], jitter: float) -> Colour:
    """Somewhere between two neighbours of a palette, so that no two people share a tone."""
    place = rng.uniform(0, len(palette) - 1)
    low = int(place)
    mixed = np.array(palette[low]) * (1 - (place - low)) + np.array(palette[min(low + 1, len(palette) - 1)]) * (
        place - low
    )
    return _colour(mixed + rng.normal(0, jitter, 3))


def _person(rng: np.random.Generator) -> Person:
    skin = _between(rng, _SKINS, 4)
    top = _tint(rng, (0.25, 0.9), (0.35, 0.95))
    return Person(
        skin=skin,
        hair=_colour(np.array(_HAIRS[rng.integers(len(_HAIRS))]) + rng.normal(0, 10, 3)),
        hair_style=HAIR_STYLES[rng.integers(len(HAIR_STYLES))],
        head=(rng.uniform(0.105, 0.13), rng.uniform(0.132, 0.155)),
        build=rng.uniform(0.88, 1.2),
        top=top,
        second=_tint(rng, (0.2, 0.9), (0.3, 1.0)),
        pattern=PATTERNS[rng.integers(len(PATTERNS))],
        neckline=NECKLINES[rng.integers(len(NECKLINES))],
        sleeve=SLEEVES[rng.integers(len(SLEEVES))],
        trousers=_tint(rng, (0.1, 0.6), (0.2, 0.7)),
        iris=_tint(rng, (0.3, 0.8), (0.2, 0.6)),
        lips=_colour(np.array(skin) * 0.72 + np.array((70, 10, 20)) * rng.uniform(0.5, 1.2)),
        brow=rng.uniform(0.6, 1.6),
        eye=rng.uniform(0.85, 1.2),
        glasses=bool(rng.random() < 0.2),
        beard=bool(rng.random() < 0.18),
    )


def _scene(rng: np.random.Generator) -> Scene:
    above = _tint(rng, (0.05, 0.45), (0.45, 0.98))
    below = _colour(np.array(above) * rng.uniform(0.7, 1.1) + rng.normal(0, 14, 3))
    items = []
    for _ in range(rng.integers(0, 3)):
        side = rng.choice([-1, 1])
        place = (0.5 + side * rng.uniform(0.28, 0.48), rng.uniform(0.1, 0.6))
        size = (rng.uniform(0.06, 0.16), rng.uniform(0.06, 0.18))
        colours = (_tint(rng, (0.1, 0.6), (0.35, 0.95)), _tint(rng, (0.1, 0.7), (0.3, 0.95)))
        items.append(Item(ITEMS[rng.integers(len(ITEMS))], place, size, colours))
    floor = rng.uniform(0.72, 0.95) if rng.random() < 0.5 else 1.5
    return Scene(above, below, floor, _tint(rng, (0.1, 0.5), (0.3, 0.8)), tuple(items))
