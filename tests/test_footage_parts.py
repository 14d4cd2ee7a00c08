"""The pieces of preparation by themselves: boxes, mouths, references, stretches, who speaks, marks, settings."""

import cv2
import numpy as np
import pytest
from emo2.models.errors import EMO2Error
from emo2.models.pose.keypoint_motion import Points
from emo2.models.types import Framing
from emo2.training.footage.camera import Camera
from emo2.training.footage.clip import stretches
from emo2.training.footage.crop import HEADROOM, crop_for, cut_off
from emo2.training.footage.face import mouth_of
from emo2.training.footage.judging import hands_seen, sharpness
from emo2.training.footage.people import Watched, choose, follow, leaps
from emo2.training.footage.reference import APART, reference_frame
from emo2.training.footage.settings import Limits, Settings
from emo2.training.footage.work import Work, mark_of
from footage_cases import SIZE, settings, truth_of
from hypothesis import given
from hypothesis import strategies as st
from video_run_cases import one_thread  # noqa: F401


@given(
    st.tuples(st.integers(200, 2200), st.integers(200, 2200)), st.floats(0.2, 0.8), st.floats(0.2, 0.8),
    st.floats(0.05, 0.8), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6),
    st.sampled_from([(704, 512), (512, 512), (96, 160)]),
)  # fmt: skip
def test_a_box_lies_in_the_video_and_stretches_nothing(source, x, y, width, hands, size):
    framing = Framing((x, y), width, source)
    crop = crop_for(framing, np.array(hands).reshape(-1, 2), size)
    left, top, wide, high = crop.box
    assert left >= -1e-6 and top >= -1e-6 and left + wide <= source[1] + 1e-6 and top + high <= source[0] + 1e-6
    assert high / wide == pytest.approx(size[0] / size[1]) and crop.scale == pytest.approx(size[1] / wide)
    corners = np.array([[left, top], [left + wide, top + high]]) / [source[1], source[0]]
    assert np.allclose(crop.place(corners), [[0, 0], [1, 1]])


def test_a_box_places_people_as_puppets_stand():
    framing = Framing((0.5, 0.45), 0.12, (1080, 1920))
    crop = crop_for(framing, np.zeros((0, 2)), (704, 512))
    assert np.allclose(crop.place(np.array(framing.neck)), (0.5, 0.41))
    assert framing.shoulder_width * 1920 * crop.scale / 512 == pytest.approx(0.38) and not cut_off(crop, framing)


def test_a_box_goes_along_with_hands_but_keeps_the_head():
    framing = Framing((0.5, 0.4), 0.12, (1080, 1920))
    out = np.array([[0.5 - 0.21, 0.5], [0.5 + 0.1, 0.6]] * 40)
    assert (crop_for(framing, np.zeros((0, 2)), (704, 512)).place(out) < 0).any(), "it would be cut off"
    crop = crop_for(framing, out, (704, 512))
    assert ((crop.place(out) >= -1e-9) & (crop.place(out) <= 1)).all()
    low = np.array([[0.5, 1.0]] * 40)
    crop = crop_for(framing, low, (704, 512))
    head = np.array(framing.neck) - [0, HEADROOM * 0.12 * 1920 / 1080]
    assert crop.place(head)[1] >= -1e-6


def test_a_cut_is_where_the_box_says_at_any_size_it_is_read():
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (540, 960, 3), dtype=np.uint8), (0, 0), 6)
    crop = crop_for(Framing((0.4, 0.45), 0.12, (540, 960)), np.zeros((0, 2)), (176, 128))
    whole = crop.cut(picture)
    left, top, wide, high = crop.box
    truth = cv2.resize(picture[round(top) : round(top + high), round(left) : round(left + wide)], (128, 176),
                       interpolation=cv2.INTER_AREA)  # fmt: skip
    assert whole.shape == (176, 128, 3) and np.abs(whole.astype(int) - truth).mean() < 4
    small = cv2.resize(picture, (720, 405), interpolation=cv2.INTER_AREA)
    assert np.abs(whole.astype(int) - crop.cut(small)).mean() < 2
    assert crop.reading_side <= 960


