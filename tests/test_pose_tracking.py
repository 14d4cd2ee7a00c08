"""Following people through crossings, occlusions and absences; whom an artist means; left and right."""

import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.appearance import colours, colours_of
from emo2.models.pose.body import WRISTS
from emo2.models.pose.candidates import gather
from emo2.models.pose.keypoint_motion import Points
from emo2.models.pose.sides import repair_sides
from emo2.models.pose.tracking import by_index, by_place, known_points, raw_points, track
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_cases import gestures
from people_cases import WIDE, crowd, hands_of, mirrored, right, seen_of, walker

RATES = pytest.mark.parametrize("fps", [5, 25, 120])


def clock(seconds=6.0, fps=25):
    return np.arange(round(seconds * fps)) / fps


def way(times, speed, y=0.4, meet=3.0):
    """Neck positions of somebody who is in the middle of the picture at `meet` s; speed in picture widths a second."""
    return np.stack([0.5 + speed * (times - meet), np.full(len(times), y)], axis=1)


def hidden(bodies, who, nearer_than):
    """Visibility (F, 2): `who` is not seen while the other one's neck is nearer than that."""
    visible = np.ones((len(bodies[0]), 2), bool)
    visible[np.abs(bodies[0][:, 1, 0] - bodies[1][:, 1, 0]) < nearer_than, who] = False
    return visible


def followed(bodies, times, visible=None, least=0.98, looks=None, **more):
    """Each person is one track in at least that share of their frames, and there is nobody else.

    Frames in which two people are one to the eye (all points nearer than a tenth of the shoulders) do not count.
    """
    people, truth = crowd(bodies, visible, **more)
    shown = None if looks is None else [[looks[p] for p in here] for here in truth]
    tracks = track(people, times, WIDE, shown)
    count = len(bodies)
    one = np.zeros(len(times), bool)
    for a in range(count):
        for b in range(a):
            width = np.linalg.norm((bodies[a][:, 2] - bodies[a][:, 5]) * [WIDE, 1], axis=-1).mean()
            one |= np.linalg.norm((bodies[a] - bodies[b]) * [WIDE, 1], axis=-1).mean(1) < 0.1 * width
    counted = [here if not same else [] for here, same in zip(truth, one)]
    found = [right(tracks, counted, p) for p in range(count)]
    assert len(tracks) == count == len({p for _, p in found})
    assert min(share for share, _ in found) >= least, found
    return tracks, found


@RATES
@pytest.mark.parametrize("speed", [0.06, 0.2, 0.4])
@pytest.mark.parametrize("pose", [1, 2])
def test_people_of_equal_size_cross(fps, speed, pose):
    """Even in the same pose."""
    times = clock(fps=fps)
    followed([walker(times, way(times, speed), seed=1), walker(times, way(times, -speed), seed=pose)], times,
             least=0.96 if fps == 5 else 0.98)  # fmt: skip


@RATES
@pytest.mark.parametrize("front", [0, 1])
@pytest.mark.parametrize("speed", [0.15, 0.5])
def test_a_second_person_walks_through_the_first(fps, front, speed):
    times = clock(fps=fps)
    bodies = [walker(times, [0.5, 0.4], 0.13, 1), walker(times, way(times, speed, 0.39), 0.12, 2)]
    followed(bodies, times, hidden(bodies, 1 - front, 0.1), least=0.96 if fps == 5 else 0.99)


@RATES
def test_two_seconds_are_missing(fps):
    times = clock(fps=fps)
    visible = np.ones((len(times), 2), bool)
    visible[(times >= 2) & (times < 4), 0] = False
    bodies = [walker(times, [0.4, 0.4], seed=1), walker(times, [0.7, 0.4], seed=2)]
    tracks, found = followed(bodies, times, visible, least=1.0)
    gone = (times >= 2) & (times < 4)
    assert (tracks.seats[gone, found[0][1]] == -1).all()


def test_everybody_is_missing_for_two_seconds():
    times = clock()
    visible = np.repeat(((times < 2) | (times >= 4))[:, None], 2, 1)
    bodies = [walker(times, [0.3, 0.4], seed=1), walker(times, [0.7, 0.4], seed=2)]
    followed(bodies, times, visible, least=1.0)


