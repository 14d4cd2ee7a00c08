"""Hands fitted to points over a clip: precision where the truth is known, gaps, frame rates, and real keypoints."""

from pathlib import Path

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.hands.quaternions import angle, mirror
from emo2.models.pose import fit
from emo2.models.pose.fit import fit_hands
from emo2.models.pose.keypoint_motion import framing_of, motion_of_points
from emo2.models.pose.keypoint_sets import load_keypoints, motion_from_keypoints
from emo2.models.pose.pose_keypoint import to_pose_keypoint
from emo2.models.types import FRAME_FIELDS, Framing
from emo2.nodes import NODE_CLASS_MAPPINGS as NODES
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures
from pose_fit_cases import HANDS, errors, fitted, jumps, puppet, seen

FEW = settings(max_examples=3, deadline=None)


@pytest.mark.parametrize("seed", [201, 202, 203])
def test_clean_points_give_the_hands_within_a_twentieth(seed):
    motion = puppet(seed, 36, start=10)
    joints, points, scores = seen(motion)
    relative, _, pixels = errors(motion, joints, fitted(motion, points, scores))
    assert relative.mean() <= 0.05 and relative.max() <= 0.05, "hand sizes"
    assert pixels.mean() <= 0.5


@pytest.mark.parametrize("seed", [204, 205, 206])
def test_noise_and_missing_points_cost_at_most_a_tenth(seed):
    motion = puppet(seed, 50, start=10)
    joints, points, scores = seen(motion, noise=3.0, missing=0.2, seed=seed)
    relative, place, pixels = errors(motion, joints, fitted(motion, points, scores))
    assert relative.mean() <= 0.1, "hand sizes"
    assert place.mean() <= 1.2, "the depth of a hand is known from its size alone"
    assert pixels.mean() <= 3.0, "nearer to the truth than the points were"


def test_points_that_are_quite_wrong_count_little():
    motion = puppet(207, 30)
    joints, points, scores = seen(motion, noise=1.0)
    rng = np.random.default_rng(0)
    wrong = rng.random(scores.shape) < 0.08
    points = np.where(wrong[..., None], points + rng.normal(0, 0.08, points.shape), points)
    assert errors(motion, joints, fitted(motion, points, scores))[0].mean() < 0.05


def test_scores_weigh():
    """Points that are off lose against others whose score is higher."""
    motion = puppet(207, 12)
    joints, points, scores = seen(motion)
    points[:, :, 12] += [0.03, 0.0]
    found = []
    for score in (1.0, 0.05):
        scores[:, :, 12] = score
        fitted_points = motion.framing.project(HANDS.pose(*_both(fitted(motion, points, scores)))[1])
        found.append(np.linalg.norm(fitted_points[:, :, 12] - motion.framing.project(joints)[:, :, 12], axis=-1).mean())
    assert found[1] < 0.7 * found[0]


def _both(lifted):
    return lifted.rotations, lifted.wrists


@pytest.mark.parametrize("fps", [5.0, 120.0])
def test_any_frame_rate(fps):
    if fps < 25:
        whole = puppet(208, 100)
        motion = whole.replace(**{name: getattr(whole, name)[::5] for name in FRAME_FIELDS}, fps=fps)
    else:
        from emo2.models.motion.edit_time import resample

        motion = resample(puppet(208, 12, start=10), fps)
    joints, points, scores = seen(motion)
    assert errors(motion, joints, fitted(motion, points, scores))[0].max() < 0.05
    joints, points, scores = seen(motion, noise=3.0, missing=0.2)
    assert errors(motion, joints, fitted(motion, points, scores))[0].mean() < 0.1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_very_short_clips(count):
    motion = puppet(209, count)
    joints, points, scores = seen(motion)
    lifted = fitted(motion, points, scores)
    assert lifted.rotations.shape == (count, 2, 16, 4) and lifted.seen.all()
    assert errors(motion, joints, lifted)[0].max() < 0.05


