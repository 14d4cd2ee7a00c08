"""A look at what was found in a video: a few of its frames on one sheet, everybody numbered, the chosen one drawn."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ..hands.layer import HandModel
from ..types import Motion
from .extraction import Watched
from .overlay import BODY_COLOUR, HALO, SHOULDER_COLOUR, Lines, draw_motion, font
from .sheet import chosen, contact_sheet
from .tracking import Tracks

PICTURES, COLUMNS, WIDTH = 6, 3, 1200


def people_sheet(watched: Watched, tracks: Tracks, person: int, motion: Motion, hands: HandModel) -> np.ndarray:
    """A sheet (H, 1200, 3) uint8 of up to six frames of the video with their times.

    Everybody is framed and has the number by which they can be chosen; over the chosen person lies the motion.
    """
    kept = sorted(watched.kept)
    places = [kept[i] for i in chosen(len(kept), PICTURES)]
    # The frame of the constant rate in which each picture is first on the screen.
    frames = np.searchsorted(watched.shown, places)
    drawn = {int(f): _drawn(watched, tracks, person, motion, hands, place, int(f)) for f, place in zip(frames, places)}
    height, width = watched.size
    columns = COLUMNS if width < 1.5 * height else 2
    return contact_sheet(drawn.__getitem__, np.array(sorted(drawn)), columns, WIDTH, motion.fps)


def _drawn(
    watched: Watched, tracks: Tracks, person: int, motion: Motion, hands: HandModel, place: int, frame: int
) -> np.ndarray:
    picture = watched.kept[place]
    if tracks.seats[place, person] >= 0:
        picture = draw_motion(picture, motion, hands, frame, 1)[0]
    scale = np.array([picture.shape[1], picture.shape[0]])
    canvas, labels = Lines(picture), []
    for p in range(len(tracks)):
        seat = int(tracks.seats[place, p])
        if seat < 0:
            continue
        box = np.clip(np.asarray(watched.people[place][seat].box, np.float64), -0.05, 1.05).reshape(2, 2) * scale
        colour = SHOULDER_COLOUR if p == person else BODY_COLOUR
        canvas.box(box[0], box[1], colour, 2.2 if p == person else 1.2)
        labels.append((box[0], p, colour))
    image = Image.fromarray(canvas.finished())
    draw = ImageDraw.Draw(image)
    size = max(round(min(image.size) / 18), 11)
    for corner, p, colour in labels:
        x, y = np.clip(corner, 2, scale - size * 1.2)
        draw.rectangle([x, y, x + size * (0.7 + 0.6 * len(str(p))), y + size * 1.25], fill=HALO)
        draw.text((x + size * 0.35, y), str(p), font=font(size), fill=colour)
    return np.asarray(image).copy()
