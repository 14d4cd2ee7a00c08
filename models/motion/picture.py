"""A picture of a motion: waveform and loudness of the voice, height and speed of each hand, confidence, over time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from ..errors import EMO2Error
from ..pose.overlay import HAND_COLOURS, font
from ..types import AudioFeatures, Motion

BACKGROUND, PLATE, GRID, AXIS, TEXT, TITLE = "#16191e", "#1d2127", "#2c323b", "#454d59", "#aab3bf", "#eef1f5"
WAVE, LOUD = "#6d7887", "#6fe6a3"
HANDS = tuple("#{:02x}{:02x}{:02x}".format(*(int(c) for c in colour)) for colour in HAND_COLOURS)
NAMES = ("left hand", "right hand")
SMALLEST = (240, 360)
OVER = 2
"""Drawn this much larger and reduced, which is what smooths the lines."""


@dataclass
class Panel:
    """A strip of the picture with a time axis and a value axis. Pixels of the large drawing."""

    draw: ImageDraw.ImageDraw
    left: float
    top: float
    right: float
    bottom: float
    seconds: float
    low: float
    high: float
    size: int

    def x(self, time: np.ndarray | float) -> np.ndarray:
        return self.left + np.asarray(time) / self.seconds * (self.right - self.left)

    def y(self, value: np.ndarray | float) -> np.ndarray:
        share = (np.asarray(value) - self.low) / (self.high - self.low)
        return self.bottom - np.clip(share, 0, 1) * (self.bottom - self.top)

    def frame(self, ticks: Sequence[float], times: Sequence[float]) -> None:
        """Plate, grid and numbers on the value axis."""
        type_face = font(self.size)
        self.draw.rectangle([self.left, self.top, self.right, self.bottom], fill=PLATE)
        for time in times:
            x = float(self.x(time))
            self.draw.line([x, self.top, x, self.bottom], fill=GRID, width=OVER)
        for tick in ticks:
            y = float(self.y(tick))
            self.draw.line([self.left, y, self.right, y], fill=AXIS if tick == 0 else GRID, width=OVER)
            self.draw.text((self.left - self.size * 0.5, y), f"{tick:g}", font=type_face, fill=TEXT, anchor="rm")

    def name(self, title: str) -> None:
        """What is shown, on a small plate over the curves."""
        type_face, pad = font(self.size), self.size * 0.3
        x, y = self.left + self.size * 0.6, self.top + self.size * 0.5
        plate = [x - pad, y - pad * 0.6, x + type_face.getlength(title) + pad, y + self.size + pad]
        self.draw.rounded_rectangle(plate, pad, fill=BACKGROUND)
        self.draw.text((x, y), title, font=type_face, fill=TITLE)

    def curve(self, times: np.ndarray, values: np.ndarray, colour: str, shown: np.ndarray | None = None) -> None:
        """A line; thin and faint where `shown` is False."""
        x, y = self.x(times), self.y(values)
        shown = np.ones(len(values), bool) if shown is None else shown
        if len(x) == 1:
            x, y, shown = np.array([self.left, self.right]), np.repeat(y, 2), np.repeat(shown, 2)
        faint = tuple((a + b) // 2 for a, b in zip(_rgb(colour), _rgb(PLATE)))
        edges = np.flatnonzero(np.diff(shown.astype(int))) + 1
        for part in np.split(np.arange(len(x)), edges):
            # One point more, so that pieces join.
            part = np.append(part, part[-1] + 1) if part[-1] + 1 < len(x) else part
            points = list(zip(x[part].tolist(), y[part].tolist()))
            if shown[part[0]]:
                self.draw.line(points, fill=colour, width=round(1.9 * OVER), joint="curve")
            else:
                self.draw.line(points, fill=faint, width=OVER)


def motion_picture(
    motion: Motion,
    size: tuple[int, int] = (600, 1200),
    waveform: np.ndarray | None = None,
    sample_rate: int = 16000,
    audio: AudioFeatures | None = None,
    start_second: float = 0.0,
    end_second: float = 0.0,
) -> np.ndarray:
    """The picture (H, W, 3) uint8 of `size` (H, W).

    Panels from the top: the voice (waveform (T,) -1..1 and, with `audio`, its loudness; left out when both are None);
    height of each wrist above the neck root in centimetres; its speed in metres a second; a band for each hand,
    brighter with more confidence, open where the hand is not visible. start_second, end_second: the part to show (0:
    to the end).
    """
    height, width = size
    if height < SMALLEST[0] or width < SMALLEST[1] or height > 8192 or width > 16384:
        given, wanted = f"{height} x {width}", f"{SMALLEST[0]} x {SMALLEST[1]} to 8192 x 16384 pixels (height x width)"
        raise EMO2Error("height and width", wanted, given, "Choose another size.")
    begin, seconds = _span(motion, start_second, end_second)
    canvas = Image.new("RGB", (width * OVER, height * OVER), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    text = max(round(min(height / 46, width / 80)), 9) * OVER
    left, right = text * 3.6, width * OVER - text * (3.4 if audio is not None else 1.4)
    top, bottom = text * 2.6, height * OVER - text * 3.6
    voice = waveform is not None or audio is not None
    band = text * 1.15
    bands = bottom - 2 * band - text * 0.4
    weights = ([1.15] if voice else []) + [1.3, 1.0]
    gap = text * 0.75
    room = bands - gap - top - gap * (len(weights) - 1)
    edges, y = [], top
    for weight in weights:
        part = room * weight / sum(weights)
        edges.append((y, y + part))
        y += part + gap
    times = _ticks(0, seconds, max(round((right - left) / text / 9), 2))
    _heading(draw, motion, begin, seconds, left, right, text, voice, audio is not None, waveform is not None)
    if voice:
        panel = Panel(draw, left, *_box(edges.pop(0), right), seconds, -1, 1, text)
        _voice(panel, waveform, sample_rate, audio, begin, times)
    moment = (np.arange(len(motion)) + 0.5) / motion.fps - begin
    # A frame more at either edge, so that the lines reach it; they are cut by clipping the time.
    near = (moment >= -1 / motion.fps) & (moment <= seconds + 1 / motion.fps)
    moment = np.clip(moment, 0, seconds)[near]
    seen = motion.visible[near]
    lifted = -(motion.translations[:, :, 1] + motion.body_offset[:, None, 1])[near] * 100
    low, high = _range(lifted, 10.0)
    panel = Panel(draw, left, *_box(edges[0], right), seconds, low, high, text)
    panel.frame(_ticks(low, high, 5), times)
    for hand in (1, 0):
        panel.curve(moment, lifted[:, hand], HANDS[hand], seen[:, hand])
    panel.name("height above the neck, cm")
    speed = wrist_speed(motion)[near]
    top_speed = max(float(speed.max(initial=0.0)) * 1.1, 0.2)
    panel = Panel(draw, left, *_box(edges[1], right), seconds, 0, top_speed, text)
    panel.frame(_ticks(0, top_speed, 4), times)
    for hand in (1, 0):
        panel.curve(moment, speed[:, hand], HANDS[hand], seen[:, hand])
    panel.name("speed, m/s")
    _bands(draw, motion, begin, seconds, left, right, bands, band, text)
    type_face = font(text)
    for time in times:
        x = left + time / seconds * (right - left)
        draw.line([x, bottom, x, bottom + text * 0.35], fill=AXIS, width=OVER)
        label = f"{begin + time:g}"
        draw.text((x, bottom + text * 0.5), label, font=type_face, fill=TEXT, anchor="mt")
    draw.text(((left + right) / 2, bottom + text * 1.9), "seconds", font=type_face, fill=TEXT, anchor="mt")
    return np.asarray(canvas.resize((width, height), Image.Resampling.LANCZOS)).copy()


def wrist_speed(motion: Motion) -> np.ndarray:
    """Speed of each wrist (F, 2) in metres a second, body movement included."""
    place = motion.wrists()
    if len(place) < 2:
        return np.zeros((len(place), 2))
    return np.linalg.norm(np.gradient(place, axis=0), axis=-1) * motion.fps


def _span(motion: Motion, start_second: float, end_second: float) -> tuple[float, float]:
    """(start, length) in seconds of what is shown."""
    end = min(end_second, motion.duration) if end_second > 0 else motion.duration
    if not 0 <= start_second < end:
        wanted = f"a time from 0 to below {end:g} s"
        raise EMO2Error("start_second", wanted, f"{start_second:g} s", "Choose an earlier start.")
    return start_second, end - start_second


def _box(edge: tuple[float, float], right: float) -> tuple[float, float, float]:
    return edge[0], right, edge[1]


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def _ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from low to high."""
    raw = (high - low) / max(count, 1)
    power = 10 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(n * step, 10) + 0.0 for n in range(first, math.floor(high / step + 1e-9) + 1)]