def test_gaps_are_bridged_smoothly_and_not_seen():
    motion = puppet(214, 60, start=20)
    joints, points, scores = seen(motion)
    gone = np.zeros(scores.shape[:2], bool)
    gone[20:35, 0] = gone[:8, 1] = gone[52:, 1] = True
    scores[gone] = 0
    lifted = fitted(motion, np.where(gone[..., None, None], 0.0, points), scores)
    assert np.array_equal(lifted.seen, ~gone)
    assert errors(motion, joints, lifted)[0][~gone].max() < 0.05
    off = (motion.framing.project(lifted.wrists) - motion.framing.project(motion.wrists())) * [512, 704]
    assert np.abs(off[20:35, 0]).max() < 12, "the arm's points say where in the picture"
    for truth, found in zip(jumps(motion.rotations, motion.translations, 25), jumps(*_both(lifted), 25)):
        assert found < 1.5 * truth + 0.3, "no faster than the hands themselves"


def test_a_gap_follows_the_arm_where_the_body_is_seen():
    motion = puppet(214, 40, start=20)
    _, points, scores = seen(motion)
    scores[10:30, 0] = 0
    body = motion.keypoints.copy()
    bump = 0.1 * np.sin(np.linspace(0, np.pi, 20))
    body[10:30, 7, 1] -= bump
    lifted = fit_hands(points * scores[..., None], scores, body, motion.keypoint_scores, motion.framing, 25.0, HANDS,
                       motion.body_offset)  # fmt: skip
    wrist = motion.framing.project(lifted.wrists)[20, 0]
    assert wrist[1] < motion.framing.project(motion.wrists())[20, 0, 1] - 0.06


def test_a_hand_that_is_never_seen_leaves_the_other_alone():
    motion = puppet(209, 20)
    joints, points, scores = seen(motion)
    scores[:, 1] = 0
    lifted = fitted(motion, points * scores[..., None], scores)
    assert lifted.seen[:, 0].all() and not lifted.seen[:, 1].any()
    assert errors(motion, joints, lifted)[0][:, 0].max() < 0.05
    nobody = fitted(motion, points * 0, scores * 0)
    assert not nobody.seen.any() and np.isfinite(nobody.rotations).all()


@FEW
@given(st.floats(-0.12, 0.12), st.floats(-0.12, 0.12))
def test_moving_the_picture_moves_the_hands(across, down):
    motion = puppet(209, 6)
    _, points, scores = seen(motion)
    shift, framing = np.array([across, down]), motion.framing
    moved = Framing((framing.neck[0] + across, framing.neck[1] + down), framing.shoulder_width, framing.size)
    here = fitted(motion, points, scores)
    there = fit_hands(points + shift, scores, motion.keypoints + shift, motion.keypoint_scores, moved, 25.0, HANDS,
                      motion.body_offset)  # fmt: skip
    projected = moved.project(HANDS.pose(*_both(there))[1])
    assert np.abs((projected - points - shift) * [512, 704]).max() < 1.0
    # Off the centre a hand is seen a little from another side: by as much as the line of sight has turned.
    turned = np.degrees(angle(here.rotations[:, :, 0], there.rotations[:, :, 0]))
    assert turned.max() < 12 and np.abs(there.wrists[..., 2] - here.wrists[..., 2]).max() < 0.1


@FEW
@given(st.integers(0, 50))
def test_a_mirror_shows_mirrored_hands(seed):
    motion = gestures(seed, 6, framing=Framing((0.45, 0.4), 0.33, (704, 512)))
    _, points, scores = seen(motion, noise=1.0, seed=seed)
    flip = lambda p: np.stack([1 - p[..., 0], p[..., 1]], -1)
    other = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 15, 14, 17, 16]
    framing = Framing((0.55, 0.4), 0.33, (704, 512))
    here = fitted(motion, points, scores)
    there = fit_hands(flip(points)[:, ::-1], scores[:, ::-1], flip(motion.keypoints)[:, other],
                      motion.keypoint_scores[:, other], framing, 25.0, HANDS,
                      motion.body_offset * [-1, 1, 1])  # fmt: skip
    assert angle(mirror(there.rotations[:, ::-1]), here.rotations).max() < 1e-3
    assert np.allclose(there.wrists[:, ::-1] * [-1, 1, 1], here.wrists, atol=1e-4)


