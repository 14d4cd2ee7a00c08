"""A motion set into another stands where the script says, leaves the rest bit for bit, and never jumps."""

import numpy as np
import pytest
from emo2.models.direction.script import parse_script
from emo2.models.direction.splice import insert, splice_by_script
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle
from emo2.models.motion.edit_framing import apply_framing
from emo2.models.pose.body import WRISTS
from emo2.models.types import FRAME_FIELDS, Framing
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

COUNT = 100
BASE, OTHER = gestures(1, COUNT), gestures(2, COUNT)


def same(a, b, frames):
    return all(np.array_equal(getattr(a, n)[frames], getattr(b, n)[frames]) for n in FRAME_FIELDS)


def step(motion):
    return np.abs(np.diff(motion.wrists(), axis=0)).max()


def turn(motion):
    return angle(motion.rotations[:-1].astype(float), motion.rotations[1:].astype(float)).max()


def test_inside_it_is_the_one_and_outside_the_other():
    made = splice_by_script(BASE, OTHER, parse_script("1-2 wave [blend 0.2]\n3-4 nod [blend 0.2]"))
    assert same(made, BASE, slice(0, 25)) and same(made, BASE, slice(50, 75))
    assert same(made, OTHER, slice(30, 45)) and same(made, OTHER, slice(80, 100))
    assert made.fps == BASE.fps and len(made) == COUNT and not same(made, BASE, slice(25, 30))


def test_strength_is_the_share():
    made = splice_by_script(BASE, OTHER, parse_script("1-3 wave [strength 0.5]"))
    half = (BASE.translations[50] + OTHER.translations[50]) / 2
    assert np.allclose(made.translations[50], half, atol=1e-6)
    weak = splice_by_script(BASE, OTHER, parse_script("1-3 wave [strength 0]"))
    assert same(weak, BASE, slice(None))


def test_from_its_beginning_each_line_starts_it_anew():
    clip = OTHER.frames(0, 30)
    script = parse_script("1-2 a [blend 0.1]\n2.5-4 b [blend 0.1]")
    made = splice_by_script(BASE, clip, script, timing="from its beginning")
    assert np.array_equal(made.rotations[30:45], clip.rotations[5:20])
    first = 63  # 62.5, to the nearest
    assert np.array_equal(made.rotations[first + 5 : first + 20], clip.rotations[5:20])
    # The clip is over before the line is: so is the line.
    assert same(made, BASE, slice(first + 30, COUNT))


@pytest.mark.parametrize(("hands", "own", "kept"), [("left", 0, 1), ("right", 1, 0)])
@pytest.mark.parametrize("body", [True, False])
def test_one_hand(hands, own, kept, body):
    made = splice_by_script(BASE, OTHER, parse_script("1-3 wave"), hands, body)
    assert np.array_equal(made.rotations[50, own], OTHER.rotations[50, own])
    assert np.array_equal(made.rotations[:, kept], BASE.rotations[:, kept])
    assert np.array_equal(made.translations[:, kept], BASE.translations[:, kept])
    assert np.array_equal(made.body_offset[50], (OTHER if body else BASE).body_offset[50])
    # The arms in the picture follow both hands.
    at = made.framing.project(made.wrists())[50]
    moved = made.keypoint_scores[50, list(WRISTS)] > 0
    assert np.abs((made.keypoints[50, list(WRISTS)] - at)[moved]).max() < 0.02 and moved.any()


def test_rates_framings_and_lengths_meet():
    other = apply_framing(gestures(2, 60, fps=50.0), Framing((0.3, 0.5), 0.2, (100, 300)))
    made = splice_by_script(BASE, other, parse_script("0.5-3 wave"))
    assert made.framing == BASE.framing and made.fps == BASE.fps and len(made) == COUNT
    assert same(made, BASE, slice(30, COUNT)) and not same(made, BASE, slice(15, 28))


@settings(max_examples=25)
@given(st.floats(0, 3), st.floats(0.4, 1), st.floats(0.12, 0.3), st.sampled_from(["both", "left"]), st.booleans(),
       st.sampled_from(["in time", "from its beginning"]))  # fmt: skip
def test_nothing_jumps(start, length, blend, hands, body, timing):
    """No step is larger than the motions' own and what the way between them needs over the blend."""
    made = splice_by_script(
        BASE,
        OTHER,
        parse_script(f"{start:.3f} +{length:.3f} wave [blend {min(blend, length / 2 - 0.01):.3f}]"),
        hands,
        body,
        timing,
    )
    way = max(np.abs(BASE.wrists()[:, None] - OTHER.wrists()[None]).max(), 0)
    frames = max(min(blend, length / 2 - 0.01), 0.12) * 25
    if start * 25 < 0.5:
        made = made.frames(1, COUNT)
    assert step(made) <= step(BASE) + step(OTHER) + 1.6 * way / frames
    between = angle(BASE.rotations.astype(float), OTHER.rotations.astype(float)).max()
    assert turn(made) <= turn(BASE) + turn(OTHER) + 2 * max(between, 0.5) / frames


def test_a_stretch_without_a_script():
    made = insert(BASE, OTHER.frames(0, 25), 1.0, blend_in=0.2, blend_out=0.2)
    assert same(made, BASE, slice(0, 25)) and same(made, BASE, slice(50, COUNT))
    assert np.array_equal(made.rotations[35], OTHER.rotations[10])
    until = insert(BASE, OTHER, 1.0, 2.0, timing="in time")
    assert same(until, BASE, slice(50, COUNT)) and np.array_equal(until.rotations[37], OTHER.rotations[37])
    to_the_end = insert(BASE, OTHER, 3.0)
    assert np.array_equal(to_the_end.rotations[-1], OTHER.rotations[24])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: splice_by_script(BASE, OTHER, parse_script("1-2 a\n9-10 far away")), "line 2.*0:04.*0:09 .far away"),
        (lambda: splice_by_script(BASE, OTHER.frames(0, 30), parse_script("\n2-3 nod")), r"line 2.*0:01.2.*its beg"),
        (lambda: splice_by_script(BASE, OTHER, parse_script("1-2 a"), "feet"), "hands"),
        (lambda: splice_by_script(BASE, OTHER, parse_script("1-2 a"), timing="soon"), "timing"),
        (lambda: insert(BASE, OTHER, 5.0), "start_second"), (lambda: insert(BASE, OTHER, 2.0, 1.0), "end_second"),
    ],
)  # fmt: skip
def test_errors(make, told):
    with pytest.raises(EMO2Error, match=f"(?s){told}"):
        make()
