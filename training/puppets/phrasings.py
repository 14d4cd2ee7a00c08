"""What actions are called: sentences put together from verbs, hands, places and counts, and words for plain speech.

Frames of sentences belong to one split for ever: held-out descriptions say known words in orders never trained on.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np

from ...models.direction.config import DEFAULT_TEXT
from .actions import Action
from .voices import check_split

SPEECH = {
    "train": (
        DEFAULT_TEXT, "A person is talking.", "Someone speaks to the camera.",
        "The speaker is giving a talk.", "A person talks and gestures.", "A speaker explains something.",
        "Someone is speaking with their hands.", "talk", "speak freely", "go on with the speech",
    ),
    "held-out": (
        "The speaker goes on with the talk.", "Someone is giving a speech with gestures.",
        "A person explains something.",
        "keep on talking", "give a speech",
    ),
}  # fmt: skip
"""Descriptions of speech in which nothing particular happens; the first of "train" is the default text."""

FRAMES = {
    "train": (
        "{subject} {does} {hand} {place} {count}.",
        "{subject} {does} {place} {hand} {count}.",
        "{do} {hand} {place} {count}",
        "{do} {count} {place} {hand}",
        "{subject} {does} {count} {hand} {place}.",
        "now {do} {place} {hand} {count}",
        "{subject} is going to {do} {hand} {place} {count}.",
        "{subject} stops and {does} {hand} {place} {count}.",
        "please {do} {hand} {place} {count}",
    ),
    "held-out": (
        "{hand} {subject} {does} {place} {count}.",
        "now {subject} {does} {count} {place} {hand}.",
        "please {do} {count} {hand} {place}",
        "{count} {hand} {do} {place}",
    ),
}
SUBJECTS = {
    "train": ("A person", "Someone", "The speaker", "A man", "A woman", "The person"),
    "held-out": ("A person", "The person", "The speaker"),
}

_HAND = {
    "left": ("with the left hand", "with their left hand", "using the left hand", "left-handed"),
    "right": ("with the right hand", "with their right hand", "using the right hand", "right-handed"),
    "both": ("with both hands", "using both hands", "with two hands"),
    "": ("",),
}
_TIMES = {
    0: ("",), 1: ("once", "one time", "a single time"), 2: ("twice", "two times", "2 times"),
    3: ("three times", "3 times", "thrice"),
}  # fmt: skip
_HIGH, _LOW = ("above the head", "up high", "high in the air"), ("at the side", "down low", "low at the hip")
_OBJECT = {
    "left": ("the left {thing}", "their left {thing}"),
    "right": ("the right {thing}", "their right {thing}"),
    "both": ("both {thing}s", "the two {thing}s"),
}

Verbs = tuple[tuple[str, str], ...]
"""(what to do, what somebody does)"""
VERBS: dict[str, Verbs] = {
    "wave": (("wave", "waves"), ("wave hello", "waves hello"), ("greet by waving", "greets by waving"),
             ("wave to the audience", "waves to the audience")),
    "clap": (("clap", "claps"), ("clap the hands", "claps the hands"), ("applaud", "applauds"),
             ("strike the palms together", "strikes the palms together")),
    "thumbs up": (("give a thumbs up", "gives a thumbs up"), ("show a thumb up", "shows a thumb up"),
                  ("hold up a thumb", "holds up a thumb"), ("do a thumbs up", "does a thumbs up")),
    "open palms": (("open the palms", "opens the palms"), ("spread the arms wide", "spreads the arms wide"),
                   ("hold out open hands", "holds out open hands"), ("open the arms", "opens the arms")),
    "shrug": (("shrug", "shrugs"), ("shrug the shoulders", "shrugs the shoulders"), ("give a shrug", "gives a shrug"),
              ("shrug as if not knowing", "shrugs as if not knowing")),
    "push": (("push away", "pushes away"), ("push something away", "pushes something away"),
             ("push forwards", "pushes forwards"), ("make a stop sign", "makes a stop sign")),
    "salute": (("salute", "salutes"), ("give a salute", "gives a salute"),
               ("do a military salute", "does a military salute"),
               ("salute like a soldier", "salutes like a soldier")),
    "bow": (("bow", "bows"), ("take a bow", "takes a bow"), ("bow to the audience", "bows to the audience"),
            ("bend forwards in a bow", "bends forwards in a bow")),
    "nod": (("nod", "nods"), ("nod the head", "nods the head"), ("say yes with the head", "says yes with the head"),
            ("give a nod", "gives a nod")),
    "shake head": (("shake the head", "shakes the head"), ("say no with the head", "says no with the head"),
                   ("turn the head from side to side", "turns the head from side to side"),
                   ("shake the head for no", "shakes the head for no")),
    "squat": (("squat", "squats"), ("do a squat", "does a squat"), ("bend the knees and squat down",
              "bends the knees and squats down"), ("crouch down", "crouches down")),
    "circle": (("draw a circle", "draws a circle"), ("move in a circle", "moves in a circle"),
               ("make a circle in the air", "makes a circle in the air"), ("circle in the air", "circles in the air")),
}  # fmt: skip
"""Kinds whose hand is said by "with the left hand"; the others have their words in `_words`."""


def _verbs(pairs: Verbs, things: tuple[str, ...]) -> Verbs:
    """Every verb with every thing in its place {}."""
    return tuple((do.format(thing), does.format(thing)) for (do, does), thing in product(pairs, things))


def _thing(side: str, thing: str) -> tuple[str, ...]:
    return tuple(pattern.format(thing=thing) for pattern in _OBJECT[side])


def _words(action: Action) -> tuple[Verbs, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """(verbs, hand, place, count): the words that a description of the action may put together."""
    kind, side, place = action.kind, action.side, action.place
    hand, times = _HAND[side], _TIMES[action.count]
    if kind == "wave":
        return VERBS[kind], hand, _HIGH if place == "high" else _LOW, times
    if kind == "point":
        where = {
            "camera": ("at the camera", "to the camera", "at the viewer"), "up": ("up", "upwards", "at the ceiling"),
            "side": (f"to the {side}", f"to the {side} side", "to the side"),
        }[place]  # fmt: skip
        return (("point", "points"), ("point a finger", "points a finger")), hand, where, ("",)
    if kind == "punch":
        verbs = (
            ("punch", "punches"),
            ("throw a punch", "throws a punch"),
            ("strike with the fist", "strikes with the fist"),
        )
        if place == "high":
            verbs = (*verbs, ("raise a fist", "raises a fist"))
            return verbs, hand, ("into the air", "upwards", "above the head"), times
        return verbs, hand, ("forwards", "to the front", "at the camera"), times
    if kind == "show fingers":
        name = {1: "one finger", 2: "two fingers", 3: "three fingers"}[action.count]
        verbs = (("show {}", "shows {}"), ("hold up {}", "holds up {}"), ("count {}", "counts {}"),
                 ("lift {}", "lifts {}"))  # fmt: skip
        return (
            _verbs(verbs, (name, f"{action.count} {name.split()[1]}")),
            hand,
            ("",),
            ("",),
        )
    if kind == "touch":
        verbs = (("touch {}", "touches {}"), ("put a hand on {}", "puts a hand on {}"))
        if side == "both":
            verbs = (("touch {}", "touches {}"), ("put the hands on {}", "puts the hands on {}"))
        return _verbs(verbs, (f"the {place}", f"their {place}")), hand, ("",), ("",)
    if kind == "raise":
        verbs = (("raise {}", "raises {}"), ("lift {} up", "lifts {} up"), ("hold {} up", "holds {} up"))
        return _verbs(verbs, _thing(side, "hand") + _thing(side, "arm")), ("",), (*_HIGH[:2], ""), ("",)
    if kind == "step":
        verbs = (("step", "steps"), ("take a step", "takes a step"), ("walk a step", "walks a step"))
        return verbs, ("",), (f"to the {side}", f"to the {side} side", f"to their {side}"), ("", "and back")
    if kind == "raise knee":
        verbs = (("raise {}", "raises {}"), ("lift {} up", "lifts {} up"))
        return _verbs(verbs, _thing(side, "knee") + _thing(side, "leg")), ("",), ("",), ("",)
    return VERBS[kind], hand, ("",), times


@lru_cache(maxsize=256)
def phrasings(action: Action, split: str) -> tuple[str, ...]:
    """All descriptions of an action in a split, in a fixed order; none of the other split is among them."""
    held_out = _made(action, "held-out")
    return held_out if check_split(split) == "held-out" else tuple(
        text for text in _made(action, "train") if text not in set(held_out)
    )  # fmt: skip


def _made(action: Action, split: str) -> tuple[str, ...]:
    made: dict[str, None] = {}
    verbs, hands, places, counts = _words(action)
    for frame in FRAMES[split]:
        subjects = SUBJECTS[split] if "{subject}" in frame else ("",)
        for subject, (do, does), hand, place, count in product(subjects, verbs, hands, places, counts):
            text = frame.format(subject=subject, do=do, does=does, hand=hand, place=place, count=count)
            made[_tidy(text)] = None
    return tuple(made)


def _tidy(text: str) -> str:
    """One space between words, none before the full stop; sentences begin with a capital."""
    text = " ".join(text.split()).replace(" .", ".").replace(" up up ", " up ")
    if not text.endswith("."):
        return text
    return text[0].upper() + text[1:].replace(" A ", " a ").replace(" The ", " the ").replace(" Someone ", " someone ")


def describe(action: Action, split: str, rng: np.random.Generator) -> str:
    """One of the action's descriptions of a split, all frames and words being equally likely."""
    choices = phrasings(action, split)
    return choices[int(rng.integers(len(choices)))]


def describe_briefly(action: Action, split: str, rng: np.random.Generator) -> str:
    """A description as a director jots it down: without the place and the count, unless they are all there is to say.

    Several actions may go by it: it is for training, not for telling actions apart.
    """
    counted = action.kind == "show fingers"
    bare = replace(action, count=action.count if counted or not action.count else 1)
    verbs, hands, places, _ = _words(bare)
    needed = action.kind in ("point", "step")
    do, does = verbs[int(rng.integers(len(verbs)))]
    frame = ("{do} {hand} {place}", "{subject} {does} {hand} {place}.")[int(rng.integers(2))]
    pick = lambda words: words[int(rng.integers(len(words)))]
    return _tidy(frame.format(
        subject=pick(SUBJECTS[check_split(split)]), do=do, does=does, hand=pick(hands),
        place=pick(places) if needed else "",
    ))  # fmt: skip


def describe_speech(split: str, rng: np.random.Generator) -> str:
    """One description of plain speech of a split."""
    choices = SPEECH[check_split(split)]
    return choices[int(rng.integers(len(choices)))]