def test_the_same_points_give_the_same_hands():
    motion = puppet(209, 10)
    _, points, scores = seen(motion, noise=2.0, missing=0.1)
    one, two = (fitted(motion, points, scores) for _ in range(2))
    assert np.array_equal(one.rotations, two.rotations) and np.array_equal(one.wrists, two.wrists)


def test_windows_leave_no_seams(monkeypatch):
    motion = puppet(210, 90)
    joints, points, scores = seen(motion, noise=1.0, missing=0.1)
    whole = fitted(motion, points, scores)
    monkeypatch.setattr(fit, "CHUNK", 30)
    assert len(fit._windows(90, 25.0)) == 3
    pieces = fitted(motion, points, scores)
    assert np.degrees(angle(whole.rotations[:, :, 0], pieces.rotations[:, :, 0])).max() < 2.0
    assert np.abs(whole.wrists - pieces.wrists).max() < 0.02
    for a, b in zip(jumps(*_both(whole), 25), jumps(*_both(pieces), 25)):
        assert b < 1.1 * a + 0.1
    assert errors(motion, joints, pieces)[0].mean() < 0.05


@given(st.integers(1, 5000), st.sampled_from([5.0, 25.0, 120.0]))
def test_windows_cover_every_frame_once(count, fps):
    windows = fit._windows(count, fps)
    assert [w.first for w in windows] == [0, *(w.last for w in windows[:-1])] and windows[-1].last == count
    assert all(0 <= w.start <= w.first < w.last <= w.stop <= count for w in windows)
    assert max(w.stop - w.start for w in windows) <= 1.5 * fit.CHUNK + 2 * max(fps, fit.FEWEST) + 2


def test_hands_of_another_size_stay_in_reach_and_keep_their_pose():
    """As if the person's hands were nearly twice the model's: not the metres before the body that this would mean."""
    motion = puppet(209, 12)
    joints, points, scores = seen(motion)
    larger = points[:, :, :1] + 1.8 * (points - points[:, :, :1])
    lifted = fitted(motion, larger, scores)
    depth = lifted.wrists[..., 2] - motion.framing.root()[2]
    assert depth.min() > -0.75 and depth.max() < 0.2
    assert errors(motion, joints, lifted)[0].mean() < 0.15
    ordinary = fitted(motion, points, scores).wrists[..., 2] - motion.framing.root()[2]
    assert ordinary.min() > -0.6


@pytest.mark.parametrize("case", ["random", "one place", "far outside", "one frame", "single precision"])
def test_points_that_are_no_hand_still_give_numbers(case):
    motion, rng = puppet(209, 6), np.random.default_rng(0)
    _, points, scores = seen(motion)
    if case == "one frame":
        scores[np.arange(6) != 2] = 0
    points = {"random": rng.random(points.shape), "one place": np.full(points.shape, 0.5),
              "far outside": rng.normal(0, 50, points.shape),
              "single precision": points.astype(np.float32)}.get(case, points)  # fmt: skip
    lifted = fitted(motion, points, scores.astype(points.dtype))
    assert np.allclose(np.linalg.norm(lifted.rotations, axis=-1), 1) and np.isfinite(lifted.wrists).all()
    assert lifted.wrists[..., 2].min() > 0.1 * motion.framing.root()[2]


def test_it_says_how_far_it_is_and_stops_when_told():
    motion = puppet(209, 4)
    _, points, scores = seen(motion)
    said = []
    fitted(motion, points, scores, on_step=lambda done, total: said.append((done, total)))
    assert [done for done, _ in said] == list(range(1, said[0][1] + 1)) and len({total for _, total in said}) == 1

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(motion, points, scores, on_step=stop)


