"""What puppets are told to do: actions that differ, happen in their span, and leave the speech around them alone."""

import importlib.util
from itertools import pairwise

import numpy as np
import pytest
from emo2.models.direction.config import DEFAULT_TEXT
from emo2.models.errors import EMO2Error
from emo2.models.pose.body import FOREARM, UPPER_ARM, body_joints
from emo2.models.types import Framing, Motion
from emo2.training.puppets.actions import ACTIONS, Action, act, by_name
from emo2.training.puppets.choreography import MOVES, compose
from emo2.training.puppets.curve import Curve
from emo2.training.puppets.directed import LONGEST, descriptions, direct
from emo2.training.puppets.legs import ANKLES, HIPS, KNEES, on_its_feet, standing
from emo2.training.puppets.performance import Performance, perform
from emo2.training.puppets.phrasings import SPEECH, describe_briefly, phrasings
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the package espeakng-loader is not installed"
)
FRAMING = Framing((0.5, 0.28), 0.2, (128, 96))
FPS = 25


def quiet(seconds: float = 6.0) -> Performance:
    """Somebody who stands still and says nothing: no synthesiser is needed."""
    from emo2.training.puppets.styles import rest_pose

    count = round(seconds * FPS)
    homes = [rest_pose("belly", hand) for hand in (0, 1)]
    rotations = np.tile(np.stack([h.rotations for h in homes]), (count, 1, 1, 1))
    motion = Motion(rotations, np.tile(np.stack([h.wrist for h in homes]), (count, 1, 1)), FPS, FRAMING)
    zeros = lambda *shape: np.zeros((count, *shape), np.float32)
    return Performance(
        np.zeros(count * 640, np.float32), "speaking", motion, zeros(2), zeros(), zeros(3), zeros(2),
        np.zeros((0, 3), np.float32), (1.0, 1.0), "", "",
    )  # fmt: skip


STILL = quiet()


def done(action: Action, seed: int = 0, start: float = 0.5) -> Performance:
    return act(STILL, action, start, np.random.default_rng(seed))


@pytest.fixture(scope="module")
def takes() -> dict[Action, list[Performance]]:
    """Three takes of every action."""
    return {action: [done(action, seed) for seed in range(3)] for action in ACTIONS}


def test_there_are_enough_actions_and_no_two_are_the_same():
    assert len(ACTIONS) >= 32 and len({a.name for a in ACTIONS}) == len(ACTIONS) == len(set(ACTIONS))
    assert {a.kind for a in ACTIONS} == set(MOVES)
    assert len({a.side for a in ACTIONS}) == 4 and len({a.count for a in ACTIONS}) == 4
    assert all(by_name(a.name) is a for a in ACTIONS)
    with pytest.raises(EMO2Error, match="wave right high 3"):
        by_name("juggle")


def features(performance: Performance) -> np.ndarray:
    """Places of the hands' points, head, neck and feet at 24 moments of the span."""
    span = performance.acted[0]
    at = np.linspace(span.start * FPS, span.end * FPS - 1, 24).round().astype(int)
    motion = performance.motion
    fingers = motion.rotations[at, :, 1:].reshape(24, -1)
    parts = (motion.translations[at], motion.rotations[at, :, 0], performance.head[at], motion.body_offset[at],
             performance.feet[at])  # fmt: skip
    return np.concatenate([0.1 * fingers, *(p.reshape(24, -1) for p in parts)], axis=1)


def test_each_take_of_an_action_is_nearest_to_the_other_takes_of_it(takes):
    """One nearest neighbour over all actions, at least nine in ten right: they are different things to do."""
    gallery = [(action, features(p)) for action, ps in takes.items() for p in ps[:2]]
    right = 0
    for action, ps in takes.items():
        probe = features(ps[2])
        right += min(gallery, key=lambda item: np.abs(item[1] - probe).sum())[0] == action
    assert right >= 0.9 * len(ACTIONS)


def test_nothing_of_the_hands_changes_outside_the_span(takes):
    for action, ps in takes.items():
        span = ps[0].acted[0]
        assert span.action == action and 1.0 < span.end - span.start < LONGEST
        times = (np.arange(len(STILL.motion)) + 0.5) / FPS
        outside = (times < span.start) | (times > span.end)
        for name in ("translations", "rotations", "visible", "confidence"):
            assert np.array_equal(getattr(ps[0].motion, name)[outside], getattr(STILL.motion, name)[outside])
        assert np.abs(ps[0].head[outside]).max() == 0 and np.abs(ps[0].feet[outside]).max() < 1e-9
        assert np.abs(ps[0].motion.body_offset[outside]).max() < 1e-9
        changed = not np.array_equal(ps[0].motion.keypoints[~outside], STILL.motion.keypoints[~outside])
        assert changed or action.kind in ("nod", "shake head")
        assert np.array_equal(ps[0].waveform, STILL.waveform)


