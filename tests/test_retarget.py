"""Motions for another body: what is kept, what is reachable, and that a tall driver stretches nobody."""

import json

import numpy as np
import pytest
from emo2 import NODE_CLASS_MAPPINGS
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, rotate
from emo2.models.hands.rest import FINGERS
from emo2.models.motion.edit import mirror
from emo2.models.motion.keep_in_picture import _below
from emo2.models.motion.retarget import bodies, own_shoulders, retarget, within
from emo2.models.motion.vector import to_shoulders
from emo2.models.pose.body import MIRRORED, arm_keypoints
from emo2.models.pose.keypoint_motion import framing_of
from emo2.models.pose.keypoint_sets import load_keypoints, motion_from_keypoints
from emo2.models.pose.portrait import inside, outside
from emo2.models.pose.proportions import Proportions, build_of, measure
from emo2.models.types import FRAME_FIELDS, Framing, Motion
from emo2.nodes import host
from emo2.training.puppets.performance import perform
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures

TALL = Proportions(0.38, 0.31, 0.27, 0.23, 0.17, 0.56, 0.0)
SMALL = Proportions(0.38, 0.22, 0.19, 0.24, 0.19, 0.45, 0.0)
ELSEWHERE = Framing((0.6, 0.5), 0.25, (768, 768))
BUILDS = st.builds(Proportions, st.just(0.38), st.floats(0.2, 0.36), st.floats(0.18, 0.32), st.floats(0.18, 0.28),
                   st.floats(0.13, 0.22), st.floats(0.4, 0.7), st.floats(-0.2, 0.2))  # fmt: skip


def bones(motion):
    """Lengths in the picture (F, 4), framing metres: left and right upper arm, left and right forearm."""
    pixels = motion.keypoints * np.array(motion.framing.size[::-1]) / motion.framing.pixels_per_metre
    return np.stack(
        [np.linalg.norm(pixels[:, a] - pixels[:, b], axis=-1) for a, b in ((5, 6), (2, 3), (6, 7), (3, 4))], 1
    )


def nearer(motion):
    """By how much what lies before the neck root looks larger than at its depth: of wrists, (F, 2)."""
    return np.maximum(motion.framing.root()[2] / motion.wrists()[..., 2], 1)


def reach(motion, shoulders=None):
    return np.linalg.norm(motion.wrists() - (own_shoulders(motion) if shoulders is None else shoulders), axis=-1)


def palms(motion):
    ahead = np.broadcast_to(FINGERS, motion.translations.shape)
    return motion.wrists() + 0.09 * rotate(motion.rotations[:, :, 0].astype(float), ahead)


def test_its_own_body_and_framing_change_nothing():
    motion = gestures(0, 40)
    assert retarget(motion, target=bodies(motion).source) is motion
    assert retarget(motion, motion.framing, TALL, TALL) is motion


@given(st.integers(0, 50), BUILDS, BUILDS)
@settings(max_examples=12)
def test_wrists_stay_within_reach_and_frames_in_their_places(seed, target, source):
    motion = gestures(seed, 20)
    moved = retarget(motion, ELSEWHERE, target, source)
    assert len(moved) == len(motion) and moved.fps == motion.fps and moved.framing == ELSEWHERE
    assert reach(moved).max() <= target.arm * 1.002
    # Frame i depends on frame i alone: half of the motion gives half of the result.
    half = retarget(motion.frames(5, 15), ELSEWHERE, target, source)
    for name in FRAME_FIELDS:
        assert np.allclose(getattr(half, name), getattr(moved, name)[5:15], atol=1e-5), name
    two = bodies(motion, target, source)
    turned = angle(motion.rotations.astype(float), moved.rotations.astype(float))
    assert np.allclose(turned[:, :, 0], abs(two.turn), atol=1e-3) and turned[:, :, 1:].max() < 1e-3


def test_relative_timing_is_exact():
    motion = gestures(4, 60)
    moved = retarget(motion, ELSEWHERE, SMALL, TALL, contacts=False, hands_together=False)
    was, now = motion.wrists() - own_shoulders(motion), moved.wrists() - own_shoulders(moved)
    assert np.allclose(now, was * (SMALL.arm / TALL.arm), atol=2e-3)


