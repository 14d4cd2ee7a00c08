"""Text in pictures, whatever its script: each character in a typeface that has it; too long a line gets an ellipsis.

Pillow's own typeface knows Latin only; what it lacks is looked for among the typefaces that systems bring.
"""

from __future__ import annotations

import functools
import unicodedata
from typing import Any

from PIL import ImageDraw, ImageFont

from ..pose.overlay import font

SYSTEM = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "segoeui.ttf", "Arial Unicode.ttf", "arial.ttf",
    "LiberationSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "msyh.ttc", "malgun.ttf", "YuGothM.ttc",
    "PingFang.ttc", "Hiragino Sans GB.ttc", "AppleSDGothicNeo.ttc", "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "NotoSansThai-Regular.ttf", "Nirmala.ttf",
    "NotoEmoji-Regular.ttf", "NotoEmoji[wght].ttf", "seguiemj.ttf", "seguisym.ttf", "Symbola.ttf", "Apple Symbols.ttf",
)  # fmt: skip
"""File names, those with the most scripts first; Pillow looks for them where each system keeps its typefaces."""
NOBODY = "\U0010fffe"
"""A code point that no typeface may have: what is drawn for it is drawn for all that is missing."""
NO_GLYPH = ("Cc", "Cs", "Zl", "Zp")
"""Categories that lay-out refuses: control characters, halves of surrogate pairs, ends of lines and paragraphs."""
ELLIPSIS = "…"
JOINER = "\u200d"


def write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, fill: Any, anchor: str = "l"
) -> None:
    """Write one line whose middle height is at `at`, beginning, centred or ending there (anchor l, m, r)."""
    runs = _runs(text, size)
    x = at[0] - {"l": 0.0, "m": 0.5, "r": 1.0}[anchor] * sum(face.getlength(part) for face, part in runs)
    for face, part in runs:
        draw.text((x, at[1] + 0.36 * size), part, font=face, fill=fill, anchor="ls")
        x += face.getlength(part)


def length(text: str, size: int) -> float:
    """How many pixels wide a line is."""
    return sum(face.getlength(part) for face, part in _runs(text, size))


def shortened(text: str, size: int, width: float) -> str:
    """The text, or as much of its beginning as fits into `width` pixels with an ellipsis; "" where nothing does.

    A character is never cut from its marks, nor an emoji from what is joined to it.
    """
    if length(text, size) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if length(text[:middle] + ELLIPSIS, size) <= width else (low, middle - 1)
    while 0 < low < len(text) and (_clings(text[low]) or text[low - 1] == JOINER):
        low -= 1
    kept = text[:low].rstrip()
    return kept + ELLIPSIS if kept else ""


def _clings(character: str) -> bool:
    """Whether it belongs to the character before: marks, joiners, skin tones."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf") or "\U0001f3fb" <= character <= "\U0001f3ff"


def _runs(text: str, size: int) -> list[tuple[Any, str]]:
    """Stretches of the text with the typeface of each, in the order in which they stand from left to right."""
    text = "".join(" " if unicodedata.category(c) in NO_GLYPH else c for c in text)
    whole = next((name for name in ("", *_found()) if all(_has(name, c) for c in text)), None) if text else ""
    if whole is not None:
        return [(_face(whole, size), text)]
    runs: list[tuple[str, str]] = []
    for character in text:
        name = next((name for name in ("", *_found()) if _has(name, character)), "")
        if runs and (_clings(character) or character == " " or name == runs[-1][0]):
            runs[-1] = (runs[-1][0], runs[-1][1] + character)
        else:
            runs.append((name, character))
    strong = next((b for b in map(unicodedata.bidirectional, text) if b in ("L", "R", "AL")), "L")
    ordered = runs if strong == "L" else runs[::-1]
    return [(_face(name, size), part) for name, part in ordered]


@functools.lru_cache(maxsize=1)
def _found() -> tuple[str, ...]:
    """Those of SYSTEM that are there."""
    there = []
    for name in SYSTEM:
        try:
            ImageFont.truetype(name, 16)
        except OSError:
            continue
        there.append(name)
    return tuple(there)


@functools.lru_cache(maxsize=64)
def _face(name: str, size: int) -> Any:
    return ImageFont.truetype(name, size) if name else font(size)


@functools.lru_cache(maxsize=8192)
def _has(name: str, character: str) -> bool:
    if _clings(character) or character.isspace():
        return True
    return _drawn(name, character) != _drawn(name, NOBODY)


@functools.lru_cache(maxsize=8192)
def _drawn(name: str, character: str) -> tuple[Any, bytes]:
    mask = _face(name, 16).getmask(character)
    return mask.size, bytes(mask)