def test_movements_are_smooth_and_in_reach(takes):
    for ps in takes.values():
        wrists = ps[1].motion.translations
        assert (np.linalg.norm(np.diff(wrists, axis=0), axis=-1) * FPS).max() < 6.5, "metres a second"
        assert np.linalg.norm(np.diff(ps[1].motion.body_offset, axis=0), axis=-1).max() * FPS < 2.5
        joints = body_joints(FRAMING, ps[1].motion.wrists(), ps[1].motion.body_offset, ps[1].motion.body_rotation)
        assert (np.linalg.norm(joints[:, (7, 4)] - joints[:, (5, 2)], axis=-1)).max() < UPPER_ARM + FOREARM + 0.02


def test_hands_do_what_their_names_say(takes):
    moved = lambda p: np.abs(p.motion.translations - STILL.motion.translations).max((0, 2))
    for action, ps in takes.items():
        for p in ps:
            if action.hands and len(action.hands) == 1:
                hand = action.hands[0]
                assert moved(p)[hand] > 0.12 and moved(p)[1 - hand] == 0, action.name
            elif not action.hands:
                assert moved(p).max() == 0
            if action.place in ("high", "up"):
                assert p.motion.translations[:, action.hands, 1].min(0).max() < -0.15, "above the shoulders"
            if action.place in ("camera", "front"):
                assert p.motion.translations[:, action.hands, 2].min() < -0.4, "stretched out to the camera"


def peaks(values: np.ndarray, least: float) -> int:
    """How often `values` (F,) rise above `least` and fall again."""
    above = values > least
    return int((np.diff(above.astype(int)) == 1).sum() + above[0])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_claps_are_as_many_as_asked_for(takes, count):
    for p in takes[Action("clap", "both", "", count)]:
        apart = np.linalg.norm(p.motion.translations[:, 0] - p.motion.translations[:, 1], axis=-1)
        assert peaks(-apart, -0.13) == count


@pytest.mark.parametrize("count", [1, 3])
def test_waves_are_as_many_as_asked_for(takes, count):
    for p in takes[Action("wave", "right", "high", count)]:
        side = -p.motion.translations[:, 1, 0]
        high = p.motion.translations[:, 1, 1] < -0.15
        assert peaks(np.where(high, side, 0), side[high].max() - 0.04) == count


@pytest.mark.parametrize("kind, axis", [("nod", 0), ("shake head", 1)])
def test_heads_nod_and_shake_twice(takes, kind, axis):
    for p in takes[Action(kind, "", "", 2)]:
        assert peaks(p.head[:, axis], 0.2) == 2
        assert np.abs(p.head[:, [a for a in range(3) if a != axis]]).max() < 1e-6


def test_bodies_squat_step_and_raise_their_knees_on_standing_feet(takes):
    def legs(p):
        joints = body_joints(FRAMING, p.motion.wrists(), p.motion.body_offset, p.motion.body_rotation)
        return standing(joints, FRAMING, p.feet, p.motion.body_rotation)

    rest = legs(on_its_feet(STILL))[0]
    for p in takes[Action("squat")]:
        joints = legs(p)
        assert joints[:, HIPS, 1].max() - rest[HIPS[0], 1] > 0.2, "the hips go down"
        assert np.abs(joints[:, ANKLES] - rest[list(ANKLES)]).max() < 0.01, "the feet stay"
        assert joints[:, KNEES, 2].min() < rest[KNEES[0], 2] - 0.15, "the knees go forwards"
    for side, way in (("left", 1), ("right", -1)):
        for p in takes[Action("step", side)]:
            joints = legs(p)
            assert (way * (joints[:, ANKLES, 0] - rest[list(ANKLES), 0])).max(0).min() > 0.15
            assert np.abs(joints[-1] - rest)[8:14].max() < 1e-6, "and back"
        for p in takes[Action("raise knee", side)]:
            knee = legs(p)[:, KNEES[0 if side == "left" else 1]]
            assert knee[:, 1].min() < rest[KNEES[0], 1] - 0.1


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (3, 2, 3), elements=st.floats(-0.4, 0.4)))
def test_legs_keep_their_length_wherever_the_feet_are(feet):
    joints = body_joints(FRAMING, np.zeros((3, 2, 3)) + FRAMING.root())
    stood = standing(joints, FRAMING, feet)
    assert np.allclose(np.linalg.norm(stood[:, KNEES] - stood[:, HIPS], axis=-1),
                       np.linalg.norm(joints[:, KNEES] - joints[:, HIPS], axis=-1), atol=2e-3)  # fmt: skip
    assert (np.linalg.norm(stood[:, ANKLES] - stood[:, HIPS], axis=-1) < 0.83).all()
    assert np.isfinite(stood).all()