@pytest.mark.parametrize("contacts, places", [(False, 0.001), (True, 0.015)])
def test_there_and_back_is_the_same_motion(contacts, places):
    motion = gestures(1, 40)
    there = retarget(motion, ELSEWHERE, SMALL, TALL, contacts, contacts)
    back = retarget(there, motion.framing, TALL, SMALL, contacts, contacts)
    assert np.abs(back.translations - motion.translations).max() < places
    assert angle(back.rotations.astype(float), motion.rotations.astype(float)).max() < 1e-3
    known = motion.keypoint_scores > 0
    assert np.abs(back.keypoints - motion.keypoints)[known].max() < 0.01
    assert np.abs(back.face - motion.face).max() < 1e-4


def test_a_mirrored_motion_is_retargeted_to_the_mirror_image():
    motion = gestures(2, 30)
    one = mirror(retarget(motion, ELSEWHERE, SMALL, TALL, keep_in_picture=True))
    flipped = Framing((0.4, 0.5), 0.25, (768, 768))
    two = retarget(mirror(motion), flipped, SMALL, TALL, keep_in_picture=True)
    assert np.allclose(one.translations, two.translations, atol=1e-4)
    assert angle(one.rotations.astype(float), two.rotations.astype(float)).max() < 1e-3
    known = two.keypoint_scores > 0
    assert np.abs(one.keypoints - two.keypoints)[known].max() < 1e-3 and MIRRORED[5] == 2


@given(st.integers(0, 30), BUILDS)
@settings(max_examples=12)
def test_drawn_bones_are_no_longer_than_the_bodys(seed, target):
    moved = retarget(gestures(seed, 20), ELSEWHERE, target)
    longest = np.array([target.upper_arm, target.upper_arm, target.forearm, target.forearm])
    assert (bones(moved) <= longest * np.tile(nearer(moved), 2) * 1.02).all()


def still(wrists, rotations=None, count=4):
    """A motion whose wrists stand at places relative to the neck root, with its arms' points."""
    framing = Framing()
    turns = np.tile(np.array([1.0, 0, 0, 0]), (count, 2, 16, 1))
    if rotations is not None:
        turns[:, :, 0] = rotations
    motion = Motion(turns, np.tile(np.asarray(wrists, float), (count, 1, 1)), 25.0, framing)
    points, scores = arm_keypoints(framing, motion.wrists())
    return motion.replace(keypoints=points, keypoint_scores=scores)


def test_hands_together_stay_together():
    # Fingers of the left hand point to +x, of the right hand to -x: palms 4 cm apart when the wrists are crossed.
    motion = still([[-0.07, 0.25, -0.25], [0.07, 0.25, -0.25]])
    gap = lambda m: np.linalg.norm(palms(m)[:, 0] - palms(m)[:, 1], axis=-1)
    assert gap(motion).max() < 0.05
    kept = retarget(motion, None, SMALL, TALL)
    loose = retarget(motion, None, SMALL, TALL, hands_together=False)
    assert np.abs(gap(kept) - gap(motion)).max() < 0.002 < 0.02 < np.abs(gap(loose) - gap(motion)).min()


def test_a_hand_at_the_face_and_one_on_the_hip_stay_there():
    nose, hip = np.array([0.0, -0.205, -0.08]), np.array([-0.17, 0.5, -0.03])
    motion = still([nose + np.array([-0.09, 0.03, -0.05]), hip + np.array([0.09, 0, -0.03])])
    moved = retarget(motion, None, SMALL, TALL)
    face = nose * SMALL.nose / TALL.nose + np.array([0.0, 0.03, -0.05]) * SMALL.head / TALL.head
    assert np.linalg.norm(palms(moved)[0, 0] - moved.framing.root() - face) < 0.01
    torso = SMALL.torso / TALL.torso
    side = hip * [1, torso, 1] + np.array([0, 0, -0.03]) * torso
    assert np.linalg.norm(palms(moved)[0, 1] - moved.framing.root() - side) < 0.03
    loose = retarget(motion, None, SMALL, TALL, contacts=False)
    assert np.linalg.norm(palms(loose)[0, 0] - moved.framing.root() - face) > 0.05


@given(st.floats(0.1, 2.0))
def test_reach_is_limited_softly_and_never_exceeded(far):
    place = lambda d: within(np.array([[[d, 0, 0], [0, d, 0]]]), np.zeros((1, 2, 3)), 0.5)
    now = np.linalg.norm(place(far), axis=-1)
    assert (now <= 0.5).all() and (np.allclose(now, far) if far <= 0.485 else (now > 0.48).all())
    assert (np.linalg.norm(place(far + 1e-3), axis=-1) >= now - 1e-12).all()