def face_with(opening, half=20.0, size=(200, 100)):
    """A face 2 half wide whose inner lips are `opening` half apart, in the picture's middle."""
    face = np.full((70, 2), [50.0, 90.0])
    face[[0, 16]] = [[50 - half, 90], [50 + half, 90]]
    face[48:60] = [50, 105]
    face[[60, 64]] = [[50 - 0.41 * half, 105], [50 + 0.41 * half, 105]]
    for upper, lower in ((61, 67), (62, 66), (63, 65)):
        face[upper], face[lower] = [50, 105 - opening * half / 2], [50, 105 + opening * half / 2]
    return face / [size[1], size[0]]


def test_mouths_are_measured_on_the_face_and_gaps_filled():
    face = np.stack([face_with(o) for o in (0, 0.5, 0.9, 0.2)])
    scores = np.ones((4, 70))
    scores[2] = 0
    mouth = mouth_of(face, scores, (200, 100), np.tile([0.5, 0.6], (4, 1)), 40.0)
    assert np.allclose(mouth.shapes[:, 0], [0, 0.5, 0.35, 0.2], atol=1e-6) and np.allclose(mouth.shapes[:, 1], 0.5)
    assert np.allclose(mouth.places, [0.5, 0.525]) and mouth.known.tolist() == [True, True, False, True]
    never = mouth_of(face, scores * 0, (200, 100), np.tile([0.5, 0.6], (4, 1)), 40.0)
    assert not never.known.any() and not never.shapes[:, 0].any() and (never.places[:, 1] < 0.6).all()


@given(st.integers(1, 400), st.integers(2, 60))
def test_records_cover_a_clip(count, frames):
    starts = stretches(count, frames)
    covered = np.zeros(count, int)
    for start in starts:
        assert 0 <= start <= count - frames
        covered[start : start + frames] += 1
    assert bool(starts) == (count >= frames) and sorted(set(starts)) == starts
    if starts:
        assert (covered == 0).sum() < max(frames / 2, 1) and (covered <= 2).all()


@given(st.integers(1, 200), st.data())
def test_a_reference_is_outside_its_record_where_it_can_be(count, data):
    start = data.draw(st.integers(0, count - 1))
    stop = data.draw(st.integers(start + 1, count))
    rng = np.random.default_rng(count)
    chosen = reference_frame(rng.random(count), rng.random(count) > 0.2, rng.random((count, 2)) > 0.5,
                             rng.random((count, 2)), rng.random(count), (start, stop), 25)  # fmt: skip
    assert 0 <= chosen < count
    if stop - start < count:
        assert not start <= chosen < stop
    far = [f for f in range(count) if f < start - APART * 25 or f >= stop + APART * 25]
    assert not far or chosen in far


def test_a_reference_has_its_mouth_shut_and_its_hands_in_sight():
    opening = np.full(100, 0.5)
    opening[[60, 80]] = 0.01
    visible = np.ones((100, 2), bool)
    visible[60, 1] = False
    ask = lambda: reference_frame(opening, np.ones(100, bool), visible, np.ones((100, 2)), np.ones(100), (0, 24), 25)
    assert ask() == 80
    visible[80] = False
    assert ask() == 80, "both at rest and out of sight are better than one"


def test_hands_count_where_they_are_in_the_picture():
    hands = np.full((3, 2, 21, 2), 0.5)
    hands[1, 0] = [0.5, 1.2]
    scores = np.ones((3, 2, 21))
    scores[2, 1, 5:] = 0
    found = Points(np.zeros((3, 18, 2)), np.zeros((3, 18)), hands, scores, np.zeros((3, 70, 2)), np.zeros((3, 70)))
    assert hands_seen(found).tolist() == [[True, True], [False, True], [True, False]]