def test_the_nodes_fit_unless_told_not_to():
    node = NODES["EMO2PoseKeypointToMotion"]
    for name in ("EMO2PoseKeypointToMotion", "EMO2LoadKeypoints"):
        inputs = NODES[name].INPUT_TYPES()
        assert list(inputs["optional"])[-1] == "hand_fit" and inputs["optional"]["hand_fit"][1]["default"] == "fit"
    motion = puppet(209, 6).replace(visible=None, hand_scores=None)
    keypoints = to_pose_keypoint(motion, HANDS)
    joints = HANDS.pose(motion.rotations, motion.wrists())[1]
    missed = {}
    for way in ("fit", "quick"):
        back = node().convert(keypoints, 25.0, 0, motion.framing, HANDS, way)[0]
        missed[way] = np.linalg.norm(HANDS.pose(back.rotations, back.wrists())[1] - joints, axis=-1).mean()
        assert back.visible.all() and np.allclose(back.confidence, 1)
    assert missed["fit"] < 0.02 < missed["quick"]
    with pytest.raises(EMO2Error, match="hand_fit: expected fit or quick"):
        node().convert(keypoints, 25.0, 0, motion.framing, HANDS, "slow")


@pytest.mark.shared
@pytest.mark.parametrize("name", ["01", "02", "good"])
def test_real_hands_lie_on_their_points(shared, name):
    """Reprojected joints within a tenth of the hand's size, which is the diagonal of its points' box and, stricter, a
    flat hand's length at its place; in 90 % of the frames."""
    found, size = load_keypoints(Path(shared) / "data" / "pose" / f"echomimic_v2_{name}.npz")
    found = type(found)(*(part[:90] for part in found))
    framing = framing_of(found.body, found.body_scores, size)
    motion = motion_of_points(found, 24.0, framing, HANDS)
    joints = framing.project(HANDS.pose(motion.rotations, motion.wrists())[1])
    away = np.linalg.norm(joints - found.hands, axis=-1) * size[0]
    known = found.hand_scores > 0
    box = np.linalg.norm(np.ptp(found.hands, axis=2), axis=-1) * size[0]
    length = framing.focal * 0.1875 / motion.wrists()[..., 2]
    for measure in (box, length):
        worst = np.where(known, away, 0).max(-1) / measure
        mean = np.where(known, away, 0).sum(-1) / known.sum(-1) / measure
        assert (mean[motion.visible] < 0.1).mean() >= 0.9 and (worst[motion.visible] < 0.1).mean() >= 0.9
    assert motion.visible.mean() > 0.9
    turn = np.degrees(angle(motion.rotations[1:, :, 0].astype(float), motion.rotations[:-1, :, 0].astype(float)))
    assert turn.max() < 45
    depth = motion.wrists()[..., 2] - framing.root()[2]
    assert depth.min() > -0.6 and depth.max() < 0.2


@pytest.mark.shared
def test_captured_hands_come_back(shared):
    """Fingers of a real speaker, which turn sideways and twist as no puppet's do."""
    from emo2.training.readers import read_beat2

    path = Path(shared) / "data" / "motion" / "smplx_speaker_45s.npz"
    framing = Framing((0.5, 0.41), 0.38, (704, 512))
    motion = read_beat2(path, fingers="approximate", framing=framing).motion.frames(500, 540)
    joints, points, scores = seen(motion)
    assert errors(motion, joints, fitted(motion, points, scores))[0].mean() <= 0.05
    joints, points, scores = seen(motion, noise=3.0, missing=0.2)
    assert errors(motion, joints, fitted(motion, points, scores))[0].mean() <= 0.1


def test_a_keypoint_set_is_fitted(tmp_path):
    motion = puppet(209, 5)
    _, points, scores = seen(motion)
    path = tmp_path / "set.npz"
    np.savez(path, body=motion.keypoints, hands=points, hands_score=scores, size=np.array([704, 512]))
    quick, whole = (motion_from_keypoints(path, 25.0, motion.framing, HANDS, fit=fit) for fit in (False, True))
    truth = HANDS.pose(motion.rotations, motion.wrists())[1]
    quick, whole = (
        np.linalg.norm(HANDS.pose(m.rotations, m.wrists())[1] - truth, axis=-1).mean() for m in (quick, whole)
    )
    assert whole < 0.02 and whole < 0.5 * quick
