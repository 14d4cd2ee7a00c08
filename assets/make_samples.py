"""Draws `portrait.png` and speaks `speech.flac`, the two samples the demo starts from (needs espeak-ng for the voice).

    python assets/make_samples.py

The picture and the sound are the project's own work and are under its licence.
"""

import subprocess
import tempfile
from pathlib import Path

import cv2
import numpy as np
import soundfile

HERE = Path(__file__).resolve().parent
HEIGHT, WIDTH, FINE = 704, 528, 4
SENTENCE = "Hello! I am a drawing, and I speak with my hands."

SKIN, SHADE, HAIR = (150, 186, 232), (122, 158, 208), (38, 46, 70)
SHIRT, SHIRT_SHADE, JACKET, JACKET_SHADE = (244, 240, 236), (224, 218, 212), (140, 98, 52), (118, 80, 40)
WALL, FLOOR, LINE = (222, 226, 214), (190, 202, 180), (52, 44, 44)


def points(*xy):
    return (np.array(xy, np.float64) * FINE).round().astype(np.int32)


def shape(canvas, colour, xy):
    cv2.fillPoly(canvas, [points(*xy)], colour, cv2.LINE_AA)


def ellipse(canvas, colour, centre, axes, angle=0.0, start=0, stop=360, thickness=-1):
    c, a = points(centre)[0], points(axes)[0]
    cv2.ellipse(canvas, tuple(map(int, c)), tuple(map(int, a)), angle, start, stop, colour, thickness, cv2.LINE_AA)


def limb(canvas, colour, start, stop, wide, narrow):
    """A tapered limb with round ends."""
    a, b = np.array(start, float), np.array(stop, float)
    side = np.array([-(b - a)[1], (b - a)[0]]) / np.linalg.norm(b - a)
    shape(canvas, colour, [a + side * wide, b + side * narrow, b - side * narrow, a - side * wide])
    ellipse(canvas, colour, a, (wide, wide))
    ellipse(canvas, colour, b, (narrow, narrow))


def hand(canvas, wrist, side):
    """A relaxed hand: palm, four fingers, thumb towards the body's middle."""
    x, y = wrist
    for spread, length in ((-0.32, 40), (-0.1, 47), (0.12, 46), (0.36, 37)):
        tip = (x + side * (10 + 42 * np.sin(spread)), y - 24 - length * np.cos(spread))
        base = (x + side * (6 + 26 * spread), y - 24)
        limb(canvas, SHADE, base, tip, 8.5, 7.5)
        limb(canvas, SKIN, base, tip, 7.5, 6.5)
    limb(canvas, SKIN, (x - side * 4, y - 4), (x - side * 30, y - 34), 9, 7)
    limb(canvas, SKIN, (x, y + 10), (x + side * 3, y - 24), 17, 20)


def portrait() -> np.ndarray:
    """(704, 528, 3) BGR: half a person, shoulder joints 0.35 of the width apart, between them the point (0.5, 0.47)."""
    canvas = np.zeros((HEIGHT * FINE, WIDTH * FINE, 3), np.uint8)
    canvas[:] = WALL
    shape(canvas, FLOOR, [(0, 560), (WIDTH, 530), (WIDTH, HEIGHT), (0, HEIGHT)])
    ellipse(canvas, (206, 214, 196), (WIDTH * 0.5, 300), (215, 240))
    middle = WIDTH / 2

    ellipse(canvas, HAIR, (middle, 190), (92, 112))
    shape(canvas, HAIR, [(middle - 92, 190), (middle - 96, 320), (middle + 96, 320), (middle + 92, 190)])
    limb(canvas, SHADE, (middle, 240), (middle, 320), 33, 40)

    torso = [(middle - 98, 306), (middle - 40, 294), (middle + 40, 294), (middle + 98, 306),
             (middle + 92, HEIGHT), (middle - 92, HEIGHT)]  # fmt: skip
    shape(canvas, JACKET, torso)
    shape(canvas, SHIRT, [(middle - 36, 294), (middle + 36, 294), (middle + 44, HEIGHT), (middle - 44, HEIGHT)])
    shape(canvas, SKIN, [(middle - 30, 292), (middle + 30, 292), (middle, 338)])
    for side in (-1, 1):
        shape(canvas, JACKET_SHADE, [(middle + side * 38, 292), (middle + side * 62, 350), (middle + side * 44, 390),
                                     (middle + side * 10, 362)])  # fmt: skip
        shoulder, elbow, wrist = (middle + side * 92, 331), (middle + side * 134, 480), (middle + side * 78, 566)
        limb(canvas, JACKET_SHADE, shoulder, elbow, 35, 30)
        limb(canvas, JACKET, (shoulder[0] - side * 2, shoulder[1]), (elbow[0] - side * 2, elbow[1]), 32, 27)
        limb(canvas, JACKET_SHADE, elbow, wrist, 30, 23)
        limb(canvas, JACKET, elbow, (wrist[0] - side, wrist[1] - 2), 27, 21)
        limb(canvas, SHIRT_SHADE, wrist, (wrist[0] - side * 6, wrist[1] - 10), 20, 19)
        hand(canvas, (wrist[0] - side * 8, wrist[1] - 14), side)

    ellipse(canvas, SKIN, (middle, 200), (72, 92))
    for side in (-1, 1):
        ellipse(canvas, SKIN, (middle + side * 73, 208), (13, 21))
        ellipse(canvas, SHADE, (middle + side * 75, 208), (6, 12))
        ellipse(canvas, (255, 255, 255), (middle + side * 29, 194), (16, 11))
        ellipse(canvas, (92, 74, 40), (middle + side * 29, 195), (8.5, 8.5))
        ellipse(canvas, (20, 16, 14), (middle + side * 29, 195), (4.5, 4.5))
        ellipse(canvas, (255, 255, 255), (middle + side * 29 + 3, 191), (2, 2))
        ellipse(canvas, HAIR, (middle + side * 29, 176), (20, 9), 0, 200, 340, 5 * FINE)
        ellipse(canvas, (150, 160, 236), (middle + side * 42, 232), (13, 8))
    ellipse(canvas, SHADE, (middle, 222), (9, 12), 0, 20, 160, 3 * FINE)
    ellipse(canvas, (92, 86, 176), (middle, 252), (25, 11), 0, 0, 180)
    ellipse(canvas, (92, 86, 176), (middle, 252), (25, 4))
    fringe = [(middle - 78, 196), (middle - 84, 120), (middle - 30, 84), (middle + 40, 84), (middle + 86, 124),
              (middle + 78, 196), (middle + 60, 150), (middle + 10, 128), (middle - 46, 150)]  # fmt: skip
    shape(canvas, HAIR, fringe)
    return cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def speech() -> tuple[np.ndarray, int]:
    """The sentence as (T,) float at espeak-ng's own rate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-v", "en-us+f3", "-s", "150", "-w", str(path), SENTENCE], check=True)
        return soundfile.read(path)


if __name__ == "__main__":
    cv2.imwrite(str(HERE / "portrait.png"), portrait(), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    samples, rate = speech()
    soundfile.write(HERE / "speech.flac", samples, rate)
