"""Figures of directed motion: right action, like a true one, in its time."""

import dataclasses

import numpy as np
import pytest
from emo2.evaluation.motion.directed import Asked, Performed, figures, time_overlap
from emo2.models.errors import EMO2Error

KINDS = 32


class Perfect:
    """Hears the number in a text and sees the largest channel of a motion."""

    def of_texts(self, texts):
        return np.stack([np.eye(KINDS)[int(text.split()[-1])] for text in texts])

    def of_motions(self, motions):
        return np.stack([vectors.mean(axis=0) for vectors in motions])


def performed(kind, start=2.0, end=4.0, made=None, shift=0.0, noise=0.0):
    rng = np.random.default_rng(kind)
    true = rng.normal(0, 0.01, (200, KINDS))
    true[round(start * 25) : round(end * 25), kind] += 1
    shown = true if made is None else made
    moved = np.roll(shown, round(shift * 25), axis=0) + rng.normal(0, noise, shown.shape)
    return Performed(Asked(f"do number {kind}", f"kind {kind}", start, end, None), moved, true)


def test_what_was_asked_for_is_found():
    found = [performed(kind, noise=0.02) for kind in range(KINDS)]
    still = [dataclasses.replace(one, made=np.zeros((200, KINDS))) for one in found]
    told = figures(Perfect(), found, still)
    assert told.made.top[0] == told.true.top[0] == 1.0 and told.in_time == 1.0
    assert told.shuffled.top[0] < 0.1
    assert told.fid < 0.1 * told.fid_plain
    assert figures(Perfect(), found).fid_plain is None


def test_a_wrong_action_is_not():
    other = [dataclasses.replace(performed(kind), made=performed((kind + 1) % KINDS).true) for kind in range(KINDS)]
    assert figures(Perfect(), other).made.top[0] == 0.0


def test_time_is_measured_where_the_action_is():
    network = Perfect()
    assert time_overlap(network, performed(3)) == 1.0
    assert abs(time_overlap(network, performed(3, shift=0.64)) - (50 - 16) / (50 + 16)) < 1e-9
    assert time_overlap(network, performed(3, shift=-2.0)) < 0.05
    assert time_overlap(network, performed(3, start=0.0, end=8.0)) == 1.0


def test_one_performance_is_too_few():
    with pytest.raises(EMO2Error, match="two performances"):
        figures(Perfect(), [performed(0)])
