"""Crowds for tests of tracking: people whose points and ways are known, and what a detector makes of them."""

import numpy as np
from emo2.models.pose.body import MIRRORED, half_body
from emo2.models.pose.detection import Seen
from emo2.models.types import Framing

WIDE = 16 / 9
"""Width over height of the pictures."""


def walker(times, neck, width=0.12, seed=0, body=None):
    """A person over time whose neck is at `neck` (F, 2), normalised; shoulders `width` of the picture's width.

    Returns points (F, 18, 2) normalised: arms wave, the trunk sways, each seed otherwise.
    """
    rng = np.random.default_rng(seed)
    neck = np.broadcast_to(np.asarray(neck, float), (len(times), 2))
    shape = half_body(Framing((0.5, 0.4), 0.2, (1080, 1920)))[0].astype(float) - [0.5, 0.4] if body is None else body
    points = shape * (np.broadcast_to(width, len(times))[:, None, None] / 0.2) + neck[:, None]
    rate, phase = rng.uniform(0.3, 0.8, (18, 2)), rng.uniform(0, 6, (18, 2))
    wave = np.sin(2 * np.pi * rate * np.asarray(times)[:, None, None] + phase)
    size = np.full(18, 0.01)
    size[[3, 6]], size[[4, 7]] = 0.1, 0.3
    return points + wave * size[:, None] * np.broadcast_to(width, len(times))[:, None, None] * [1, WIDE]


def hands_of(body, width=0.12):
    """Hands (F, 2, 21, 2) that go on from the forearms of a body (F, 18, 2)."""
    fingers = np.linspace(0.0, 1.0, 21)[:, None] * np.array([0.02, 0.45]) * width
    spread = np.stack([np.sin(np.arange(21)), np.zeros(21)], 1) * 0.1 * width
    return body[:, [7, 4], None] + fingers + spread


def seen_of(body, hands=None, scores=None, hand_scores=None, face=None):
    """One person in one frame as a detector gives them."""
    hands = hands_of(body[None])[0] if hands is None else hands
    low, high = body.min(0), body.max(0)
    margin = 0.05 * (high - low)
    face = np.repeat(body[:1], 70, 0) if face is None else face
    return Seen(
        body, np.full(18, 0.9) if scores is None else scores, hands,
        np.full((2, 21), 0.9) if hand_scores is None else hand_scores, face, np.full(70, 0.8),
        np.concatenate([low - margin, high + margin]), 0.9,
    )  # fmt: skip


def crowd(bodies, visible=None, noise=0.004, lost=0.05, seed=0, shuffle=True):
    """What a detector sees of people `bodies` [(F, 18, 2), ...] where `visible` (F, P): (people, truth).

    truth[f][i] is who the i-th one of frame f is. Points are off by `noise`, some are unknown, the order is any.
    """
    rng = np.random.default_rng(seed)
    count = len(bodies[0])
    visible = np.ones((count, len(bodies)), bool) if visible is None else visible
    people, truth = [], []
    for f in range(count):
        here = [p for p in range(len(bodies)) if visible[f, p]]
        if shuffle:
            rng.shuffle(here)
        frame = []
        for p in here:
            body = bodies[p][f] + rng.normal(0, noise, (18, 2)) * [1, WIDE]
            scores = np.where(rng.random(18) < lost, 0.1, rng.uniform(0.5, 1, 18))
            hands = hands_of(bodies[p][f][None])[0] + rng.normal(0, noise / 2, (2, 21, 2))
            frame.append(seen_of(body, hands, scores))
        people.append(frame)
        truth.append(here)
    return people, truth


def right(tracks, truth, person):
    """The share of frames with `person` in which the best of the tracks has them: and which track that is."""
    count = len(truth)
    present = sum(person in here for here in truth)
    hits = [
        sum(tracks.seats[f, p] >= 0 and truth[f][tracks.seats[f, p]] == person for f in range(count) if truth[f])
        for p in range(len(tracks))
    ]
    best = int(np.argmax(hits))
    return hits[best] / max(present, 1), best


def mirrored(body, scores, hands, hand_scores):
    """A body and its hands with left and right exchanged, as detectors do it for a frame."""
    order = list(MIRRORED)
    return body[order], scores[order], hands[::-1], hand_scores[::-1]