def test_proportions_are_measured_from_what_is_longest():
    motion = gestures(5, 60)
    found = build_of(motion)
    assert (
        0.27 < found.upper_arm < 0.31
        and 0.2 < found.forearm < 0.28
        and found.shoulders == pytest.approx(0.38, rel=0.03)
    )
    # A single frame whose left arm points at the camera: the right arm counts for both.
    one = motion.frames(0, 1)
    points = one.keypoints.copy()
    points[:, 6] = points[:, 5] + 0.01
    points[:, 7] = points[:, 6] + 0.01
    short = build_of(one.replace(keypoints=points))
    assert short.upper_arm == pytest.approx(build_of(one).upper_arm, rel=0.25) and short.forearm >= 0.17
    unknown = build_of(one.replace(keypoint_scores=np.zeros((1, 18))))
    assert np.isnan([unknown.arm, unknown.nose, unknown.torso, unknown.roll]).all()
    assert bodies(one.replace(keypoint_scores=np.zeros((1, 18)))).target.arm == pytest.approx(0.53)


@given(st.lists(st.floats(-1, 2), min_size=2, max_size=20), st.floats(0.5, 0.95))
def test_the_squeeze_keeps_order_and_leaves_what_lies_well_inside(values, limit):
    values = np.sort(np.array(values))
    new = _below(values, values.max(), limit)
    assert new.max() <= max(limit, 0) + 1e-9 or values.max() <= limit
    assert (np.diff(new) >= 0).all() and (new <= values + 1e-12).all()
    knee = max(2 * limit - values.max(), limit - 0.5)
    assert np.array_equal(new[values <= knee], values[values <= knee])


def test_hands_are_kept_in_the_picture_without_a_jump():
    count = 60
    framing = Framing((0.5, 0.45), 0.5, (704, 512))
    motion = gestures(3, count, framing=framing)
    places = motion.translations.copy()
    places[:, 0, 0] += 0.35 * np.sin(np.linspace(0, np.pi, count))
    places[:, 1, 1] += 0.45
    motion = motion.replace(translations=places, visible=None)
    assert outside(motion).any(0).all()
    own = bodies(motion).source
    kept = retarget(motion, target=own, keep_in_picture=True)
    assert inside(kept).all()
    step = lambda m: np.linalg.norm(np.diff(m.translations, axis=0), axis=-1)
    assert (step(kept) <= step(motion) * 1.6 + 1e-3).all(), "nothing jumps"
    moving = step(motion)[:, 0] > 0.004
    assert (step(kept)[moving, 0] > 0.1 * step(motion)[moving, 0]).all(), "nothing stops"
    calm = gestures(0, 20, framing=Framing((0.5, 0.4), 0.2, (704, 512)))
    assert retarget(calm, target=bodies(calm).source, keep_in_picture=True) is calm


def call(**given):
    cls = NODE_CLASS_MAPPINGS["EMO2RetargetMotion"]
    required = cls.INPUT_TYPES()["required"]
    values = {name: spec[1]["default"] for name, spec in required.items() if "default" in spec[1]}
    return cls().retarget(**{**values, **given})


def test_the_node_takes_a_framing_or_a_reference(monkeypatch):
    monkeypatch.setattr(host, "outside", host.Outside(quiet=True))
    motion = gestures(0, 20)
    same, report = call(motion=motion)
    assert same is motion and "upper arm" in report
    framed, _ = call(motion=motion, framing=ELSEWHERE)
    assert framed.framing == ELSEWHERE
    reference = gestures(7, 1, framing=Framing((0.4, 0.5), 0.3, (600, 500)))
    moved, _ = call(motion=motion, reference_motion=reference)
    assert moved.framing == reference.framing
    (pose,) = NODE_CLASS_MAPPINGS["EMO2MotionToPoseKeypoint"]().convert(reference, True)
    other, report = call(motion=motion, reference_pose=json.loads(json.dumps(pose)))
    assert np.allclose(other.framing.neck, reference.framing.neck, atol=0.02)
    assert np.abs(other.keypoints - moved.keypoints).max() < 0.03 and " -> " in report
    nobody = [{"people": [], "canvas_width": 10, "canvas_height": 10}]
    with pytest.raises(EMO2Error, match="EMO2 Retarget Motion, reference_pose"):
        call(motion=motion, reference_pose=nobody)