def test_actions_come_one_after_the_other_and_within_the_time():
    wave = by_name("wave right high 1")
    once = done(wave)
    with pytest.raises(EMO2Error, match="one after the other"):
        act(once, wave, once.acted[0].end - 0.2, np.random.default_rng(1))
    with pytest.raises(EMO2Error, match="Begin earlier"):
        act(STILL, wave, 5.5, np.random.default_rng(1))
    twice = act(once, by_name("bow"), once.acted[0].end, np.random.default_rng(2))
    assert [a.action.kind for a in twice.acted] == ["wave", "bow"]


def test_strokes_land_on_accents_that_are_near():
    accents = np.array([1.03, 1.9])
    clap = Action("clap", "both", "", 2)
    on, off = (compose(clap, np.random.default_rng(3), a) for a in (accents, np.zeros(0)))
    assert np.abs(np.array(on.tracks[0].times) - accents[0]).min() < 1e-9
    assert np.abs(np.array(off.tracks[0].times) - accents[0]).min() > 1e-3


def test_a_curve_stands_still_at_its_keys():
    curve = Curve(1)
    curve.key(0.0, 0.0)
    curve.key(1.0, 2.0)
    values = curve.sample(np.array([-1, 0, 0.01, 0.5, 0.99, 1, 3]))[:, 0]
    assert np.allclose(values, [0, 0, 0, 1, 2, 2, 2], atol=1e-3) and (np.diff(values) >= 0).all()
    with pytest.raises(ValueError):
        curve.key(0.5, 1.0)


def test_every_action_has_many_descriptions_which_no_other_shares():
    owner = {}
    for action in ACTIONS:
        train, held_out = phrasings(action, "train"), phrasings(action, "held-out")
        assert len(train) >= 6 and len(held_out) >= 2 and not set(train) & set(held_out)
        for text in (*train, *held_out):
            assert owner.setdefault(text.lower().rstrip("."), action) == action, text
            assert "{" not in text and "  " not in text and text == text.strip()
    words = lambda split: {w.strip(".").lower() for a in ACTIONS for t in phrasings(a, split) for w in t.split()}
    assert words("held-out") <= words("train"), "held-out sentences say known words"
    assert SPEECH["train"][0] == DEFAULT_TEXT and not set(SPEECH["train"]) & set(SPEECH["held-out"])


def test_brief_descriptions_leave_out_place_and_count():
    rng = np.random.default_rng(0)
    texts = {describe_briefly(by_name("wave right high 3"), "train", rng) for _ in range(40)}
    assert len(texts) > 5 and all("hand" in t and "three" not in t and "high" not in t for t in texts)
    assert all("left" in describe_briefly(by_name("step left"), "train", rng) for _ in range(10))


@espeak
def test_a_directed_speech_is_the_speech_with_actions_in_it():
    asked = [by_name("thumbs up left"), by_name("raise both")]
    one = direct(4, "train", FRAMING, seconds=12.0, actions=asked)
    same = direct(4, "train", FRAMING, seconds=12.0, actions=asked)
    assert np.array_equal(one.motion.translations, same.motion.translations) and one.acted == same.acted
    plain = perform(4, "train", FRAMING, seconds=12.0, style="speaking")
    assert np.array_equal(one.waveform, plain.waveform)
    times = (np.arange(len(one.motion)) + 0.5) / FPS
    outside = ~np.any([(times >= a.start) & (times <= a.end) for a in one.acted], axis=0)
    assert np.array_equal(one.motion.translations[outside], plain.motion.translations[outside])
    assert [a.action for a in one.acted] == asked and 0 < one.acted[0].start < one.acted[1].start
    told = descriptions(one, "held-out", np.random.default_rng(0))
    acted = [t for t in told if t.text not in SPEECH["held-out"]]
    assert len(acted) == 2 and all(t.text in phrasings(a, "held-out") for t, a in zip(acted, asked))
    assert [(t.start, t.end) for t in acted] == [(a.start, a.end) for a in one.acted]
    assert all(a.end <= b.start for a, b in pairwise(told)) and told[-1].end == one.motion.duration
    with pytest.raises(EMO2Error, match="fewer actions"):
        direct(4, "train", FRAMING, seconds=8.0, actions=asked)
    assert len(direct(1, "train", FRAMING, seconds=6.5).acted) == 1
