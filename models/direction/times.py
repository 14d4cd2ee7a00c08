"""Moments as people write them: 0:03, 1:02:03.5, 3.2, 3,2 s; and texts freed of what cannot be seen."""

from __future__ import annotations

import math
import re
import unicodedata

TIME = r"(?:\d+(?::\d+){0,2}(?:[.,]\d+)?s?(?!\w|[:.,]\d))"
"""A moment: hours, minutes and seconds with colons, or seconds alone; a dot or a comma before the fraction."""
DASH = r"[-\u2010-\u2015\u2212\uFE58\uFE63\uFF0D~\u301C\u2192]"
"""Hyphens, dashes, minus signs, the wave dash and the arrow: what people put between two times."""
LONGEST_SECONDS = 86_400.0
_INVISIBLE = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069\ufeff\u00ad]")
"""Direction marks, byte order marks and soft hyphens; the joiners inside emoji and Persian words stay."""


def seconds_of(text: str) -> float | None:
    """Seconds that a text matching TIME stands for; None where minutes or seconds are 60 or more, or beyond a day."""
    *larger, last = text.rstrip("s").replace(",", ".").split(":")
    values = [float(part) for part in (*larger, last)]
    if any(value >= 60 for value in values[1:]):
        return None
    total = 0.0
    for value in values:
        total = total * 60 + value
    return total if math.isfinite(total) and total <= LONGEST_SECONDS else None


def clock(seconds: float) -> str:
    """0:03, 1:02.5, 1:00:00: minutes and seconds, hours where there are any, a fraction to the millisecond."""
    whole = round(seconds * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    second, fraction = divmod(rest, 1000)
    tail = f"{second:02}" + (f".{fraction:03}".rstrip("0") if fraction else "")
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


def visible_text(text: str) -> str:
    """One line without control characters and direction marks, its runs of blanks single ones."""
    text = _INVISIBLE.sub("", text)
    return " ".join("".join(_seen(c) for c in text).split())


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    # Half of a surrogate pair is no character; nothing that writes files would take it.
    return "\ufffd" if category == "Cs" else " " if category == "Cc" else character


def lines_of(text: str) -> list[str]:
    """The lines as an editor numbers them, from 1 at index 0."""
    return re.split(r"\r\n|\r|\n", text)