def _range(values: np.ndarray, least: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = max((high - low) * 0.12, (least - (high - low)) / 2, 1.0)
    return low - pad, high + pad * 1.6


def _heading(
    draw: ImageDraw.ImageDraw, motion: Motion, begin: float, seconds: float, left: float, right: float, text: int,
    voice: bool, loud: bool, wave: bool,
) -> None:  # fmt: skip
    bold, plain = font(round(text * 1.25)), font(text)
    draw.text((left, text * 1.3), "motion", font=bold, fill=TITLE, anchor="lm")
    x = left + bold.getlength("motion ") + text
    facts = f"{motion.duration:.2f} s   {len(motion)} frames   {motion.fps:g} fps"
    draw.text((x, text * 1.3), facts, font=plain, fill=TEXT, anchor="lm")
    entries = [*zip(NAMES, HANDS)] + ([("waveform", WAVE)] if wave else []) + ([("loudness", LOUD)] if loud else [])
    place = right
    for name, colour in reversed(entries):
        place -= plain.getlength(name)
        draw.text((place, text * 1.3), name, font=plain, fill=TEXT, anchor="lm")
        place -= text * 1.3
        draw.rounded_rectangle([place, text * 0.95, place + text * 0.85, text * 1.65], text * 0.15, fill=colour)
        place -= text * 1.1


def _voice(
    panel: Panel, waveform: np.ndarray | None, rate: int, audio: AudioFeatures | None, begin: float,
    times: Sequence[float],
) -> None:  # fmt: skip
    """Waveform as its range in each column of pixels, loudness as a curve with its own axis at the right."""
    panel.frame([-1, 0, 1] if waveform is not None else [], times)
    width = max(int(panel.right - panel.left), 1)
    if waveform is not None:
        wave = np.asarray(waveform, np.float32).reshape(-1)
        edge = np.round((begin + np.linspace(0, panel.seconds, width + 1)) * rate).astype(np.int64)
        columns = []
        for i in range(width):
            part = wave[edge[i] : max(edge[i + 1], edge[i] + 1)]
            if len(part):
                columns.append((i, float(part.min()), float(part.max())))
        for i, low, high in columns:
            x = panel.left + i
            upper, lower = float(panel.y(high)), float(panel.y(low))
            panel.draw.line([x, upper, x, max(lower, upper + OVER)], fill=WAVE)
    if audio is not None:
        time = (np.arange(len(audio.loudness)) + 0.5) / audio.rate - begin
        shown = (time >= 0) & (time <= panel.seconds)
        axis = Panel(panel.draw, panel.left, panel.top, panel.right, panel.bottom, panel.seconds, 0, 1, panel.size)
        if shown.any():
            axis.curve(time[shown], audio.loudness[shown], LOUD)
        for tick in (0.0, 0.5, 1.0):
            place = (panel.right + panel.size * 0.5, float(axis.y(tick)))
            panel.draw.text(place, f"{tick:g}", font=font(panel.size), fill=LOUD, anchor="lm")
    panel.name("voice")


def _bands(
    draw: ImageDraw.ImageDraw, motion: Motion, begin: float, seconds: float, left: float, right: float, top: float,
    height: float, text: int,
) -> None:  # fmt: skip
    """One strip a hand: its brightness is the confidence; where the hand is not visible there is only a thin line."""
    for hand in (0, 1):
        y0 = top + hand * (height + text * 0.2)
        y1 = y0 + height
        draw.rectangle([left, y0, right, y1], fill=PLATE)
        label = ("L", "R")[hand]
        draw.text((left - text * 0.5, (y0 + y1) / 2), label, font=font(text), fill=HANDS[hand], anchor="rm")
        state = np.where(motion.visible[:, hand], np.round(motion.confidence[:, hand], 2), -1)
        starts = np.concatenate([[0], np.flatnonzero(np.diff(state)) + 1, [len(state)]])
        for a, b in itertools.pairwise(starts.tolist()):
            span = np.clip((np.array([a, b]) / motion.fps - begin) / seconds, 0, 1)
            x0, x1 = left + span * (right - left)
            if x1 <= x0:
                continue
            if state[a] < 0:
                middle = (y0 + y1) / 2
                draw.line([x0, middle, x1, middle], fill=AXIS, width=OVER)
                continue
            share = 0.15 + 0.85 * float(state[a])
            colour = tuple(round(p + (c - p) * share) for c, p in zip(_rgb(HANDS[hand]), _rgb(PLATE)))
            draw.rectangle([x0, y0, x1, y1], fill=colour)
    bright = motion.visible[0, 0] and motion.confidence[0, 0] > 0.4
    place, small = (left + text * 0.5, top + height * 0.5), font(round(text * 0.85))
    draw.text(place, "visible, confidence", font=small, fill="#10131a" if bright else TEXT, anchor="lm")
