"""A picture of a face track: how far the eyes are closed, and which emotions show, over time."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ..direction.lettering import length, write
from ..direction.times import clock
from ..errors import EMO2Error
from ..motion.picture import AXIS, BACKGROUND, GRID, OVER, PLATE, TEXT, TITLE
from .face_track import EMOTIONS, FaceTrack

COLOURS = ("#4b5563", "#e8b33c", "#4a7fc1", "#cf4b45", "#e07fb5", "#8d6cc7", "#6f9a4a", "#a8754a")
"""Of EMOTIONS, in their order."""
LIDS = "#6fd3e6"
STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)


def face_picture(track: FaceTrack, width: int = 1000) -> np.ndarray:
    """The picture (H, width, 3) uint8: closure of the eyes as a curve, the emotions' weights as bands that fill up."""
    if not 320 <= width <= 8192:
        raise EMO2Error("width", "a width from 320 to 8192 pixels", width, "Choose another width.")
    t = max(min(round(width / 80), 14), 10) * OVER
    left, right = 1.2 * t, width * OVER - 1.2 * t
    tops, heights = (2.6 * t, 7.4 * t), (4.2 * t, 4.2 * t)
    canvas = Image.new("RGB", (width * OVER, round(14.6 * t / OVER) * OVER), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    place = lambda second: left + second / track.duration * (right - left)
    for top, height in zip(tops, heights):
        draw.rectangle([left, top, right, top + height], fill=PLATE)
    # Columns of one pixel: the greatest closure of the frames in it, so that a long track keeps its blinks.
    columns = np.arange(int(left), int(right))
    edges = np.clip((columns - left) / (right - left) * len(track), 0, len(track) - 1).astype(np.int64)
    last = np.append(edges[1:], len(track))
    closed = [float(track.blink[a : max(b, a + 1)].max()) for a, b in zip(edges.tolist(), last.tolist())]
    bottom = tops[0] + heights[0]
    curve = [(int(c), bottom - value * heights[0] * 0.92) for c, value in zip(columns, closed)]
    draw.line(curve, fill=LIDS, width=round(1.5 * OVER), joint="curve")
    piled = np.cumsum(track.emotion[edges], axis=1)
    for index, colour in reversed(list(enumerate(COLOURS))):
        level = tops[1] + heights[1] * (1 - piled[:, index])
        shape = [(int(c), float(y)) for c, y in zip(columns, level)]
        draw.polygon([(columns[0], tops[1] + heights[1]), *shape, (columns[-1], tops[1] + heights[1])], fill=colour)
    step = next((s for s in STEPS if s / track.duration * (right - left) >= 5.5 * t), STEPS[-1])
    for n in range(int(track.duration / step + 1e-9) + 1):
        x = place(n * step)
        for top, height in zip(tops, heights):
            draw.line([x, top, x, top + height], fill=GRID, width=OVER)
        draw.line([x, tops[1] + heights[1], x, tops[1] + heights[1] + 0.4 * t], fill=AXIS, width=OVER)
        half = length(clock(n * step), t) / 2
        write(draw, (min(max(x, left + half), right - half), 12.5 * t), clock(n * step), t, TEXT, "m")
    unsaid = lambda known: "" if known else ", left to the model"
    write(draw, (left, 1.3 * t), "face", round(1.25 * t), TITLE)
    facts = f"{track.duration:.2f} s   {len(track)} frames   {track.fps:g} fps"
    write(draw, (left + length("face", round(1.25 * t)) + t, 1.3 * t), facts, t, TEXT)
    write(draw, (left + 0.5 * t, tops[0] + 0.8 * t), f"eyes closed{unsaid(track.blink_known)}", t, TITLE)
    write(draw, (left + 0.5 * t, tops[1] + 0.8 * t), f"emotion{unsaid(track.emotion_known)}", t, TITLE)
    x = left
    for index in np.flatnonzero(track.emotion.max(0) > 0.01).tolist():
        draw.rounded_rectangle([x, 13.25 * t, x + 0.8 * t, 13.95 * t], 0.15 * t, fill=COLOURS[index])
        write(draw, (x + 1.1 * t, 13.6 * t), EMOTIONS[index], t, TEXT)
        x += length(EMOTIONS[index], t) + 2.4 * t
    return np.asarray(canvas.resize((width, canvas.height // OVER), Image.Resampling.LANCZOS)).copy()
