"""What the director's networks learn from: whole bodies with what is said about them and, where there is one, a sound.

A source gives `count` and `clip(index)`, the same clip for the same index; puppets' clips are made when asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..models.body import WholeBody
from ..models.direction.config import DEFAULT_TEXT
from ..models.errors import EMO2Error
from .described import Described

PUPPETS = 1 << 20
"""Clips of a source of puppets: as many as there are numbers that a run may ask for."""


@dataclass(frozen=True)
class BodyClip:
    """body: F frames. texts: what is said about parts of it, which may overlap. waveform (T,) float32, mono, 16 kHz,
    as long as the body, or None. name: for messages."""

    body: WholeBody
    texts: tuple[Described, ...]
    waveform: np.ndarray | None
    name: str


class Source(Protocol):
    """Clips by number."""

    count: int

    def clip(self, index: int) -> BodyClip: ...


def action_clip(seed: int, split: str, seconds: float | None = None, brief: float = 0.1) -> BodyClip:
    """Puppet `seed` of "train" or "held-out" says something and does one or two things meanwhile, told in `texts`.

    The texts follow each other: plain speech, an action, plain speech ... brief: share of the training actions that are
    told without place and count.
    """
    from .puppets.directed import descriptions, direct
    from .puppets.identity import split_rng
    from .puppets.world import draw_framing

    performance = direct(seed, split, draw_framing(seed, split, "full"), seconds=seconds)
    rng = split_rng(seed, split, 11)
    texts = descriptions(performance, split, rng, brief if split == "train" else 0.0)
    return BodyClip(puppet_body(performance), tuple(texts), performance.waveform, f"{split} puppet {seed}")


def speech_clip(seed: int, split: str, seconds: float | None = None) -> BodyClip:
    """Puppet `seed` says something and does nothing in particular; its text is the default's."""
    from .puppets.legs import on_its_feet
    from .puppets.performance import perform
    from .puppets.world import draw_framing

    framing = draw_framing(seed, split, "full")
    performance = on_its_feet(perform(seed, split, framing, seconds=seconds, style="speaking"))
    body = puppet_body(performance)
    texts = (Described(DEFAULT_TEXT, 0.0, body.duration),)
    return BodyClip(body, texts, performance.waveform, f"{split} puppet {seed}")


def puppet_body(performance: Any) -> WholeBody:
    """The whole body of a puppet's `Performance`: its motion, head, and legs that stand on its feet."""
    from .puppets.legs import leg_turns

    motion, feet = performance.motion, performance.feet
    legs = leg_turns(motion, feet) if feet is not None else None
    # What a detector would miss is known of a puppet all the same.
    motion = motion.replace(visible=np.ones_like(motion.visible))
    return WholeBody.from_motion(motion, head=performance.head, legs=legs)


@dataclass(frozen=True)
class Puppets:
    """Clips of puppets seed, seed + 1 ... speech: share of the clips in which nothing is asked for. seconds: of a clip;
    None: from 4 (speech) or 6 (actions) to 15."""

    split: str = "train"
    count: int = PUPPETS
    seed: int = 0
    speech: float = 0.2
    seconds: float | None = None

    def clip(self, index: int) -> BodyClip:
        number = self.seed + index % self.count
        plain = np.random.default_rng([number, 12]).random() < self.speech
        if plain:
            return speech_clip(number, self.split, self.seconds)
        return action_clip(number, self.split, self.seconds)


class Listed:
    """Clips of a data set: each is read when it is asked for."""

    def __init__(self, names: Sequence[str], read: Callable[[str], BodyClip]):
        self.names, self.read, self.count = list(names), read, len(names)

    def clip(self, index: int) -> BodyClip:
        return self.read(self.names[index % self.count])


def humanml3d(folder: Path | str, split: str = "train", fps: float = 25.0) -> Listed:
    """A HumanML3D-style folder: texts, no hands, no sound."""
    from .readers.humanml3d import read_captions, read_motion, read_names

    def read(name: str) -> BodyClip:
        body = read_motion(folder, name, fps)
        return BodyClip(body, read_captions(folder, name, body.duration), None, name)

    return Listed(read_names(folder, split), read)


def beat2(folder: Path | str, fps: float = 25.0, **options: Any) -> Listed:
    """BEAT2's recordings: sound, hands, the default text. options: `body`, `hands`, `fingers` of the reader."""
    from .readers.beat2 import find_recordings, read_whole

    def read(path: str) -> BodyClip:
        waveform, body = read_whole(Path(path), fps=fps, **options)
        return BodyClip(body, (Described(DEFAULT_TEXT, 0.0, body.duration),), waveform, Path(path).stem)

    return Listed([str(path) for path in find_recordings(Path(folder))], read)


KINDS: dict[str, tuple[str, ...]] = {
    "puppets": ("split", "count", "seed", "speech", "seconds"),
    "humanml3d": ("folder", "split"),
    "beat2": ("folder", "body", "hands", "fingers"),
}
"""Kinds of sources, and what each may be told."""


def open_source(entry: Mapping[str, Any]) -> Source:
    """The source that one entry of a config's `data` list names: {kind: puppets | humanml3d | beat2, ...} with what
    `KINDS` lists. EMO2Error for other kinds and keys, and for folders without data."""
    kind = entry.get("kind")
    where = "config recipe.data"
    if kind not in KINDS:
        raise EMO2Error(where, f"a kind of {', '.join(KINDS)}", repr(kind), "Choose one of them.")
    if extra := sorted(set(entry) - {"kind", "weight", *KINDS[kind]}):
        raise EMO2Error(where, f"keys kind, weight, {', '.join(KINDS[kind])}", ", ".join(extra), "Remove them.")
    options = {key: entry[key] for key in KINDS[kind] if key in entry}
    if "folder" in KINDS[kind] and not options.get("folder"):
        raise EMO2Error(where, f"the folder of {kind}", repr(dict(entry)), "Name it.")
    if kind == "puppets":
        return _puppets(options)
    folder = options.pop("folder")
    return humanml3d(folder, **options) if kind == "humanml3d" else beat2(folder, **options)


def _puppets(options: dict[str, Any]) -> Puppets:
    from .puppets.voices import check_split

    source = Puppets(**options)
    check_split(source.split)
    for name, least, most in (("count", 1, PUPPETS), ("seed", 0, 1 << 31), ("speech", 0, 1)):
        value = getattr(source, name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            given = repr(value)
            raise EMO2Error(f"config recipe.data {name}", f"a number from {least} to {most}", given, "Correct it.")
    return source