def test_somebody_hides_behind_another_and_comes_out_again():
    times = clock()
    x = np.where(times < 2, 0.5 - 0.3 * (2 - times), np.where(times < 4, 0.5, 0.5 + 0.3 * (times - 4)))
    bodies = [walker(times, [0.5, 0.4], 0.13, 1), walker(times, np.stack([x, 0 * x + 0.41], 1), seed=2)]
    followed(bodies, times, hidden(bodies, 1, 0.1), least=1.0, noise=0.01, lost=0.15)


def test_somebody_comes_near_and_goes_back():
    times = clock()
    x = 0.55 + 0.12 * np.abs(times - 3) ** 1.3
    bodies = [walker(times, [0.5, 0.4], seed=1), walker(times, np.stack([x, 0 * x + 0.4], 1), seed=2)]
    followed(bodies, times, least=1.0, noise=0.01, lost=0.15)


def test_neighbours_who_sit_close_stay_themselves():
    times = clock(fps=10)
    for seed in range(4):
        followed([walker(times, [0.5, 0.4], seed=1), walker(times, [0.585, 0.4], seed=2)], times, least=1.0, noise=0.01,
                 lost=0.15, seed=seed)  # fmt: skip


def test_five_people_and_somebody_who_walks_past_all_of_them():
    times = clock()
    bodies = [walker(times, [0.1 + 0.2 * i, 0.4], 0.08, i) for i in range(5)]
    bodies.append(walker(times, np.stack([-0.1 + 0.2 * times, np.full(len(times), 0.42)], 1), 0.08, 9))
    followed(bodies, times)


def test_false_findings_push_nobody_off_their_track():
    times, rng = clock(40, 10), np.random.default_rng(1)
    swing = np.stack([0.55 + 0.3 * np.sin(times / 2), np.full(len(times), 0.41)], 1)
    people, truth = crowd([walker(times, [0.45, 0.4], seed=1), walker(times, swing, seed=2)])
    for f in np.flatnonzero(rng.random(len(times)) < 0.2):
        people[f].append(seen_of(walker([0.0], rng.uniform(0.1, 0.9, 2), 0.05)[0]))
        truth[f] = [*truth[f], 9]
    tracks = track(people, times, WIDE)
    assert min(right(tracks, truth, p)[0] for p in (0, 1)) > 0.98


def test_clothes_tell_who_comes_back_after_a_long_time():
    times = clock(12)
    rng = np.random.default_rng(0)
    looks = rng.dirichlet(np.ones(18), 2)
    visible = np.ones((len(times), 2), bool)
    visible[(times > 2) & (times < 9), 0] = False
    neck = np.where(times[:, None] < 5, [0.2, 0.4], [0.8, 0.4])
    bodies = [walker(times, neck, seed=1), walker(times, [0.5, 0.4], seed=2)]
    followed(bodies, times, visible, least=1.0, looks=looks)
    people, truth = crowd(bodies, visible)
    changed = [[looks[p] if p or t < 5 else rng.dirichlet(np.ones(18)) for p in here] for here, t in zip(truth, times)]
    assert len(track(people, times, WIDE, changed)) == 3  # in other clothes it is somebody else


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.sampled_from([5, 10, 25, 50]), st.integers(1, 4))
def test_tracks_are_a_partition(seed, fps, count):
    """Nobody is in two tracks, no track has two of one frame, the order of the list does not matter."""
    rng = np.random.default_rng(seed)
    times = clock(2, fps)
    bodies = [walker(times, rng.uniform(0.1, 0.9, 2), rng.uniform(0.05, 0.3), seed + p) for p in range(count)]
    people, _ = crowd(bodies, rng.random((len(times), count)) < 0.8, seed=seed)
    tracks = track(people, times, WIDE)
    for f, here in enumerate(people):
        seats = tracks.seats[f][tracks.seats[f] >= 0]
        assert len(set(seats)) == len(seats) and set(seats) <= set(range(len(here)))
    assert (np.diff(tracks.weight) <= 0).all()
    backwards = track([here[::-1] for here in people], times, WIDE)
    turned = np.where(backwards.seats >= 0, np.array([len(h) for h in people])[:, None] - 1 - backwards.seats, -1)
    if not doubles(people):
        assert turned.shape == tracks.seats.shape and (turned == tracks.seats).all()


def doubles(people):
    return len(gather(people, WIDE).frame) < sum(map(len, people))


def test_the_surer_of_two_findings_of_one_person_counts_and_blinks_are_nobody():
    times = clock(2)
    body = walker(times, [0.5, 0.4], seed=1)
    people, _ = crowd([body], noise=0.001)
    people = [here + crowd([body[f : f + 1] + 0.002])[0][0] for f, here in enumerate(people)]
    people[20].append(seen_of(walker(times[:1], [0.1, 0.8], 0.05)[0]))
    tracks = track(people, times, WIDE)
    assert len(tracks) == 1 and (tracks.seats == 0).all()


