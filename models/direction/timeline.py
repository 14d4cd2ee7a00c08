"""A picture of a script over time: the voice with its accents, the words, and each line as a bar with its blends.

Long pieces are laid out in rows under one another, as a text is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..audio.accents import intensity
from ..audio.prosody import loudness
from ..audio.waveform import RATE
from ..errors import EMO2Error
from ..motion.picture import AXIS, BACKGROUND, GRID, LOUD, OVER, PLATE, TEXT, TITLE, WAVE
from .lettering import length, shortened, write
from .script import Script
from .times import clock
from .transcript import Word

NARROWEST, WIDEST = 320, 8192
MOST_ROWS = 24
PER_SECOND = 48
"""Pixels that a second has at least, while there are no more than MOST_ROWS rows."""
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
ROW_STEPS = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600, 7200)
ACCENT = "#ffc65c"
WORDS = "#c3cad4"
BARS = ("#3d6fa8", "#8a5a9c", "#3f8a6b", "#a8683d", "#5a64a8", "#8a8440", "#a34d63", "#3d8793")
ACCENT_LEAST, ACCENT_APART = 0.5, 0.2
"""Prosodic intensity from which a peak is an accent, and seconds between two of them."""


def accents(stress: np.ndarray, rate: float = 50.0) -> list[tuple[float, float]]:
    """(second, intensity) of the peaks of a prosodic intensity (N,) 0..1 at `rate` values a second, the higher of two
    that lie within 0.2 s."""
    inner = (stress[1:-1] >= ACCENT_LEAST) & (stress[1:-1] > stress[:-2]) & (stress[1:-1] >= stress[2:])
    kept: list[int] = []
    for index in sorted(np.flatnonzero(inner) + 1, key=lambda i: -stress[i]):
        if all(abs(index - other) >= ACCENT_APART * rate for other in kept):
            kept.append(int(index))
    return [((index + 0.5) / rate, float(stress[index])) for index in sorted(kept)]


def timeline_picture(script: Script, width: int = 1280, waveform: np.ndarray | None = None) -> np.ndarray:
    """The picture (H, width, 3) uint8; its height is what the rows need.

    waveform: the voice, (T,) at 16 kHz; its waveform, loudness and accents are drawn. The words of the script's
    transcript stand under it, and under them the script's lines: a bar is as high as the line is strong, and its slopes
    are its blends.
    """
    if not NARROWEST <= width <= WIDEST:
        raise EMO2Error("width", f"a width from {NARROWEST} to {WIDEST} pixels", width, "Choose another width.")
    sheet = _Sheet(script, width * OVER, waveform)
    return np.asarray(sheet.drawn().resize((width, sheet.height // OVER), Image.Resampling.LANCZOS)).copy()


@dataclass
class _Row:
    """A stretch of time from `begin` to `end` (s) whose top is at `top`; x = left + (t - begin) * scale."""

    begin: float
    end: float
    top: float
    left: float
    scale: float

    def x(self, second: float) -> float:
        return self.left + (min(max(second, self.begin), self.end) - self.begin) * self.scale

    def holds(self, start: float, end: float) -> bool:
        return start < self.end and end > self.begin


class _Sheet:
    """The whole drawing, in pixels of OVER times the picture's size."""

    def __init__(self, script: Script, width: int, waveform: np.ndarray | None):
        self.script, self.width = script, width
        self.words = script.transcript.words if script.transcript else ()
        heard = 0.0 if waveform is None else len(waveform) / RATE
        self.seconds = max(script.seconds, heard, 0.1)
        self.wave = None if waveform is None or not len(waveform) else np.asarray(waveform, np.float32)
        self.text = max(min(round(width / OVER / 80), 15), 10) * OVER
        t = self.text
        self.left, self.right = 1.2 * t, width - 1.2 * t
        self.voice, self.said, self.bars = 4.2 * t * (self.wave is not None), 1.7 * t * bool(self.words), 3.4 * t
        self.row_height = 1.9 * t + self.voice + self.said + self.bars + 1.5 * t
        self.top = 2.9 * t
        per_row = self._row_seconds()
        scale = (self.right - self.left) / per_row
        count = max(math.ceil(self.seconds / per_row - 1e-9), 1)
        self.rows = [
            _Row(i * per_row, min((i + 1) * per_row, self.seconds), self.top + i * self.row_height, self.left, scale)
            for i in range(count)
        ]
        self.height = round((self.top + count * self.row_height) / OVER) * OVER
        self.strongest = max([1.0, *(beat.strength for beat in script.lines)])
        self.colours = {text: BARS[i % len(BARS)] for i, text in enumerate(dict.fromkeys(b.text for b in script.lines))}

    def _row_seconds(self) -> float:
        room = (self.right - self.left) / OVER
        if self.seconds * PER_SECOND <= room * 1.25:
            return self.seconds
        least = self.seconds / MOST_ROWS
        fitting = [step for step in ROW_STEPS if step >= least]
        return float(max([step for step in fitting if step * PER_SECOND <= room] or fitting[:1] or (least,)))

    def drawn(self) -> Image.Image:
        canvas = Image.new("RGB", (self.width, self.height), BACKGROUND)
        draw = ImageDraw.Draw(canvas)
        self._heading(draw)
        stress = [] if self.wave is None else accents(intensity(self.wave))
        loud = np.zeros(0) if self.wave is None else loudness(self.wave)
        for row in self.rows:
            y = row.top + 1.9 * self.text
            plates = [(y, self.voice), (y + self.voice + self.said, self.bars)]
            for top, height in plates:
                if height:
                    draw.rectangle([row.left, top, row.x(row.end), top + height], fill=PLATE)
            self._ruler(draw, row, plates)
            if self.wave is not None:
                self._voice(draw, row, y, loud, stress)
            if self.words:
                self._words(draw, row, y + self.voice)
            self._beats(draw, row, y + self.voice + self.said)
        return canvas

    def _heading(self, draw: ImageDraw.ImageDraw) -> None:
        t, y = self.text, 1.3 * self.text
        count = len(self.script.lines)
        write(draw, (self.left, y), "script", round(1.25 * t), TITLE)
        facts = f"{count} {'line' if count == 1 else 'lines'}   {clock(round(self.seconds, 2))}"
        write(draw, (self.left + length("script", round(1.25 * t)) + t, y), facts, t, TEXT)
        entries = [] if self.wave is None else [("waveform", WAVE), ("loudness", LOUD), ("accents", ACCENT)]
        room = self.right - self.left - length("script", round(1.25 * t)) - length(facts, t) - 3 * t
        if sum(length(name, t) + 2.4 * t for name, _ in entries) > room:
            return
        x = self.right
        for name, colour in reversed(entries):
            write(draw, (x, y), name, t, TEXT, "r")
            x -= length(name, t) + 1.3 * t
            draw.rounded_rectangle([x, y - 0.35 * t, x + 0.85 * t, y + 0.35 * t], 0.15 * t, fill=colour)
            x -= 1.1 * t

    def _ruler(self, draw: ImageDraw.ImageDraw, row: _Row, plates: list[tuple[float, float]]) -> None:
        t = self.text
        step = next((s for s in map(float, STEPS) if s * row.scale >= 5.5 * t), STEPS[-1])
        y = row.top + 1.9 * t
        draw.line([row.left, y - 0.25 * t, row.x(row.end), y - 0.25 * t], fill=AXIS, width=OVER)
        for n in range(math.ceil(row.begin / step - 1e-9), math.floor(row.end / step + 1e-9) + 1):
            x = row.x(n * step)
            for top, height in plates:
                draw.line([x, top, x, top + height], fill=GRID, width=OVER)
            draw.line([x, y - 0.6 * t, x, y - 0.25 * t], fill=AXIS, width=OVER)
            label = clock(n * step)
            half = length(label, t) / 2
            write(draw, (min(max(x, self.left + half), self.right - half), y - 1.15 * t), label, t, TEXT, "m")

    def _voice(
        self, draw: ImageDraw.ImageDraw, row: _Row, top: float, loud: np.ndarray, stress: list[tuple[float, float]]
    ) -> None:
        assert self.wave is not None
        bottom, middle, high = top + self.voice, top + self.voice / 2, self.voice / 2
        columns = np.arange(int(row.left), int(row.x(row.end)))
        edges = np.round((row.begin + (np.append(columns, columns[-1:] + 1) - row.left) / row.scale) * RATE)
        edges = np.clip(edges.astype(np.int64), 0, len(self.wave) - 1)
        loudest = max(float(np.abs(self.wave).max()), 1e-3)
        for x, a, b in zip(columns.tolist(), edges[:-1].tolist(), edges[1:].tolist()):
            part = self.wave[a : max(b, a + 1)] / loudest
            low, up = float(part.min()), float(part.max())
            draw.line([x, middle - up * high, x, max(middle - low * high, middle - up * high + OVER)], fill=WAVE)
        times = (np.arange(len(loud)) + 0.5) / 50
        here = np.flatnonzero((times >= row.begin) & (times <= row.end))
        if len(here) > 1:
            points = [(row.x(float(times[i])), bottom - float(loud[i]) * self.voice * 0.95) for i in here]
            draw.line(points, fill=LOUD, width=round(1.5 * OVER), joint="curve")
        for second, strength in stress:
            if row.begin <= second < row.end:
                at, r = row.x(second), self.text * (0.14 + 0.22 * strength)
                draw.line([at, top, at, bottom], fill="#6b5a35", width=OVER)
                draw.polygon([(at - r, top), (at + r, top), (at, top + 1.6 * r)], fill=ACCENT)

    def _words(self, draw: ImageDraw.ImageDraw, row: _Row, top: float) -> None:
        t = round(self.text * 0.9)
        shown: list[Word] = [word for word in self.words if row.holds(word.start, max(word.end, word.start + 0.01))]
        for index, word in enumerate(shown):
            x = row.x(word.start)
            limit = row.x(shown[index + 1].start) if index + 1 < len(shown) else row.x(row.end)
            text = shortened(word.text, t, limit - x - 0.45 * t)
            draw.line([x, top + 0.2 * t, x, top + self.said - 0.2 * t], fill=AXIS, width=OVER)
            if text:
                write(draw, (x + 0.3 * t, top + self.said / 2), text, t, WORDS)

    def _beats(self, draw: ImageDraw.ImageDraw, row: _Row, top: float) -> None:
        t, bottom = self.text, top + self.bars
        lines = self.script.lines
        for index, beat in enumerate(lines):
            if not row.holds(beat.start, beat.end):
                continue
            first, last = row.x(beat.start), row.x(beat.end)
            x = np.linspace(first, last, max(int(last - first) // 2, 8))
            times = np.clip(row.begin + (x - row.left) / row.scale, beat.start, beat.end - 1e-6)
            height = beat.presence(times, self.script.duration) * beat.strength / self.strongest * self.bars * 0.94
            curve = list(zip(x.tolist(), (bottom - np.maximum(height, OVER)).tolist()))
            draw.polygon([(first, bottom), *curve, (last, bottom)], fill=self.colours[beat.text])
            if beat.start >= row.begin:
                draw.line([first, top, first, bottom], fill=TITLE, width=OVER)
            # A text may run on over the empty stretch that follows.
            after = lines[index + 1].start if index + 1 < len(lines) else row.end
            room = row.x(after) - first - 0.9 * t
            small = round(0.8 * t)
            note = f"{beat.line}" if beat.strength == 1 else f"{beat.line}   x {beat.strength:.3g}"
            if length(note, small) <= room:
                write(draw, (first + 0.45 * t, top + 0.65 * t), note, small, WORDS)
            text = shortened(beat.text, t, room)
            if text:
                write(draw, (first + 0.45 * t, bottom - 1.1 * t), text, t, "#ffffff")