def test_sharpness_falls_with_blur_and_not_with_size_or_contrast():
    rng = np.random.default_rng(0)
    picture = np.full((704, 512, 3), 120, np.uint8)
    for x, y, radius, grey in zip(*(rng.integers(0, n, 300).tolist() for n in (512, 704, 60, 256))):
        cv2.circle(picture, (x, y), radius, (grey,) * 3, -1, cv2.LINE_AA)
    framing = Framing((0.5, 0.41), 0.38, (704, 512))
    own = sharpness(picture, framing)
    blurred = [sharpness(cv2.GaussianBlur(picture, (0, 0), s), framing) for s in (3, 6)]
    assert own > 2 * blurred[0] > 4 * blurred[1]
    large = cv2.resize(picture, (1024, 1408), interpolation=cv2.INTER_CUBIC)
    assert sharpness(large, framing) == pytest.approx(own, rel=0.15)
    assert sharpness(picture // 2 + 60, framing) == pytest.approx(own, rel=0.1)
    assert sharpness(np.zeros_like(picture), framing) == 0


@pytest.mark.parametrize("seed", [1, 4])
def test_a_mask_holds_the_person_and_little_else(seed):
    """The person is what stays the same before other scenes."""
    from emo2.training.footage.outline import person_masks
    from emo2.training.puppets.hands import neutral_hands
    from emo2.training.puppets.world import Puppet

    puppet = Puppet.draw(seed, "held-out", seconds=1.0, style="speaking")
    own, *rest = (
        puppet.video(SIZE, 0, 4, scene=scene).astype(int)
        for scene in (None, *(Puppet.draw(other, "train", seconds=1.0).identity.scene for other in (100, 105)))
    )
    person = np.all([np.abs(own - other).max(-1) < 3 for other in rest], axis=0)
    motion = puppet.with_face(puppet.motion).frames(0, 4)
    hands = motion.framing.project(np.asarray(neutral_hands().pose(motion.rotations, motion.wrists())[1]))
    points = Points(motion.keypoints, motion.keypoint_scores, hands, np.ones((4, 2, 21)), motion.face,
                    motion.face_scores)  # fmt: skip
    masks = person_masks(points, motion.framing, SIZE) > 0
    assert (masks & person).sum() > 0.98 * person.sum()
    assert (masks & person).sum() > 0.7 * (masks | person).sum()


def test_whoever_speaks_is_chosen():
    from emo2.training.puppets.world import Puppet

    puppet = Puppet.draw(4, "train", seconds=2.0, style="speaking")
    speaking = truth_of(puppet)
    half = lambda seen, dx: seen._replace(
        body=seen.body * [0.5, 1] + [dx, 0], hands=seen.hands * [0.5, 1] + [dx, 0],
        face=seen.face * [0.5, 1] + [dx, 0], box=seen.box * [0.5, 1, 0.5, 1] + [dx, 0, dx, 0])  # fmt: skip
    still = speaking[0]._replace(face=speaking[int(puppet.performance.mouth[:, 0].argmin())].face)
    for order in (0, 1):
        people = [[half(seen, 0.5), half(still, 0.0)][:: 1 - 2 * order] for seen in speaking]
        looks = [[np.full(18, 1 / 18)] * 2 for _ in people]
        watched = Watched(people, looks, Camera(25), SIZE)
        tracks = follow(watched, 25)
        chosen = choose(watched, tracks, puppet.performance.waveform, 25)
        assert people[10][tracks.seats[10, chosen]].body[1, 0] > 0.5
        assert choose(watched, tracks, None, 25) == 0


def test_leaps_are_in_shoulder_widths():
    body = np.zeros((4, 18, 2))
    body[:, 2], body[:, 5], body[:, 1], body[:, 0] = [0.4, 0.5], [0.6, 0.5], [0.5, 0.5], [0.5, 0.3]
    body[2:] += [0.1, 0]
    found = Points(body, np.ones((4, 18)), np.zeros((4, 2, 21, 2)), np.zeros((4, 2, 21)), np.zeros((4, 70, 2)),
                   np.zeros((4, 70)))  # fmt: skip
    assert np.allclose(leaps(found, (100, 200)), [0, 0.5, 0])


def test_settings_come_back_and_mistakes_are_named():
    own = settings(present=0.7)
    assert Settings.of_json(own.as_json()) == own
    for wrong, word in (({"fps": 0.5}, "--fps"), ({"frames": 1}, "--frames"), ({"size": (100, 96)}, "--size")):
        with pytest.raises(EMO2Error, match=word):
            settings(**wrong)
    with pytest.raises(EMO2Error, match="--present"):
        Limits(present=1.2)
    with pytest.raises(EMO2Error, match="--longest"):
        Settings(frames=900)


def test_marks_are_of_the_content(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.bytes(3 << 20)
    for name, content in (("a", data), ("b", data), ("c", data[:-1]), ("d", data[:-1] + b"x"), ("e", b"")):
        (tmp_path / name).write_bytes(content)
    marks = [mark_of(tmp_path / name) for name in "abcde"]
    assert marks[0] == marks[1] and len(set(marks)) == 4


def test_a_video_belongs_to_one_process_at_a_time(tmp_path):
    pytest.importorskip("fcntl")
    one, two = Work(tmp_path, settings()), Work(tmp_path, settings())
    with one.taken("v") as first, two.taken("v") as second, two.taken("w") as other:
        assert first and not second and other
    with two.taken("v") as later:
        assert later