@pytest.mark.parametrize("seed", [1, 2])
def test_puppets_reach_no_further_and_keep_their_time(seed):
    motion = perform(seed, "held-out", Framing(), seconds=6, style="dance").motion
    moved = retarget(motion, ELSEWHERE, SMALL)
    assert reach(moved).max() <= SMALL.arm * 1.002
    was, now = (np.linalg.norm(np.diff(m.wrists(), axis=0), axis=-1) for m in (motion, moved))
    for hand in (0, 1):
        score = [np.corrcoef(was[8:-8, hand], now[8 + s : len(now) - 8 + s, hand])[0, 1] for s in range(-8, 9)]
        assert int(np.argmax(score)) == 8 and max(score) > 0.97
    assert (moved.visible == motion.visible).all() and (moved.confidence == motion.confidence).all()


def test_unknown_points_stay_unknown_and_pull_at_nothing():
    motion = gestures(6, 20)
    scores = motion.keypoint_scores.copy()
    whole = retarget(motion, ELSEWHERE, SMALL, TALL)
    for lost in ([2, 5], [4, 7], [8, 11], [0], [1]):
        less = scores.copy()
        less[:, lost] = 0
        points = np.where(less[..., None] > 0, motion.keypoints, 0)
        moved = retarget(motion.replace(keypoints=points, keypoint_scores=less), ELSEWHERE, SMALL, TALL)
        assert np.array_equal(moved.keypoint_scores, less) and not moved.keypoints[:, lost].any()
        # Without shoulders the resting body's stand in, which do not turn with a shrug.
        assert np.abs(moved.keypoints - whole.keypoints)[less > 0].max() < 0.03, lost


@pytest.mark.shared
@pytest.mark.parametrize("driver", ["01", "02", "good"])
def test_one_frame_tells_the_arms_of_a_whole_clip(shared, driver):
    """However the arms point in it: what a reference is measured by is within a sixth of the truth."""
    found, size = load_keypoints(shared / "data" / "pose" / f"echomimic_v2_{driver}.npz")
    clip = measure(found.body, found.body_scores, framing_of(found.body, found.body_scores, size), 24.0)
    arms = []
    for i in range(0, len(found.body), 6):
        body, scores = found.body[i : i + 1], found.body_scores[i : i + 1]
        arms.append(measure(body, scores, framing_of(body, scores, size)).arm / clip.arm)
    assert np.abs(np.array(arms) - 1).max() < 1 / 6 and abs(np.median(arms) - 1) < 0.08


@pytest.mark.shared
@pytest.mark.parametrize("driver", ["01", "02", "good"])
def test_a_tall_driver_does_not_stretch_a_small_reference(shared, driver):
    """Real points on a small body: arms as drawn within the reference's, hands that meet still meeting."""
    motion = motion_from_keypoints(shared / "data" / "pose" / f"echomimic_v2_{driver}.npz", 24.0)
    small = Proportions(0.38, 0.24, 0.2, 0.22, 0.16, 0.45, 0.0)
    assert bones(motion)[:, :2].max() > 1.2 * small.upper_arm
    moved = retarget(motion, ELSEWHERE, small)
    longest = np.array([small.upper_arm, small.upper_arm, small.forearm, small.forearm])
    assert (bones(moved) <= longest * np.tile(nearer(moved), 2) * 1.02).all()
    assert reach(moved).max() <= small.arm * 1.002
    shake = lambda m: np.abs(np.diff(to_shoulders(m.keypoints, m.framing), 2, axis=0))[:, :8].max()
    assert shake(moved) < 1.1 * shake(motion), "nothing leaps that did not"
    pace = lambda m: np.linalg.norm(np.diff(m.wrists(), axis=0), axis=-1).ravel()
    assert np.corrcoef(pace(motion), pace(moved))[0, 1] > 0.95
    gap = lambda m: np.linalg.norm((palms(m)[:, 0] - palms(m)[:, 1])[:, :2], axis=-1)
    close = np.linalg.norm(palms(motion)[:, 0] - palms(motion)[:, 1], axis=-1) < 0.1
    assert not close.any() or np.abs(gap(moved) - gap(motion))[close].max() < 0.02