def test_numbers_go_by_size_place_and_presence():
    times = clock()
    near = walker(times, [0.35, 0.4], 0.2, 1)
    middle, far = walker(times, [0.5, 0.4], 0.06, 2), walker(times, [0.9, 0.4], 0.12, 3)
    brief = walker(times, [0.7, 0.5], 0.22, 4)
    visible = np.ones((len(times), 4), bool)
    visible[10:, 3] = False
    people, truth = crowd([middle, far, near, brief], visible)
    tracks = track(people, times, WIDE)
    numbers = [right(tracks, truth, p)[1] for p in (2, 3, 1, 0)]
    assert len(tracks) == 4 and numbers[0] == 0 and numbers == [0, 3, 1, 2]
    assert by_index(tracks, 3) == 3
    with pytest.raises(EMO2Error, match="4 people"):
        by_index(tracks, 4)


def test_picking_by_a_place():
    times = clock()
    bodies = [walker(times, way(times, 0.1), seed=1), walker(times, way(times, -0.1), seed=2)]
    visible = np.ones((len(times), 2), bool)
    visible[:8, 0] = False
    people, truth = crowd(bodies, visible)
    tracks = track(people, times, WIDE)
    who = lambda x, y, second: by_place(tracks, people, times, (x, y), second, WIDE)
    ids = [right(tracks, truth, p)[1] for p in (0, 1)]
    assert who(0.25, 0.5, 0.5) == ids[0] and who(0.75, 0.5, 0.5) == ids[1]
    assert who(0.78, 0.5, 5.8) == ids[0] and who(0.22, 0.5, 5.8) == ids[1]
    assert who(0.22, 0.5, 0.1) == ids[0]  # hidden just then, there a moment later
    with pytest.raises(EMO2Error, match="nobody is seen"):
        who(0.5, 0.02, 0.0)


def test_nobody_at_all():
    tracks = track([[], [], []], np.arange(3) / 25)
    assert len(tracks) == 0 and tracks.seats.shape == (3, 0)
    with pytest.raises(EMO2Error, match="person"):
        by_index(tracks, 0)


def test_points_of_one_person():
    times = clock(1)
    people, _ = crowd([walker(times, [0.5, 0.4], seed=1)])
    people[3] = []
    body = people[5][0].body.copy()
    body[4] = np.nan
    people[5][0] = people[5][0]._replace(body=body)
    tracks = track(people, times, WIDE)
    found = raw_points(people, tracks.seats[:, 0])
    assert not found.body_scores[3].any() and not found.hands[3].any()
    assert found.body_scores[5, 4] == 0 and np.isfinite(found.body).all()
    np.testing.assert_array_equal(found.hands[7], people[7][0].hands)
    known = known_points(found)
    assert ((known.body_scores == 0) | (known.body_scores >= 0.3)).all() and (found.body_scores == 0.1).any()
    assert not known.body[known.body_scores == 0].any()


def test_colours_tell_clothes_apart_in_any_light():
    picture = np.zeros((100, 200, 3), np.uint8)
    for i, colour in enumerate([[200, 40, 40], [120, 25, 25], [40, 40, 200], [150] * 3]):
        picture[:, 50 * i : 50 * i + 50] = colour
    body = np.tile([[0.0, 0.3]], (18, 1))
    places = []
    for x in (0.06, 0.31, 0.56, 0.81):
        points = body.copy()
        points[[2, 8]], points[[5, 11]] = [[x, 0.3], [x, 0.8]], [[x + 0.13, 0.3], [x + 0.13, 0.8]]
        places.append(seen_of(points, np.zeros((2, 21, 2))))
    (shirts,) = colours_of(picture[None], [places])
    red, dark, blue, grey = shirts
    apart = lambda a, b: np.sqrt(1 - np.sqrt(a * b).sum())
    assert all(abs(shirt.sum() - 1) < 1e-9 for shirt in shirts)
    assert apart(red, dark) < 0.1 < 0.8 < min(apart(red, blue), apart(red, grey), apart(blue, grey))
    outside = places[0]._replace(box=np.array([1.4, 1.4, 1.6, 1.6]), body_scores=np.zeros(18))
    assert colours(picture, outside).shape == (18,)


def real_points(count=100, seed=3):
    """The points of a known motion, its hands those of the posed mesh."""
    from emo2.models.hands import load_hands

    motion = gestures(seed, count)
    joints = motion.framing.project(load_hands().pose(motion.rotations, motion.wrists())[1])
    ones = np.ones((count, 2, 21))
    body = motion.keypoints * (motion.keypoint_scores > 0)[..., None]
    return Points(body.astype(float), motion.keypoint_scores.astype(float), joints, ones,
                  motion.face.astype(float), motion.face_scores.astype(float))  # fmt: skip


def exchanged(found, frames, body=True, hands=True):
    arrays = [array.copy() for array in found]
    for f in frames:
        sides = mirrored(arrays[0][f], arrays[1][f], arrays[2][f], arrays[3][f])
        if body:
            arrays[0][f], arrays[1][f] = sides[:2]
        if hands:
            arrays[2][f], arrays[3][f] = sides[2].copy(), sides[3].copy()
    return Points(*arrays)


@settings(max_examples=12)
@given(st.integers(0, 50), st.sets(st.integers(0, 99), max_size=12), st.booleans(), st.booleans())
def test_exchanged_sides_are_put_right(seed, frames, body, hands):
    truth = real_points(seed=seed)
    times = np.arange(100) / 25
    repaired = repair_sides(exchanged(truth, frames, body, hands), times, 512 / 704)
    for fixed, true in zip(repaired, truth):
        np.testing.assert_array_equal(fixed, true)


@RATES
def test_a_run_of_exchanged_frames_and_one_that_lasts(fps):
    truth = real_points(160)
    times = np.arange(160) / fps
    run = range(60, 60 + max(round(0.4 * fps), 1))
    repaired = repair_sides(exchanged(truth, run), times, 512 / 704)
    np.testing.assert_array_equal(repaired.body, truth.body)
    np.testing.assert_array_equal(repaired.hands, truth.hands)
    behind = exchanged(truth, range(160))  # somebody seen from behind, all the time
    np.testing.assert_array_equal(repair_sides(behind, times, 512 / 704).body, behind.body)


@pytest.mark.parametrize("seed", range(4))
def test_exchanges_in_trembling_points_with_holes(seed):
    truth, rng = real_points(200, seed), np.random.default_rng(seed)
    arrays = [array.copy() for array in truth]
    for points, scores in ((0, 1), (2, 3)):
        arrays[points] += rng.normal(0, 0.006, arrays[points].shape) * (arrays[scores] > 0)[..., None]
        gone = rng.random(arrays[scores].shape) < 0.15
        arrays[scores][gone], arrays[points][gone] = 0, 0
    arrays[3][50:70, 0], arrays[2][50:70, 0] = 0, 0
    noisy = Points(*arrays)
    frames = [7, 8, 30, 55, 90, 120, 121, 122, 170]
    repaired = repair_sides(exchanged(noisy, frames), np.arange(200) / 25, 512 / 704)
    assert (repaired.body == noisy.body).all() and (repaired.hands == noisy.hands).all()


def test_a_lone_hand_goes_to_its_own_wrist():
    truth = real_points(60)
    truth.hand_scores[20:40, 1] = 0
    truth.hands[20:40, 1] = 0
    repaired = repair_sides(exchanged(truth, range(22, 38, 3), body=False), np.arange(60) / 25, 512 / 704)
    np.testing.assert_array_equal(repaired.hand_scores, truth.hand_scores)


def test_one_hand_found_twice_is_kept_once():
    truth = real_points(60)
    apart = np.linalg.norm((truth.body[:, WRISTS[0]] - truth.body[:, WRISTS[1]]) * [512 / 704, 1], axis=-1)
    frames = np.flatnonzero(apart > 0.2)[:10]
    assert len(frames) == 10
    truth.hands[frames, 0] = truth.hands[frames, 1] + 0.002
    repaired = repair_sides(truth, np.arange(60) / 25, 512 / 704)
    assert not repaired.hand_scores[frames, 0].any() and repaired.hand_scores[frames, 1].all()
    assert repaired.hand_scores.any(-1).sum() == 110


def test_a_person_without_shoulders_keeps_their_points():
    nothing = Points(*(np.zeros_like(array) for array in real_points(5)))
    assert repair_sides(nothing, np.arange(5) / 25) is nothing
    assert hands_of(np.zeros((1, 18, 2))).shape == (1, 2, 21, 2)
